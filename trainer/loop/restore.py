"""From which checkpoint a run goes on, and by which skip log."""

from __future__ import annotations

from collections.abc import Callable

from corpus.errors import DataError
from trainer.checkpoints.checkpoint import Checkpoint, CheckpointStore
from trainer.run.directory import Run
from trainer.spikes.skip_log import SkipLog


def find_checkpoint(run: Run, store: CheckpointStore, say: Callable[[str], None]) -> tuple[Checkpoint | None, SkipLog]:
    """The checkpoint to go on from, and the skip log: that of the run, which may be ahead of the checkpoint's."""
    store.sweep()
    skip_log = SkipLog.load(run.skip_log)
    checkpoint = store.newest(
        say, None if skip_log is None else lambda step, state: skip_log.admits(step, state["skip_log"])
    )
    if checkpoint is None:
        _refuse_without_checkpoint(run, store)
        return None, skip_log or SkipLog()
    store.set_aside_after(checkpoint.step)
    if skip_log is None:
        return checkpoint, SkipLog.from_json(checkpoint.state["skip_log"])
    # a rewind was cut short: later steps belong to the way that was left
    store.discard_after(checkpoint.step)
    return checkpoint, skip_log


def _refuse_without_checkpoint(run: Run, store: CheckpointStore) -> None:
    """A run begins anew only where nothing is lost: its first checkpoint comes before its first step."""
    if store.newest(_silence) is not None:
        raise DataError(
            f"no checkpoint of {run.path} fits its skip_log.json: put back the run's own, or give --overwrite."
        )
    if run.metrics.exists() or not store.empty:
        raise DataError(
            f"{run.path} was begun and has no valid checkpoint: put its checkpoints/ back, or give "
            "--overwrite to start it anew."
        )


def _silence(text: str) -> None:
    """Of what was said before."""
