"""Lines of a stream, or of the files within a tar stream, each with its place; damage costs a line or a stretch."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

from corpus.ingest.compression import Damage
from pipelines.formats.xml import ByteStream

READ_BYTES = 1 << 20
_BLOCK = 512
_KEPT = 64 * 1024  # of a stretch that is no line


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is not blank, without its end."""

    offset: int  # of its first byte in the decompressed stream
    data: bytes


def is_tar(head: bytes) -> bool:
    """Whether a stream that begins so is a tar archive."""
    return head[257:262] == b"ustar"


def lines(stream: ByteStream, limit: int) -> Iterator[Line | Damage]:
    """The lines of a stream; one longer than `limit` bytes is a Damage. TruncatedStream is left to the caller."""
    cutter = _Cutter(limit)
    while chunk := stream.read(READ_BYTES):
        yield from cutter.take(chunk)
    yield from cutter.end()


def tar_lines(stream: ByteStream, limit: int) -> Iterator[Line | Damage]:
    """The lines of all regular files of a tar stream, in their order; after a damaged header the next good one is found."""
    cutter = _Cutter(limit)
    lost = -1
    while True:
        block = stream.read(_BLOCK)
        offset = cutter.offset
        cutter.skip(len(block))
        if len(block) < _BLOCK:
            break
        if not block.strip(b"\0"):
            continue
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "replace")
        except tarfile.HeaderError:
            lost = offset if lost < 0 else lost
            continue
        if lost >= 0:
            yield Damage(lost, offset - lost, "damaged tar header", b"")
            lost = -1
        left = header.size
        while left and (chunk := stream.read(min(left, READ_BYTES))):
            left -= len(chunk)
            if header.isreg():
                yield from cutter.take(chunk)
            else:
                cutter.skip(len(chunk))
        yield from cutter.end()
        if left:
            yield Damage(cutter.offset, 0, "truncated tar", b"")
            return
        cutter.skip(len(stream.read(-header.size % _BLOCK)))
    if lost >= 0:
        yield Damage(lost, cutter.offset - lost, "damaged tar header", b"")


class _Cutter:
    """Cuts what is read at its line ends."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.offset = 0  # of the next byte that is read
        self._rest = bytearray()
        self._size = 0  # bytes of the line that is not ended, also of those that are not kept

    def skip(self, size: int) -> None:
        """Counts bytes that are in no line."""
        self.offset += size

    def take(self, chunk: bytes) -> Iterator[Line | Damage]:
        """The lines that end in a chunk."""
        start = 0
        while (cut := chunk.find(b"\n", start)) >= 0:
            yield from self._line(chunk[start:cut], self.offset + cut)
            start = cut + 1
        rest = chunk[start:]
        self._size += len(rest)
        self._rest += rest
        if self._size > self.limit:
            del self._rest[_KEPT:]
        self.offset += len(chunk)

    def end(self) -> Iterator[Line | Damage]:
        """The last line of a file, if it has no end."""
        yield from self._line(b"", self.offset)

    def _line(self, tail: bytes, end: int) -> Iterator[Line | Damage]:
        size = self._size + len(tail)
        if size > self.limit:
            yield Damage(end - size, size, "line too long", (bytes(self._rest) + tail)[:_KEPT])
        elif (data := bytes(self._rest) + tail if self._rest else tail) and data.strip():
            yield Line(end - size, data)
        self._rest.clear()
        self._size = 0
