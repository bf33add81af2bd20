"""What a probe found, as tables, a drawing and records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from trainer.science.chart import Axis, Series, draw
from trainer.science.probe import LayerProbe, Probe

_COLUMNS = (
    ("near zero", "near_zero", "{:.1%}"),
    ("never used", "never", "{:.1%}"),
    ("top tenth", "top", "{:.1%}"),
    ("gini", "gini", "{:.3f}"),
    ("one domain's", "special", "{:.1%}"),
    ("entropy", "entropy", "{:.3f}"),
    ("sharpest head", "sharpest", "{:.3f}"),
    ("to the first", "first", "{:.1%}"),
    ("residual", "residual", "{:.3f}"),
    ("weights", "weights", "{:.4f}"),
)
_INITIAL = "initial"


def probe_lines(found: Probe) -> Iterator[str]:
    """The means over the layers at each step, then each layer at the last step, with those of the first weights."""
    near = found.options.near
    yield (
        f"{found.run}: {found.tokens:,} tokens; near zero is below {near:g} of the RMS of the token's activations, "
        "entropy is 1 where all positions are attended to alike"
    )
    yield ""
    steps = [*([(_INITIAL, found.control)] if found.control else []), *((f"{k:,}", v) for k, v in found.steps.items())]
    yield from _table("step", [(name, _mean(layers)) for name, layers in steps])
    last = max(found.steps)
    yield ""
    yield f"layers at step {last:,}:"
    yield from _table("layer", [(str(number), layer) for number, layer in enumerate(found.steps[last])])
    if found.control:
        yield ""
        yield "layers of the first weights:"
        yield from _table("layer", [(str(number), layer) for number, layer in enumerate(found.control)])


def _mean(layers: Sequence[LayerProbe]) -> LayerProbe:
    def over(name: str) -> float | None:
        values = [getattr(layer, name) for layer in layers]
        return None if None in values else fmean(values)

    return LayerProbe(**{name: over(name) for _, name, _ in _COLUMNS})  # type: ignore[arg-type]  # only special is None


def _table(head: str, rows: Sequence[tuple[str, LayerProbe]]) -> Iterator[str]:
    cells = [[head, *(title for title, _, _ in _COLUMNS)]]
    for name, layer in rows:
        values = [getattr(layer, field) for _, field, _ in _COLUMNS]
        shown = [
            "-" if value is None else form.format(value) for value, (_, _, form) in zip(values, _COLUMNS, strict=True)
        ]
        cells.append([name, *shown])
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    for row in cells:
        yield "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))


def probe_json(found: Probe) -> dict[str, Any]:
    """The same for programs."""
    return {
        "run": str(found.run),
        "tokens": found.tokens,
        "near": found.options.near,
        "initial": None if found.control is None else [asdict(layer) for layer in found.control],
        "steps": {str(step): [asdict(layer) for layer in layers] for step, layers in found.steps.items()},
    }


def draw_probe(found: Probe, path: Path) -> None:
    """The near-zero share of each layer over the steps, and the mean of the first weights."""
    layers = range(len(next(iter(found.steps.values()))))
    series = [
        Series(f"layer {layer}", [(float(step), probes[layer].near_zero) for step, probes in found.steps.items()])
        for layer in layers
    ]
    if found.control:
        value = fmean(layer.near_zero for layer in found.control)
        ends = [float(min(found.steps)), float(max(found.steps))]
        series.append(Series("first weights", [(step, value) for step in ends]))
    draw(path, f"Near-zero activations of {found.run.name}", Axis("step"), Axis("share of activations"), series)
