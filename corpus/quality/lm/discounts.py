"""The discounts of modified Kneser-Ney smoothing (Chen and Goodman 1998, equation 26), with lmplz's way out where counts
of counts give none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from corpus.data.buffers import Array

FALLBACK = (0.5, 1.0, 1.5)
"""What lmplz takes with `--discount_fallback` where an order has no sensible discounts."""


def discounts(counted: Sequence[int]) -> Array[np.float32] | None:
    """The discounts of counts 1, 2 and from 3 on, float32[3], of how many n-grams have a count of 1, 2, 3 and 4; None
    where one of the first three is 0 or a discount is negative or greater than its count."""
    n1, n2, n3, _ = counted[:4]
    if not (n1 and n2 and n3):
        return None
    y = np.float32(n1) / np.float32(n1 + 2.0 * n2)
    found = [
        np.float32(j) - np.float32(j + 1) * y * np.float32(counted[j]) / np.float32(counted[j - 1]) for j in (1, 2, 3)
    ]
    if any(value < 0 or value > j for j, value in enumerate(found, 1)):
        return None
    return np.array(found, np.float32)


def discount_table(counted: Sequence[Sequence[int]]) -> tuple[Array[np.float32], list[int]]:
    """For every order its discounts, float32[orders, 4] by count (0 for a count of 0), and the orders that got
    `FALLBACK`. counted: per order how many n-grams have a count of 1, 2, 3 and 4."""
    table: Array[np.float32] = np.zeros((len(counted), 4), np.float32)
    fallen = []
    for number, entry in enumerate(counted):
        found = discounts(entry)
        table[number, 1:] = FALLBACK if found is None else found
        if found is None:
            fallen.append(number + 1)
    return table, fallen
