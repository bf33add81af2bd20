"""Rows of a packed set by domain, drawn by given shares: what a proxy trains on.

Every row of a packed set is of one domain, whatever the set was mixed for. Each domain's rows are read in a shuffled order,
anew for each epoch; the numbers of rows of a batch follow the shares exactly in the long run.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from corpus.errors import UsageError
from trainer.data.validation_sets import PackedRows

Ints = npt.NDArray[np.int64]
_ROWS = 8192


def rows_by_domain(data: PackedRows) -> dict[str, Ints]:
    """The rows of each domain, by name. A UsageError with fewer than two domains."""
    found: dict[str, list[int]] = {}
    for start in range(0, len(data), _ROWS):
        stop = min(start + _ROWS, len(data))
        for row, domain in enumerate(data.domains(slice(start, stop)), start):
            found.setdefault(domain, []).append(row)
    if len(found) < 2:
        raise UsageError(f"{data.directory} has the rows of one domain only: mix the tokens of several.")
    return {domain: np.array(found[domain], np.int64) for domain in sorted(found)}


class DomainBatches:
    """Batches of rows with given shares of the domains; the same seed gives the same batches."""

    def __init__(self, rows: Sequence[Ints], shares: npt.NDArray[np.float64], batch_size: int, seed: int) -> None:
        self.rows = list(rows)
        self.shares = shares
        self.batch_size = batch_size
        self.seed = seed
        self._due = np.zeros(len(self.rows))
        self._read = [0] * len(self.rows)
        self._orders: list[Ints] = [np.zeros(0, np.int64)] * len(self.rows)

    def next(self) -> list[Ints]:
        """The rows of each domain in the next batch; all together are `batch_size`."""
        self._due += self.shares * self.batch_size
        counts = np.maximum(0, np.floor(self._due + 1e-9)).astype(np.int64)
        # what is left over goes to the domains that wait for the largest part of a row
        for index in np.argsort(counts - self._due, kind="stable"):
            if counts.sum() >= self.batch_size:
                break
            counts[index] += 1
        self._due -= counts
        return [self._take(index, int(count)) for index, count in enumerate(counts)]

    def _take(self, index: int, count: int) -> Ints:
        taken: list[int] = []
        size = len(self.rows[index])
        while len(taken) < count:
            epoch, place = divmod(self._read[index], size)
            if place == 0:
                generator = np.random.default_rng((self.seed, index, epoch))
                self._orders[index] = self.rows[index][generator.permutation(size)]
            part = self._orders[index][place : place + count - len(taken)]
            taken += part.tolist()
            self._read[index] += len(part)
        return np.array(taken, np.int64)
