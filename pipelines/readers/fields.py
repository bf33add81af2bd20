"""Rows of keys and values (JSON lines, Parquet, Hugging Face data sets) as documents: which key holds what."""

from __future__ import annotations

import datetime
import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from corpus.data.columns import COMMON, Column, merge_columns
from corpus.ingest.reader import Record, Skipped
from corpus.option import option
from pipelines.formats.json import transposed


class NoDocument(Exception):
    """The row cannot be a document; the message is the short reason for the quarantine."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The keys of the text, the row's own id, its URL, its language and its date; all other keys become metadata.

    `text` may name several fields, whose texts are joined by a blank line (`title,text`), and fields inside others
    (`article.body`). A list of strings is joined by line ends, a list of messages by blank lines, with `speakers` each
    after its role.
    """

    text: str = "text"
    id: str = "id"
    url: str = "url"
    language: str = "language"
    date: str = "date"
    speakers: bool = False

    @property
    def wanted(self) -> tuple[str, ...]:
        """The keys of a row in which its text is."""
        return tuple(path[0] for path in _paths(self.text)) + tuple(self.text.split(","))

    def rows(self, row: dict[str, object]) -> list[dict[str, object]]:
        """The row itself, or the rows of one that holds them column by column."""
        text = row.get(self.text)
        if isinstance(text, list | dict):
            return transposed(row) or [row]
        return [row]

    def item(self, ordinal: int, row: Mapping[str, object]) -> Record | Skipped:
        """The document of `row`, whose text is kept to the byte. Raises NoDocument if there is no text in it.

        `url` and `language` are taken if they are strings and are metadata otherwise, empty ones nowhere; the row's id is
        `metadata.id`, its date `metadata.date`, a `license` `metadata.licence` and `authors` `metadata.author`.
        """
        text = row.get(self.text)
        metadata = {valid(key): plain(value) for key, value in row.items() if key != self.text}
        if not isinstance(text, str):
            text = self._text(row, metadata)
        if not well_formed(text):
            raise NoDocument("lone surrogate")
        if not text:
            return Skipped(ordinal, "no text")
        for name, key in (("id", self.id), ("date", self.date), ("licence", "license")):
            if key != name and key in metadata and metadata.get(name) is None:
                metadata[name] = metadata.pop(key)
        authors = metadata.get("authors")
        if "author" not in metadata and isinstance(authors, list) and all(isinstance(name, str) for name in authors):
            del metadata["authors"]
            metadata["author"] = ", ".join(authors)
        found = {}
        for key in (self.url, self.language):
            value = metadata.get(key)
            if isinstance(value, str):
                del metadata[key]
                found[key] = value
        return Record(ordinal, text, found.get(self.url) or None, found.get(self.language) or None, metadata)

    def _text(self, row: Mapping[str, object], metadata: dict[str, object]) -> str:
        """The text of fields that are several, inside others or lists; what it is made of goes from `metadata`."""
        texts = []
        missing = True
        for path in _paths(self.text) if self.text not in row else ((self.text,),):
            value = _inside(row, path)
            missing = missing and value is _MISSING
            if value is _MISSING or (value is None and "," in self.text):
                continue
            text = text_of(value, self.speakers)
            if text is None:
                raise NoDocument(f"field '{'.'.join(path)}' is not a string")
            if text:
                texts.append(text)
            if path != ("title",):
                _remove(metadata, path)
        if missing:
            raise NoDocument(f"no field '{self.text}'")
        return "\n\n".join(texts)


_MISSING = object()
_ROLES = ("role", "from", "speaker", "author")
_CONTENTS = ("content", "value", "text", "body", "message")


@functools.cache
def _paths(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(name.strip().split(".")) for name in text.split(","))


def _inside(value: object, path: tuple[str, ...]) -> object:
    """What lies at `path`; in a list, of each of its entries. `_MISSING` where there is none."""
    for number, key in enumerate(path):
        if isinstance(value, list | tuple):
            found = [_inside(entry, path[number:]) for entry in value]
            found = [entry for entry in found if entry is not _MISSING]
            return found or _MISSING
        if not isinstance(value, Mapping) or key not in value:
            return _MISSING
        value = value[key]
    return value


def text_of(value: object, speakers: bool = False) -> str | None:
    """The text of a string, a list of strings, or a list of messages; None where it has none."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list | tuple):
        return None
    if all(isinstance(entry, str) for entry in value):
        return "\n".join(map(str, value))
    texts = []
    for entry in value:
        if not isinstance(entry, Mapping):
            return None
        content = next((entry[key] for key in _CONTENTS if key in entry), None)
        if isinstance(content, list | tuple):  # parts, of which images have no text
            content = "\n".join(part if isinstance(part, str) else str(part.get("text") or "") for part in content)
        if not isinstance(content, str):
            if content is None:  # such as the call of a tool
                continue
            return None
        role = next((entry[key] for key in _ROLES if isinstance(entry.get(key), str)), "") if speakers else ""
        if content.strip():
            texts.append(f"{role}: {content}" if role else content)
    return "\n\n".join(texts)


def _remove(metadata: dict[str, object], path: tuple[str, ...]) -> None:
    """Take what lies at `path` out of `metadata`, which is a copy, and what is then empty."""
    value = metadata.get(path[0])
    if len(path) > 1 and isinstance(value, dict):
        _remove(value, path[1:])
    if len(path) == 1 or not value or isinstance(value, list):
        metadata.pop(path[0], None)


def declared_columns(entries: Iterable[str]) -> tuple[Column, ...]:
    """Open columns from `name` or `name:type` (by default a string); those of several readers keep their meaning."""
    common = {column.name: column for column in COMMON}
    columns = []
    for entry in entries:
        name, colon, kind = entry.partition(":")
        column = common.get(name) if not colon else None
        columns.append(column or Column(name, kind or "string", f"Field {name} of the raw records."))
        columns[-1].field()  # the type is known
    return merge_columns([columns])


def plain(value: object) -> object:
    """The value as JSON can hold it: what JSON has no form for (dates, bytes, NaN) becomes a string."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return valid(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {valid(str(key)): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    return str(value)


def well_formed(text: str) -> bool:
    """Whether the text is valid Unicode, that is without lone surrogates."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def valid(text: str) -> str:
    """The text with every lone surrogate replaced by U+FFFD."""
    if well_formed(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


@dataclass(frozen=True)
class DeclaresColumns:
    """The base of readers of rows with any keys: the user says which become columns of the documents."""

    column: tuple[str, ...] = option(
        (), "Field to keep as a column of the documents, as title or score:float64.", metavar="NAME[:TYPE]"
    )

    @property
    def columns(self) -> tuple[Column, ...]:
        """The open columns of the documents: those that the user names, and the common ones."""
        declared = declared_columns(self.column)
        names = {column.name for column in declared}
        return (*(column for column in COMMON if column.name not in names), *declared)
