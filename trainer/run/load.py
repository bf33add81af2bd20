"""The model of a run."""

from __future__ import annotations

from collections.abc import Callable

from corpus.errors import DataError, UsageError
from trainer.checkpoints.checkpoint import CheckpointStore
from trainer.models.model import LanguageModel
from trainer.run.directory import Run


def load_model(run: Run, report: Callable[[str], None], step: int | None = None) -> tuple[LanguageModel, int]:
    """The model of the newest valid checkpoint or of that of `step`, and its step."""
    shape = run.shape()
    store = CheckpointStore(run.checkpoints)
    checkpoint = store.newest(report, at_most=step)
    if step is not None and (checkpoint is None or checkpoint.step != step):
        steps = ", ".join(map(str, reversed(store.steps())))
        raise UsageError(f"{run.path} has no valid checkpoint of step {step}: give one of {steps or 'another run'}.")
    if checkpoint is None:
        raise DataError(f"{run.path} has no valid checkpoint: give the command of trainer fit again.")
    model = LanguageModel(shape)
    model.load_state_dict(checkpoint.tensors("model"))
    return model.eval(), checkpoint.step
