"""Members of tar (in any compression) and zip archives, one after the other, in bounded memory and never on disk.

Of a damaged archive every whole member is given. The tar walk is our own because `tarfile` ends at a bad header or a
missing end as if the archive were complete.
"""

from __future__ import annotations

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from corpus.ingest.compression import QUARANTINE_BYTES, Damage, Stream, TruncatedStream, open_stream

MAX_MEMBER_BYTES = 64 * 1024 * 1024
"""A larger member's data are not read."""
_MAX_EXTENSION_BYTES = 1024 * 1024
_BLOCK = 512
_STEP = 1024 * 1024
_EXTENSIONS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.XGLTYPE,
)
_DATALESS = (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError, ValueError)

Wanted = Callable[[str, int], bool]
Kind = Literal["file", "directory", "other"]


@dataclass(frozen=True, slots=True)
class Member:
    """A whole member. `data` is None unless it is a wanted file of at most MAX_MEMBER_BYTES."""

    name: str
    kind: Kind
    size: int
    data: bytes | None


def read_archive(path: Path, wanted: Wanted) -> Iterator[Member | Damage]:
    """The members in their order; data are read where `wanted(name, size)` says so.

    Names are '/'-separated without a leading './'; bytes in them that are no UTF-8 become U+FFFD.
    """
    with open_stream(path) as stream:
        is_zip = stream.compression == "plain" and stream.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    if is_zip:
        yield from _zip(path, wanted)
        return
    with open_stream(path) as stream:
        yield from _Tar(path, stream).members(wanted)


def _zip(path: Path, wanted: Wanted) -> Iterator[Member | Damage]:
    try:
        archive = zipfile.ZipFile(path)
    except PermissionError:
        raise
    except _ZIP_ERRORS:
        with path.open("rb") as stored:
            yield Damage(0, path.stat().st_size, "no whole zip archive", stored.read(QUARANTINE_BYTES))
        return
    with archive:
        for info in archive.infolist():
            name = _clean(info.filename)
            if info.is_dir():
                yield Member(name, "directory", 0, None)
            elif stat.S_ISLNK(info.external_attr >> 16):
                yield Member(name, "other", info.file_size, None)
            elif info.flag_bits & 1:
                yield Damage(info.header_offset, info.compress_size, "encrypted zip member", b"")
            elif info.file_size > MAX_MEMBER_BYTES or not wanted(name, info.file_size):
                yield Member(name, "file", info.file_size, None)
            else:
                try:
                    yield Member(name, "file", info.file_size, archive.read(info))
                except _ZIP_ERRORS:
                    yield Damage(info.header_offset, info.compress_size, "corrupt zip member", b"")


class _Torn(Exception):
    """The stream ended within something; `data` is what there is of it."""

    def __init__(self, start: int, data: bytes) -> None:
        super().__init__()
        self.start = start
        self.data = data


class _Tar:
    """A walk over the headers and data of a tar stream."""

    def __init__(self, path: Path, stream: Stream) -> None:
        self._path = path
        self._stream = stream
        self._damage: TruncatedStream | None = None
        self._position = 0
        self._name = ""  # from an extension header before the member's own
        self._size: int | None = None

    def members(self, wanted: Wanted) -> Iterator[Member | Damage]:
        closed = False  # whether the zero blocks of an end have been seen
        bad: list[bytes] = []  # blocks where a header should be
        bad_start = bad_bytes = 0
        try:
            while block := self._block():
                info = _header(block)
                if info is not None:
                    if bad_bytes:
                        yield Damage(bad_start, bad_bytes, "corrupt tar header", b"".join(bad))
                        bad, bad_bytes = [], 0
                    closed = False
                    member = self._member(info, block, wanted)
                    if member is not None:
                        yield member
                elif not bad_bytes and block.count(0) == _BLOCK:
                    closed = True
                else:
                    bad_start = bad_start if bad_bytes else self._position - _BLOCK
                    bad_bytes += _BLOCK
                    if bad_bytes <= QUARANTINE_BYTES:
                        bad.append(block)
            torn = _Torn(self._position, b"")
        except _Torn as error:
            torn, closed = error, False
        if bad_bytes:
            yield Damage(bad_start, bad_bytes, "corrupt tar header" if closed else "no tar header", b"".join(bad))
        if self._damage is not None:
            left = max(0, self._path.stat().st_size - self._damage.offset)
            yield Damage(self._damage.offset, left, self._damage.reason, torn.data[:QUARANTINE_BYTES])
        elif not closed and not bad_bytes:
            yield Damage(torn.start, len(torn.data), "truncated tar", torn.data[:QUARANTINE_BYTES])

    def _member(self, info: tarfile.TarInfo, block: bytes, wanted: Wanted) -> Member | None:
        """What follows a header: a member, or an extension header (None), which is noted for the next."""
        length = info.size if self._size is None else self._size
        if info.type in _EXTENSIONS and info.size <= _MAX_EXTENSION_BYTES:
            data = self._data(info.size)
            if info.type == tarfile.GNUTYPE_LONGNAME:
                self._name = _text(data.split(b"\0", 1)[0])
            elif info.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
                self._pax(data)
            return None
        name = _clean(self._name or _text(info.name.encode("utf-8", "surrogateescape")))
        self._name, self._size = "", None
        more = info.type == tarfile.GNUTYPE_SPARSE and block[482]
        while more:
            more = self._take(_BLOCK)[504]
        if info.type in _DATALESS:
            return Member(name, "directory" if info.isdir() else "other", 0, None)
        if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE):
            self._skip(length)
            return Member(name, "other", length, None)
        if length <= MAX_MEMBER_BYTES and wanted(name, length):
            return Member(name, "file", length, self._data(length))
        self._skip(length)
        return Member(name, "file", length, None)

    def _pax(self, data: bytes) -> None:
        """Note path and size of a pax header: records of `<length> <key>=<value>\\n`."""
        while data:
            digits = data.split(b" ", 1)[0]
            if not digits.isdigit() or not len(digits) < int(digits) <= len(data):
                return
            key, _, value = data[len(digits) + 1 : int(digits) - 1].partition(b"=")
            data = data[int(digits) :]
            if key == b"path":
                self._name = _text(value)
            elif key == b"size" and value.isdigit():
                self._size = int(value)

    def _block(self) -> bytes:
        """The next block, empty at the end of the stream."""
        start = self._position
        block = self._read(_BLOCK)
        if 0 < len(block) < _BLOCK:
            raise _Torn(start, block)
        return block

    def _take(self, size: int) -> bytes:
        start = self._position
        data = self._read(size)
        if len(data) < size:
            raise _Torn(start, data)
        return data

    def _data(self, size: int) -> bytes:
        """The data of a member, with the padding after them passed."""
        data = self._take(size)
        self._take(-size % _BLOCK)
        return data

    def _skip(self, size: int) -> None:
        left = size + -size % _BLOCK
        while left > 0:
            left -= len(self._take(min(left, _STEP)))

    def _read(self, size: int) -> bytes:
        """As much of `size` bytes as there is; if that is less, whether the stream is damaged is known."""
        data = b""
        try:
            while len(data) < size and (piece := self._stream.read(size - len(data))):
                data += piece
        except TruncatedStream as error:
            self._damage = error
        self._position += len(data)
        return data


def _header(block: bytes) -> tarfile.TarInfo | None:
    """The header a block is, if its checksum says it is one."""
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return None
    return info if info.size >= 0 else None


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")


def _clean(name: str) -> str:
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))
