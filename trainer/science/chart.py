"""Small SVG charts: lines and points over axes that are linear or logarithmic."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from trainer.run.picture import write_picture

_WIDTH, _HEIGHT = 760, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 190, 40, 56
COLOURS = ("#1f5fa8", "#d9541e", "#3a8a4d", "#8a5aa8", "#b08a1e", "#2a9d9d", "#777777")


@dataclass(frozen=True)
class Series:
    """Named points, joined by a line or marked one by one; `spread` are lower and upper ends of bars at the points."""

    name: str
    points: Sequence[tuple[float, float]]
    line: bool = True
    labels: Sequence[str] = ()
    spread: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class Axis:
    """What an axis shows, and whether it is logarithmic."""

    title: str
    log: bool = False

    def place(self, value: float) -> float:
        """A value on the axis's own scale."""
        return math.log10(value) if self.log else value

    def marks(self, low: float, high: float) -> list[float]:
        """Round values between two values of its scale."""
        if self.log:
            every = max(1, math.ceil((high - low) / 8))
            decades = [10.0**k for k in range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1, every)]
            if len(decades) >= 2:
                return decades
            low, high = 10**low, 10**high
        span = (high - low) or 1.0
        power = 10.0 ** math.floor(math.log10(span / 6))
        step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= span / 6)
        first = math.ceil(low / step - 1e-9)
        return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def draw(path: Path, title: str, x: Axis, y: Axis, series: Sequence[Series]) -> None:
    """Write the chart as SVG, PDF or PNG, by the ending of the name."""
    write_picture(path, chart(title, x, y, series))


def chart(title: str, x: Axis, y: Axis, series: Sequence[Series]) -> str:
    """The chart as SVG text. Points that a logarithmic axis has no place for are left out."""
    shown = [_visible(each, x, y) for each in series]
    xs = [x.place(point[0]) for each in shown for point in each.points]
    ys = [y.place(value) for each in shown for value in (*(p[1] for p in each.points), *_ends(each, y))]
    box = _Box(x, y, _range(xs), _range(ys))
    body = [part for number, each in enumerate(shown) for part in _series(each, COLOURS[number % len(COLOURS)], box)]
    legend = [
        f'<text x="{_WIDTH - _RIGHT + 14}" y="{_TOP + 14 + 18 * number}" fill="{COLOURS[number % len(COLOURS)]}">'
        f"{'—' if each.line else '●'} {escape(each.name)}</text>"
        for number, each in enumerate(shown)
    ]
    return (
        "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
                f'height="{_HEIGHT}" font-family="sans-serif" font-size="12" fill="#333">',
                f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
                f'<text x="{_LEFT}" y="22" font-size="14" font-weight="bold">{escape(title)}</text>',
                *box.grid(),
                *body,
                *legend,
                "</svg>",
            ]
        )
        + "\n"
    )


@dataclass(frozen=True)
class _Box:
    x: Axis
    y: Axis
    x_range: tuple[float, float]
    y_range: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = (self.x.place(x) - self.x_range[0]) / (self.x_range[1] - self.x_range[0])
        up = (self.y.place(y) - self.y_range[0]) / (self.y_range[1] - self.y_range[0])
        return _LEFT + across * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM)

    def grid(self) -> Iterable[str]:
        bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
        y_low = 10 ** self.y_range[0] if self.y.log else self.y_range[0]
        x_low = 10 ** self.x_range[0] if self.x.log else self.x_range[0]
        for mark in self.y.marks(*self.y_range):
            height = self.at(x_low, mark)[1]
            yield f'<line x1="{_LEFT}" y1="{height:.1f}" x2="{right}" y2="{height:.1f}" stroke="#e4e4e4"/>'
            yield f'<text x="{_LEFT - 8}" y="{height + 4:.1f}" text-anchor="end">{mark:.4g}</text>'
        for mark in self.x.marks(*self.x_range):
            across = self.at(mark, y_low)[0]
            yield f'<line x1="{across:.1f}" y1="{bottom}" x2="{across:.1f}" y2="{bottom + 5}" stroke="#333"/>'
            yield f'<text x="{across:.1f}" y="{bottom + 19}" text-anchor="middle">{mark:.4g}</text>'
        yield f'<line x1="{_LEFT}" y1="{bottom}" x2="{right}" y2="{bottom}" stroke="#333"/>'
        middle = (_TOP + bottom) / 2
        yield f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 14}" text-anchor="middle">{escape(self.x.title)}</text>'
        yield (
            f'<text x="18" y="{middle}" text-anchor="middle" transform="rotate(-90 18 {middle})">'
            f"{escape(self.y.title)}</text>"
        )


def _visible(series: Series, x: Axis, y: Axis) -> Series:
    kept = [
        number
        for number, (across, up) in enumerate(series.points)
        if math.isfinite(across) and math.isfinite(up) and (not x.log or across > 0) and (not y.log or up > 0)
    ]
    return Series(
        series.name,
        [series.points[k] for k in kept],
        series.line,
        [series.labels[k] for k in kept] if series.labels else (),
        [series.spread[k] for k in kept] if series.spread else (),
    )


def _ends(series: Series, y: Axis) -> list[float]:
    return [end for ends in series.spread for end in ends if math.isfinite(end) and (not y.log or end > 0)]


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def _series(series: Series, colour: str, box: _Box) -> Iterable[str]:
    places = [box.at(*point) for point in series.points]
    if series.line:
        path = " ".join(f"{across:.1f},{up:.1f}" for across, up in places)
        yield f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{path}"/>'
        return
    for number, (across, up) in enumerate(places):
        if series.spread:
            ends = [max(end, 1e-300) if box.y.log else end for end in series.spread[number]]
            low, high = (min(max(box.at(series.points[number][0], end)[1], _TOP), _HEIGHT - _BOTTOM) for end in ends)
            yield f'<line x1="{across:.1f}" y1="{low:.1f}" x2="{across:.1f}" y2="{high:.1f}" stroke="{colour}"/>'
        yield f'<circle cx="{across:.1f}" cy="{up:.1f}" r="4" fill="{colour}"/>'
        if series.labels:
            yield f'<text x="{across + 7:.1f}" y="{up + 4:.1f}" font-size="10">{escape(series.labels[number])}</text>'
