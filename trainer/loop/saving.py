"""Saves of a run: at once, or from a copy in memory while the training goes on."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

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

    def save(self, step: int, groups: Groups, state: Mapping[str, Any], sharded: bool, now: bool = False) -> None:
        """Save a state; in the background unless `now`. An error of an earlier save is raised here."""
        self.wait()
        if not self.background or now:
            self.store.save(step, groups, state, sharded)
            return
        copies = snapshot(groups, sharded)
        self._thread = threading.Thread(target=self._work, args=(step, copies, state, sharded), name="save")
        self._thread.start()

    def _work(self, step: int, groups: Groups, state: Mapping[str, Any], sharded: bool) -> None:
        try:
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


def snapshot(groups: Groups, sharded: bool) -> dict[str, dict[str, Tensor]]:
    """Copies in CPU memory that later steps do not change."""
    if not sharded:
        return {name: {key: _copy(tensor) for key, tensor in tensors.items()} for name, tensors in groups.items()}
    from torch.distributed.checkpoint.staging import BlockingAsyncStager

    staged: dict[str, dict[str, Tensor]] = BlockingAsyncStager().stage({k: dict(v) for k, v in groups.items()})
    return staged


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True)
