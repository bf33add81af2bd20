"""The site of the documentation: built with warnings as errors, complete, and from nowhere but itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.command_lines import ROOT

pytest.importorskip("material", reason="mkdocs-material is not installed")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    place = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(place)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
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
