"""The model of a run."""

from __future__ import annotations

from collections.abc import Callable

from corpus.errors import DataError, UsageError
from trainer.checkpoints.checkpoint import Checkpoint, CheckpointStore
from trainer.models.finetuning.adapt import adapt
from trainer.models.finetuning.soft_prompt import NAME as SOFT_PROMPT
from trainer.models.model import LanguageModel
from trainer.run.directory import Run
from trainer.run.kept import run_weights


def find_checkpoint(
    run: Run, report: Callable[[str], None], step: int | None = None, flag: str = "--checkpoint "
) -> Checkpoint:
    """The newest checkpoint of a run or that of `step`; `report` is told where it is not the newest.

    A DataError where the newest is damaged: an older one is another model, and is taken only where it is named, with the
    `flag` that a step follows.
    """
    store = CheckpointStore(run.checkpoints)
    damaged: list[str] = []
    checkpoint = store.newest(damaged.append, at_most=step)
    if step is not None and (checkpoint is None or checkpoint.step != step):
        steps = ", ".join(map(str, reversed(store.steps())))
        raise UsageError(f"{run.path} has no valid checkpoint of step {step}: give one of {steps or 'another run'}.")
    if checkpoint is None:
        raise DataError(f"{run.path} has no valid checkpoint: give the command of trainer fit again.")
    if damaged:
        name, _, why = damaged[0].partition(" is passed over: ")
        raise DataError(
            f"{run.checkpoints / name} is damaged ({why}): give {flag}{checkpoint.step} for the one before it, or the"
            " command of trainer fit again."
        )
    if checkpoint.step != (newest := store.steps()[0]):
        report(f"step {checkpoint.step:,} of {run.path}, whose newest checkpoint is of step {newest:,}")
    return checkpoint


def load_model(run: Run, report: Callable[[str], None], step: int | None = None) -> tuple[LanguageModel, int]:
    """The model of the newest checkpoint or of that of `step`, adapters merged, and its step."""
    shape = run.shape()
    checkpoint = find_checkpoint(run, report, step)
    model = LanguageModel(shape)
    weights = run_weights(run, checkpoint)
    if SOFT_PROMPT in weights:
        adapt(model, run.first_config().finetuning)
    model.load_state_dict(weights)
    return model.eval(), checkpoint.step
