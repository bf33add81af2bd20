"""A matrix of a fastText model: dense, or product-quantised (Jégou et al. 2011; Joulin et al. 2016, arXiv 1612.03651)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np

from corpus.data.buffers import Array
from corpus.kernel import kernel

CENTROIDS = 256
"""Centroids of each part of a row: a code is a byte."""
DECODED_BYTES = 64 << 20
"""A quantised matrix that is no larger than this is decoded when it is opened: a row is then read and not put together."""
_F32 = nb.types.Array(nb.float32, 1, "C", readonly=True)
_CODES = nb.types.Array(nb.uint8, 2, "C", readonly=True, aligned=False)


@dataclass(frozen=True)
class Quantizer:
    """Centroids of the parts of a row, `width` columns each, the last one what is left of `dim`.

    centroids: float32[dim × 256], part after part, in each centroid after centroid.
    """

    dim: int
    parts: int
    width: int
    centroids: Array[np.float32]


class Matrix:
    """float32[rows, columns], whole in `values`, or as codes: then `values` has no rows, and row r is the centroids of
    `codes[r]` (uint8[rows, parts]), `width` columns each, times `scales[r]`."""

    def __init__(
        self,
        rows: int,
        columns: int,
        values: Array[np.float32],
        codes: Array[np.uint8],
        centroids: Array[np.float32],
        scales: Array[np.float32],
        width: int,
    ) -> None:
        self.rows, self.columns, self.width = rows, columns, width
        self.values, self.codes, self.centroids, self.scales = values, codes, centroids, scales

    @classmethod
    def dense(cls, values: Array[np.float32]) -> Matrix:
        """A matrix as it is, whose memory may begin at any byte."""
        none = np.empty(0, dtype=np.float32)
        rows, columns = values.shape
        return cls(rows, columns, values, np.empty((0, 1), dtype=np.uint8), none, none, 1)

    @classmethod
    def quantized(cls, codes: Array[np.uint8], quantizer: Quantizer, norms: Array[np.float32] | None) -> Matrix:
        """A matrix of codes; decoded at once where that needs no more than `DECODED_BYTES`."""
        rows, columns = len(codes), quantizer.dim
        scales = np.ones(rows, dtype=np.float32) if norms is None else norms
        values = np.zeros((0, columns), dtype=np.float32)
        matrix = cls(rows, columns, values, codes, quantizer.centroids, scales, quantizer.width)
        return cls.dense(matrix.decoded()) if 4 * rows * columns <= DECODED_BYTES else matrix

    def take(self, order: Array[np.int64]) -> Matrix:
        """The rows of these numbers."""
        if not len(self.codes):
            return Matrix.dense(self.values[order])
        return Matrix(
            len(order), self.columns, self.values, self.codes[order], self.centroids, self.scales[order], self.width
        )

    def decoded(self) -> Array[np.float32]:
        """All rows."""
        if not len(self.codes):
            return self.values
        values = np.empty((self.rows, self.columns), dtype=np.float32)
        decode(self.codes, self.centroids, self.scales, self.width, values)
        return values


@kernel(nb.void(_CODES, _F32, _F32, nb.int64, nb.float32[:, ::1]))
def decode(codes: Any, centroids: Any, scales: Any, width: Any, values: Any) -> None:
    """Put the rows of a quantised matrix together."""
    parts, columns = codes.shape[1], values.shape[1]
    for row in range(codes.shape[0]):
        for part in range(parts):
            here = min(width, columns - part * width)
            begin = part * 256 * width + codes[row, part] * here
            for column in range(here):
                values[row, part * width + column] = scales[row] * centroids[begin + column]
