"""`trainer eval`: a run's newest checkpoint on validation sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from corpus.errors import UsageError
from trainer.data.text import token_bytes
from trainer.data.validation_sets import open_validation
from trainer.distributed.ranks import joined
from trainer.evaluation.perplexity import Validation, evaluate, score_lines
from trainer.models.objective import TrainingModel
from trainer.run.directory import Run
from trainer.run.load import load_model


def evaluate_run(
    path: Path, validation: Path, batch_size: int, report: Callable[[str], None], device: str | None = None
) -> list[str]:
    """Lines with loss, perplexity and bits per byte per domain; a set with another tokenizer is refused."""
    run = Run(path)
    model, step = load_model(run, report)
    config = run.read_config()
    assert config is not None
    sets = open_validation(validation)
    for name, rows in sets.items():
        if rows.identity.tokenizer != config["data"]["tokenizer"]:
            raise UsageError(f"the set '{name}' has another tokenizer than {path}: pack it with the run's tokenizer.")
        if rows.identity.sequence_length > model.shape.sequence_length:
            raise UsageError(
                f"the set '{name}' has sequences of {rows.identity.sequence_length} tokens and the model takes "
                f"{model.shape.sequence_length}: mix with --sequence-length {model.shape.sequence_length}."
            )
    training = config["training"]
    sizes = token_bytes(run.tokenizer, model.shape.vocabulary) if run.tokenizer.exists() else None
    asked = Validation(sets, batch_size, training["document_mask"], training["precision"], sizes)
    with joined(device) as ranks:
        scores = evaluate(TrainingModel(model.to(ranks.device)).losses, asked, ranks)
    assert scores is not None
    return [f"{path} at step {step}", *score_lines(scores)]
