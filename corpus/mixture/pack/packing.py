"""What every task of packing needs to know: the layout, the seed, and how documents become training sequences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from corpus.engine.result import TaskResult, task_directory
from corpus.mixture.pack import blocks
from corpus.mixture.pack.best_fit_limits import most_rows
from corpus.mixture.pack.layout import Layout


@dataclass(frozen=True, slots=True)
class Packing:
    """The geometry of a packed set and its orders. `best_fit` keeps documents whole, `shuffled` permutes the sequences
    of each epoch, and an output shard is closed after `shard_bytes` of token ids."""

    layout: Layout
    seed: int
    best_fit: bool
    shuffled: bool
    shard_bytes: int

    @property
    def row_bytes(self) -> int:
        """Bytes of the token ids of a sequence."""
        return self.layout.plan.domains[0].row_bytes

    @property
    def shard_rows(self) -> int:
        """Rows of an output shard, and of a task of the pack phase."""
        return max(1, self.shard_bytes // self.row_bytes)

    @property
    def most_rows(self) -> int:
        """The number of rows; for best-fit an upper bound on it."""
        plan, documents = self.layout.plan, self.layout.documents
        if not self.best_fit:
            return plan.rows
        return sum(
            most_rows(domain.stream, domain.epochs_begun, own, plan.width)
            for domain, own in zip(plan.domains, documents, strict=True)
        )

    def block_rows(self, work: Path) -> blocks.BlockRows:
        """The blocks of the set, whose rows the interleave phase settled below `work`."""
        notes = TaskResult.load(task_directory(work, "interleave", 0)).notes
        rows = sum(entry["rows"] for entry in notes.values())
        items = self.layout.plan.width * (5 if self.layout.wide_spill else 3)
        memory = (
            items if self.layout.trained else self.row_bytes
        ) + blocks.PACKED_SEGMENT_BYTES  # segments take most of the memory of a short sequence
        return blocks.BlockRows(rows, self.shard_rows, max(1, blocks.BLOCK_BYTES // memory))
