"""Cuts a stream of XML at the start tags of its records, so that one broken record cannot end the file."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from corpus.ingest.compression import TruncatedStream
from corpus.ingest.reader import Item, Unreadable

CHUNK_BYTES = 1 << 20
REFERENCES = re.compile(r"(?:&#(?:[xX][0-9a-fA-F]{1,8}|[0-9]{1,10});)+")
ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
OVERLAP_BYTES = 64  # longer than any start marker, so that a marker across two reads is found


class ByteStream(Protocol):
    """What the cutter asks of a file: read at most `size` bytes, none at the end."""

    def read(self, size: int = ..., /) -> bytes: ...


class Utf8Stream:
    """A stream of XML as UTF-8: UTF-16 (told by its byte order mark) is recoded as it is read."""

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self.started = False
        self.decoder: codecs.IncrementalDecoder | None = None

    def read(self, size: int = CHUNK_BYTES, /) -> bytes:
        """Reads about `size` bytes, none at the end."""
        data = self.stream.read(size)
        if not self.started:
            self.started = True
            while 0 < len(data) < 2 and (more := self.stream.read(1)):
                data += more
            if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                self.decoder = codecs.getincrementaldecoder("utf-16")("replace")
        if self.decoder is None:
            return data
        text = self.decoder.decode(data, final=not data)
        while data and not text:  # half a character
            data = self.stream.read(size)
            text = self.decoder.decode(data, final=not data)
        return text.encode("utf-8")


@dataclass(frozen=True, slots=True)
class Piece:
    """The bytes from one start marker up to the next; a file's first piece is what stands before the first marker."""

    offset: int  # of the first byte in the decompressed stream (as UTF-8)
    length: int  # bytes of the whole piece
    data: bytes  # its bytes, at most the limit given to `pieces`


def ended(last: Item | None, ordinal: int, end: int, reason: str) -> Iterator[Item]:
    """The last items of a stream that broke off at byte `end`: one unreadable stretch, with the record it cut in two."""
    if isinstance(last, Unreadable) and last.offset + last.length == end:
        yield replace(last, reason=reason)
        return
    if last is not None:
        yield last
    yield Unreadable(ordinal, end, 0, reason, b"")


def legal_references(text: str) -> str:
    """The text with the numeric references that XML forbids taken out; two that are halves of one character are joined
    (writers that count in UTF-16 make them)."""
    return REFERENCES.sub(_legal_run, text)


def _legal_run(match: re.Match[str]) -> str:
    numbers = [int(part[1:], 16) if part[0] in "xX" else int(part) for part in match[0][2:-1].split(";&#")]
    kept: list[int] = []
    for number in numbers:
        if 0xDC00 <= number < 0xE000 and kept and 0xD800 <= kept[-1] < 0xDC00:
            kept[-1] = 0x10000 + (kept[-1] - 0xD800 << 10) + number - 0xDC00
        else:
            kept.append(number)
    return "".join(f"&#{number};" for number in kept if number < 0x110000 and not ILLEGAL.match(chr(number)))


def legal_xml(data: bytes) -> bytes:
    """A stretch of XML without the characters and references that XML forbids; halves of a character are joined.

    A UnicodeDecodeError if it is no UTF-8 at all.
    """
    text = data.decode("utf-8", "surrogatepass")
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")  # joins halves, drops lone ones
    return ILLEGAL.sub("", legal_references(text)).encode("utf-8")


def pieces(stream: ByteStream, marker: re.Pattern[bytes], limit: int) -> Iterator[Piece]:
    """Yields the prologue (perhaps empty), then one piece per marker; keeps at most `limit` bytes of a piece.

    In well-formed XML a literal `<` never stands inside text or an attribute value, so a start tag is found by its
    bytes alone. A damaged stream gives the pieces before the fault, then its `TruncatedStream` is raised.
    """
    kept, buffer = bytearray(), bytearray()
    offset = gone = 0  # where the current piece began; how many of its bytes have left `buffer`
    search = 0  # where in `buffer` the next marker may begin
    fault: TruncatedStream | None = None
    while True:
        try:
            chunk = stream.read(CHUNK_BYTES)
        except TruncatedStream as error:
            fault, chunk = error, b""
        if not chunk:
            break
        buffer += chunk
        start = 0
        for match in marker.finditer(buffer, search):
            cut = match.start()
            size = gone + cut - start
            yield Piece(offset, size, bytes(kept + buffer[start : min(cut, start + limit)])[:limit])
            offset, gone, start = offset + size, 0, cut
            kept.clear()
            search = 1  # past the marker that opens the current piece
        del buffer[:start]
        surplus = len(buffer) - OVERLAP_BYTES
        if surplus > limit:  # longer than the limit: count what is not kept
            kept += buffer[: max(0, min(surplus, limit - len(kept)))]
            del buffer[:surplus]
            gone, search, surplus = gone + surplus, 0, 0
        search = max(search if gone == 0 else 0, surplus)
    yield Piece(offset, gone + len(buffer), bytes(kept + buffer)[:limit])
    if fault is not None:
        raise fault
