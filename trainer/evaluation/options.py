"""The options of `trainer eval`; nothing here needs torch, so that they can be listed without."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from corpus.config import check_options
from corpus.errors import UsageError
from corpus.option import option
from trainer.config.options import DEVICE_DOC, DEVICES


@dataclass(frozen=True)
class EvaluationOptions:
    """What a run is scored on: validation sets, tasks of lm-eval, or both."""

    validation: Path | None = option(None, "a packed set, or a directory of them")
    documents: tuple[str, ...] = option(
        (), "documents that the validation sets were made from: scores by their language, too", metavar="DOCS"
    )
    tasks: tuple[str, ...] = option((), "tasks of lm-eval: names with commas between, or YAML files", metavar="TASKS")
    few_shots: int | None = option(None, "examples before each question. Default: as the task says", least=0)
    limit: int | None = option(None, "examples of each task. Default: all", least=1)
    corpus: tuple[str, ...] = option(
        (),
        "documents, or a packed set with its documents beside it, that may hold examples of the tasks",
        metavar="DOCS",
    )
    contamination: str | None = option(
        None,
        "palm: 70% of a text's 8-grams occur in the corpus; gpt3: one 13-gram, in at most 10 documents. Default: palm",
        choices=("palm", "gpt3"),
    )
    samples: Path | None = option(None, "file for every example of the tasks, as JSON lines")
    batch_size: int = option(8, "sequences at once", least=1)
    device: str | None = option(None, DEVICE_DOC, choices=DEVICES)

    def __post_init__(self) -> None:
        check_options(self)
        if self.tasks and not self.task_names:
            raise UsageError(
                f"--tasks {' '.join(self.tasks)} names no task: give names with commas between, or YAML files."
            )
        if self.validation is None and not self.tasks:
            raise UsageError("There is nothing to evaluate on: give --validation, --tasks, or both.")
        if self.documents and self.validation is None:
            raise UsageError("--documents tells the languages of validation sets: give --validation too.")
        for name in ("corpus", "samples", "few_shots", "limit"):
            if getattr(self, name) not in (None, ()) and not self.tasks:
                raise UsageError(f"--{name.replace('_', '-')} is about tasks: give --tasks too.")
        if self.contamination is not None and not self.corpus:
            raise UsageError("--contamination says how examples are looked for in a corpus: give --corpus too.")

    @property
    def task_names(self) -> tuple[str, ...]:
        """The tasks one by one."""
        names = [name.strip() for names in self.tasks for name in names.split(",")]
        return tuple(dict.fromkeys(name for name in names if name))
