"""docs/tutorial.md, run from its first line to its last."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.command_lines import ROOT
from tests.docs.shell import page_lines, run_line

LINES = page_lines(ROOT / "docs/tutorial.md")
INSTALL = ("python3 -m venv", ". .venv", "pip install")
"""Of what the tests run with."""
FEWER = {"--steps 400": "--steps 30"}
"""The model need not become good."""


def test_every_line_is_a_command_of_ours_or_the_install() -> None:
    assert len(LINES) > 25
    assert not [line for line in LINES if not line.startswith((*INSTALL, "corpus ", "trainer ", "python -m demo."))]


def test_the_install_has_what_the_page_needs() -> None:
    """torch is of the extra `train`, the charts of the report of `report`."""
    (install,) = (line for line in LINES if line.startswith("pip install"))
    assert "[train,report]" in install


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_tutorial_runs(tmp_path: Path) -> None:
    said = {}
    for line in LINES:
        if line.startswith(INSTALL):
            continue
        for long, short in FEWER.items():
            line = line.replace(long, short)
        said[line] = run_line(line, tmp_path)
    silent = [line for line, text in said.items() if not text.strip() and not line.startswith("trainer plot")]
    assert not silent, "these lines print nothing to read"
    inspected = next(text for line, text in said.items() if "--quarantined" in line)
    assert "UTF-8" in inspected or "JSON" in inspected
