"""JSON lines: one object a line, in any compression. The text is kept to the byte, every other key becomes metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from corpus.ingest.compression import QUARANTINE_BYTES, Stream, TruncatedStream, open_stream
from corpus.ingest.reader import Item, RawFile, Unreadable
from corpus.option import option
from pipelines.readers.fields import DeclaresColumns, Fields, NoDocument

MAX_LINE_BYTES = 512 * 1024 * 1024
"""A longer line is quarantined instead of being held in memory."""

_BOM = b"\xef\xbb\xbf"
_DECODER = json.JSONDecoder(parse_constant=str)


@dataclass(frozen=True)
class JsonlReader(DeclaresColumns):
    """`corpus ingest jsonl`."""

    domain: ClassVar[str] = "jsonl"
    patterns: ClassVar[tuple[str, ...]] = tuple(
        f"*.{name}{suffix}" for name in ("jsonl", "ndjson", "json") for suffix in ("", ".gz", ".bz2", ".xz", ".zst")
    )
    doc: ClassVar[str] = "JSON lines: one object with a text in it a line."

    text_field: str = option("text", "Key of the text.")
    id_field: str = option("id", "Key of the record's own id, kept as metadata.id.")
    url_field: str = option("url", "Key of the URL.")
    language_field: str = option("language", "Key of the language code.")

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        fields = Fields(self.text_field, self.id_field, self.url_field, self.language_field)
        return read_json_lines(file.path, fields)


def read_json_lines(path: Path, fields: Fields) -> Iterator[Item]:
    """The items of a file of JSON lines.

    Blank lines are no records. A line that is not UTF-8, not a JSON object, too long or without a text string is one
    `Unreadable` and reading goes on after it; where a compressed file ends too early or is corrupt, the rest is one.
    """
    ordinal = 0
    with open_stream(path) as stream:
        lines = Lines(stream)
        for line in lines:
            if not line.data.strip() and line.length <= MAX_LINE_BYTES:
                continue
            yield _item(ordinal, line, fields)
            ordinal += 1
        if lines.damage is not None:
            tail = _item(ordinal, lines.tail, fields)
            data = lines.tail.data[:QUARANTINE_BYTES]
            if not isinstance(tail, Unreadable):  # the stream broke just after a whole line
                yield tail
                ordinal += 1
                data = b""
            rest = max(0, path.stat().st_size - lines.damage.offset)
            yield Unreadable(ordinal, lines.damage.offset, rest, lines.damage.reason, data)
        elif path.stat().st_size == 0:
            yield Unreadable(0, 0, 0, "empty file", b"")


def _item(ordinal: int, line: Line, fields: Fields) -> Item:
    try:
        if line.length > MAX_LINE_BYTES:
            raise NoDocument("line too long")
        return fields.item(ordinal, parse(line.data.removeprefix(_BOM) if line.offset == 0 else line.data))
    except NoDocument as error:
        return Unreadable(ordinal, line.offset, line.length, str(error), line.data[:QUARANTINE_BYTES])


def parse(line: bytes) -> dict[str, object]:
    """The JSON object of a line of UTF-8. Of equal keys the last counts; numbers JSON cannot hold become strings.

    Raises NoDocument with the reason the line is none.
    """
    try:
        row = _DECODER.decode(line.decode("utf-8"))
    except UnicodeDecodeError:
        raise NoDocument("not UTF-8") from None
    except ValueError:
        raise NoDocument("not JSON") from None
    except RecursionError:
        raise NoDocument("JSON nested too deeply") from None
    if not isinstance(row, dict):
        raise NoDocument("not a JSON object")
    return row


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its end; `offset` and `length` count bytes of the decompressed stream.

    Of a line longer than MAX_LINE_BYTES `data` is the beginning alone.
    """

    offset: int
    length: int
    data: bytes


class Lines:
    """Iterates over the lines of a stream. Where that is damaged the iteration ends, `damage` is the error, and `tail`
    what there is of the line it happened in."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.damage: TruncatedStream | None = None
        self.tail = Line(0, 0, b"")

    def __iter__(self) -> Iterator[Line]:
        offset = length = 0
        held: list[bytes] = []  # the beginning of a line that goes on in the next piece
        while piece := self._piece():
            *lines, rest = piece.split(b"\n")
            for data in lines:
                length += len(data)
                if held:
                    data = b"".join((*held, data)) if length <= MAX_LINE_BYTES else held[0]
                    held = []
                yield Line(offset, length, data)
                offset += length + 1
                length = 0
            length += len(rest)
            if length > MAX_LINE_BYTES:
                held = [b"".join(held)[:QUARANTINE_BYTES] or rest[:QUARANTINE_BYTES]]
            elif rest:
                held.append(rest)
        self.tail = Line(offset, length, b"".join(held))
        if self.damage is None and length:
            yield self.tail

    def _piece(self) -> bytes:
        try:
            return self._stream.read1()
        except TruncatedStream as error:
            self.damage = error
            return b""
