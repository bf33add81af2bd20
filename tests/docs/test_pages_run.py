"""The commands of README and of the how-tos run, one by one in their order, on small samples."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.command_lines import PAGES, ROOT, fences
from tests.docs.shell import page_lines, run_line
from tests.docs.small import HOWTOS, README, Page, shrunk

pytestmark = pytest.mark.xdist_group("docs")
_COMMAND = re.compile(r"(corpus|trainer|cp|mkdir|sed) ")


def lines_of(path: Path, page: Page) -> Iterator[str]:
    """The commands of a page as they are run; those that are left out are not among them."""
    for line in page_lines(path):
        line = re.split(r"\s+# ", line)[0]
        if _COMMAND.match(line) and not any(key in line for key in page.left_out):
            for words, others in page.instead.items():
                line = line.replace(words, others)
            yield shrunk(line)


def run_page(path: Path, page: Page, folder: Path) -> None:
    """Set a page up and run it: its files (blocks that begin with `# NAME`), what is prepared for it, and its commands."""
    for block in fences(path, ("yaml",)):
        if name := re.match(r"# (\S+\.yaml)\n", block):
            (folder / name[1]).write_text(block, encoding="utf-8")
    for line in page.setup:
        run_line(line, folder)
    for line in lines_of(path, page):
        run_line(line, folder)


WITH_COMMANDS = [
    path.name
    for path in PAGES
    if path.name != "tutorial.md" and any(line.startswith(("corpus ", "trainer ")) for line in page_lines(path))
]
"""All pages with commands to type but the tutorial, which has a test of its own."""


def test_what_is_prepared_is_of_a_page() -> None:
    assert set(HOWTOS) <= set(WITH_COMMANDS)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which all commands of README were run, and whose OUT is as it was before `corpus clean`."""
    folder = tmp_path_factory.mktemp("shop")
    for line in README.setup:
        run_line(line, folder)
    for line in lines_of(ROOT / "README.md", README):
        if line.startswith("corpus clean"):
            shutil.copytree(folder / "OUT", folder / "whole")
        run_line(line, folder)
    shutil.rmtree(folder / "OUT")
    (folder / "whole").rename(folder / "OUT")
    return folder


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_readme(shop: Path) -> None:
    for name in ("OUT/packed", "RUN", "MODEL", "CHAT/packed", "TUNED", "packed", "data/mine"):
        assert any((shop / name).iterdir()), name


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", WITH_COMMANDS)
def test_howto(shop: Path, name: str, tmp_path: Path) -> None:
    folder = tmp_path / "place"
    shutil.copytree(shop, folder, symlinks=True)
    run_page(ROOT / "docs" / name, HOWTOS.get(name, Page()), folder)
