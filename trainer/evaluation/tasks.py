"""A run on tasks of lm-eval: `trainer eval RUN --tasks …`."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import partialmethod
from pathlib import Path
from statistics import fmean
from typing import Any

from corpus.data.files import write_atomic
from corpus.errors import DataError, UsageError
from corpus.option import nearest
from trainer.evaluation.contamination import Contamination, corpus_of, find_contamination
from trainer.evaluation.options import EvaluationOptions
from trainer.run.generate import LoadedModel

_BOOTSTRAP = 1000
"""Draws for the errors of those metrics that have no formula."""
_SEED = 1234
"""Which examples are shown before a question: lm-eval's own seed, so that its scores compare."""


@dataclass(frozen=True)
class TaskScore:
    """One metric of a task: its mean with the standard error, and its means over contaminated examples and over the others
    (None where it is no mean over examples, or there are none)."""

    metric: str
    value: float
    error: float | None
    contaminated: float | None = None
    others: float | None = None


@dataclass(frozen=True)
class TaskResult:
    """The scores of a task, or of a group of tasks (which has no examples of its own)."""

    name: str
    few_shots: int | None
    examples: int
    scores: tuple[TaskScore, ...]
    contamination: Contamination | None = None


@dataclass(frozen=True)
class TaskResults:
    """All tasks in order, and how many of the requests lost their beginning for being too long."""

    tasks: tuple[TaskResult, ...]
    cut: int

    def lines(self) -> Iterator[str]:
        """A line for each metric of each task."""
        rows = [(task, score) for task in self.tasks for score in task.scores]
        width = max((len(task.name) for task, _ in rows), default=0)
        metric = max((len(score.metric) for _, score in rows), default=0)
        for task, score in rows:
            error = f" ± {score.error:.4f}" if score.error is not None else ""
            yield f"{task.name:<{width}}  {score.metric:<{metric}}  {score.value:.4f}{error}  {_basis(task, score)}".rstrip()
        if self.cut:
            yield f"note: {self.cut:,} requests are longer than the model's sequences: their beginning was left out"

    def record(self) -> dict[str, Any]:
        """The same for programs."""
        return {task.name: _record(task) for task in self.tasks}


def _basis(task: TaskResult, score: TaskScore) -> str:
    if not task.examples:
        return "mean of its tasks"
    said = f"{task.examples:,} examples, {task.few_shots or 0} shots"
    if task.contamination is None:
        return said
    bad, short = task.contamination.count("contaminated"), task.contamination.count("short")
    said += f", {bad:,} of {task.examples - short:,} contaminated"
    said += f" ({short:,} more are too short to look for)" if short else ""
    if score.contaminated is not None and score.others is not None:
        said += f": {score.contaminated:.4f} on them, {score.others:.4f} on the others"
    return said


def _record(task: TaskResult) -> dict[str, Any]:
    value: dict[str, Any] = {"examples": task.examples, "few_shots": task.few_shots}
    value["metrics"] = {
        score.metric: {"value": score.value, "error": score.error}
        | ({} if score.contaminated is None else {"contaminated": score.contaminated})
        | ({} if score.others is None else {"others": score.others})
        for score in task.scores
    }
    if task.contamination is not None:
        value["contamination"] = {kind: task.contamination.count(kind) for kind in ("contaminated", "clean", "short")}
    return value


def run_tasks(loaded: LoadedModel, options: EvaluationOptions, report: Callable[[str], None]) -> TaskResults:
    """Score the tasks that are asked for, and look for their examples in the corpus."""
    try:
        from lm_eval.evaluator import evaluate
    except ImportError:
        raise UsageError("--tasks needs lm-eval: pip install 'corpusmill[eval]'.") from None
    from trainer.evaluation.harness import HarnessModel

    corpus = corpus_of(options.corpus)
    with _silent():
        chosen = load_tasks(options.task_names, options.few_shots)
    model = HarnessModel(loaded, batch_size=options.batch_size)
    report(f"{len(chosen['tasks'])} tasks")
    with _silent():
        found = evaluate(model, task_dict=chosen, limit=options.limit, bootstrap_iters=_BOOTSTRAP)
    samples: Mapping[str, list[dict[str, Any]]] = found["samples"]
    contamination: Mapping[str, Contamination] = {}
    if corpus:
        report(f"looking for their examples in {sum(dataset.manifest.rows for dataset in corpus):,} documents")
        examples = {name: [sample["doc"] for sample in _each(rows)] for name, rows in samples.items()}
        contamination = find_contamination(examples, corpus, options.contamination or "palm")
    if options.samples is not None:
        _write_samples(options.samples, samples, contamination)
    results = [
        _result(name, task, found["results"][name], samples[name], contamination.get(name))
        for name, task in sorted(chosen["tasks"].items())
    ]
    groups = [
        TaskResult(name, None, 0, _scores(found["groups"][name]))
        for name in sorted(found.get("groups", {}))
        if name not in chosen["tasks"]
    ]
    return TaskResults((*results, *(group for group in groups if group.scores)), model.cut)


