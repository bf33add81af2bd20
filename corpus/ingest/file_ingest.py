"""One raw file to documents: every item of its reader is written, dropped, merged or set aside."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import xxhash

from corpus.data.columns import Column
from corpus.data.files import canonical_json
from corpus.engine.document_stage import DocumentWriter
from corpus.engine.publish import REMOVED
from corpus.engine.task import Task
from corpus.errors import DataError
from corpus.ingest.config import IngestConfig
from corpus.ingest.identity import raw_size
from corpus.ingest.reader import Merged, RawFile, Reader, Record, Skipped, Unreadable
from corpus.ingest.removal import Removal
from corpus.ingest.rows import DocumentRows

_BATCH_BYTES = 4_000_000
_BATCH_ROWS = 4096
_SAMPLE_KEY = 0x73616D706C65
"""Seed of the hash of ids by which a sample is drawn: it says nothing of which documents validation takes."""


@contextmanager
def permitted(file: RawFile) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise DataError(f"{file.path} cannot be read ({error.strerror}): change its permissions.") from None


@dataclass
class FileIngest:
    """Takes the items of one file and writes, drops or quarantines each."""

    domain: str
    settings: IngestConfig
    columns: tuple[Column, ...]
    removal: Removal
    reader: Reader
    file: RawFile
    task: Task
    writer: DocumentWriter

    def run(self, scratch: Path) -> int:
        """Read the file, or its first records; how many of these were passed over, since they are not in the sample."""
        settings = self.settings
        self.passed_over = 0
        self.below = math.ceil(settings.share * (1 << 64))
        self.rows = DocumentRows(self.domain, self.file.name, self.columns)
        with permitted(self.file):
            for item in itertools.islice(self.reader.read(self.file, scratch), settings.limit):
                self._take(item)
        self._flush()
        self.task.progress(bytes=raw_size(self.file))
        return self.passed_over

    def _take(self, item: Record | Skipped | Merged | Unreadable) -> None:
        task = self.task
        if not self._sampled(item):
            self.passed_over += 1
            return
        task.count(seen=1)
        removal = self.removal
        if removal and not isinstance(item, Merged):
            url = item.url if isinstance(item, Record) else None
            if removal.names(self._id(item.ordinal), url):
                task.drop(self._id(item.ordinal), REMOVED, "")
                return
            item = _without_text(item) if removal.urls or removal.hosts else item
        if isinstance(item, Record):
            self._keep(item)
        elif isinstance(item, Skipped):
            task.drop(self._id(item.ordinal), item.reason, _valid(item.text))
        elif isinstance(item, Merged):
            task.merge(self._id(item.ordinal), self._id(item.into, item.file))
        else:
            task.quarantine(self.file.name, item.offset, item.length, item.reason, item.data, item.ordinal)

    def _sampled(self, item: Record | Skipped | Merged | Unreadable) -> bool:
        """Whether a record is in the sample; what is merged goes with the record that it is merged into."""
        if self.below >> 64:
            return True
        id = self._id(item.into, item.file) if isinstance(item, Merged) else self._id(item.ordinal)
        return xxhash.xxh3_64_intdigest(id.encode("utf-8"), _SAMPLE_KEY) < self.below

    def _keep(self, record: Record) -> None:
        try:
            text = record.text.encode("utf-8")
            rest = dict(record.metadata)
            columns = self._columns(rest)
            metadata = canonical_json(rest)
            for value in (metadata, record.url, record.language, *columns.values()):
                _check_unicode(value)
        except ValueError as error:  # lone surrogates, or NaN in the metadata
            data = record.text.encode("utf-8", "surrogatepass")
            reason = "invalid Unicode" if isinstance(error, UnicodeError) else "metadata is no JSON"
            self.task.quarantine(self.file.name, 0, len(data), reason, data, record.ordinal)
            return
        if not text or record.text.isspace():
            self.task.drop(self._id(record.ordinal), "no text", record.text)
            return
        id = self._id(record.ordinal)
        self.rows.add(record.ordinal, id, text, record.language, record.url, metadata, columns)
        if self.rows.bytes >= _BATCH_BYTES or len(self.rows) >= _BATCH_ROWS:
            self._flush()

    def _columns(self, metadata: dict[str, Any]) -> dict[str, Any]:
        """The values of the open columns, taken out of `metadata`; one that is not of the column's type stays there."""
        found = {}
        for column in self.columns:
            raw = metadata.get(column.name)
            if raw is not None and (value := column.convert(raw)) is not None:
                found[column.name] = value
                del metadata[column.name]
        return found

    def _flush(self) -> None:
        if number := len(self.rows):
            self.writer.write(self.rows.take())
            self.task.progress(documents=number)

    def _id(self, ordinal: int, file: str = "") -> str:
        return f"{self.domain}/{file or self.file.name}#{ordinal}"


def _without_text(item: Record | Skipped | Unreadable) -> Record | Skipped | Unreadable:
    """What is no document has no URL by which a removal could name it: then nothing of its text is kept."""
    if isinstance(item, Skipped):
        return replace(item, text="")
    return replace(item, data=b"") if isinstance(item, Unreadable) else item


def _check_unicode(value: object) -> None:
    """Raise a UnicodeEncodeError where a string, or one in a list, has lone surrogates."""
    if isinstance(value, str):
        if not value.isascii():
            value.encode("utf-8")
    elif isinstance(value, list):
        for entry in value:
            _check_unicode(entry)


def _valid(text: str) -> str:
    """The text with lone surrogates replaced, so that a sample of it can be written."""
    return text.encode("utf-8", "replace").decode("utf-8")
