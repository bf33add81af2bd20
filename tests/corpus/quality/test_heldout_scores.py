"""The measures of a classifier against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.quality.heldout_scores import auc, measure, summary_lines

PAIRS = st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=2, max_size=40)


@given(PAIRS.filter(lambda pairs: len({kind for _, kind in pairs}) == 2))
def test_measures_are_their_definitions(pairs: list[tuple[int, bool]]) -> None:
    scores = np.array([number / 20 for number, _ in pairs], dtype=np.float32)
    positive = np.array([kind for _, kind in pairs])
    wins = [(a > b) + (a == b) / 2 for a in scores[positive] for b in scores[~positive]]
    assert auc(scores, positive) == pytest.approx(sum(wins) / len(wins))
    report = measure(scores, positive)
    for row in report["thresholds"]:
        kept = [kind for score, kind in zip(scores, positive, strict=True) if score >= row["threshold"]]
        assert row["recall"] == pytest.approx(sum(kept) / positive.sum(), abs=1e-4)
        assert (row["precision"] is None) == (not kept)
        assert not kept or row["precision"] == pytest.approx(sum(kept) / len(kept), abs=1e-4)
    assert sum(row["documents"] for row in report["calibration"]) == len(pairs)
    assert 0 <= report["calibration_error"] <= 1
    assert len(summary_lines(report)) == 1 + len(report["thresholds"])
