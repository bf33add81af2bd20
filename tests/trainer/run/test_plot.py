"""The loss curve: a whole drawing, points where they belong, and what cannot be drawn."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from corpus.errors import DataError, UsageError
from trainer.config.config import FORMAT
from trainer.run.metrics import metrics_line
from trainer.run.plot import HEIGHT, LEFT, RIGHT, TOP, WIDTH, draw, plot

SVG = "{http://www.w3.org/2000/svg}"


def make_run(path: Path, steps: int) -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"kind": "run", "format": FORMAT, "name": "llama <tiny>"}))
    records = [{"kind": "train", "step": n, "tokens": 1000 * n, "loss": 2 + 8 / n} for n in range(1, steps + 1)]
    records.append({"kind": "validation", "step": steps, "loss": 2.5})
    (path / "metrics.jsonl").write_text("".join(map(metrics_line, records)))
    return path


def test_the_drawing_of_a_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", 3000)
    plot(run, tmp_path / "new" / "loss.svg")
    text = (tmp_path / "new" / "loss.svg").read_text()
    root = ElementTree.fromstring(text)
    lines = root.findall(f"{SVG}polyline")
    assert len(lines) == 2
    for line in lines:
        points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
        assert 500 <= len(points) <= 600
        assert all(LEFT <= x <= WIDTH - RIGHT for x, _ in points)
        assert [x for x, _ in points] == sorted(x for x, _ in points)
        assert points[0][1] < points[-1][1] < HEIGHT  # the loss falls: further down
    circles = root.findall(f"{SVG}circle")
    assert [float(circle.attrib["cx"]) for circle in circles[:1]] == [WIDTH - RIGHT]
    assert "llama &lt;tiny&gt;" in text
    labels = [element.text for element in root.findall(f"{SVG}text")]
    assert "3M" in labels and "2.5M" in labels
    plot(run, tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_text() == text


@pytest.mark.parametrize("losses", [[5.0, 5.0], [10.0, 9.0, 1e30, 8.0] + [7.0] * 999, [1e-9, 2e-9]])
def test_odd_curves_stay_in_the_frame(losses: list[float]) -> None:
    root = ElementTree.fromstring(draw("x", [(n + 1.0, loss) for n, loss in enumerate(losses)], []))
    smooth = root.findall(f"{SVG}polyline")[1].attrib["points"].split()
    assert all(math.isfinite(float(number)) for point in smooth for number in point.split(","))
    ticks = [element for element in root.findall(f"{SVG}text") if element.attrib.get("text-anchor") == "end"]
    assert 2 <= len(ticks) <= 12
    assert float(smooth[-1].split(",")[1]) >= TOP


def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no two steps"):
        plot(make_run(tmp_path / "short", 1), tmp_path / "x.svg")
    with pytest.raises(UsageError, match="is not a run"):
        plot(tmp_path / "nowhere", tmp_path / "x.svg")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        plot(make_run(tmp_path / "run", 3), tmp_path / "file" / "x.svg")
