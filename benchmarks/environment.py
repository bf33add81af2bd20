"""Virtual environments of the benchmarks' own: peers never share packages with us."""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path("out/benchmarks/environments")


def environment(name: str, packages: Sequence[str], without_dependencies: Sequence[str] = ()) -> Path:
    """The Python of a virtual environment with these packages (pip's specifiers); made on first use, then kept.

    Raises CalledProcessError where pip cannot install them.
    """
    folder = (FOLDER / name).resolve()
    python = folder / "bin" / "python"
    wanted = "\n".join([*packages, "--no-deps", *without_dependencies])
    mark = folder / "installed.txt"
    if mark.exists() and mark.read_text(encoding="utf-8") == wanted:
        return python
    venv.EnvBuilder(clear=True, with_pip=True).create(folder)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if packages:
        subprocess.run([*pip, *packages], check=True, stdout=sys.stderr)
    if without_dependencies:
        subprocess.run([*pip, "--no-deps", *without_dependencies], check=True, stdout=sys.stderr)
    mark.write_text(wanted, encoding="utf-8")
    return python


def installed(python: Path, package: str) -> str:
    """`package version` of what an environment holds."""
    code = f"import importlib.metadata as m; print({package!r}, m.version({package!r}))"
    return subprocess.run([str(python), "-c", code], check=True, capture_output=True, text=True).stdout.strip()
