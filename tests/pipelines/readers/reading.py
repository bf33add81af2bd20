"""What the tests of the readers share."""

from __future__ import annotations

from pathlib import Path

from corpus.ingest.reader import Item, RawFile, Reader, Record, Skipped, Unreadable


def items_of(reader: Reader, path: Path, scratch: Path | None = None) -> list[Item]:
    """All items of a file; each ordinal from 0 is in exactly one."""
    items = list(reader.read(RawFile(path, path.name), scratch or path.parent))
    assert sorted(item.ordinal for item in items) == list(range(len(items)))
    for item in items:
        if isinstance(item, Record):
            item.text.encode("utf-8")
        if isinstance(item, Unreadable):
            assert len(item.data) <= 64 * 1024
            assert item.length >= 0
    return items


def records_of(items: list[Item]) -> list[Record]:
    return [item for item in items if isinstance(item, Record)]


def reasons_of(items: list[Item]) -> list[str]:
    """The reasons of the records that are no documents, in their order."""
    return [item.reason for item in items if isinstance(item, Skipped | Unreadable)]
