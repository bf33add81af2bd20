"""A page is one file that nothing in a text can break out of."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpus.cli import cli
from corpus.page import extra, figures
from corpus.page.chart import bars, lines
from corpus.page.page import html, write_page
from corpus.page.parts import Example, Facts, Fold, Line, Page, Section, Table, Text

HOSTILE = "</script><script>alert(1)</script>\x00\u202e<img src=http://x.example/a.png onerror=alert(2)>"


def own(page: Page) -> str:
    """What a page has but the scripts of Vega."""
    return re.sub(r"<script>.{20000,}?</script>", "", html(page), flags=re.S)


def page(*parts: object) -> Page:
    """A page of one section."""
    return Page("Title & more", "Lead.", Facts([("documents", "1")]), [Section("one", "One", list(parts))], "Foot.")  # type: ignore[arg-type]  # parts of any kind


def test_texts_cannot_break_out() -> None:
    table = Table(HOSTILE, ("name", HOSTILE), [(HOSTILE, 3)])
    chart = bars(HOSTILE, HOSTILE, table, [{"name": HOSTILE, "value": 3}], name="name", value="value")
    found = own(
        page(
            Text(HOSTILE), table, chart, Fold(HOSTILE, [Example(HOSTILE, [Line(HOSTILE, "removed", HOSTILE)])], HOSTILE)
        )
    )
    assert "<script>alert" not in found and "<img" not in found and "\x00" not in found
    specs = re.search(r'<script type="application/json" id="specs">(.*?)</script>', found, re.S)
    assert specs is not None
    (spec,) = json.loads(specs.group(1))
    assert HOSTILE in json.dumps(spec, ensure_ascii=False).replace("\\u0000", "\x00")


def test_what_a_page_holds_is_in_it() -> None:
    table = Table("Numbers", ("name", "count", "share"), [("a", 12345, "1.0%"), ("b", None, "–")])
    chart = lines("Losses", "They fall.", table, [{"step": 1, "loss": 2.5}], along="step", value="loss")
    found = own(page(chart, Example("id", [Line("kept"), Line("gone", "removed", "why")])))
    assert found == own(page(chart, Example("id", [Line("kept"), Line("gone", "removed", "why")])))
    assert "12,345" in found and '<th scope="row">b</th>' in found and '<td class="n">–</td>' in found
    assert "Title &amp; more" in found and "<del>" in found and "why" in found
    assert "default-src &#39;none&#39;" in found or "default-src 'none'" in found
    assert re.search(r"<(script|link|img|iframe)[^>]+(src|href)=\"(?!data:)", found) is None
    assert "sourceMappingURL" not in html(page(chart))


def test_ends_of_lines_of_windows_are_no_controls() -> None:
    assert "\N{REPLACEMENT CHARACTER}" not in own(page(Example.of("an example", "one\r\ntwo\r\n")))


def test_without_charts_there_are_no_scripts_of_theirs() -> None:
    assert len(html(page(Text("a")))) < 30_000


def test_vega_lite_is_that_which_altair_writes_for() -> None:
    import altair

    given = re.search(r'"vega-lite": "(\d+)', Path("tools/vega_scripts.py").read_text(encoding="utf-8"))
    assert given is not None and int(given.group(1)) == int(altair.VEGALITE_VERSION.split(".")[0])
    assert version("altair")


def test_write_replaces(tmp_path: Path) -> None:
    path = tmp_path / "new" / "page.html"
    first = write_page(page(Text("first")), path)
    assert path.stat().st_size == first
    write_page(page(Text("second")), path)
    assert "second" in path.read_text(encoding="utf-8")
    assert [entry.name for entry in path.parent.iterdir()] == ["page.html"]


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (999_999, "1 MB"), (12_345_678, "12.3 MB")],
)
def test_size(number: int, said: str) -> None:
    assert figures.size(number) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.25, "0.25 s"), (59.97, "1 min 0 s"), (3661, "1 h 1 min"), (200_000, "2 d 7 h")]
)
def test_duration(seconds: float, said: str) -> None:
    assert figures.duration(seconds) == said


def test_altair_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra, "find_spec", lambda name: None)
    result = CliRunner().invoke(cli, ["report", str(tmp_path)])
    assert result.exit_code == 2
    assert "corpusmill[report]" in result.output
