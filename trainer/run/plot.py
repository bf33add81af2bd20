"""`trainer plot`: the loss curve of a run as a drawing, from `metrics.jsonl` alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate
from pathlib import Path
from statistics import fmean
from typing import Any

from corpus.errors import DataError, UsageError
from trainer.run.directory import Run
from trainer.run.metrics import MetricsLog
from trainer.run.picture import check_ending, write_picture

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 20, 44, 52
POINTS = 600
"""Most points of a line; a longer run's steps are averaged."""
SMOOTHED = 50
"""The bold line is the mean over this share (1/50) of the run."""
_UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K"))
_MARKS = 8
"""Most marks on an axis, about."""

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class _Axes:
    """Where tokens and losses lie in the drawing."""

    tokens: float
    lowest: float
    highest: float

    def x(self, tokens: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * tokens / self.tokens

    def y(self, loss: float) -> float:
        share = (self.highest - loss) / (self.highest - self.lowest)
        return TOP + (HEIGHT - TOP - BOTTOM) * share

    def path(self, points: Points) -> str:
        return " ".join(f"{self.x(tokens):.1f},{self.y(loss):.1f}" for tokens, loss in points)


def plot(path: Path, output: Path) -> None:
    """Draw the loss of each step, its running mean and the validation losses of the run at `path`."""
    check_ending(output)
    run = Run(path)
    config = run.read_config()
    if config is None:
        raise UsageError(f"{path} is not a run (no config.json): give the --output of trainer fit.")
    records = MetricsLog(run.metrics).records(rewound=True)
    undone = [record for record in records if record.get("rewound") and record["kind"] == "train"]
    records = [record for record in records if not record.get("rewound")]
    train = [(r["tokens"], r["loss"]) for r in records if r["kind"] == "train" and math.isfinite(r["loss"])]
    if len(train) < 2:
        raise DataError(f"{run.metrics} holds no two steps: plot a run that has trained for longer.")
    at = {r["step"]: r["tokens"] for r in records if r["kind"] == "train"}
    validation = [(at[r["step"]], r["loss"]) for r in records if r["kind"] == "validation" and r["step"] in at]
    write_picture(output, draw(str(config.get("name", path.name)), train, validation, _undone(undone)))


def _undone(records: Sequence[Mapping[str, Any]]) -> list[Points]:
    """The lines of steps that were undone, one for each way that was left."""
    ways: dict[int, list[tuple[float, float]]] = {}
    for record in records:
        if math.isfinite(record["loss"]):
            ways.setdefault(record["rewinds"], []).append((record["tokens"], record["loss"]))
    return list(ways.values())


def draw(name: str, train: Points, validation: Points, undone: Sequence[Points] = ()) -> str:
    """The drawing as SVG text; points are (tokens, loss), `undone` the lines of steps that rewinds undid."""
    smooth = _averaged(_running_mean(train, len(train) // SMOOTHED // 2), POINTS)
    shown = _averaged(train, POINTS)
    losses = sorted(loss for _, loss in (*shown, *validation))
    # a few steps far above the rest would press the curve flat
    highest = max(losses[int(0.995 * (len(losses) - 1))], smooth[0][1])
    step = _step((highest - losses[0]) or 1.0)
    axes = _Axes(train[-1][0], math.floor(losses[0] / step) * step, math.ceil(highest / step + 1e-9) * step)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="sans-serif" font-size="12" fill="#333">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<clipPath id="area"><rect x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" '
        f'height="{HEIGHT - TOP - BOTTOM}"/></clipPath>',
        f'<text x="{LEFT}" y="22" font-size="14" font-weight="bold">{escape(name)}: training loss</text>',
        *_grid(axes, step),
        f'<polyline clip-path="url(#area)" fill="none" stroke="#9cc3e6" points="{axes.path(shown)}"/>',
        *(
            f'<polyline clip-path="url(#area)" fill="none" stroke="#d98a8a" points="{axes.path(way)}"/>'
            for way in undone
        ),
        f'<polyline clip-path="url(#area)" fill="none" stroke="#1f5fa8" stroke-width="2" points="{axes.path(smooth)}"/>',
        *(
            f'<circle cx="{axes.x(tokens):.1f}" cy="{axes.y(loss):.1f}" r="4" fill="#d9541e"/>'
            for tokens, loss in validation
        ),
        *_legend(bool(validation), bool(undone)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _running_mean(points: Points, width: int) -> Points:
    """At each point the mean of the losses around it, `width` on each side."""
    sums = [0.0, *accumulate(loss for _, loss in points)]
    spans = [(max(0, i - width), min(len(points), i + width + 1)) for i in range(len(points))]
    return [(points[i][0], (sums[stop] - sums[start]) / (stop - start)) for i, (start, stop) in enumerate(spans)]


def _averaged(points: Points, most: int) -> Points:
    """At most `most` points: means of equal runs of them."""
    size = -(-len(points) // most)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(fmean(x for x, _ in group), fmean(y for _, y in group)) for group in groups]


def _grid(axes: _Axes, step: float) -> list[str]:
    parts = []
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    for number in range(round((axes.highest - axes.lowest) / step) + 1):
        loss = axes.lowest + number * step
        y = axes.y(loss)
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#e4e4e4"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{loss:g}</text>')
    size = _step(axes.tokens)
    scale, unit = next(((s, u) for s, u in _UNITS if axes.tokens >= s), (1.0, ""))
    for number in range(int(axes.tokens / size + 1e-9) + 1):
        x = axes.x(number * size)
        parts.append(f'<line x1="{x:.1f}" y1="{bottom}" x2="{x:.1f}" y2="{bottom + 5}" stroke="#333"/>')
        label = f"{number * size / scale:g}{unit if number else ''}"
        parts.append(f'<text x="{x:.1f}" y="{bottom + 19}" text-anchor="middle">{label}</text>')
    parts.append(f'<line x1="{LEFT}" y1="{bottom}" x2="{right}" y2="{bottom}" stroke="#333"/>')
    parts.append(f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 10}" text-anchor="middle">tokens</text>')
    middle = (TOP + bottom) / 2
    parts.append(
        f'<text x="16" y="{middle}" text-anchor="middle" transform="rotate(-90 16 {middle})">nats per token</text>'
    )
    return parts


def _step(span: float) -> float:
    """A round distance of marks that divides `span` into at most eight or so."""
    rough = span / _MARKS
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)


def _legend(validation: bool, undone: bool) -> list[str]:
    y, x = TOP + 18, WIDTH - RIGHT - 150
    entries = [
        (f'<line x1="{x}" y1="{{y}}" x2="{x + 22}" y2="{{y}}" stroke="#9cc3e6"/>', "each step"),
        (f'<line x1="{x}" y1="{{y}}" x2="{x + 22}" y2="{{y}}" stroke="#1f5fa8" stroke-width="2"/>', "running mean"),
    ]
    if validation:
        entries.append((f'<circle cx="{x + 11}" cy="{{y}}" r="4" fill="#d9541e"/>', "validation"))
    if undone:
        entries.append((f'<line x1="{x}" y1="{{y}}" x2="{x + 22}" y2="{{y}}" stroke="#d98a8a"/>', "undone by a rewind"))
    return [
        sign.format(y=y + 18 * number - 4) + f'<text x="{x + 30}" y="{y + 18 * number}">{text}</text>'
        for number, (sign, text) in enumerate(entries)
    ]
