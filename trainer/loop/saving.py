"""Saves of a run: at once, or from a copy in memory while the training goes on."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trainer.checkpoints.checkpoint import CheckpointStore
from trainer.checkpoints.tensors import Groups


class Saver:
    """Hands states to a store; in the background one save at a time."""

    def __init__(self, store: CheckpointStore, background: bool) -> None:
        self.store = store
        self.background = background
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._pinned: dict[tuple[str, str], Tensor] = {}
        self._reserving: threading.Thread | None = None

    def reserve(self, shapes: Groups) -> None:
        """Get the pinned memory for copies of tensors of these shapes, in the background: gigabytes take seconds."""
        self._reserving = threading.Thread(target=self._reserve, args=(shapes,), name="reserve", daemon=True)
        self._reserving.start()

    def _reserve(self, shapes: Groups) -> None:
        for group, tensors in shapes.items():
            for name, tensor in tensors.items():
                self._pinned[group, name] = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)

    def save(self, step: int, groups: Groups, state: Mapping[str, Any], sharded: bool, now: bool = False) -> None:
        """Save a state; in the background unless `now`. An error of an earlier save is raised here."""
        self.wait()
        if not self.background or now:
            self.store.save(step, groups, state, sharded)
            return
        copies = self._staged(groups) if not sharded else _staged_shards(groups)
        copied = None
        if self._pinned:
            copied = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            copied.record()
        self._thread = threading.Thread(target=self._work, args=(copied, step, copies, state, sharded), name="save")
        self._thread.start()

    def _staged(self, groups: Groups) -> dict[str, dict[str, Tensor]]:
        """Copies in CPU memory that later steps do not change. Those of a GPU are under way when this returns, into memory
        that is kept for the next save: it is pinned, which takes long to get, and the GPU fills it by itself."""
        if self._reserving is not None:
            self._reserving.join()
        copies: dict[str, dict[str, Tensor]] = {}
        for group, tensors in groups.items():
            copies[group] = {}
            for name, tensor in tensors.items():
                there = self._pinned.get((group, name))
                if not tensor.is_cuda:
                    there = torch.empty_like(tensor)
                elif there is None or there.shape != tensor.shape:
                    there = self._pinned[group, name] = torch.empty_like(tensor, device="cpu", pin_memory=True)
                copies[group][name] = there.copy_(tensor.detach(), non_blocking=True)
        return copies

    def _work(
        self, copied: torch.cuda.Event | None, step: int, groups: Groups, state: Mapping[str, Any], sharded: bool
    ) -> None:
        try:
            if copied is not None:
                copied.synchronize()
            self.store.save(step, groups, state, sharded)
        except BaseException as error:  # raised again by `wait`, in the thread that can stop the run
            self._error = error

    def join(self) -> None:
        """Wait for the save under way."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def wait(self) -> None:
        """Wait for the save under way and raise what went wrong in it."""
        self.join()
        if self._error is not None:
            error, self._error = self._error, None
            raise error


def _staged_shards(groups: Groups) -> dict[str, dict[str, Tensor]]:
    """The same of sharded tensors."""
    from torch.distributed.checkpoint.staging import BlockingAsyncStager

    staged: dict[str, dict[str, Tensor]] = BlockingAsyncStager().stage({k: dict(v) for k, v in groups.items()})
    return staged
