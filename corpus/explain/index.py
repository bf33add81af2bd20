"""`corpus index`: where the URLs and lines of a run's documents are, in sorted tables of hashes.

For each shard of the datasets that were read from raw files (where `corpus clean` removed their rows: of the next ones
that have theirs) `_index/<digest>/<shard>.urls.npy` and `.lines.npy`, uint64 [2, n]: the hashes, ascending, and the rows.
A shard that is indexed is not read again. `<shard>.json` has the digests of the blocks of both. A look-up is a binary
search in each table, which checks the few blocks that it reads.
"""

from __future__ import annotations

import json
import os
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import xxhash

from corpus.data.buffers import Array
from corpus.data.dataset import Dataset, read_batches
from corpus.data.files import digest_of, write_atomic
from corpus.data.stored import Digests, StoredFile
from corpus.errors import DataError
from corpus.explain.way import Run

FOLDER = "_index"
URLS, LINES = "urls", "lines"


def indexed_datasets(run: Run) -> list[Dataset]:
    """The datasets whose rows are indexed: of each domain the earliest that are there."""
    found: list[Dataset] = []
    covered: set[str] = set()
    for dataset in run.datasets:
        if dataset.manifest.kind != "documents":
            continue
        if any(source.digest in covered for source in run.inputs(dataset)):
            covered.add(dataset.digest)
        elif not dataset.cleaned:
            covered.add(dataset.digest)
            found.append(dataset)
    return found


def build_index(run: Run) -> Iterator[tuple[str, int]]:
    """Index what is not indexed yet; the name of each shard, and the bytes of its tables."""
    wanted = set()
    for dataset in indexed_datasets(run):
        for shard in dataset.shards():
            path = shard.path
            folder = run.path / FOLDER / dataset.digest
            wanted.add(dataset.digest)
            tables = [folder / f"{path.stem}.{kind}.npy" for kind in (URLS, LINES)]
            known = folder / f"{path.stem}.json"
            if not all(table.exists() for table in (*tables, known)):
                folder.mkdir(parents=True, exist_ok=True)
                digests = [_save(table, value) for table, value in zip(tables, _tables(shard), strict=True)]
                value = {kind: vars(found) for kind, found in zip((URLS, LINES), digests, strict=True)}
                write_atomic(known, json.dumps({"digest": digest_of(value)} | value) + "\n")
            yield f"{run.name(dataset)}/{path.name}", sum(table.stat().st_size for table in tables)
    for folder in (run.path / FOLDER).glob("*"):
        if folder.name not in wanted:  # of datasets that were made anew
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()


def _tables(shard: StoredFile) -> tuple[Array[np.uint64], Array[np.uint64]]:
    """The hashes of the URLs and of the lines of a shard, with their rows."""
    urls: list[Array[np.uint64]] = [np.zeros((2, 0), np.uint64)]
    lines: list[Array[np.uint64]] = [np.zeros((2, 0), np.uint64)]
    first = 0
    for batch in read_batches(shard, ["text", "url"]):
        named = [(hash_url(url), row) for row, url in enumerate(batch.column("url").to_pylist(), first) if url]
        urls.append(np.array(named, np.uint64).reshape(-1, 2).T)
        keys = hash_lines(batch.column("text"))
        breaks = np.array([text.as_py().count("\n") + 1 for text in batch.column("text")], np.int64)
        lines.append(np.stack([keys, np.repeat(np.arange(first, first + batch.num_rows, dtype=np.uint64), breaks)]))
        first += batch.num_rows
    return _sorted(np.concatenate(urls, axis=1)), _sorted(_content(np.concatenate(lines, axis=1)))


def _content(table: Array[np.uint64]) -> Array[np.uint64]:
    """Without blank lines and those that stood in their document before."""
    return table[:, table[0] > 1]


def _sorted(table: Array[np.uint64]) -> Array[np.uint64]:
    return np.ascontiguousarray(table[:, np.argsort(table[0], kind="stable")])


def hash_url(url: str) -> int:
    """xxh3-64 of a URL."""
    return xxhash.xxh3_64_intdigest(url.encode("utf-8", "surrogatepass"))


def hash_lines(texts: pa.Array) -> Array[np.uint64]:
    """The key of every line of every text: that of line dedup with `--normalize exact`."""
    from corpus.dedup.lines.rewrite import line_keys  # kernels, which take a while to load

    return line_keys(texts, "exact", False)[:, 0]


def _save(path: Path, table: Array[np.uint64]) -> Digests:
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        np.save(file, table)
        file.flush()
        os.fsync(file.fileno())
    digests = Digests.of(temporary)
    temporary.replace(path)
    return digests


def _table(folder: Path, shard: str, kind: str) -> StoredFile:
    """A table and what is known of its bytes."""
    known = folder / f"{shard}.json"
    remedy = f"remove {folder.parent} and run corpus index {folder.parent.parent} again"
    try:
        value = json.loads(known.read_text(encoding="utf-8"))
        if value.pop("digest") != digest_of(value):
            raise ValueError("its digest is another one")
        return StoredFile.of(folder / f"{shard}.{kind}.npy", Digests(**value[kind]), remedy)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{known} is damaged ({error}): {remedy}.") from None


def _rows_of(table: StoredFile, hashed: int) -> list[int]:
    """The rows of a hash in a table of uint64 [2, n]."""
    with table.open() as file:
        version = np.lib.format.read_magic(file)
        shape = np.lib.format.read_array_header_1_0(file)[0] if version == (1, 0) else (2, 0)
        begin, number = file.tell(), shape[1]

        def value(at: int) -> int:
            return int.from_bytes(file.part(begin + 8 * at, 8), sys.byteorder)

        low = bisect_left(range(number), hashed, key=value)
        high = bisect_right(range(number), hashed, lo=low, key=value)
        rows = file.part(begin + 8 * (number + low), 8 * (high - low))
        return [int(row) for row in np.frombuffer(rows, np.uint64)]


def indexed(run: Run) -> bool:
    """Whether all shards are indexed."""
    return all(
        (run.path / FOLDER / dataset.digest / f"{path.stem}.json").exists()
        for dataset in indexed_datasets(run)
        for path in dataset.shard_paths()
    )


def find_in_index(run: Run, kind: str, hashed: int) -> Iterator[tuple[StoredFile, list[int]]]:
    """The shards with rows of this hash, and these rows."""
    for dataset in indexed_datasets(run):
        for shard in dataset.shards():
            rows = _rows_of(_table(run.path / FOLDER / dataset.digest, shard.path.stem, kind), hashed)
            if rows:
                yield shard, rows
