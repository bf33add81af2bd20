"""Rows of keys and values (JSON lines, Parquet, Hugging Face data sets) as documents: which key holds what."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from corpus.data.columns import COMMON, Column, merge_columns
from corpus.ingest.reader import Record, Skipped
from corpus.option import option


class NoDocument(Exception):
    """The row cannot be a document; the message is the short reason for the quarantine."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The keys of the text, the row's own id, its URL, its language and its date; all other keys become metadata."""

    text: str = "text"
    id: str = "id"
    url: str = "url"
    language: str = "language"
    date: str = "date"

    def item(self, ordinal: int, row: Mapping[str, object]) -> Record | Skipped:
        """The document of `row`, whose text is kept to the byte. Raises NoDocument if there is no text string in it.

        `url` and `language` are taken if they are strings and are metadata otherwise; the row's id is `metadata.id`, its date `metadata.date`.
        """
        if self.text not in row:
            raise NoDocument(f"no field '{self.text}'")
        text = row[self.text]
        if not isinstance(text, str):
            raise NoDocument(f"field '{self.text}' is not a string")
        if not well_formed(text):
            raise NoDocument("lone surrogate")
        if not text:
            return Skipped(ordinal, "no text")
        metadata = {valid(key): plain(value) for key, value in row.items() if key != self.text}
        for name, key in (("id", self.id), ("date", self.date)):
            if key != name and key in metadata:
                metadata[name] = metadata.pop(key)
        url, language = metadata.get(self.url), metadata.get(self.language)
        if isinstance(url, str):
            del metadata[self.url]
        if isinstance(language, str):
            del metadata[self.language]
        return Record(
            ordinal,
            text,
            url if isinstance(url, str) else None,
            language if isinstance(language, str) else None,
            metadata,
        )


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
        """The open columns of the documents."""
        return declared_columns(self.column)
