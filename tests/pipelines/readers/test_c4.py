"""C4's published files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import zstandard

from corpus.ingest.reader import Record
from pipelines.readers.c4 import C4Reader
from tests.pipelines.readers.reading import items_of, reasons_of, records_of

ROW = {"text": "Line one.\nLine two.", "timestamp": "2019-04-25T12:57:54Z", "url": "https://example.com/a"}
DOCUMENT = Record(0, ROW["text"], ROW["url"], None, {"date": ROW["timestamp"]})


def test_layout(tmp_path: Path) -> None:
    path = tmp_path / "c4-train.00000-of-01024.json.gz"
    path.write_bytes(gzip.compress(json.dumps(ROW).encode() + b"\n"))
    assert items_of(C4Reader(), path) == [DOCUMENT]
    path = tmp_path / "c4.json.zst"
    path.write_bytes(zstandard.compress(json.dumps(ROW).encode()))
    assert items_of(C4Reader(), path) == [DOCUMENT]


def test_one_bad_byte_costs_one_line(tmp_path: Path) -> None:
    path = tmp_path / "c4.json.gz"
    good = json.dumps(ROW).encode() + b"\n"
    path.write_bytes(gzip.compress(good * 2_000 + b'{"text": "\xff"}\n' + good * 2_000))
    items = items_of(C4Reader(), path)
    assert len(records_of(items)) == 4_000
    assert reasons_of(items) == ["not UTF-8"]
    assert records_of(items)[-1].ordinal == 4_000


def test_real_files(samples: Path) -> None:
    texts = 0
    for path in sorted((samples / "c4").glob("*.json.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        items = items_of(C4Reader(), path)
        assert [record.text for record in records_of(items)] == [row["text"] for row in rows]
        assert [record.url for record in records_of(items)] == [row["url"] for row in rows]
        texts += len(items)
    assert texts == 131
