"""Web-like text of any size: distinct documents with the line lengths, word frequencies and repeats of real pages.

Words follow the frequencies of the sample text, lines its numbers of words, documents its numbers of lines. So many
lines as repeat in the sample are drawn, by a Zipf law, from a pool of boilerplate; all others are drawn word by word
and are as good as never equal. The same size and seed give the same bytes.
"""

from __future__ import annotations

import gzip
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numba import types

from corpus.kernel import kernel

_U8 = types.Array(types.uint8, 1, "C", readonly=True)
_I64 = types.Array(types.int64, 1, "C", readonly=True)
_F64 = types.Array(types.float64, 1, "C", readonly=True)
BATCH = 16_000_000
"""Bytes that are made at a time."""


@dataclass(frozen=True)
class Shape:
    """What the text is made like: its words (UTF-8 bytes and bounds) and alias table; words per line and lines per
    document as found; the share of lines that repeat, and the boilerplate they come from."""

    words: Any
    bounds: Any
    odds: Any
    alias: Any
    line_words: Any
    document_lines: Any
    repeats: float
    pool: Any
    unknown: float = 0.0
    """The share of words that are made up of the halves of two others."""


def sample_documents() -> list[str]:
    """Real pages where CORPUSMILL_SAMPLES names the samples, else the demo's."""
    folder = os.environ.get("CORPUSMILL_SAMPLES")
    if folder:
        pages = Path(folder, "commoncrawl", "derived_pages.warc.wet.gz")
        records = gzip.decompress(pages.read_bytes()).decode("utf-8", "replace").split("WARC/1.0\r\n")[2:]
        return [record.partition("\r\n\r\n")[2].strip() for record in records]
    import tempfile

    from demo.raw import build

    with tempfile.TemporaryDirectory() as name:
        build(Path(name))
        paths = sorted(path for path in Path(name, "commoncrawl").rglob("*.gz"))
        texts = [_readable(path).decode("utf-8", "replace") for path in paths]
    return [record.partition("\r\n\r\n")[2].strip() for text in texts for record in text.split("WARC/1.0\r\n")[2:]]


def _readable(path: Path) -> bytes:
    """What can be decompressed: the demo's files have planted damage."""
    from corpus.ingest.compression import TruncatedStream, open_stream

    try:
        return open_stream(path).read()
    except TruncatedStream as error:
        return error.partial


def shape_of(documents: list[str], pool: int = 20_000) -> Shape:
    """Measure `documents`."""
    lines = [line.strip() for text in documents for line in text.split("\n") if line.strip()]
    found = Counter(lines)
    repeats = sum(number for number in found.values() if number > 1) / len(lines)
    counts = Counter(word for line in lines for word in line.split())
    words = sorted(counts)
    encoded = [word.encode() for word in words]
    odds, alias = _alias_table(np.array([counts[word] for word in words], dtype=np.float64))
    return Shape(
        words=np.frombuffer(b"".join(encoded), dtype=np.uint8),
        bounds=np.cumsum([0, *map(len, encoded)], dtype=np.int64),
        odds=odds,
        alias=alias,
        line_words=np.array([len(line.split()) for line in lines], dtype=np.int64),
        document_lines=np.array([max(1, text.count("\n") + 1) for text in documents], dtype=np.int64),
        repeats=repeats,
        pool=np.int64(pool),
    )


def _alias_table(weights: Any) -> tuple[Any, Any]:
    """Walker's tables to draw by `weights` in constant time."""
    odds = weights / weights.sum() * len(weights)
    alias = np.arange(len(weights), dtype=np.int64)
    small = [i for i, odd in enumerate(odds) if odd < 1]
    large = [i for i, odd in enumerate(odds) if odd >= 1]
    while small and large:
        low, high = small.pop(), large.pop()
        alias[low] = high
        odds[high] -= 1 - odds[low]
        (small if odds[high] < 1 else large).append(high)
    return odds, alias


