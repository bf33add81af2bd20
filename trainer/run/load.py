"""The model of a run."""

from __future__ import annotations

from collections.abc import Callable

from corpus.errors import DataError
from trainer.checkpoints.checkpoint import CheckpointStore
from trainer.models.model import LanguageModel
from trainer.run.directory import Run


def load_model(run: Run, report: Callable[[str], None]) -> tuple[LanguageModel, int]:
    """The model of the newest valid checkpoint, and its step."""
    shape = run.shape()
    checkpoint = CheckpointStore(run.checkpoints).newest(report)
    if checkpoint is None:
        raise DataError(f"{run.path} has no valid checkpoint: give the command of trainer fit again.")
    model = LanguageModel(shape)
    model.load_state_dict(checkpoint.tensors("model"))
    return model.eval(), checkpoint.step
