"""How well scores tell positives from negatives: ranking, precision and recall by threshold, calibration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from corpus.data.buffers import Array

THRESHOLDS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
_BINS = 10


def measure(scores: Array[np.float32], positive: Array[np.bool_]) -> dict[str, Any]:
    """JSON values: `auc`, the probability that a positive has a higher score than a negative (half where equal);
    `thresholds`, with precision (None where none is kept) and recall of what has that score or more; `calibration`, in
    tenths of the score the documents, their mean score, and the share of positives; `calibration_error`, their mean
    difference, by documents."""
    thresholds = []
    for threshold in THRESHOLDS:
        kept = scores >= threshold
        right = int((kept & positive).sum())
        precision = round(right / int(kept.sum()), 4) if kept.any() else None
        thresholds.append(
            {"threshold": threshold, "precision": precision, "recall": round(right / int(positive.sum()), 4)}
        )
    bins = np.minimum((scores * _BINS).astype(np.int64), _BINS - 1)
    calibration, error = [], 0.0
    for tenth in range(_BINS):
        here = bins == tenth
        if number := int(here.sum()):
            mean, share = float(scores[here].astype(np.float64).mean()), float(positive[here].mean())
            calibration.append({"documents": number, "mean_score": round(mean, 4), "positives": round(share, 4)})
            error += number * abs(mean - share)
    return {
        "auc": round(auc(scores, positive), 6),
        "thresholds": thresholds,
        "calibration": calibration,
        "calibration_error": round(error / len(scores), 4),
    }


def auc(scores: Array[np.float32], positive: Array[np.bool_]) -> float:
    """The area under the curve of true against false positives, by ranks."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positives = int(positive.sum())
    above = float(ranks[positive].sum()) - positives * (positives + 1) / 2
    return above / (positives * (len(scores) - positives))


def summary_lines(report: Mapping[str, Any]) -> list[str]:
    """The figures of `measure` for people."""
    lines = [f"AUC {report['auc']:.4f}, calibration error {report['calibration_error']:.4f}"]
    for row in report["thresholds"]:
        precision = "none kept" if row["precision"] is None else f"precision {row['precision']:.3f}"
        lines.append(f"  threshold {row['threshold']:<4}  {precision}, recall {row['recall']:.3f}")
    return lines