@kernel("uint64(uint64)")
def _mix(state: Any) -> Any:
    """SplitMix64's output for a counter."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


@kernel(types.int64(_U8, _I64, types.uint64, types.uint8[::1], types.int64))
def _put_unknown(words: Any, bounds: Any, draw: Any, out: Any, at: Any) -> Any:
    """Write the first half of one word and the second of another, cut between characters."""
    number = np.uint64(bounds.size - 1)
    for half in range(2):
        word = np.int64((draw & np.uint64(0xFFFFFFFF) if half else draw >> np.uint64(32)) % number)
        begin, end = bounds[word], bounds[word + 1]
        middle = (begin + end + 1) // 2
        while middle < end and words[middle] & 0xC0 == 0x80:
            middle += 1
        for j in range(middle if half else begin, end if half else middle):
            out[at] = words[j]
            at += 1
    return at


@kernel(
    types.UniTuple(types.int64, 2)(
        _U8, _I64, _F64, _I64, _I64, types.float64, types.uint64, types.uint8[::1], types.int64
    )
)
def _put_line(
    words: Any, bounds: Any, odds: Any, alias: Any, line_words: Any, unknown: Any, seed: Any, out: Any, at: Any
) -> Any:
    """Write the line of `seed`: the same seed, the same line."""
    step = np.uint64(0x9E3779B97F4A7C15)
    seed += step
    number = line_words[_mix(seed) % np.uint64(line_words.size)]
    for i in range(number):
        seed += step
        draw = _mix(seed)
        word = np.int64((draw >> np.uint64(32)) % np.uint64(odds.size))
        if (draw & np.uint64(0xFFFFFFFF)) / 4294967296.0 >= odds[word]:
            word = alias[word]
        if i:
            out[at] = 32
            at += 1
        other = _mix(~draw)
        if (other & np.uint64(0xFFFFFFFF)) / 4294967296.0 < unknown:
            at = _put_unknown(words, bounds, _mix(other), out, at)
            continue
        for j in range(bounds[word], bounds[word + 1]):
            out[at] = words[j]
            at += 1
    return at, number


@kernel(
    types.UniTuple(types.int64, 2)(
        _U8,
        _I64,
        _F64,
        _I64,
        _I64,
        _I64,
        types.float64,
        types.int64,
        types.float64,
        types.uint64,
        types.uint8[::1],
        types.int64[::1],
        types.int64,
    )
)
def _make(
    words: Any,
    bounds: Any,
    odds: Any,
    alias: Any,
    line_words: Any,
    document_lines: Any,
    repeats: Any,
    pool: Any,
    unknown: Any,
    seed: Any,
    out: Any,
    ends: Any,
    wanted: Any,
) -> Any:
    """Write documents until `wanted` bytes are there; (bytes, documents)."""
    at = documents = np.int64(0)
    step = np.uint64(0xD1B54A32D192ED03)
    while at < wanted:
        seed += step
        lines = document_lines[_mix(seed) % np.uint64(document_lines.size)]
        for line in range(lines):
            if line:
                out[at] = 10
                at += 1
            seed += step
            draw = _mix(seed)
            if (draw & np.uint64(0xFFFFFFFF)) / 4294967296.0 < repeats:
                # the pool's line of rank r with a chance like 1 / r
                rank = np.uint64(pool ** ((draw >> np.uint64(32)) / 4294967296.0))
                at, _ = _put_line(words, bounds, odds, alias, line_words, 0.0, _mix(rank), out, at)
            else:
                at, _ = _put_line(words, bounds, odds, alias, line_words, unknown, _mix(draw), out, at)
        ends[documents] = at
        documents += 1
        if documents == ends.size or at + 4_000_000 > out.size:
            break
    return at, documents


def synthetic(shape: Shape, size: int, seed: int = 0) -> Iterator[list[bytes]]:
    """About `size` bytes of documents (UTF-8), in batches."""
    out = np.empty(BATCH + 8_000_000, dtype=np.uint8)
    ends = np.empty(1 << 20, dtype=np.int64)
    made = 0
    number = 0
    while made < size:
        at, documents = _make(
            shape.words,
            shape.bounds,
            shape.odds,
            shape.alias,
            shape.line_words,
            shape.document_lines,
            shape.repeats,
            shape.pool,
            shape.unknown,
            np.uint64((seed * 1_000_003 + number) * 0x9E3779B97F4A7C15 % 2**64),
            out,
            ends,
            min(BATCH, size - made),
        )
        cuts = [0, *ends[:documents].tolist()]
        view = out[:at].tobytes()
        yield [view[a:b] for a, b in pairwise(cuts)]
        made += at
        number += 1


def write_documents(batches: Iterator[list[bytes]], directory: Path, shard_bytes: int = 256_000_000) -> int:
    """A documents dataset of the texts, with ids, sources and metadata as ingest writes them; the bytes of text."""
    import json

    import pyarrow as pa

    from corpus.data.manifest import Counts, Manifest
    from corpus.data.schema import DOCUMENT_SCHEMA
    from corpus.data.writer import ShardWriter

    directory.mkdir(parents=True)
    writer = ShardWriter(directory, DOCUMENT_SCHEMA, shard_bytes)
    rows = lines = size = 0
    for batch in batches:
        count = len(batch)
        texts = pa.array(batch, pa.large_binary()).cast(pa.large_string())
        numbers = range(rows, rows + count)
        columns = {
            "id": pa.array([f"commoncrawl/synthetic.warc.wet.gz#{number}" for number in numbers]),
            "text": texts,
            "domain": pa.array(["commoncrawl"] * count),
            "language": pa.nulls(count, pa.string()),
            "language_score": pa.nulls(count, pa.float32()),
            "url": pa.array([f"https://example.org/page/{number}" for number in numbers]),
            "source": pa.array([{"file": "synthetic.warc.wet.gz", "record": number} for number in numbers]),
            "metadata": pa.array(
                [
                    json.dumps({"date": "2020-01-01T00:00:00Z", "digest": f"sha1:{number:032X}"}, separators=(",", ":"))
                    for number in numbers
                ]
            ),
        }
        schema = DOCUMENT_SCHEMA
        arrays = [columns[name].cast(schema.field(name).type) for name in schema.names]
        writer.write(pa.RecordBatch.from_arrays(arrays, schema=schema))
        rows += count
        size += sum(map(len, batch))
        lines += sum(text.count(b"\n") + 1 for text in batch)
    manifest = Manifest(
        kind="documents",
        stage="ingest",
        config={},
        inputs=(),
        counts={"records": Counts(seen=rows, kept=rows)},
        totals={"documents": rows, "lines": lines, "bytes": size},
        shards=tuple(writer.close()),
        extra={"domains": ["commoncrawl"]},
    )
    manifest.save(directory)
    return size
