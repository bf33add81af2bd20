"""The processes of a run under torchrun: how their sums and decisions become one.

Without torchrun there is one rank and nothing here communicates.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import click
import torch
import torch.distributed as dist
from torch import Tensor

from corpus.errors import UsageError

T = TypeVar("T")

_CPU = torch.device("cpu")
_PATIENCE = timedelta(hours=1)
"""Longest wait for another rank: a save of rank 0 may take its time."""


class Follower(click.exceptions.Exit):
    """Rank 0 has failed and says why; the others leave without a word."""


@dataclass(frozen=True)
class Ranks:
    """This process's number among `size`; `control` is a gloo group for decisions, `saving` one for saves alone."""

    rank: int = 0
    size: int = 1
    device: torch.device = _CPU
    control: dist.ProcessGroup | None = None
    saving: dist.ProcessGroup | None = None

    @property
    def first(self) -> bool:
        """Whether this rank speaks and writes."""
        return self.rank == 0

    def all_reduce_max(self, values: Sequence[int]) -> list[int]:
        """The largest of each number over the ranks, so that all of them decide the same."""
        if self.size == 1:
            return list(values)
        numbers = torch.tensor(list(values), dtype=torch.int64)
        dist.all_reduce(numbers, dist.ReduceOp.MAX, group=self.control)
        return [int(number) for number in numbers]

    def all_reduce_sum(self, sums: Tensor) -> Tensor:
        """The sum of a small float64 tensor over the ranks, added in the ranks' order."""
        if self.size == 1:
            return sums
        parts = [torch.empty_like(sums, device="cpu") for _ in range(self.size)]
        dist.all_gather(parts, sums.cpu(), group=self.control)
        return torch.stack(parts).sum(0)

    def gather(self, value: T, group: dist.ProcessGroup | None = None) -> list[T]:
        """The value of every rank, in their order."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=group or self.control)
        return values

    def wait(self, group: dist.ProcessGroup | None = None) -> None:
        """Wait until all ranks are here."""
        if self.size > 1:
            dist.barrier(group=group or self.control)

    def from_rank_0(self, work: Callable[[], T], group: dist.ProcessGroup | None = None) -> T:
        """What `work` gives on rank 0, on all ranks; where it fails there, the others leave with the same exit code."""
        if self.size == 1:
            return work()
        outcome: list[Any] = [None, None]
        if self.first:
            try:
                outcome[0] = work()
            except click.ClickException as error:
                outcome[1] = error.exit_code
                dist.broadcast_object_list(outcome, src=0, group=group or self.control)
                raise
        dist.broadcast_object_list(outcome, src=0, group=group or self.control)
        if outcome[1] is not None:
            raise Follower(outcome[1])
        value: T = outcome[0]
        return value


@contextmanager
def joined(device: str | None) -> Iterator[Ranks]:
    """The ranks of this run: those that torchrun started, or this process alone.

    `device` is "cpu", "cuda", or None for a GPU where there is one.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    chosen = pick_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if size == 1:
        yield Ranks(device=chosen)
        return
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    # of what is offloaded the host's memory is reduced, too
    backend = "cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=_PATIENCE)
    try:
        control, saving = (dist.new_group(backend="gloo", timeout=_PATIENCE) for _ in range(2))
        yield Ranks(dist.get_rank(), size, chosen, control, saving)
    finally:
        dist.destroy_process_group()


def pick_device(name: str | None, index: int = 0) -> torch.device:
    """The device of that name; a UsageError where there is none."""
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise UsageError(
            "--device cuda: torch sees no GPU here, so give --device cpu or install a CUDA build of torch."
        )
    return torch.device("cuda", index) if there and name != "cpu" else torch.device("cpu")
