"""Scores by the language of documents: each target counts for its own document."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from corpus.data.dataset import Dataset
from corpus.data.manifest import Manifest
from corpus.errors import UsageError
from tests.datasets import write_documents
from tests.trainer.packed import learnable_rows, write_packed
from trainer.data.validation_sets import PackedRows
from trainer.distributed.ranks import Ranks
from trainer.evaluation.languages import document_languages
from trainer.evaluation.perplexity import UNKNOWN, Validation, evaluate, evaluate_languages

LENGTH = 8
SPANS = [[(5, 3), (0, 6)], [(0, 9)], [(0, 4), (0, 5)]]
"""Documents 0 and 1 in the first row, 10 in the second, 20 and 21 in the third."""


def _packed(directory: Path, documents: Path) -> PackedRows:
    path = write_packed(
        directory,
        learnable_rows(3, LENGTH, 30),
        30,
        segments=SPANS,
        domains=["a", "a", "b"],
        listed=[("d.parquet", 25)],
    )
    manifest = Manifest.load(path)
    (source,) = manifest.extra["sources"]
    made = {**source, "inputs": [Dataset.open(documents).digest]}
    replace(manifest, extra={**manifest.extra, "sources": [made]}).save(path)
    return PackedRows(path)


def test_each_target_counts_for_the_language_of_its_document(tmp_path: Path) -> None:
    languages = [None] * 25
    languages[0], languages[1], languages[10], languages[20] = "de", "en", "en", "fr"  # type: ignore[call-overload]  # a list of one kind
    documents = write_documents(
        tmp_path / "documents", ["text"] * 25, id=[f"d{k}" for k in range(25)], language=languages
    )
    sets = {"v": _packed(tmp_path / "packed", documents)}
    found = document_languages(sets, [str(tmp_path)])
    assert found == {"v": {0: "de", 1: "en", 10: "en", 20: "fr"}}
    # the loss of a target says where it is: 100 * row + its place in the row
    places = torch.arange(LENGTH)[None] + 100.0 * torch.arange(3)[:, None] + 1
    sizes = np.ones((2, 30), np.int64)
    asked = Validation(sets, 3, token_bytes=sizes)
    domains, spoken = evaluate_languages(lambda tokens, targets, mask: places, asked, Ranks(), found)
    assert domains == evaluate(lambda tokens, targets, mask: places, asked, Ranks())
    assert {name: (score.nats, score.tokens, score.bytes) for name, score in spoken.items()} == {
        "de": (1 + 2, 2, 2),  # its first token is the row's first, and no target
        "en": (3 + 4 + 5 + 6 + 7 + 8 + sum(range(101, 109)), 14, 14),
        "fr": (201 + 202 + 203, 3, 3),
        UNKNOWN: (204 + 205 + 206 + 207 + 208, 5, 5),
    }


def test_documents_of_another_set_are_refused(tmp_path: Path) -> None:
    made, other = (write_documents(tmp_path / name, [name]) for name in ("made", "other"))
    sets = {"v": _packed(tmp_path / "packed", made)}
    with pytest.raises(UsageError, match="no validation set was made from"):
        document_languages(sets, [str(other)])
    with pytest.raises(UsageError, match="does not exist"):
        document_languages(sets, [str(tmp_path / "nowhere")])
