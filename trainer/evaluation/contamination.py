"""Which examples of tasks the corpus holds, by the index of `corpus decontaminate`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from corpus.data.dataset import Dataset, read_batches, resolve
from corpus.data.manifest import MANIFEST
from corpus.data.provenance import DocumentList
from corpus.data.stored import StoredFile
from corpus.decontaminate.cut import contaminated
from corpus.decontaminate.index import Index, strings_of
from corpus.decontaminate.presets import PRESETS
from corpus.errors import UsageError
from corpus.mixture.trace import documents_of_run
from corpus.system import cores

Found = Literal["contaminated", "clean", "short"]
"""Whether the corpus holds an example; `short` are those of fewer words than an n-gram, which cannot be looked for."""


@dataclass(frozen=True)
class Contamination:
    """What became of the examples of a task."""

    found: tuple[Found, ...]

    def count(self, kind: Found) -> int:
        """How many were found so."""
        return self.found.count(kind)


def corpus_of(paths: Sequence[str]) -> list[Dataset]:
    """The datasets of documents at `paths`: documents, folders of such, and packed sets whose documents lie beside them."""
    found: dict[str, Dataset] = {}
    for path in map(Path, paths):
        for dataset in _documents(path):
            found[dataset.digest] = dataset
    return list(found.values())


def _documents(path: Path) -> list[Dataset]:
    if not (path / MANIFEST).exists() or (packed := Dataset.open(path)).manifest.kind != "packed":
        return resolve([path], "documents")
    listed = DocumentList(packed)
    datasets, _ = documents_of_run(listed)
    wanted = {digest for entry in listed.inputs for digest in entry["inputs"]}
    if wanted - {dataset.digest for dataset in datasets}:
        raise UsageError(f"the documents that {path} was made from are not beside it: give them with --corpus.")
    return datasets


def find_contamination(
    tasks: Mapping[str, Sequence[Mapping[str, Any]]], corpus: Sequence[Dataset], preset: str
) -> dict[str, Contamination]:
    """Of each task's examples, in order, whether the documents of `corpus` hold it: one pass over them for all tasks.

    All strings of an example are looked for, each by itself; it is contaminated where one of them is.
    """
    settings = PRESETS[preset]
    texts: list[str] = []
    owners: list[tuple[str, int]] = []
    for name, examples in tasks.items():
        for number, example in enumerate(examples):
            for _, text in strings_of("", dict(example)):
                texts.append(text)
                owners.append((name, number))
    index = Index.of(texts, settings["ngram"])
    documents = _documents_with(index, corpus)
    known = (documents > 0) & ((documents <= settings["most_documents"]) if settings["most_documents"] else True)
    held, _, enough = contaminated(index, np.flatnonzero(known), settings["share"])
    bad = {owners[text] for text in held[enough].tolist()}
    long = {owners[text] for text in np.flatnonzero(index.sizes).tolist()}

    def state(place: tuple[str, int]) -> Found:
        return "contaminated" if place in bad else "clean" if place in long else "short"

    return {
        name: Contamination(tuple(state((name, number)) for number in range(len(examples))))
        for name, examples in tasks.items()
    }


def _documents_with(index: Index, corpus: Sequence[Dataset]) -> npt.NDArray[np.int64]:
    """In how many documents each n-gram of the index is."""

    def scan(shard: StoredFile) -> npt.NDArray[np.int64]:
        counts = np.zeros(len(index.hashes), np.int64)
        for pairs in _pairs(index, shard):
            np.add.at(counts, pairs[1], 1)
        return counts

    total = np.zeros(len(index.hashes), np.int64)
    shards = [shard for dataset in corpus for shard in dataset.shards()]
    if not len(total):
        return total
    # the search lets go of the interpreter's lock
    with ThreadPoolExecutor(cores()) as pool:
        for counts in pool.map(scan, shards):
            total += counts
    return total


def _pairs(index: Index, shard: StoredFile) -> Iterator[npt.NDArray[np.int64]]:
    """The different pairs of document and n-gram of each batch: [2, n]."""
    for batch in read_batches(shard, ("text",)):
        rows, grams, _, _ = index.find(batch.column("text"))
        yield np.unique(np.stack([rows, grams]), axis=1)
