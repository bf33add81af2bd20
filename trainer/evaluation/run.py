"""`trainer eval`: a run's newest checkpoint on validation sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from corpus.errors import UsageError
from trainer.data.text import token_bytes
from trainer.data.validation_sets import open_validation
from trainer.distributed.ranks import joined
from trainer.evaluation.perplexity import Validation, evaluate
from trainer.evaluation.summary import Basis, Summary
from trainer.models.objective import TrainingModel
from trainer.run.directory import Run
from trainer.run.load import load_model


def evaluate_run(
    path: Path,
    validation: Path,
    batch_size: int,
    report: Callable[[str], None],
    device: str | None = None,
    step: int | None = None,
) -> list[str]:
    """Lines with loss, perplexity and bits per byte per domain; a set with another tokenizer is refused."""
    step, summary = score_run(path, validation, batch_size, report, device, step)
    return [f"{path} at step {step}", *summary.lines()]


def scores_json(path: Path, step: int, summary: Summary) -> dict[str, Any]:
    """The scores of a run for programs: the record of an evaluation, its run and step."""
    return {"run": str(path), "step": step, **summary.record()}


def score_run(
    path: Path,
    validation: Path,
    batch_size: int,
    report: Callable[[str], None],
    device: str | None = None,
    step: int | None = None,
) -> tuple[int, Summary]:
    """The step of a run's newest checkpoint, or `step`, and its scores by domain with what they rest on."""
    run = Run(path)
    model, step = load_model(run, report, step)
    made = run.config()
    sets = open_validation(validation)
    for name, rows in sets.items():
        if rows.identity.tokenizer != made.data.tokenizer:
            raise UsageError(f"the set '{name}' has another tokenizer than {path}: pack it with the run's tokenizer.")
        if rows.identity.sequence_length > model.shape.sequence_length:
            raise UsageError(
                f"the set '{name}' has sequences of {rows.identity.sequence_length} tokens and the model takes "
                f"{model.shape.sequence_length}: mix with --sequence-length {model.shape.sequence_length}."
            )
    training = made.training
    tokenizer = run.checked_tokenizer()
    sizes = token_bytes(tokenizer, model.shape.vocabulary) if tokenizer is not None else None
    asked = Validation(sets, batch_size, training.document_mask, training.precision, sizes)
    with joined(device) as ranks:
        scores = evaluate(TrainingModel(model.to(ranks.device)).losses, asked, ranks)
    assert scores is not None
    return step, Summary(scores, Basis.of(sets, run.training_shares()))
