"""Files as streams of their decompressed bytes: plain, gzip, bzip2, xz, zstd and lz4, told apart by content and never by
name.

A damaged file gives every byte that can be decoded and only then raises `TruncatedStream`. Files of several members (one
gzip member per record, multistream bzip2) read as one stream, and `find_member` finds where reading can begin again.
"""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import lz4.frame
import zstandard
from isal import isal_zlib

from corpus.errors import DataError

QUARANTINE_BYTES = 64 * 1024
"""How much of an unreadable stretch is kept to look at."""
SLICE = 64 * 1024
"""Stored bytes given to a decoder at once. Small, because a decoder copies what follows the end of its member."""
FIRST_SLICE = 8 * 1024
"""The same at the beginning of a member: many are no longer."""
ZSTD_SLICE = 16 * 1024
"""The same for zstd, whose decoder cannot be told how much to give at once."""
PIECE = 1024 * 1024
"""Most decoded bytes one step gives (zstd: what one slice holds)."""

_MEMBER_HEAD = 1024
"""Stored bytes in which the first decoded ones of a member are looked for."""
_BZ2_BLOCK = (
    bytes.fromhex("314159265359"),
    bytes.fromhex("177245385090"),
)  # first block, or the end of an empty stream
_ERRORS: tuple[type[Exception], ...] = (
    zlib.error,
    cast(type[Exception], isal_zlib.error),
    OSError,
    ValueError,
    EOFError,
    RuntimeError,
    lzma.LZMAError,
    zstandard.ZstdError,
)


@dataclass(frozen=True, slots=True)
class Damage:
    """`length` bytes from `offset` that cannot be read, with the first QUARANTINE_BYTES of what there is of them.

    They count in the stored file where its compression is damaged, else in the decompressed stream.
    """

    offset: int
    length: int
    reason: str
    data: bytes


class TruncatedStream(Exception):
    """A compressed stream is cut short or corrupt; all that could be decoded has been delivered before.

    `reason` is a short phrase ("truncated gzip", "corrupt gzip", "garbage after gzip"), `offset` the byte of the stored
    file at which decoding stopped, `member` the byte at which the damaged member begins, and `verified` the number of
    decoded bytes that belong to earlier, whole members (whose checksums were right). `partial` is what `read()` without
    a size had read before the damage.
    """

    def __init__(self, reason: str, offset: int, member: int = 0, verified: int = 0) -> None:
        super().__init__(f"{reason} at byte {offset}")
        self.partial = b""
        self.reason = reason
        self.offset = offset
        self.member = member
        self.verified = verified


class _Decoder(Protocol):
    """What bz2 and lzma offer; gzip and zstd are made to look the same."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    def __init__(self) -> None:
        self._zlib = isal_zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._full = False

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not (self._zlib.unconsumed_tail or self._full)

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        piece = self._zlib.decompress(data or self._zlib.unconsumed_tail, max_length)
        self._full = len(piece) == max_length
        return piece


class _Zstd:
    needs_input = True

    def __init__(self) -> None:
        self._frame: Any = zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()

    @property
    def eof(self) -> bool:
        return bool(self._frame.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._frame.unused_data)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return bytes(self._frame.decompress(data))


_DECODERS: dict[str, Callable[[], _Decoder]] = {
    "gzip": _Gzip,
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ),
    "zstd": _Zstd,
    "lz4": lz4.frame.LZ4FrameDecompressor,
}


def sniff(head: bytes) -> str:
    """The compression a file's first bytes (at least 10, if there are) tell: gzip, bzip2, xz, zstd, lz4 or plain."""
    if head[:2] == b"\x1f\x8b":
        return "gzip"
    if head[:3] == b"BZh" and head[3:4] in b"123456789" and len(head) >= 4:
        block = head[4:10]
        return "bzip2" if any(start.startswith(block) for start in _BZ2_BLOCK) else "plain"
    if head[:6] == b"\xfd7zXZ\x00":
        return "xz"
    if head[:4] == b"\x04\x22\x4d\x18":
        return "lz4"
    skippable = len(head) >= 4 and 0x50 <= head[0] <= 0x5F and head[1:4] == b"\x2a\x4d\x18"
    return "zstd" if skippable or head[:4] == b"\x28\xb5\x2f\xfd" else "plain"


