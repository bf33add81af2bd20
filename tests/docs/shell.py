"""Runs the shell of a page of the documentation as it stands there, in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Container
from pathlib import Path

from tests.docs.command_lines import ROOT, fences, shell_lines

_PROGRAMS = {"corpus": '-c "from corpus.cli import main; main()"', "trainer": "-m trainer", "python": ""}
"""What stands for the installed programs."""


def page_lines(page: Path, kinds: Container[str] = ("sh", "bash", "", "console")) -> list[str]:
    """All lines of a page's blocks of shell, in order."""
    return [line for block in fences(page, kinds) for _, line in shell_lines(block)]


def run_line(line: str, folder: Path) -> str:
    """What a line prints, run in `folder` by this Python and the programs of this checkout; it must succeed."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PATH": f"{programs(folder)}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, errors="replace"
    )
    assert done.returncode == 0, f"{line}\nexit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout + done.stderr


def programs(folder: Path) -> Path:
    """A folder with `corpus`, `trainer` and `python` of this checkout."""
    place = folder / ".programs"
    if not place.exists():
        place.mkdir(parents=True)
        for name, call in _PROGRAMS.items():
            script = place / name
            script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {call} "$@"\n', encoding="utf-8")
            script.chmod(0o755)
    return place
