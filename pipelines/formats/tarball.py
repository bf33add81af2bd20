"""Walks a tar stream member by member, goes on after damage and never ends silently.

Python's `tarfile` takes a damaged header for the end of the archive; a bulk archive would lose its rest unseen.
"""

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

from corpus.ingest.compression import TruncatedStream
from pipelines.formats.xml import ByteStream

BLOCK = 512
READ_BYTES = 1 << 20
LONG_BYTES = 1 << 16  # of a long name or a pax header; a longer one is damage
PAX_PATH = re.compile(rb"\d+ path=([^\n]*)\n")


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file of an archive, or a stretch of it that is damaged (then `fault` says how)."""

    name: str
    offset: int  # of its header in the tar stream
    size: int
    data: bytes  # at most `limit` bytes
    fault: str = ""


class _Source:
    """Exact reads from a stream whose end may be damage."""

    def __init__(self, stream: ByteStream) -> None:
        self.stream, self.at, self.fault = stream, 0, ""

    def take(self, size: int, keep: int) -> bytes:
        """Reads `size` bytes (fewer at the end) and gives the first `keep` of them."""
        kept = bytearray()
        while size > 0:
            try:
                chunk = self.stream.read(min(size, READ_BYTES))
            except TruncatedStream as error:
                self.fault, chunk = error.reason, b""
            if not chunk:
                break
            self.at += len(chunk)
            size -= len(chunk)
            kept += chunk[: keep - len(kept)]
        return bytes(kept)


def members(stream: ByteStream, limit: int) -> Iterator[Member]:
    """Yields the regular files of a tar stream in order, and a member with a fault for every damaged stretch."""
    source = _Source(stream)
    name, lost, zeros = "", -1, 0
    while True:
        offset = source.at
        block = source.take(BLOCK, BLOCK)
        if block.count(0) == BLOCK:
            zeros += 1
            continue
        if len(block) < BLOCK:
            break
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "replace")
        except tarfile.HeaderError:
            lost = offset if lost < 0 else lost  # look for the next header
            continue
        if lost >= 0:
            yield Member("", lost, offset - lost, b"", "damaged tar header")
            lost = -1
        zeros = 0
        padded = -(-header.size // BLOCK) * BLOCK
        if header.type in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE) and header.size <= LONG_BYTES:
            data = source.take(padded, header.size)
            path = PAX_PATH.search(data) if header.type == tarfile.XHDTYPE else None
            found = path.group(1) if path else data.rstrip(b"\0") if header.type == tarfile.GNUTYPE_LONGNAME else b""
            name = found.decode("utf-8", "replace") or name
            continue
        if not header.isreg():
            if header.type in (tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE):
                source.take(padded, 0)
            name = name if header.type == tarfile.GNUTYPE_LONGLINK else ""
            continue
        data = source.take(padded, min(header.size, limit))
        cut = source.at - offset - BLOCK < header.size
        yield Member(name or header.name, offset, header.size, data, (source.fault or "truncated tar") if cut else "")
        name = ""
        if cut:
            return
    if lost >= 0:
        yield Member("", lost, source.at - lost, b"", "damaged tar header")
    elif source.fault or block or zeros == 0:  # an archive ends with blocks of zeros
        yield Member("", source.at, 0, b"", source.fault or "truncated tar")