class Stream(io.RawIOBase):
    """The decompressed bytes of a file. `read(n)` gives n bytes unless the end or damage comes first.

    After the last readable byte a damaged stream raises `TruncatedStream` at every further read. `read()` without a size
    raises it at once, with what was readable as `partial`, so that nobody takes a part for the whole.
    """

    def __init__(self, path: Path, file: BinaryIO, offset: int) -> None:
        super().__init__()
        self._path = path
        self._file = file
        self._file.seek(offset)
        self._start = offset
        head = self._load(10)
        self._file.seek(offset)
        self.compression = sniff(head)
        self._pieces = self._plain() if self.compression == "plain" else self._members()
        self._piece = b""  # what was decoded last
        self._taken = 0  # how much of it was delivered
        self._error: TruncatedStream | None = None
        self.delivered = 0

    def readable(self) -> bool:
        return True

    def read1(self, size: int = -1, /) -> bytes:
        """The next decoded piece of whatever length (at most `size` if that is not negative); b"" at the end."""
        if self._taken == len(self._piece):
            self._advance()
        begin, left = self._taken, len(self._piece) - self._taken
        self._taken += left if size < 0 else min(size, left)
        self.delivered += self._taken - begin
        return self._piece[begin : self._taken]  # not a copy where it is all

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            return self.readall()
        pieces: list[bytes] = []
        while size > 0:
            if pieces and self._taken == len(self._piece) and not self._more():
                break
            piece = self.read1(size)
            if not piece:
                break
            pieces.append(piece)
            size -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def readall(self) -> bytes:
        pieces: list[bytes] = []
        try:
            while piece := self.read1():
                pieces.append(piece)
        except TruncatedStream as error:
            error.partial = b"".join(pieces)
            raise
        return b"".join(pieces)

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()

    def _more(self) -> bool:
        """Whether another byte can be had now; damage is kept for the read that begins at it."""
        try:
            self._advance()
        except TruncatedStream:
            return False
        return len(self._piece) > 0

    def _advance(self) -> None:
        """Replace the used-up rest by the next piece, empty at the end."""
        if self._error is not None:
            raise self._error
        try:
            self._piece, self._taken = next(self._pieces, b""), 0
        except TruncatedStream as error:
            self._error = error
            raise

    def _load(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except OSError as error:
            raise DataError(_unreadable(self._path, error)) from error

    def _plain(self) -> Iterator[bytes]:
        while piece := self._load(PIECE):
            yield piece

    def _members(self) -> Iterator[bytes]:
        """Decode member after member; `position` is the stored byte that follows what the decoder has been given."""
        name = self.compression
        first, further = (ZSTD_SLICE, ZSTD_SLICE) if name == "zstd" else (FIRST_SLICE, SLICE)
        decoded = verified = 0
        position = member = self._start
        decoder = _DECODERS[name]()
        pending = memoryview(b"")
        while True:
            if not pending:
                pending = memoryview(self._load(PIECE))
                if not pending:
                    raise TruncatedStream(f"truncated {name}", position, member, verified)
            stored = data = bytes(pending[: first if position == member else further])
            while True:
                try:
                    piece = decoder.decompress(data, PIECE)
                except _ERRORS:
                    rest, stop = self._salvage(member, position, stored, decoded - verified)
                    if rest:
                        yield rest
                    raise TruncatedStream(f"corrupt {name}", stop, member, verified) from None
                if piece:
                    decoded += len(piece)
                    yield piece
                if decoder.eof or decoder.needs_input:
                    break
                data = b""
            used = len(stored) - (len(decoder.unused_data or b"") if decoder.eof else 0)
            pending = pending[used:]
            position += used
            if not decoder.eof:
                continue
            verified = decoded
            pending, position = self._skip_padding(pending, position)
            if not pending:
                return
            if sniff(bytes(pending[:10])) != name:
                raise TruncatedStream(f"garbage after {name}", position, position, verified)
            member = position
            decoder = _DECODERS[name]()

    def _skip_padding(self, pending: memoryview, position: int) -> tuple[memoryview, int]:
        """Pass the zero bytes tapes and xz put after a member, and see to it that the next magic is whole."""
        while True:
            if len(pending) < 10:
                pending = memoryview(bytes(pending) + self._load(PIECE))
            if not pending or pending[0]:
                return pending, position
            left = bytes(pending).lstrip(b"\0")
            position += len(pending) - len(left)
            pending = memoryview(left)

    def _salvage(self, member: int, position: int, data: bytes, given: int) -> tuple[bytes, int]:
        """What a decoder lost by failing within the slice `data` at `position`, and the stored byte it failed at.

        Decodes the damaged member again, the end of it byte by byte, and gives what comes after the `given` bytes that were
        delivered from it. It costs a second reading of the member, in exchange the sound case pays nothing.
        """
        decoder = _DECODERS[self.compression]()
        slice_bytes = ZSTD_SLICE if self.compression == "zstd" else SLICE
        begin = member + (position - member) // slice_bytes * slice_bytes
        kept: list[bytes] = []
        with _open(self._path) as file:
            file.seek(member)
            left = begin - member
            while left > 0:
                chunk = file.read(min(slice_bytes, left))
                left -= len(chunk)
                given -= sum(map(len, _drain(decoder, chunk)))
            data = file.read(position - begin) + data
        for index in range(len(data)):
            try:
                kept.extend(_drain(decoder, data[index : index + 1]))
            except _ERRORS:
                return b"".join(kept)[given:], begin + index
        return b"".join(kept)[given:], begin + len(data)


def _drain(decoder: _Decoder, data: bytes) -> Iterator[bytes]:
    """All the output that follows from `data`."""
    while True:
        if piece := decoder.decompress(data, PIECE):
            yield piece
        if decoder.eof or decoder.needs_input:
            return
        data = b""


def open_stream(path: Path, offset: int = 0) -> Stream:
    """The decompressed bytes of the file from the stored byte `offset` on, which is 0 or the beginning of a member.

    Raises DataError if the file cannot be opened, and `TruncatedStream` while reading (see `Stream`).
    """
    return Stream(path, _open(path), offset)


def find_member(path: Path, start: int, prefix: bytes) -> int | None:
    """The first stored byte from `start` on at which a gzip member begins whose text begins with `prefix`.

    That is where a file of one member per record becomes readable again after a damaged one.
    """
    with _open(path) as file:
        while True:
            file.seek(start)
            stored = file.read(PIECE + _MEMBER_HEAD)
            at = -1
            while 0 <= (at := stored.find(b"\x1f\x8b\x08", at + 1)) < PIECE:
                decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)
                try:
                    if decoder.decompress(stored[at : at + _MEMBER_HEAD], len(prefix)) == prefix:
                        return start + at
                except zlib.error:
                    pass  # the three bytes were part of something else
            if len(stored) <= PIECE:
                return None
            start += PIECE


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        raise DataError(_unreadable(path, error)) from error


def _unreadable(path: Path, error: OSError) -> str:
    return f"cannot read {path}: {error.strerror or error}; check the path, its permissions and the disk"
