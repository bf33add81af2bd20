"""What runs reached, as the points of a fit: from the runs' own metrics, or from a table."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import numpy.typing as npt

from corpus.errors import DataError, UsageError
from corpus.option import nearest
from corpus.quantity import parse_float
from trainer.models.model import LanguageModel
from trainer.run.directory import Run
from trainer.run.metrics import MetricsLog
from trainer.spikes.skip_log import SkipLog

LAST = 0.02
"""The training loss of a run is the mean over this share of its steps, at least ten of them."""


@dataclass(frozen=True)
class Measurement:
    """A finished training: `parameters` and `tokens`, FLOPs of its training, and the loss in nats a token."""

    name: str
    parameters: float
    tokens: float
    compute: float
    loss: float


def read_runs(paths: Sequence[Path], domain: str | None, training: bool) -> list[Measurement]:
    """The final validation loss of each run, of one `domain` or by the mixture; with `training` its last training losses.

    A UsageError where runs have other tokenizers or validation sets, or are not finished: their losses do not compare.
    """
    found, kinds = [], {}
    for path in paths:
        run = Run(path)
        config = run.config()
        validation = {} if training else dict(config.validation)
        kinds[path] = (config.data.tokenizer, validation, config.data.sequence_length)
        if kinds[path] != kinds[paths[0]]:
            what = [
                name
                for name, one, other in zip(
                    ("tokenizer", "validation sets", "sequence length"), kinds[path], kinds[paths[0]], strict=True
                )
                if one != other
            ]
            raise UsageError(
                f"{path} and {paths[0]} have another {' and '.join(what)}, so that their losses do not compare: fit them apart."
            )
        records = MetricsLog(run.metrics).records()
        steps = [record for record in records if record["kind"] == "train"]
        if not steps or steps[-1]["step"] < config.steps_with((SkipLog.load(run.skip_log) or SkipLog()).holes()):
            raise UsageError(f"{path} is not finished: give its command of trainer fit again, or leave it out.")
        tokens = float(steps[-1]["tokens"])
        shape = config.model
        flops = LanguageModel.flops_per_token(shape, config.data.sequence_length)
        loss = _training_loss(steps) if training else _validation_loss(path, records, steps[-1]["step"], domain)
        found.append(Measurement(path.name, LanguageModel.count(shape).total, tokens, flops * tokens, loss))
    return found


def _training_loss(steps: Sequence[Mapping[str, float]]) -> float:
    last = max(10, round(LAST * len(steps)))
    return fmean(record["loss"] for record in steps[-last:])


def _validation_loss(path: Path, records: Sequence[Mapping[str, object]], step: int, domain: str | None) -> float:
    last = [record for record in records if record["kind"] == "validation" and record["step"] == step]
    if not last:
        raise UsageError(
            f"{path} has no validation loss at its last step: train with --validation, or give --training-loss."
        )
    if domain is None:
        return float(last[-1]["loss"])  # type: ignore[arg-type]  # a record of numbers
    domains = last[-1]["domains"]
    assert isinstance(domains, dict)
    if domain not in domains:
        raise UsageError(f"{path} has no validation domain '{domain}': {nearest(domain, domains)}")
    return float(domains[domain]["loss"])


def read_table(path: Path) -> list[Measurement]:
    """Measurements of a CSV file with the columns parameters, tokens, loss, and if it has it compute (otherwise 6·N·D)."""
    found = []
    for number, row in enumerate(read_columns(path, ("parameters", "tokens", "loss"), ("name", "compute")), 1):
        numbers = {key: number_of(path, number, key, text) for key, text in row.items() if key != "name" and text}
        compute = numbers.get("compute", 6 * numbers["parameters"] * numbers["tokens"])
        name = row.get("name") or f"row {number}"
        found.append(Measurement(name, numbers["parameters"], numbers["tokens"], compute, numbers["loss"]))
    return found


def read_columns(path: Path, needed: Sequence[str], allowed: Sequence[str] = ()) -> list[dict[str, str]]:
    """The rows of a CSV file with a header; a UsageError where a column is missing or the file cannot be read."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, skipinitialspace=True))
            header = list(rows[0]) if rows else []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read ({error}): give a CSV file.") from None
    missing = [name for name in needed if name not in header]
    if missing:
        raise UsageError(f"{path} lacks the column {missing[0]}: its first line names {', '.join(needed)}.")
    return [{name: (row.get(name) or "").strip() for name in (*needed, *allowed)} for row in rows]


def number_of(path: Path, row: int, column: str, text: str, least: float = 0.0) -> float:
    """A finite number above `least` of a table; a UsageError says where it is not."""
    try:
        value = parse_float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value <= least:
        raise UsageError(f"{path}, row {row}: {column} is {text!r}; give a number above {least:g}.")
    return value


def check_losses(points: Sequence[Measurement]) -> None:
    """A DataError where a loss is not finite or not positive."""
    for point in points:
        if not (math.isfinite(point.loss) and point.loss > 0):
            raise DataError(f"{point.name} has the loss {point.loss}: leave it out.")


def columns(points: Sequence[Measurement], *names: str) -> npt.NDArray[np.float64]:
    """Some numbers of all points: [n, names]."""
    return np.array([[getattr(point, name) for name in names] for point in points], np.float64)
