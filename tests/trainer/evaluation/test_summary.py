"""What an evaluation says: each domain, what it rests on, and means that no single domain or book decides."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.data.manifest import Manifest
from tests.trainer.packed import learnable_rows, write_packed
from trainer.data.validation_sets import PackedRows, training_shares, validation_documents
from trainer.evaluation.perplexity import Score
from trainer.evaluation.summary import Basis, Summary

SCORES = st.dictionaries(
    st.sampled_from(["web", "books", "code", "wiki"]),
    st.builds(Score, st.floats(0, 1e4), st.integers(1, 10**6), st.integers(1, 10**7)),
    min_size=1,
)
SHARES = st.dictionaries(st.sampled_from(["web", "books", "code", "news"]), st.floats(0.001, 1))


@given(SCORES, SHARES)
def test_the_mean_is_that_of_a_training_set_of_the_same_scores(
    scores: dict[str, Score], shares: dict[str, float]
) -> None:
    """As if validation had exactly as many tokens of each domain as training."""
    summary = Summary(scores, Basis({}, {}, shares))
    both = [name for name in scores if name in shares]
    if not both:
        assert summary.mixture is None and summary.headline.loss == pytest.approx(
            sum(score.nats for score in scores.values()) / sum(score.tokens for score in scores.values())
        )
        return
    nats = sum(shares[name] * scores[name].nats / scores[name].tokens for name in both)
    size = sum(shares[name] * scores[name].bytes / scores[name].tokens for name in both)
    mean = summary.mixture
    assert mean is not None and summary.headline == mean
    assert mean.loss == pytest.approx(nats / sum(shares[name] for name in both))
    assert mean.bits_per_byte == pytest.approx(nats / math.log(2) / size)


def test_one_book_does_not_decide_the_mean() -> None:
    scores = {"books": Score(810 * 5.0, 810, 4000), "web": Score(190 * 3.0, 190, 900)}
    basis = Basis({"books": 1, "web": 12}, {"books": 10, "web": 10}, {"books": 0.05, "web": 0.95})
    lines = Summary(scores, basis).lines()
    assert [line.split()[:3] for line in lines] == [
        ["books", "loss", "5.0000"],
        ["web", "loss", "3.0000"],
        ["mixture", "loss", "3.1000"],
        ["all", "tokens", "loss"],
    ]
    assert lines[0].endswith("810 tokens of 1 document (fewer than 10: a rough figure)")
    assert lines[1].endswith("190 tokens of 12 documents")
    assert lines[3].endswith("1,000 tokens of 13 documents") and "loss 4.6200" in lines[3]
    other = Summary(scores, replace(basis, shares={"web": 1.0}))
    assert other.lines()[2].endswith("without books, which the run does not train on")
    assert other.record()["loss"] == other.record()["mixture"]["loss"] == 3.0
    assert other.record()["domains"]["books"]["documents"] == 1


def test_documents_are_counted_once(tmp_path: Path) -> None:
    rows = learnable_rows(6, 16, 60)
    spans = [[(0, 17)], [(0, 9), (0, 8)], [(0, 17)], [(0, 17)], [(0, 17)], [(0, 17)]]
    one = write_packed(tmp_path / "one", rows, 60, domains=["web"] * 4 + ["books"] * 2, segments=spans)
    two = write_packed(tmp_path / "two", rows[:2], 60, domains=["books"] * 2)
    manifest = Manifest.load(two)
    replace(manifest, extra=dict(manifest.extra) | {"min_documents": 3}).save(two)
    documents, least = validation_documents([PackedRows(one), PackedRows(two)])
    assert documents == {"web": 5, "books": 4}
    assert least == {"web": 10, "books": 10}
    assert validation_documents([PackedRows(two)])[1] == {"books": 3}
    assert training_shares(PackedRows(two)) == {}


def test_shares_are_those_of_the_packed_set(tmp_path: Path) -> None:
    path = write_packed(tmp_path / "set", np.asarray(learnable_rows(2, 16, 60)), 60)
    manifest = Manifest.load(path)
    domains = [{"domain": "web", "realised_share": 0.75}, {"domain": "books", "realised_share": 0.25}]
    replace(manifest, extra=dict(manifest.extra) | {"domains": domains}).save(path)
    assert training_shares(PackedRows(path)) == {"web": 0.75, "books": 0.25}