@contextmanager
def _silent() -> Iterator[None]:
    """Without the bars of the libraries, and what they print among our results. TQDM_DISABLE comes too late for the bars: tqdm
    reads it when it is imported, which torch does."""
    from tqdm import tqdm

    made = tqdm.__init__
    tqdm.__init__ = partialmethod(made, disable=True)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        tqdm.__init__ = made


def load_tasks(names: Sequence[str], few_shots: int | None) -> dict[str, Any]:
    """The tasks by name or file. A UsageError for a name that lm-eval does not have, a DataError where a task's data cannot
    be read."""
    import datasets
    from lm_eval.tasks import TaskManager

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    # the table of all tasks takes some ten seconds to read
    manager = TaskManager(include_defaults=not all(Path(name).is_file() for name in names))
    for name in names:
        if not Path(name).is_file() and name not in manager.all_tasks:
            raise UsageError(
                f"lm-eval has no task '{name}' and there is no such file: {nearest(name, manager.all_tasks)}"
            )
    loaded: dict[str, Any] = {"tasks": {}, "groups": {}, "group_map": {}}
    for name in names:
        try:
            for part, entries in manager.load([name]).items():
                loaded[part].update(entries)
        except Exception as error:  # reading a data set, the libraries raise whatever they met
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise DataError(
                f"the task {name} cannot be loaded ({reason}): give a task whose data are at hand."
            ) from None
    for task in loaded["tasks"].values():
        given = task.get_config("num_fewshot")
        if task.OUTPUT_TYPE == "loglikelihood_rolling":  # whole texts are read without any
            task.set_config(key="num_fewshot", value=0)
        elif given is None or (few_shots is not None and given != 0):  # one that says 0 has them in the question
            task.set_config(key="num_fewshot", value=few_shots or 0)
        task.set_fewshot_seed(seed=_SEED)
    return loaded


def _each(samples: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every example once: those with several filters are listed for each."""
    return list({sample["doc_id"]: sample for sample in samples}.values())


def _scores(values: Mapping[str, Any]) -> tuple[TaskScore, ...]:
    """The metrics of a table of lm-eval, with their errors."""
    found = []
    for key, value in values.items():
        metric, comma, kind = key.partition(",")
        if not comma or metric.endswith("_stderr") or not isinstance(value, int | float):
            continue
        error = values.get(f"{metric}_stderr,{kind}")
        name = metric if kind == "none" else f"{metric} ({kind})"
        found.append(TaskScore(name, float(value), float(error) if isinstance(error, int | float) else None))
    return tuple(found)


def _result(
    name: str, task: Any, values: Mapping[str, Any], samples: Sequence[dict[str, Any]], held: Contamination | None
) -> TaskResult:
    scores = _scores(values)
    if held is not None:
        scores = tuple(_split(score, task, samples, held) for score in scores)
    return TaskResult(name, task.get_config("num_fewshot"), len(_each(samples)), scores, held)


def _split(score: TaskScore, task: Any, samples: Sequence[dict[str, Any]], held: Contamination) -> TaskScore:
    """A score with its means over contaminated examples and over the others."""
    metric, _, kind = score.metric.partition(" (")
    kind = kind.rstrip(")") or "none"
    if getattr(task.aggregation().get(metric), "__name__", "") != "mean":
        return score
    places = {sample["doc_id"]: place for place, sample in enumerate(_each(samples))}
    sides: dict[bool, list[float]] = {True: [], False: []}
    for sample in samples:
        if sample["filter"] == kind and isinstance(sample.get(metric), int | float):
            sides[held.found[places[sample["doc_id"]]] == "contaminated"].append(float(sample[metric]))
    means = {side: fmean(values) if values else None for side, values in sides.items()}
    return TaskScore(score.metric, score.value, score.error, means[True], means[False])


def _write_samples(
    path: Path, samples: Mapping[str, Sequence[dict[str, Any]]], contamination: Mapping[str, Contamination]
) -> None:
    """Every example of every task with what was asked and answered, one JSON object a line."""
    lines = []
    for name, rows in sorted(samples.items()):
        places = {sample["doc_id"]: place for place, sample in enumerate(_each(rows))}
        for sample in rows:
            entry = {"task": name, **{key: value for key, value in sample.items() if not key.endswith("_hash")}}
            if name in contamination:
                entry["corpus"] = contamination[name].found[places[sample["doc_id"]]]
            lines.append(json.dumps(entry, ensure_ascii=False, default=str) + "\n")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, "".join(lines))
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}): give another file.") from None
