"""The members of a tar stream, one after the other; the walk goes on after damage and never ends silently.

It is our own because Python's `tarfile` takes a damaged header, or a missing end, for the end of the archive.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from corpus.ingest.compression import QUARANTINE_BYTES, TruncatedStream
from pipelines.formats.xml import ByteStream

BLOCK = 512
"""Bytes of a header."""
_STEP = 1024 * 1024
_MAX_EXTENSION_BYTES = 1024 * 1024
_EXTENSIONS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.XGLTYPE,
)
_DATALESS = (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)

_FIELDS = re.compile(
    rb"(?:[0-7]{7}[\0 ]){3}([0-7]{11})[\0 ][0-7]{11}[\0 ]([0-7]{6}\0 |[0-7]{7}[\0 ])([0xgL])\0{100}ustar"
)
"""From the mode to the magic of a header as it is usually written: size, checksum, type."""

Keep = Callable[[str, int], int]
"""How many bytes of the data of a file of this name and size are wanted."""


@dataclass(frozen=True, slots=True)
class TarMember:
    """What is in a tar stream from byte `offset` on: a member, of whose `size` bytes the first wanted are `data`; a `gap`
    of `size` bytes where a header should be; or, last, what there is of a `torn` archive.

    `name` is as stored. A gap is `final` if no member comes after it, and `closed` if the archive has an end all the same.
    Of a torn archive `file` says whether it ended in the data of a file, whose name and size are given, and of which
    `present` bytes are there; `damage` is how the stream broke off, if it did.
    """

    kind: Literal["file", "directory", "other", "gap", "torn"]
    offset: int
    size: int
    name: str = ""
    data: bytes = b""
    present: int = 0
    final: bool = False
    closed: bool = False
    file: bool = False
    damage: TruncatedStream | None = None


class _Torn(Exception):
    """The stream ended within something, which began at `start`; `data` is what there is of it."""

    def __init__(self, start: int, data: bytes, name: str = "", size: int = 0) -> None:
        super().__init__()
        self.start, self.data, self.name, self.size = start, data, name, size


def tar_members(stream: ByteStream, keep: Keep) -> Iterator[TarMember]:
    """The members of a tar stream in their order, with the gaps between them; what is torn comes last."""
    return _Tar(stream, keep).members()


class _Tar:
    """A walk over the headers and data of a tar stream."""

    def __init__(self, stream: ByteStream, keep: Keep) -> None:
        self._stream = stream
        self._keep = keep
        self._damage: TruncatedStream | None = None
        self._position = 0
        self._name = ""  # from an extension header before the member's own
        self._size: int | None = None

    def members(self) -> Iterator[TarMember]:
        closed = False  # whether the zero blocks of an end have been seen
        bad: list[bytes] = []  # blocks where a header should be
        bad_start = bad_bytes = 0
        try:
            while block := self._block():
                info = _header(block)
                if info is not None:
                    if bad_bytes:
                        yield TarMember("gap", bad_start, bad_bytes, data=b"".join(bad))
                        bad, bad_bytes = [], 0
                    closed = False
                    member = self._member(info, block)
                    if member is not None:
                        yield member
                elif not bad_bytes and block.count(0) == BLOCK:
                    closed = True
                else:
                    bad_start = bad_start if bad_bytes else self._position - BLOCK
                    bad_bytes += BLOCK
                    if bad_bytes <= QUARANTINE_BYTES:
                        bad.append(block)
            torn = _Torn(self._position, b"")
        except _Torn as error:
            torn, closed = error, False
        if bad_bytes:
            yield TarMember("gap", bad_start, bad_bytes, data=b"".join(bad), final=True, closed=closed)
        if self._damage is not None or (not closed and not bad_bytes):
            in_file = bool(torn.name)
            size = torn.size if in_file else len(torn.data)
            present = self._position - torn.start - BLOCK if in_file else size
            yield TarMember("torn", torn.start, size, torn.name, torn.data, present, file=in_file, damage=self._damage)

    def _member(self, info: tarfile.TarInfo, block: bytes) -> TarMember | None:
        """What follows a header: a member, or an extension header (None), which is noted for the next."""
        start = self._position - BLOCK
        length = info.size if self._size is None else self._size
        if info.type in _EXTENSIONS and info.size <= _MAX_EXTENSION_BYTES:
            data = self._data(info.size, info.size)
            if len(data) < info.size:
                raise _Torn(start, data)
            if info.type == tarfile.GNUTYPE_LONGNAME:
                self._name = _text(data.split(b"\0", 1)[0])
            elif info.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
                self._pax(data)
            return None
        name = self._name or _text(info.name.encode("utf-8", "surrogateescape"))
        self._name, self._size = "", None
        more = info.type == tarfile.GNUTYPE_SPARSE and block[482]
        while more:
            block = self._read(BLOCK, BLOCK)
            if len(block) < BLOCK:
                raise _Torn(start, block)
            more = block[504]
        if info.type in _DATALESS:
            return TarMember("directory" if info.isdir() else "other", start, 0, name)
        if info.type not in _FILES:
            self._data(length, 0)
            return TarMember("other", start, length, name)
        before = self._position
        wanted = min(length, self._keep(name, length))
        data = self._data(length, max(wanted, min(length, QUARANTINE_BYTES)))
        if self._position - before < length:
            raise _Torn(start, data, name or "?", length)
        return TarMember("file", start, length, name, data[:wanted])

    def _pax(self, data: bytes) -> None:
        """Note path and size of a pax header: records of `<length> <key>=<value>\\n`."""
        while data:
            digits = data.split(b" ", 1)[0]
            if not digits.isdigit() or len(digits) > 18 or not len(digits) < int(digits) <= len(data):
                return
            key, _, value = data[len(digits) + 1 : int(digits) - 1].partition(b"=")
            data = data[int(digits) :]
            if key == b"path":
                self._name = _text(value)
            elif key == b"size" and value.isdigit() and len(value) <= 18:
                self._size = int(value)

    def _block(self) -> bytes:
        """The next block, empty at the end of the stream."""
        start = self._position
        block = self._read(BLOCK, BLOCK)
        if 0 < len(block) < BLOCK:
            raise _Torn(start, block)
        return block

    def _data(self, size: int, wanted: int) -> bytes:
        """The first `wanted` bytes of the data of a member, which are passed with their padding, as far as they are there."""
        before = self._position
        data = self._read(size, wanted)
        if self._position - before == size:
            self._read(-size % BLOCK, 0)
        return data

    def _read(self, size: int, wanted: int) -> bytes:
        """Pass `size` bytes, fewer at the end, and give the first `wanted` of them."""
        kept = bytearray()
        try:
            while size > 0 and (piece := self._stream.read(min(size, _STEP))):
                self._position += len(piece)
                size -= len(piece)
                kept += piece[: wanted - len(kept)]
        except TruncatedStream as error:
            self._damage = error
        return bytes(kept)


def _header(block: bytes) -> tarfile.TarInfo | None:
    """The header a block is, if its checksum says it is one."""
    fields = _FIELDS.match(block, 100)
    name = block[:100].partition(b"\0")[0]
    if fields is not None and name and name[-1:] != b"/" and not block[345]:  # what tarfile needs ten times as long for
        checksum = sum(block) - sum(block[148:156]) + 8 * 32  # its own field counts as blanks
        if checksum == int(fields[2].rstrip(b"\0 "), 8):
            info = tarfile.TarInfo(name.decode("utf-8", "surrogateescape"))
            info.size, info.type = int(fields[1], 8), fields[3]
            return info
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return None
    return info if info.size >= 0 else None


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")
