"""`trainer compare`: runs beside one another."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from corpus.errors import UsageError
from corpus.page.chart import Row, lines
from corpus.page.figures import duration
from corpus.page.names import told_apart
from corpus.page.parts import Cell, Facts, Page, Part, Section, Table, Text
from trainer.report.report import FOOT
from trainer.report.story import flat
from trainer.report.trained import TrainedRun, thinned

_POINTS = 400
_TABLED = 30


def open_runs(paths: Sequence[Path]) -> list[TrainedRun]:
    """The runs, named by the ends of their paths that tell them apart."""
    if len(paths) < 2:
        raise UsageError("there is nothing to compare one run with: give two or more.")
    resolved = [path.resolve() for path in paths]
    if len(set(resolved)) < len(resolved):
        raise UsageError("a run is given twice: give different runs.")
    return [TrainedRun(path, name) for path, name in zip(paths, told_apart(paths), strict=True)]


def comparison_page(runs: Sequence[TrainedRun]) -> Page:
    """Losses, validation, speed and settings of some runs."""
    sections = [_losses(runs), _validation(runs), _speeds(runs), _settings(runs)]
    lead = f"{len(runs)} runs: {', '.join(run.name for run in runs)}."
    done = [("runs", f"{len(runs)}"), ("finished", f"{sum(run.finished for run in runs)}")]
    return Page("Comparison of training runs", lead, Facts(done), sections, FOOT)


def _losses(runs: Sequence[TrainedRun]) -> Section:
    table: list[tuple[Cell, ...]] = [
        (
            run.name,
            run.history.first.name,
            run.step,
            run.steps,
            run.train[-1]["tokens"] if run.train else None,
            run.last_loss,
            len(run.skip_log.entries),
            duration(run.seconds),
        )
        for run in runs
    ]
    head = ("run", "model", "step", "of", "tokens", "loss, last ten steps", "spikes", "time of its steps")
    same = len({run.config.data.digest for run in runs}) == 1
    said = "All were trained on the same packed set." if same else "They were trained on different packed sets."
    return Section(
        "loss",
        "Loss",
        [
            Table("The runs", head, table),
            Text(said, warning=not same),
            _overlaid(runs, "loss", "Loss by tokens", "Mean loss of the steps over the tokens trained on."),
        ],
    )


def _overlaid(runs: Sequence[TrainedRun], key: str, title: str, says: str) -> Part:
    """A measurement over the tokens of each run, averaged over stretches."""
    rows: list[Row] = []
    table: list[tuple[Cell, ...]] = []
    for run in runs:
        points = [(int(r["tokens"]), float(r[key])) for r in run.train if math.isfinite(r[key])]
        means = _means(points, _POINTS)
        rows += [{"tokens": tokens, key: value, "run": run.name} for tokens, value in means]
        table += [(run.name, tokens, value) for tokens, value in _means(points, _TABLED)]
    return lines(title, says, Table(title, ("run", "tokens", key), table), rows, along="tokens", value=key, part="run")


def _means(points: Sequence[tuple[int, float]], most: int) -> list[tuple[int, float]]:
    """The means of equal stretches, at their ends."""
    width = max(1, -(-len(points) // most))
    parts = [points[begin : begin + width] for begin in range(0, len(points), width)]
    return [(part[-1][0], math.fsum(value for _, value in part) / len(part)) for part in parts]


def _validation(runs: Sequence[TrainedRun]) -> Section:
    """The last evaluation of each run, domain by domain, and the mean over time."""
    domains = list(dict.fromkeys(d for run in runs for record in run.validation[-1:] for d in record["domains"]))
    if not domains:
        return Section("validation", "Validation", [Text("None of the runs was evaluated: train with --validation.")])
    rows: list[Row] = []
    for run in runs:
        tokens = {r["step"]: r["tokens"] for r in run.train}
        rows += [
            {"tokens": tokens[r["step"]], "loss": r["loss"], "run": run.name}
            for r in run.validation
            if r["step"] in tokens and math.isfinite(r["loss"])
        ]
    parts: list[Part] = []
    for value, said in (("perplexity", "Perplexity"), ("bits_per_byte", "Bits per byte")):
        table = [
            (domain, *(r.validation[-1]["domains"].get(domain, {}).get(value) if r.validation else None for r in runs))
            for domain in domains
        ]
        whole = (_mean(runs), *(r.validation[-1].get(value) if r.validation else None for r in runs))
        parts.append(Table(f"{said} of the last evaluation", ("domain", *(r.name for r in runs)), [whole, *table]))
    sets = {json.dumps(run.config.validation, sort_keys=True) for run in runs if run.validation}
    if len(sets) > 1:
        parts.insert(0, Text("They were evaluated on different sets: their figures cannot be compared.", warning=True))
    caption = Table(
        "Validation loss", ("run", "tokens", "loss"), [(r["run"], r["tokens"], r["loss"]) for r in rows[-400:]]
    )
    parts.append(
        lines(
            "Loss of validation by tokens",
            f"Of each evaluation: {_mean(runs)}.",
            caption,
            rows,
            along="tokens",
            value="loss",
            part="run",
            points=True,
        )
    )
    return Section("validation", "Validation", parts)


def _mean(runs: Sequence[TrainedRun]) -> str:
    """What the figures of whole evaluations are means over."""
    mixed = {"mixture" in record for run in runs for record in run.validation[-1:]}
    if len(mixed) == 2:
        return "mean by the mixture, or over all tokens where there is none"
    return "mean by the mixture" if True in mixed else "mean over all tokens"


def _speeds(runs: Sequence[TrainedRun]) -> Section:
    rows: list[Row] = [
        {"step": step, "tokens per second": speed, "run": run.name}
        for run in runs
        for step, speed in thinned(run.speeds, _POINTS)
    ]
    table = [(run.name, run.speeds[-1][1] if run.speeds else None, run.seconds) for run in runs]
    chart = lines(
        "Speed",
        "Tokens a second, over ten steps.",
        Table("Speed of the last steps", ("run", "tokens per second", "seconds of all steps"), table),
        rows,
        along="step",
        value="tokens per second",
        part="run",
    )
    return Section("speed", "Speed", [chart])


def _settings(runs: Sequence[TrainedRun]) -> Section:
    """The settings in which they differ."""
    configs = [flat(run.config.to_json()) for run in runs]
    keys = sorted({key for config in configs for key in config})
    rows = []
    for key in keys:
        values = [json.dumps(config.get(key)) if key in config else "–" for config in configs]
        if len(set(values)) > 1:
            rows.append((key, *values))
    if not rows:
        return Section("settings", "Settings that differ", [Text("They have the same settings.")])
    table = Table(f"{len(rows)} of {len(keys)} settings", ("key", *(run.name for run in runs)), rows)
    return Section("settings", "Settings that differ", [table])
