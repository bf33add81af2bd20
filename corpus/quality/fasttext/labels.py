"""The kernels from vectors to labels: the k best ones and their probabilities, by the loss a model was trained with.

All that may change is in this file, since Numba's cache does not notice a change in another one.

fastText takes probabilities through log(p + 1e-5), so that one can exceed 1 by that much; so do these.
"""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np

from corpus.kernel import kernel

_INT = nb.int64
_I64 = nb.types.Array(nb.int64, 1, "C", readonly=True)
_VECTORS = nb.types.Array(nb.float32, 2, "C", readonly=True)
_MATRIX = nb.types.Array(nb.float32, 2, "C", readonly=True, aligned=False)
_TREE = nb.types.Array(nb.int32, 2, "C", readonly=True)
UNCOUNTED = 1_000_000_000_000_000
"""The count of a node that is not made yet; those of labels are lower."""
_LEAST, _STEPS, _LIMIT = 1e-5, 512, 8.0
"""What is added to a probability; fastText's table of the sigmoid: steps, and the value at its ends."""


@kernel(nb.void(_I64, nb.int32[:, ::1]))
def build_tree(counts: Any, tree: Any) -> None:
    """The Huffman tree over labels of these counts: int32[2 × labels − 1, 2], the nodes below each, -1 for a label.

    fastText takes labels from the last, and a node before a label of the same count.
    """
    labels = counts.size
    weights = np.full(2 * labels, np.int64(UNCOUNTED), dtype=np.int64)
    weights[:labels] = counts
    tree[:] = -1
    leaf, node = labels - 1, labels
    for made in range(labels, 2 * labels - 1):
        for side in range(2):
            if leaf >= 0 and weights[leaf] < weights[node]:
                tree[made, side] = leaf
                leaf -= 1
            else:
                tree[made, side] = node
                node += 1
        weights[made] = weights[tree[made, 0]] + weights[tree[made, 1]]


@kernel(nb.void(_INT, nb.float32, nb.int32[::1], nb.float32[::1]), forceinline=True)
def _offer(label: Any, score: Any, best: Any, scores: Any) -> None:
    """Put a label among the best so far, of equal ones before those met earlier, as fastText does for the first."""
    at = best.size - 1
    if best[at] >= 0 and score < scores[at]:
        return
    while at > 0 and (best[at - 1] < 0 or score >= scores[at - 1]):
        best[at], scores[at] = best[at - 1], scores[at - 1]
        at -= 1
    best[at], scores[at] = label, score


@kernel(nb.float32(nb.float64), forceinline=True)
def _log(probability: Any) -> Any:
    return np.float32(math.log(probability + _LEAST))


@kernel(nb.void(_VECTORS, _I64, _MATRIX, _TREE, nb.int32[:, ::1], nb.float32[:, ::1]))
def by_tree(hidden: Any, counts: Any, output: Any, tree: Any, best: Any, scores: Any) -> None:
    """Hierarchical softmax: the best labels of each text that has rows (others keep their -1), and their logarithms.

    hidden: float32[n, dim]; output: float32[labels, dim]; best: int32[n, k], -1 where there are no more.
    """
    labels, columns, k = (tree.shape[0] + 1) // 2, hidden.shape[1], best.shape[1]
    nodes, below = np.empty(2 * labels, dtype=np.int64), np.empty(2 * labels, dtype=np.float32)
    least = _log(0.0)
    for text in range(hidden.shape[0]):
        if counts[text] == 0:
            continue
        depth = 1
        nodes[0], below[0] = tree.shape[0] - 1, np.float32(0)
        while depth:
            depth -= 1
            node, score = nodes[depth], below[depth]
            if score < least or (best[text, k - 1] >= 0 and score < scores[text, k - 1]):
                continue
            if tree[node, 0] < 0:
                _offer(node, score, best[text], scores[text])
                continue
            row, dot = node - labels, np.float32(0)
            for column in range(columns):
                dot += hidden[text, column] * output[row, column]
            right = np.float32(1.0 / (1.0 + math.exp(-dot)))
            nodes[depth], below[depth] = tree[node, 1], score + _log(right)
            nodes[depth + 1], below[depth + 1] = tree[node, 0], score + _log(1.0 - right)
            depth += 2


@kernel(nb.void(_VECTORS, _I64, _MATRIX, nb.boolean, nb.int32[:, ::1], nb.float32[:, ::1]))
def by_score(hidden: Any, counts: Any, columns_of: Any, each: Any, best: Any, scores: Any) -> None:
    """Softmax, or with `each` a sigmoid of every label by itself: the best labels of each text and their logarithms.

    columns_of: float32[dim, labels], the output matrix transposed, so that all labels are added up side by side.
    """
    columns, labels = columns_of.shape
    dots, sigmoid = np.empty(labels, dtype=np.float32), np.empty(_STEPS + 1, dtype=np.float32)
    for step in range(_STEPS + 1):
        sigmoid[step] = 1.0 / (1.0 + math.exp(-np.float32(step * 2 * _LIMIT / _STEPS - _LIMIT)))
    for text in range(hidden.shape[0]):
        if counts[text] == 0:
            continue
        dots[:] = np.float32(0)
        for column in range(columns):
            value = hidden[text, column]
            for label in range(labels):
                dots[label] += value * columns_of[column, label]
        highest, together = dots.max(), 0.0
        for label in range(labels):
            if not each:
                dots[label] = math.exp(dots[label] - highest)
                together += dots[label]
            elif not dots[label] >= -_LIMIT:  # nor where it is no number
                dots[label] = 0
            elif dots[label] > _LIMIT:
                dots[label] = 1
            else:
                dots[label] = sigmoid[np.int64((dots[label] + _LIMIT) * _STEPS / _LIMIT / 2)]
        for label in range(labels):
            _offer(label, _log(dots[label] if each else np.float32(dots[label] / together)), best[text], scores[text])
