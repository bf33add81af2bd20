"""How a set is cut: into shards of rows, one per pack task, and these into blocks that fit into any memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BLOCK_BYTES = 16_000_000
"""Token ids and segments of a block, the smallest unit that is packed. It decides no byte: the writer chunks anew."""
PACKED_SEGMENT_BYTES = 192
"""Memory of a segment while it is packed."""


class BlockRows:
    """The blocks of a set of `rows` rows: shards of `shard_rows` rows, each cut into blocks of `block_rows`."""

    def __init__(self, rows: int, shard_rows: int, block_rows: int) -> None:
        self.rows = rows
        self.shard_rows = shard_rows
        self.block_rows = min(block_rows, shard_rows)
        self.per_shard = -(-shard_rows // self.block_rows)
        self.blocks = -(-rows // shard_rows) * self.per_shard

    def block_of(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The block of the rows at these positions."""
        shard = positions // self.shard_rows
        return shard * self.per_shard + (positions - shard * self.shard_rows) // self.block_rows

    def range_of(self, low: int, high: int) -> tuple[int, int]:
        """The positions [first, last) of the rows of the blocks [low, high), which lie in one shard."""
        shard, inside = divmod(low, self.per_shard)
        begin = shard * self.shard_rows
        end = min(begin + self.shard_rows, self.rows)
        first = min(begin + inside * self.block_rows, end)
        return first, min(first + (high - low) * self.block_rows, end)
