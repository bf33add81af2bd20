"""Wheel and sdist, built and installed where nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command without this checkout on its path; its output."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist of the files that git knows."""
    place = tmp_path_factory.mktemp("packages")
    source = place / "source"
    for name in run("git", "ls-files", cwd=ROOT).splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    run(sys.executable, "-m", "build", "--outdir", place / "dist", source, cwd=place)
    return place / "dist"


def test_the_wheel_has_every_file_of_the_packages(built: Path) -> None:
    packages = ("corpus/", "corpusmill/", "pipelines/", "tokenizer/", "trainer/")
    files = {name for name in run("git", "ls-files", cwd=ROOT).splitlines() if name.startswith(packages)}
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == {name for name in files if (ROOT / name).is_file()}


@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_it_runs_in_a_clean_environment(built: Path, tmp_path: Path, kind: str) -> None:
    """Only the dependencies of a plain install: documents from raw text, and torch is asked for by name."""
    venv.create(tmp_path / "venv", with_pip=True)
    binaries = tmp_path / "venv/bin"
    run(binaries / "pip", "install", "--quiet", next(built.glob(kind)), cwd=tmp_path)
    assert "torch" not in run(binaries / "pip", "list", cwd=tmp_path)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/a.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n', encoding="utf-8")
    run(binaries / "corpus", "ingest", "jsonl", "raw", "-o", "docs", cwd=tmp_path)
    run(binaries / "corpus", "dedup", "docs", "--level", "document", "-o", "dedup", cwd=tmp_path)
    assert "1 datasets are as" in run(binaries / "corpus", "verify", "dedup", cwd=tmp_path)
    assert "domains:" in run(binaries / "corpus", "recipes", "llama", cwd=tmp_path)
    assert "optimizer.lr" in run(binaries / "trainer", "settings", "llama-7b", cwd=tmp_path)
    done = subprocess.run(
        [binaries / "trainer", "fit", "--data", "x", "--output", "y", "--model", "llama-tiny"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and "corpusmill[train]" in done.stderr
