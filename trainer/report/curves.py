"""What a run measured, as curves: loss, perplexity by domain, gradients, rate, speed, memory, noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

from corpus.errors import UsageError
from corpus.page.chart import Row, lines
from corpus.page.figures import number, percent, size
from corpus.page.parts import Cell, Chart, Part, Section, Table, Text
from trainer.report.trained import TrainedRun, thinned
from trainer.science.critical_batch import critical_batch

_POINTS = 600
_TABLED = 40
_MEANS = 100
"""Stretches of a run over which the smoothed loss is averaged."""
_REWINDS = 5
_GRADIENT_NORM = "gradient norm"


def curve(
    title: str, says: str, points: Sequence[tuple[int, float]], value: str, *, log: bool = False, format: str = ""
) -> Chart:
    """A measurement over steps."""
    rows: list[Row] = [{"step": step, value: found} for step, found in thinned(points, _POINTS)]
    return lines(title, says, table_of(title, points, value), rows, along="step", value=value, log=log, format=format)


def table_of(caption: str, points: Sequence[tuple[int, float]], value: str) -> Table:
    """Some of the points, spread evenly, the last among them."""
    every = max(1, -(-len(points) // _TABLED))
    kept = [point for place, point in enumerate(reversed(points)) if place % every == 0][::-1]
    more = f" (every {every:,} steps of {len(points):,})" if every > 1 else ""
    return Table(f"{caption}{more}", ("step", value), [(step, found) for step, found in kept])


def loss_section(run: TrainedRun) -> Section:
    """The loss of each step, its mean over stretches, and what was undone."""
    points = run.values("loss")
    if not points:
        return Section("loss", "Loss", [Text("No step is done yet.")])
    rows: list[Row] = [{"step": step, "loss": loss, "of": "each step"} for step, loss in thinned(points, _POINTS)]
    width = len(points) // _MEANS
    for begin in range(0, len(points), width) if width > 1 else ():
        part = points[begin : begin + width]
        mean = math.fsum(loss for _, loss in part) / len(part)
        rows.append({"step": part[-1][0], "loss": mean, "of": f"mean of {width:,} steps"})
    undone = _undone(run)
    for name, found in undone.items():
        rows += [{"step": step, "loss": loss, "of": name} for step, loss in thinned(found, _POINTS)]
    marks = [{"step": change.since, "label": "settings changed"} for change in run.history.in_force if change.since]
    chart = lines(
        "Loss of the training steps",
        "Mean loss of the batch's tokens, in nats."
        + (f" What rewinds undid is drawn apart, of the last {_REWINDS}." if undone else "")
        + (" Upright lines: settings changed." if marks else ""),
        table_of("Loss", points, "loss"),
        rows,
        along="step",
        value="loss",
        part="of",
        marks=marks,
    )
    return Section("loss", "Loss", [chart])


def _undone(run: TrainedRun) -> dict[str, list[tuple[int, float]]]:
    """The losses of steps that rewinds undid: of the last rewinds apart."""
    found: dict[str, list[tuple[int, float]]] = {}
    last = max((r["rewinds"] for r in run.undone), default=0)
    for record in run.undone:
        if math.isfinite(record["loss"]) and last - record["rewinds"] < _REWINDS:
            name = f"undone by rewind {record['rewinds'] + 1}"
            found.setdefault(name, []).append((int(record["step"]), float(record["loss"])))
    return found


def validation_section(run: TrainedRun) -> Section:
    """Loss and perplexity of each domain over steps, and a table of the last evaluation."""
    if not run.validation:
        said = "The run was not evaluated: train with --validation."
        return Section("validation", "Validation by domain", [Text(said)])
    rows: list[Row] = []
    table: list[tuple[Cell, ...]] = []
    for record in run.validation:
        entries = {"mixture": record["mixture"]} if "mixture" in record else {}
        for domain, entry in {**entries, **record["domains"]}.items():
            if math.isfinite(entry["loss"]):
                perplexity = entry["perplexity"] if math.isfinite(entry["perplexity"]) else None  # JSON has no infinity
                rows.append({"step": record["step"], "loss": entry["loss"], "domain": domain, "perplexity": perplexity})
            found = (entry["loss"], entry["perplexity"], entry.get("bits_per_byte"), entry.get("documents"))
            table.append((record["step"], domain, *found))
    every = Table(
        "All evaluations", ("step", "domain", "loss", "perplexity", "bits per byte", "documents"), table[-400:]
    )
    last = run.validation[-1]
    whole = [("mixture", last["mixture"])] if "mixture" in last else []
    figures = [
        (
            domain,
            entry["loss"],
            entry["perplexity"],
            entry.get("bits_per_byte"),
            entry.get("tokens"),
            entry.get("documents"),
        )
        for domain, entry in [*whole, *last["domains"].items()]
    ]
    parts: list[Part] = [
        Table(
            f"After step {last['step']:,}",
            ("domain", "loss", "perplexity", "bits per byte", "tokens", "documents"),
            figures,
        )
    ]
    curves = (("loss", "in nats a token"), ("perplexity", "on a logarithmic scale"))
    for value, says in curves if len(run.validation) > 1 else ():
        parts.append(
            lines(
                f"{value.capitalize()} of validation",
                f"By domain, {says}; mixture: their mean by the shares of training.",
                every,
                rows,
                along="step",
                value=value,
                part="domain",
                points=True,
                log=value == "perplexity",
            )
        )
    return Section("validation", "Validation by domain", parts)


def optimizer_section(run: TrainedRun) -> Section | None:
    """Gradient norm, rate and batch; None before the first step."""
    if not run.train:
        return None
    batches = [(int(r["step"]), float(run.batch_tokens(r["step"]))) for r in run.train]
    norms = [(step, norm) for step, norm in run.values("gradient_norm") if norm > 0]
    parts: list[Part] = [
        curve("Gradient norm", "Before clipping, on a logarithmic scale.", norms, _GRADIENT_NORM, log=True),
        curve("Learning rate", "Of each step.", run.values("lr"), "rate", format=".2~e"),
    ]
    if len({tokens for _, tokens in batches}) > 1:
        parts.append(curve("Batch", "Target tokens of a step.", batches, "tokens"))
    else:
        rows = run.config.ramp.rows_at(run.step)
        parts.append(Text(f"Each batch has {rows:,} sequences, {batches[-1][1]:,.0f} tokens."))
    return Section("optimizer", "Gradients, rate, batch", parts)


def speed_section(run: TrainedRun) -> Section | None:
    """Tokens a second, MFU where the GPU is known, memory, waiting for data; None before the first step."""
    if not run.speeds:
        return None
    parts: list[Part] = [curve("Speed", "Tokens a second, over ten steps.", run.speeds, "tokens per second")]
    for key, title, says in (
        ("mfu", "Model FLOP utilisation", "Of the GPU's peak; attention counted."),
        ("mfu_6n", "Model FLOP utilisation by 6N", "Of the GPU's peak, by 6 times the parameters a token."),
    ):
        if points := run.values(key):
            parts.append(curve(title, says, points, "share", format=".0%"))
    if memory := run.values("memory_peak"):
        parts.append(curve("Memory", "Peak of the GPU's memory so far, in bytes.", memory, "bytes"))
        parts.append(Text(f"The peak is {size(memory[-1][1])}."))
    else:
        parts.append(Text("Memory and MFU are measured on GPUs; this run had none, or one whose peak is not known."))
    waited = math.fsum(r["data_seconds"] for r in run.train) / max(1e-9, math.fsum(r["seconds"] for r in run.train))
    parts.append(Text(f"{percent(waited)} of the time of steps was spent waiting for data."))
    return Section("speed", "Speed and memory", parts)


def noise_section(run: TrainedRun) -> Section | None:
    """The gradient noise scale beside the batch; None where it was not measured in enough steps."""
    try:
        found = critical_batch(run.path)
    except UsageError:
        return None
    rows: list[Row] = []
    for part in found.parts:
        if part.noise_scale is not None:
            rows.append({"step": part.step, "tokens": part.noise_scale, "of": "noise scale"})
        rows.append({"step": part.step, "tokens": float(run.batch_tokens(part.step)), "of": "batch"})
    table = Table(
        "Noise scale over stretches of the run",
        ("to step", "loss", "noise scale in tokens", "in sequences"),
        [
            (p.step, p.loss, p.noise_scale, p.noise_scale / found.sequence if p.noise_scale is not None else None)
            for p in found.parts
        ],
    )
    chart = lines(
        "Gradient noise scale and batch",
        "Where the batch is far below the noise scale, a larger one takes fewer steps for about as many tokens (McCandlish"
        " et al. 2018).",
        table,
        rows,
        along="step",
        value="tokens",
        part="of",
        points=True,
        log=True,
    )
    parts: list[Part] = [chart]
    if found.coefficient is not None and found.exponent is not None:
        parts.append(Text(f"Critical batch: {number(found.coefficient)} · loss^-{found.exponent:.2f} tokens."))
    return Section("noise", "Noise scale", parts)
