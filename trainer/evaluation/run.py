"""`trainer eval`: a run's newest checkpoint on validation sets and on tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.errors import UsageError
from trainer.data.text import token_bytes
from trainer.data.validation_sets import open_validation
from trainer.distributed.ranks import joined
from trainer.evaluation.languages import document_languages
from trainer.evaluation.options import EvaluationOptions
from trainer.evaluation.perplexity import Score, Validation, evaluate, evaluate_languages
from trainer.evaluation.summary import Basis, Summary, score_record, scores_lines
from trainer.evaluation.tasks import TaskResults, run_tasks
from trainer.models.objective import TrainingModel
from trainer.run.generate import LoadedModel


@dataclass(frozen=True)
class Evaluation:
    """What a run reached at a step: on validation sets, by the language of their documents, on tasks; None or empty where
    that was not asked."""

    run: Path
    step: int
    validation: Summary | None
    languages: Mapping[str, Score]
    tasks: TaskResults | None

    def lines(self) -> Iterator[str]:
        """All of it as text."""
        yield f"{self.run} at step {self.step}"
        if self.validation is not None:
            yield from self.validation.lines()
        if self.languages:
            yield "by language:"
            yield from (f"  {line}" for line in scores_lines(self.languages))
        if self.tasks is not None:
            yield from self.tasks.lines()

    def record(self) -> dict[str, Any]:
        """The same for programs: the record of an evaluation, the run and its step, and what else was asked."""
        value: dict[str, Any] = {"run": str(self.run), "step": self.step}
        if self.validation is not None:
            value |= self.validation.record()
        if self.languages:
            value["languages"] = {name: score_record(score) for name, score in self.languages.items()}
        return value if self.tasks is None else {**value, "tasks": self.tasks.record()}


def evaluate_run(
    path: Path, options: EvaluationOptions, report: Callable[[str], None], step: int | None = None
) -> Evaluation:
    """Score the newest checkpoint of a run, or that of `step`."""
    loaded = LoadedModel.load(path, report, options.device, step)
    summary, languages = (None, {}) if options.validation is None else _validate(loaded, options, options.validation)
    tasks = run_tasks(loaded, options, report) if options.tasks else None
    return Evaluation(path, loaded.step, summary, languages, tasks)


def _validate(loaded: LoadedModel, options: EvaluationOptions, validation: Path) -> tuple[Summary, dict[str, Score]]:
    """The scores by domain with what they rest on, and by language; a set with another tokenizer is refused."""
    run, model = loaded.run, loaded.model
    made = run.config()
    sets = open_validation(validation)
    for name, rows in sets.items():
        if rows.identity.tokenizer != made.data.tokenizer:
            raise UsageError(
                f"the set '{name}' has another tokenizer than {run.path}: pack it with the run's tokenizer."
            )
        if rows.identity.sequence_length > model.shape.sequence_length:
            raise UsageError(
                f"the set '{name}' has sequences of {rows.identity.sequence_length} tokens and the model takes "
                f"{model.shape.sequence_length}: mix with --sequence-length {model.shape.sequence_length}."
            )
    training = made.training
    tokenizer = run.checked_tokenizer()
    sizes = token_bytes(tokenizer, model.shape.vocabulary) if tokenizer is not None else None
    asked = Validation(sets, options.batch_size, training.document_mask, training.precision, sizes)
    spoken = document_languages(sets, options.documents) if options.documents else None
    languages: dict[str, Score] = {}
    with joined(options.device) as ranks:
        losses = TrainingModel(model.to(ranks.device)).losses
        if spoken is None:
            scores = evaluate(losses, asked, ranks)
        else:
            scores, languages = evaluate_languages(losses, asked, ranks, spoken)
    assert scores is not None
    return Summary(scores, Basis.of(sets, run.training_shares())), languages
