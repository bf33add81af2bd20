"""Records of WARC files (ISO 28500), by named headers and Content-Length in bytes.

What cannot be read becomes `Damage` and reading goes on at the next record: after a torn record at the next line that
begins one, after a corrupt gzip member at the next member that begins with one.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from corpus.ingest.compression import QUARANTINE_BYTES, Damage, Stream, TruncatedStream, find_member, open_stream

MAX_RECORD_BYTES = 64 * 1024 * 1024
"""A longer record is quarantined instead of being held in memory."""
MAX_HEADER_BYTES = 256 * 1024

_BEGIN = re.compile(rb"WARC/\d+\.\d+\r?\n")
_NEXT = re.compile(rb"(?<=\n)WARC/\d+\.\d+\r?\n[A-Za-z][A-Za-z-]*:")  # a line of text alone is no record
_NEXT_BYTES = 64  # the longest beginning `_NEXT` needs to see
_BLANK = re.compile(rb"\n\r?\n")
_FIELD = re.compile(r"\n([^:\n]*):([^\n]*)")
_READ_BYTES = 1 << 18
"""Decoded bytes that are read at once at least: members of single records are much smaller."""


@dataclass(frozen=True, slots=True)
class WarcRecord:
    """A whole record; header names are lower-cased, `offset` counts in the decompressed stream.

    `recovered` says that its Content-Length was too small and the next record's beginning was taken for its end.
    """

    offset: int
    headers: dict[str, str]
    body: bytes
    recovered: bool = False


class Window:
    """The part of a stream, from `start` on, that is held while records are cut out of it; the stream's damage is kept until
    the bytes are used up."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.data = b""
        self.position = 0  # in data
        self.start = 0  # of data in the stream
        self.ended = False
        self.damage: TruncatedStream | None = None
        self.torn: Damage | None = None  # the unreadable end of a damaged stream

    @property
    def offset(self) -> int:
        return self.start + self.position

    def more(self, wanted: int = 1) -> bool:
        """Make `wanted` bytes available from the position on; False if the stream ends before."""
        held = len(self.data) - self.position
        if held >= wanted:
            return True
        pieces = [self.data[self.position :]]
        self.start += self.position
        self.position = 0
        while held < wanted and not self.ended:
            try:
                piece = self._stream.read(max(wanted - held, _READ_BYTES))
            except TruncatedStream as error:
                self.damage = error
                piece = b""
            self.ended = not piece
            pieces.append(piece)
            held += len(piece)
        self.data = b"".join(pieces)
        return held >= wanted

    def read_on(self) -> bool:
        """Hold one piece more than now."""
        return self.more(len(self.data) - self.position + 1)

    def skip_blank(self) -> None:
        """Pass the line ends between records."""
        while (self.position < len(self.data) or self.more()) and self.data[self.position] in b"\r\n":
            self.position += 1

    def take(self, size: int) -> bytes:
        taken = self.data[self.position : self.position + size]
        self.position += len(taken)
        return taken


def read_records(path: Path) -> Iterator[WarcRecord | Damage]:
    """The records of a WARC file in any compression, each stretch without one as a `Damage`."""
    offset: int | None = _first(path)
    if offset:
        yield Damage(0, offset, "no WARC header", _head(path))
    while offset is not None:
        with open_stream(path, offset) as stream:
            window = Window(stream)
            yield from _records(window)
        damage = window.damage
        if damage is None:
            return
        offset = find_member(path, damage.member + 1, b"WARC/") if stream.compression == "gzip" else None
        end = path.stat().st_size if offset is None else offset
        torn = window.torn or Damage(window.offset, 0, "", b"")
        begin = damage.member if torn.offset <= damage.verified else damage.offset
        yield Damage(begin, max(0, end - begin), damage.reason, torn.data)


def _first(path: Path) -> int:
    """Where reading begins: not at 0 if the first of a file's gzip members has lost its magic."""
    with open_stream(path) as stream:
        if stream.compression == "plain" and not _head(path).lstrip().startswith(b"WARC/"):
            return find_member(path, 1, b"WARC/") or 0
    return 0


def _head(path: Path) -> bytes:
    with open_stream(path) as stream:
        return stream.read(1024)


def _records(window: Window) -> Iterator[WarcRecord | Damage]:
    """Records until the stream ends; what a damaged stream leaves over at its end is the window's `torn`."""
    while True:
        window.skip_blank()
        if not window.more():
            return
        record = _record(window)
        if isinstance(record, WarcRecord):
            yield record
            continue
        broken = _resync(window, record)
        if window.damage is not None and not window.more():  # it is what the stream's damage has left of a record
            window.torn = broken
            return
        yield broken


