"""From which checkpoint a run goes on, and by which ledger."""

from __future__ import annotations

from collections.abc import Callable

from corpus.errors import DataError
from trainer.checkpoints.checkpoint import Checkpoint, CheckpointStore
from trainer.run.directory import Run
from trainer.spikes.skip_log import Ledger


def find_checkpoint(run: Run, store: CheckpointStore, say: Callable[[str], None]) -> tuple[Checkpoint | None, Ledger]:
    """The checkpoint to go on from, and the ledger: that of the run, which may be ahead of the checkpoint's."""
    store.sweep()
    ledger = Ledger.load(run.ledger)
    checkpoint = store.newest(say, None if ledger is None else lambda step, state: ledger.admits(step, state["ledger"]))
    if checkpoint is None:
        _refuse_without_checkpoint(run, store)
        return None, ledger or Ledger()
    store.set_aside_after(checkpoint.step)
    if ledger is None:
        return checkpoint, Ledger.from_json(checkpoint.state["ledger"])
    # a rewind was cut short: later steps belong to the way that was left
    store.discard_after(checkpoint.step)
    return checkpoint, ledger


def _refuse_without_checkpoint(run: Run, store: CheckpointStore) -> None:
    """A run begins anew only where nothing is lost: its first checkpoint comes before its first step."""
    if store.newest(_silence) is not None:
        raise DataError(
            f"no checkpoint of {run.path} fits its ledger.json: put back the run's own, or give --overwrite."
        )
    if run.metrics.exists() or not store.empty:
        raise DataError(
            f"{run.path} was begun and has no valid checkpoint: put its checkpoints/ back, or give "
            "--overwrite to start it anew."
        )


def _silence(text: str) -> None:
    """Of what was said before."""
