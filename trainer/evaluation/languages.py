"""Which languages the documents of validation sets are in, by the documents that the sets were tokenized from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from corpus.data.dataset import Dataset
from corpus.data.manifest import MANIFEST
from corpus.data.provenance import DocumentList
from corpus.errors import UsageError
from trainer.data.validation_sets import PackedRows

_ROWS = 1024


def document_languages(sets: Mapping[str, PackedRows], paths: Sequence[str]) -> dict[str, dict[int, str]]:
    """The language of each document of `sets` of which one is stated, by set and by number of the document.

    Each of `paths` is a dataset of documents, or a folder that holds some within two levels. A UsageError where no set was
    made from any of them.
    """
    given = _datasets(paths)
    found = {name: _languages(DocumentList(rows.dataset), _documents(rows), given) for name, rows in sets.items()}
    if all(languages is None for languages in found.values()):
        raise UsageError(
            f"no validation set was made from what {', '.join(paths)} holds (other digests): give the documents "
            "that were tokenized for them."
        )
    return {name: languages or {} for name, languages in found.items()}


def _datasets(paths: Sequence[str]) -> dict[str, Dataset]:
    """The datasets at `paths` by digest."""
    found = {}
    for path in map(Path, paths):
        if not path.exists():
            raise UsageError(f"{path} does not exist: give datasets of documents.")
        for candidate in (path, *sorted(path.glob("*")), *sorted(path.glob("*/*"))):
            if (candidate / MANIFEST).exists():
                dataset = Dataset.open(candidate)
                found[dataset.digest] = dataset
    return found


def _documents(rows: PackedRows) -> set[int]:
    """The numbers of all documents of a packed set."""
    found: set[int] = set()
    for start in range(0, len(rows), _ROWS):
        for segments in rows.segments(slice(start, min(start + _ROWS, len(rows)))):
            found.update(segment.document for segment in segments)
    return found


def _languages(listed: DocumentList, numbers: set[int], given: Mapping[str, Dataset]) -> dict[int, str] | None:
    """The languages of some documents by number; None where the set was made from none of the datasets."""
    chain = [given[digest] for entry in listed.inputs for digest in entry["inputs"] if digest in given]
    if not chain:
        return None
    ids: dict[str, list[int]] = {}
    for number, document in listed.read(numbers).items():
        ids.setdefault(document.id, []).append(number)
    wanted = pa.array(list(ids), pa.string())
    found = {}
    for dataset in chain:
        for batch in dataset.batches(("id", "language")):
            ours = batch.filter(pc.is_in(batch["id"], value_set=wanted))
            for id, language in zip(ours["id"].to_pylist(), ours["language"].to_pylist(), strict=True):
                if language is not None:
                    found.update(dict.fromkeys(ids[id], language))
    return found
