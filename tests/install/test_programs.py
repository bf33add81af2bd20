"""The programs in an environment that is not as it should be: other projects' packages, libraries that are not there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BARE = (
    "import sys\n"
    "for name in ('torch', 'safetensors', 'datasets', 'altair', 'ray', 'wandb', 's3fs', 'gcsfs', 'lm_eval', 'datatrove',"
    " 'huggingface_hub', 'pandas', 'scipy', 'svglib', 'pypdfium2', 'fasttext', 'psutil'):\n"
    "    sys.modules[name] = None\n"
)
"""What no plain install brings is not there."""


def run(program: str, *arguments: str, before: str = "", path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program of this checkout; packages in `path` come first."""
    code = f"{before}import sys\nsys.argv[0] = '{program}'\nfrom corpusmill.programs import {program}\n{program}()"
    places = os.pathsep.join(map(str, filter(None, (path, ROOT))))
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": places},
    )


def test_ours_are_ours() -> None:
    done = run("corpus", "--version")
    assert done.returncode == 0 and "corpusmill" in done.stdout, done.stderr


@pytest.mark.parametrize(("program", "name"), [("trainer", "tokenizer")])
def test_another_project_in_the_place_of_ours_is_said(tmp_path: Path, program: str, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text('"""Another project."""\n', encoding="utf-8")
    done = run(program, "--help", path=tmp_path)
    said = done.stderr.splitlines()
    assert done.returncode == 1 and done.stdout == "" and len(said) == 1, done.stderr
    assert f"{tmp_path / name} is of another project and stands in the place of corpusmill's package {name}" in said[0]
    assert "out of PYTHONPATH" in said[0] and "docs/install.md" in said[0]
    record = tmp_path / "elsewhere-1.2.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.2\n", encoding="utf-8")
    (record / "top_level.txt").write_text(f"{name}\n", encoding="utf-8")
    assert "pip uninstall elsewhere, then pip install --force-reinstall" in run(program, path=tmp_path).stderr


def test_a_module_in_the_place_of_a_package_is_said(tmp_path: Path) -> None:
    (tmp_path / "trainer.py").write_text("", encoding="utf-8")
    done = run("corpus", "status", "x", path=tmp_path)
    assert done.returncode == 1 and "package trainer of corpusmill is missing" in done.stderr
    assert str(tmp_path / "trainer.py") in done.stderr


def test_torch_is_asked_for_by_name(tmp_path: Path) -> None:
    done = run("trainer", "fit", "--data", "x", "--output", "y", "--model", "llama-tiny", before=BARE)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "needs torch, which is not installed: pip install 'corpusmill[train]'" in done.stderr
    planned = run("trainer", "plan", "--compute", "1e20", before=BARE)
    assert planned.returncode == 0 and "FSDP" in planned.stdout, planned.stderr


@pytest.mark.slow
def test_commands_work_without_what_they_do_not_use(tmp_path: Path) -> None:
    """All of `corpus` is imported, and a recipe is planned, where only the dependencies of a plain install are there."""
    (tmp_path / "raw/mine").mkdir(parents=True)
    (tmp_path / "raw/mine/a.jsonl").write_text('{"text": "a"}\n', encoding="utf-8")
    code = BARE + (
        "from click.testing import CliRunner\nfrom corpus.cli import COMMANDS, cli\n"
        "for name in COMMANDS:\n"
        "    shown = CliRunner().invoke(cli, [name, '--help'])\n"
        "    assert shown.exit_code == 0, (name, shown.output, shown.exception)\n"
        f"made = CliRunner().invoke(cli, ['init', {str(tmp_path / 'r.yaml')!r}])\n"
        f"plan = CliRunner().invoke(cli, ['run', {str(tmp_path / 'r.yaml')!r}, '--input', {str(tmp_path / 'raw')!r},"
        f" '-o', {str(tmp_path / 'out')!r}, '--dry-run'])\n"
        "assert plan.exit_code == 0, (plan.output, plan.exception)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