def _record(window: Window) -> WarcRecord | str:
    """The record at the position, which moves after it; or the reason that there is none, and the position stays."""
    window.more(_NEXT_BYTES)
    if not _BEGIN.match(window.data, window.position):
        return "no WARC header"
    blank = _BLANK.search(window.data, window.position)
    while blank is None:
        if len(window.data) - window.position > MAX_HEADER_BYTES:
            return "no end of the WARC header"
        if not window.read_on():
            return "truncated record"
        blank = _BLANK.search(window.data, window.position)
    if _NEXT.search(window.data, window.position + 1, blank.end()):
        return "torn WARC header"
    headers = parse_headers(window.data[window.position : blank.end()])
    size = blank.end() - window.position
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdigit()):
        return "no Content-Length"
    if len(length) > 18 or int(length) > MAX_RECORD_BYTES:  # int() takes no more than some thousand digits
        return "record too long"
    offset = window.offset
    if not window.more(size + int(length)):
        return "truncated record"
    if not _ends_at(window, size + int(length)):
        return _longer(window, headers, size, int(length))
    if window.damage is not None and not _trusted(window, headers, size, int(length)):
        return "corrupt record"
    window.take(size)
    return WarcRecord(offset, headers, window.take(int(length)))


def parse_headers(block: bytes) -> dict[str, str]:
    """The named fields of a header block: names lower-cased, folded lines joined, the first of equal names."""
    text = block.decode("utf-8", "replace")
    headers: dict[str, str] = {}
    if "\n " not in text and "\n\t" not in text:
        for name, value in _FIELD.findall(text):
            headers.setdefault(name.strip().lower(), value.strip())
        return headers
    name = ""
    for line in text.split("\n")[1:]:
        line = line.rstrip("\r")
        if line[:1] in (" ", "\t"):
            if name:
                headers[name] += " " + line.strip()
            continue
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if colon:
            headers.setdefault(name, value.strip())
        else:
            name = ""
    return headers


def _ends_at(window: Window, size: int) -> bool:
    """Whether `size` bytes from the position on come the two line ends that close a record, another record, or the end.

    Some writers leave out a line end or add one, so blank lines are passed.
    """
    window.more(size + _NEXT_BYTES)
    tail = window.data[window.position + size : window.position + size + _NEXT_BYTES]
    begin = tail.lstrip(b"\r\n")
    if tail.startswith(b"\r\n\r\n") or begin.startswith(b"WARC/"):
        return True
    return window.ended and b"WARC/".startswith(begin)


def _longer(window: Window, headers: dict[str, str], size: int, length: int) -> WarcRecord | str:
    """The record whose Content-Length is wrong, up to the next record if nothing is missing (some writers count
    characters, and some files have had their line ends converted)."""
    window.more(size + length)
    early = _search(window, size)
    if early is not None and early < size + length:
        return "truncated record"
    while (end := _search(window, size + length)) is None:
        if len(window.data) - window.position > MAX_RECORD_BYTES:
            return "record too long"
        if not window.read_on():
            end = len(window.data) - window.position
            break
    if window.damage is not None:
        return "wrong Content-Length"
    offset = window.offset
    window.take(size)
    return WarcRecord(offset, headers, window.take(end - size).rstrip(b"\r\n"), recovered=True)


def _trusted(window: Window, headers: dict[str, str], size: int, length: int) -> bool:
    """Whether a record read from a damaged stream is what was written: in whole members, or right by its digest.

    A cut stream is right as far as it goes; of a corrupt member any byte may be wrong.
    """
    damage = window.damage
    assert damage is not None
    if damage.reason.startswith("truncated") or window.offset + size + length <= damage.verified:
        return True
    begin = window.position + size
    return digest_matches(headers.get("warc-block-digest", ""), window.data[begin : begin + length])


def digest_matches(digest: str, body: bytes) -> bool:
    """Whether `digest` (`sha1:` or `sha256:` and base 32 or 16) is the body's."""
    name, _, value = digest.partition(":")
    if name.lower() not in ("sha1", "sha256", "md5"):
        return False
    found = hashlib.new(name.lower(), body, usedforsecurity=False).digest()
    return value.upper() in (base64.b32encode(found).decode(), base64.b16encode(found).decode())


def _search(window: Window, skip: int) -> int | None:
    """How far from the position the next record begins within the data held, looking from `skip` on."""
    found = _NEXT.search(window.data, window.position + skip)
    return None if found is None else found.start() - window.position


def _resync(window: Window, reason: str) -> Damage:
    """Pass what cannot be read, up to the next record or the end."""
    offset = window.offset
    data = b""
    skip = 1
    while (length := _search(window, skip)) is None:
        spare = len(window.data) - window.position - _NEXT_BYTES
        if spare > QUARANTINE_BYTES:  # keep the end alone, where a record may begin
            data = (data + window.take(spare))[:QUARANTINE_BYTES]
            skip = 0
        if not window.read_on():
            length = len(window.data) - window.position
            break
    data = (data + window.take(length))[:QUARANTINE_BYTES]
    return Damage(offset, window.offset - offset, reason, data)
