"""Drawings as SVG, PDF and PNG."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from corpus.errors import DataError, UsageError
from trainer.run.picture import write_picture
from trainer.run.plot import draw
from trainer.science.chart import Axis, Series
from trainer.science.chart import draw as draw_chart

SVG = draw("tiny", [(1e3 * step, 9.0 - step) for step in range(1, 6)], [(2e3, 8.5)])


def test_the_ending_is_the_kind(tmp_path: Path) -> None:
    for name in ("loss.svg", "new/loss.PDF", "loss.png"):
        write_picture(tmp_path / name, SVG)
    assert (tmp_path / "loss.svg").read_text(encoding="utf-8") == SVG
    assert (tmp_path / "new/loss.PDF").read_bytes().startswith(b"%PDF-")
    from PIL import Image

    with Image.open(tmp_path / "loss.png") as picture:
        assert picture.format == "PNG" and picture.size[0] > 1000
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20) or []}
        # running mean and validation, which are drawn last
        assert {(0x1F, 0x5F, 0xA8), (0xD9, 0x54, 0x1E)} <= colours
    assert not list(tmp_path.glob(".*"))


def test_charts_of_laws_too(tmp_path: Path) -> None:
    draw_chart(
        tmp_path / "law.png", "law", Axis("compute", True), Axis("loss"), [Series("runs", [(1e9, 3.0), (1e12, 2.0)])]
    )
    assert (tmp_path / "law.png").read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_drawn_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"ends in none of \.svg, \.pdf, \.png"):
        write_picture(tmp_path / "loss.jpg", SVG)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be written"):
        write_picture(tmp_path / "file" / "loss.svg", SVG)
    monkeypatch.setitem(sys.modules, "svglib.svglib", None)
    with pytest.raises(UsageError, match=r"corpusmill\[report\].*ends in \.svg"):
        write_picture(tmp_path / "loss.pdf", SVG)
    write_picture(tmp_path / "loss.svg", SVG)
