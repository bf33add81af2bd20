"""The site of the documentation: built with warnings as errors, complete, and from nowhere but itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.command_lines import ROOT

pytest.importorskip("material", reason="mkdocs-material is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    place = tmp_path_factory.mktemp("site")
    # a warning ends a strict build with an exception that has it
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(place), strict=True))
    return place


def test_every_page_is_there_and_linked(site: Path) -> None:
    first = (site / "index.html").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").with_suffix(".html").as_posix()
        assert (site / name).is_file(), name
        assert name == "index.html" or f'href="{name}"' in first, f"{name} is not in the navigation"


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    loading = re.compile(r"<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href)=\"((?:https?:)?//[^\"]+)")
    for page in site.rglob("*.html"):
        found = loading.findall(page.read_text(encoding="utf-8"))
        assert not found, f"{page.name} loads {found}"


def test_lists_after_a_paragraph_are_lists(site: Path) -> None:
    text = (site / "architecture.html").read_text(encoding="utf-8")
    assert re.search(r"<li>(<p>)?<code>deal</code> \(a rank", text)
