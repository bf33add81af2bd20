"""JSON: an object a line, arrays, or objects that hold lists of them, in any compression. The text is kept to the byte,
every other key becomes metadata.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import orjson

from corpus.ingest.compression import QUARANTINE_BYTES, Damage, Stream, TruncatedStream, open_stream
from corpus.ingest.reader import Item, RawFile, Unreadable
from corpus.option import option
from pipelines.formats.json import HEAD_BYTES, Value, Values, is_lines
from pipelines.readers.fields import DeclaresColumns, Fields, NoDocument

MAX_LINE_BYTES = 512 * 1024 * 1024
"""A longer line is quarantined instead of being held in memory."""

SUFFIXES = ("", ".gz", ".bz2", ".xz", ".zst", ".lz4")
"""Names of the compressions that are read."""

_BOM = b"\xef\xbb\xbf"
_DECODER = json.JSONDecoder(parse_constant=str)


@dataclass(frozen=True)
class JsonlReader(DeclaresColumns):
    """`corpus ingest jsonl`."""

    domain: ClassVar[str] = "jsonl"
    streams: ClassVar[bool] = True
    patterns: ClassVar[tuple[str, ...]] = (
        *(f"*.{name}{suffix}" for name in ("jsonl", "ndjson", "json") for suffix in SUFFIXES),
        *(f"R[CS]_*{suffix}" for suffix in SUFFIXES),  # Pushshift's months have no other ending
    )
    doc: ClassVar[str] = "JSON lines or arrays: objects with a text in each."

    text_field: str = option("text", "Key of the text; a.b of one inside another, a,b of several that are joined.")
    id_field: str = option("id", "Key of the record's own id, kept as metadata.id.")
    url_field: str = option("url", "Key of the URL.")
    language_field: str = option("language", "Key of the language code.")
    date_field: str = option("date", "Key of the date.")
    speakers: bool = option(False, "Put its role before each message of a list of messages.")

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        fields = Fields(
            self.text_field, self.id_field, self.url_field, self.language_field, self.date_field, self.speakers
        )
        return read_json(file.path, fields)


def read_json(path: Path, fields: Fields) -> Iterator[Item]:
    """The items of a file of JSON.

    What is not UTF-8, no JSON object, too long or without a text is one `Unreadable` and reading goes on after it; where a
    compressed file ends too early or is corrupt, the rest is one.
    """
    ordinal = 0
    for found in read_objects(path, fields.wanted):
        rows = [found] if isinstance(found, Damage) else fields.rows(found.row)
        for row in rows:
            yield _item(ordinal, row, found, fields)
            ordinal += 1


def _item(ordinal: int, row: dict[str, object] | Damage, found: Object | Damage, fields: Fields) -> Item:
    if isinstance(row, Damage):
        return Unreadable(ordinal, row.offset, row.length, row.reason, row.data)
    try:
        return fields.item(ordinal, row)
    except NoDocument as error:
        assert isinstance(found, Object)
        return Unreadable(ordinal, found.offset, len(found.data), str(error), found.data[:QUARANTINE_BYTES])


@dataclass(slots=True)
class Object:
    """A JSON object; `data` are its bytes, `offset` counts in the decompressed stream."""

    offset: int
    data: bytes
    row: dict[str, object]


def read_objects(path: Path, wanted: Sequence[str]) -> Iterator[Object | Damage]:
    """The objects of a file of JSON, and `Damage` for whatever is none.

    It is read by lines, or as values that go over several (`pipelines/formats/json.py`), as its beginning tells; `wanted`
    are keys that make an object a record even if it holds a list of objects.
    """
    with open_stream(path) as stream:
        try:
            head = stream.read(HEAD_BYTES)
        except TruncatedStream:
            head = b""
    if path.stat().st_size == 0:
        yield Damage(0, 0, "empty file", b"")
        return
    lines = is_lines(head, len(head) < HEAD_BYTES, wanted)
    with open_stream(path) as stream:
        values = Lines(stream) if lines else Values(stream, wanted)
        for value in values:
            if isinstance(value, Damage):
                yield value
            elif isinstance(value, Value):
                yield _object(value.offset, len(value.data), value.data)
            elif value.data.strip() or value.length > MAX_LINE_BYTES:
                yield _object(value.offset, value.length, value.data)
    if values.damage is not None:
        yield from _torn(path, values, values.damage)


def _torn(path: Path, values: Lines | Values, damage: TruncatedStream) -> Iterator[Object | Damage]:
    """The end of a stream that broke off: what of its last line is whole after all, and the damage."""
    data = b""
    if isinstance(values, Lines):
        tail = _object(values.tail.offset, values.tail.length, values.tail.data)
        if isinstance(tail, Object):  # the stream broke just after a whole line
            yield tail
        else:
            data = values.tail.data[:QUARANTINE_BYTES]
    yield Damage(damage.offset, max(0, path.stat().st_size - damage.offset), damage.reason, data)


def _object(offset: int, length: int, data: bytes) -> Object | Damage:
    try:
        if length > MAX_LINE_BYTES:
            raise NoDocument("line too long")
        return Object(offset, data, parse(data.removeprefix(_BOM) if offset == 0 else data))
    except NoDocument as error:
        return Damage(offset, length, str(error), data[:QUARANTINE_BYTES])


def parse(line: bytes) -> dict[str, object]:
    """The JSON object of a line of UTF-8. Of equal keys the last counts; numbers JSON cannot hold become strings.

    Raises NoDocument with the reason the line is none.
    """
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        row = _strange(line)
    if not isinstance(row, dict):
        raise NoDocument("not a JSON object")
    return row


def _strange(line: bytes) -> object:
    """What orjson does not take: lone surrogates, NaN, very large numbers, or no JSON."""
    try:
        return _DECODER.decode(line.decode("utf-8"))
    except UnicodeDecodeError:
        raise NoDocument("not UTF-8") from None
    except ValueError:
        raise NoDocument("not JSON") from None
    except RecursionError:
        raise NoDocument("JSON nested too deeply") from None


@dataclass(slots=True)
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
