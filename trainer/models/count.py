"""Numbers of parameters, by arithmetic."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Count:
    """Parameters of a module: `matrix` those that a token is multiplied by, `other` norms and an embedding that is
    only looked up."""

    matrix: int = 0
    other: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.matrix + self.other

    def __add__(self, more: Count) -> Count:
        return Count(self.matrix + more.matrix, self.other + more.other)

    def __rmul__(self, times: int) -> Count:
        return Count(times * self.matrix, times * self.other)
