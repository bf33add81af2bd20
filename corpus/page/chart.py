"""Charts of a page by altair. Width and colours are the page's: specifications name neither."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from corpus.page.parts import Chart, Table

Row = Mapping[str, Any]
_STEP, _NARROW_STEP = 20, 10
_HEIGHT = 260


def bars(
    title: str,
    says: str,
    table: Table,
    rows: Sequence[Row],
    *,
    name: str,
    value: str,
    part: str = "",
    parts: Sequence[str] = (),
    share: bool = False,
    grouped: bool = False,
    format: str = "",
) -> Chart:
    """Horizontal bars, one for each `name` in the order of the rows, made up of or (`grouped`) next to one another for each
    `part`, whose order and colours are those of `parts`. `share`: as parts of the whole bar."""
    axis = _axis(rows, value, ".0%" if share else format)
    encoding: dict[str, Any] = {
        "y": alt.Y(field=name, type="nominal", sort=None, title=None, axis=alt.Axis(domain=False, ticks=False)),
        "x": alt.X(
            field=value,
            type="quantitative",
            title=f"share of {value}" if share else value,
            axis=axis,
            stack="normalize" if share else (None if grouped else "zero"),
        ),
        "tooltip": [alt.Tooltip(field=key, type=_type(rows, key), format=_format(rows, key)) for key in _keys(rows)],
    }
    if part:
        scale = alt.Scale(domain=list(parts)) if parts else alt.Undefined
        encoding["color"] = alt.Color(field=part, type="nominal", sort=None, scale=scale)
        if grouped:
            encoding["yOffset"] = alt.YOffset(field=part, type="nominal", sort=list(parts) or None)
        else:
            encoding["order"] = alt.Order(field="order", type="quantitative")
            rows = [{**row, "order": list(parts).index(row[part]) if parts else 0} for row in rows]
    step = _NARROW_STEP if grouped else _STEP  # grouped: of each part
    chart = alt.Chart(alt.InlineData(values=list(rows))).mark_bar().encode(**encoding)
    return Chart(title, says, _spec(chart.properties(height=alt.Step(step))), table)


def lines(
    title: str,
    says: str,
    table: Table,
    rows: Sequence[Row],
    *,
    along: str,
    value: str,
    part: str = "",
    log: bool = False,
    points: bool = False,
    marks: Sequence[Row] = (),
    format: str = "",
) -> Chart:
    """Lines over numbers `along`, one for each `part`. `marks` are upright lines, each at a number `along`, with a `label`."""
    scale = alt.Scale(type="log", nice=False) if log else alt.Scale(zero=False)
    encoding: dict[str, Any] = {
        "x": alt.X(field=along, type="quantitative", title=along, axis=_axis(rows, along, grid=False)),
        "y": alt.Y(field=value, type="quantitative", title=value, scale=scale, axis=_axis(rows, value, format)),
        "tooltip": [alt.Tooltip(field=key, type=_type(rows, key), format=_format(rows, key)) for key in _keys(rows)],
    }
    if part:
        encoding["color"] = alt.Color(field=part, type="nominal", sort=None, legend=alt.Legend(symbolType="stroke"))
    data = alt.InlineData(values=list(rows))
    mark = alt.Chart(data).mark_line(point=True) if points else alt.Chart(data).mark_line()
    return Chart(title, says, _marked(mark.encode(**encoding), along, marks), table)


def distribution(
    title: str,
    says: str,
    table: Table,
    rows: Sequence[Row],
    *,
    value: str,
    part: str = "",
    log: bool = False,
    cuts: Sequence[Row] = (),
) -> Chart:
    """Of how many documents a number is between `begin` and `end`, stacked by `part`; `cuts` as the marks of `lines`."""
    shown = [{"begin": row["begin"], "end": row["end"], **row} for row in rows]
    scale = alt.Scale(type="log", nice=False) if log else alt.Scale(zero=False, nice=False)
    encoding: dict[str, Any] = {
        "x": alt.X(field="begin", type="quantitative", title=value, scale=scale, axis=_axis(shown, "end", grid=False)),
        "x2": alt.X2(field="end"),
        "y": alt.Y(field="documents", type="quantitative", stack="zero", axis=_axis(shown, "documents")),
        "tooltip": [alt.Tooltip(field=key, type=_type(shown, key), format=_format(shown, key)) for key in _keys(shown)],
    }
    if part:
        encoding["color"] = alt.Color(field=part, type="nominal", sort=None)
    chart = alt.Chart(alt.InlineData(values=shown)).mark_bar(orient="vertical", binSpacing=0.5).encode(**encoding)
    return Chart(title, says, _marked(chart, "begin", cuts), table)


def dots(
    title: str, says: str, table: Table, rows: Sequence[Row], *, name: str, value: str, part: str, format: str = ""
) -> Chart:
    """A point for each row, in the line of its `name`, coloured by `part`."""
    encoding: dict[str, Any] = {
        "y": alt.Y(field=name, type="nominal", sort=None, title=None, axis=alt.Axis(grid=True)),
        "x": alt.X(
            field=value, type="quantitative", title=value, scale=alt.Scale(zero=False), axis=_axis(rows, value, format)
        ),
        "color": alt.Color(field=part, type="nominal", sort=None),
        "tooltip": [alt.Tooltip(field=key, type=_type(rows, key), format=_format(rows, key)) for key in _keys(rows)],
    }
    chart = alt.Chart(alt.InlineData(values=list(rows))).mark_point(opacity=0.9).encode(**encoding)
    return Chart(title, says, _spec(chart.properties(height=alt.Step(_STEP + 4))), table)


def _marked(chart: alt.Chart, along: str, marks: Sequence[Row]) -> Mapping[str, Any]:
    """The specification of a chart with upright lines."""
    if not marks:
        return _spec(chart.properties(height=_HEIGHT))
    data = alt.InlineData(values=[{along: mark[along], "label": mark["label"]} for mark in marks])
    place = alt.X(field=along, type="quantitative")
    tip = alt.Tooltip(field="label", type="nominal")
    rules = alt.Chart(data).mark_rule(strokeDash=[4, 3], size=1.5).encode(x=place, tooltip=tip)
    layers = [chart, rules]
    if len(marks) <= 4:
        words = alt.Chart(data).mark_text(align="left", dx=4, baseline="top")
        layers.append(words.encode(x=place, y=alt.value(2), text=alt.Text(field="label", type="nominal")))
    return _spec(alt.layer(*layers).properties(height=_HEIGHT))


def _spec(chart: Any) -> Mapping[str, Any]:
    spec: dict[str, Any] = chart.to_dict()
    spec.pop("config", None)  # the page has its own
    return spec


def _axis(rows: Sequence[Row], key: str, format: str = "", **more: Any) -> alt.Axis:
    """An axis whose numbers are written so that they can be told apart: 12,500 or 1.2M, 0.25; of whole numbers no parts."""
    values = [row[key] for row in rows if row.get(key) is not None]
    if not format and all(isinstance(value, int) for value in values):
        more["tickMinStep"] = 1
    most = max((abs(value) for value in values), default=0)
    return alt.Axis(format=format or ("~s" if most >= 100_000 else ",.6~g"), **more)


def _keys(rows: Sequence[Row]) -> list[str]:
    return [key for key in (rows[0] if rows else ()) if key != "order"]


def _type(rows: Sequence[Row], key: str) -> Any:
    """Of a column of texts or numbers."""
    return (
        "nominal"
        if isinstance(next((row[key] for row in rows if row.get(key) is not None), ""), str)
        else "quantitative"
    )


def _format(rows: Sequence[Row], key: str) -> Any:
    if _type(rows, key) == "nominal":
        return alt.Undefined
    return "," if all(isinstance(row.get(key), int) for row in rows) else ",.4~g"
