"""From what a user knows of a record (id, raw file and number, URL, a whole line) to the ids of the documents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from corpus.data.dataset import read_batches
from corpus.data.stored import StoredFile
from corpus.errors import UsageError
from corpus.explain.index import LINES, URLS, find_in_index, hash_lines, hash_url, indexed, indexed_datasets
from corpus.explain.way import Run, Stop


@dataclass(frozen=True)
class Found:
    """The ways of the records that a query means, at most as many as asked for, and how many there are in all."""

    ways: tuple[tuple[str, list[Stop]], ...]
    """The id of each, and what became of it at every stage."""
    number: int
    line: str = ""
    """The line that was asked for; empty where it was something else."""


def find(run: Run, query: str, most: int) -> Found:
    """The ways of the records that a query means: those that it names, else the documents with this URL or line.

    A line needs the index of `corpus index`; a URL is looked for in all documents without it. A UsageError says that
    there is none.
    """
    if "#" in query:
        ways = [(id, way) for id in dict.fromkeys(run.ids_of(query)) if (way := run.way(id))]
        if ways:
            return Found(tuple(ways[:most]), len(ways))
        if query.partition("/")[0] in run.domains:
            raise UsageError(
                f"{run.path} never had a record '{query}': ids are <domain>/<file>#<record>; the file, or the number of the"
                " record in it, is another one."
            )
    if "://" in query and not any(char.isspace() for char in query):
        return _by_url(run, query, most)
    if not indexed(run):
        where = "is no id (<domain>/<file>#<record>), raw file with #record, or URL"
        raise UsageError(f"'{query}' {where}; to find a whole line run first: corpus index {run.path}")
    return _by_line(run, query, most)


def _by_url(run: Run, url: str, most: int) -> Found:
    ids: list[str] = []
    if indexed(run):
        for shard, rows in find_in_index(run, URLS, hash_url(url)):
            ids += (id for id, found in _values(shard, rows, "url") if found == url)
    else:
        for dataset in indexed_datasets(run):
            for batch in dataset.batches(["id", "url"]):
                ids += batch.filter(pc.equal(batch.column("url"), url)).column("id").to_pylist()
    if not ids:
        raise UsageError(
            f"{run.path} has no document of the URL {url}: it may be written otherwise, or was no document{_cleaned(run)}."
        )
    return _found(run, ids[:most], len(ids))


def _cleaned(run: Run) -> str:
    """What cannot be told any more, in brackets, where rows were cleaned: of documents that were dropped only ids are left."""
    gone = [dataset for dataset in run.datasets if dataset.cleaned and dataset.manifest.kind == "documents"]
    if not gone:
        return ""
    others = f" and {len(gone) - 1:,} others" if len(gone) > 1 else ""
    return (
        f" (the rows of {run.name(gone[0])}{others} were cleaned: what was dropped before the rows that are left is found by"
        " its id alone)"
    )


def _found(run: Run, ids: list[str], number: int, line: str = "") -> Found:
    return Found(tuple((id, run.way(id)) for id in ids), number, line)


def _by_line(run: Run, line: str, most: int) -> Found:
    key = int(hash_lines(pa.array([line], pa.large_string()))[0])
    ids: list[str] = []
    number = 0
    for shard, rows in find_in_index(run, LINES, key) if key > 1 else ():
        if len(ids) < most:
            ids += (id for id, text in _values(shard, rows[: most - len(ids)], "text") if line in text.split("\n"))
        number += len(rows)
    if not ids:
        raise UsageError(
            f"no document of {run.path} has the line '{line}'{_cleaned(run)}: give an id, a URL or a line as it is, whole."
        )
    return _found(run, ids, number, line)


def _values(shard: StoredFile, rows: list[int], column: str) -> Iterator[tuple[str, str]]:
    """The ids of some rows of a shard, ascending, and their values in a column."""
    first = 0
    left = sorted(set(rows))
    for batch in read_batches(shard, ["id", column]):
        here = [row - first for row in left if row < first + batch.num_rows]
        for row in batch.take(pa.array(here, pa.int64())).to_pylist() if here else ():
            yield row["id"], row[column] or ""
        left = left[len(here) :]
        first += batch.num_rows
        if not left:
            return
