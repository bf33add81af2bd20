"""Files that speak of the project: the Dockerfile, the citation, the extras."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_dockerfile_is_linted() -> None:
    found = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run(
        [found, "--failure-threshold", "info", str(ROOT / "Dockerfile")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_the_image_gets_what_the_package_is_made_of() -> None:
    copied = set(re.findall(r"^COPY (\w+) \1$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE))
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[0] == "!"}
    packages = {path.parent.name for path in ROOT.glob("*/py.typed")}
    assert copied == packages and packages <= allowed
    assert {"pyproject.toml", "README.md", *("LICENSE", "NOTICE")} <= allowed


def test_the_citation_is_of_this_version() -> None:
    entry = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert entry["version"] == PROJECT["version"] and entry["license"] == PROJECT["license"]
    assert entry["cff-version"] and entry["title"] and entry["authors"]


def test_extras_are_those_that_the_docs_tell() -> None:
    extras = PROJECT["optional-dependencies"]
    assert {"train", "ray", "s3", "gcs", "wandb", "report", "eval", "dev"} <= set(extras)
    assert not [name for name in PROJECT["dependencies"] if name.startswith(("torch", "datasets", "ray", "altair"))]
    text = (ROOT / "docs/install.md").read_text(encoding="utf-8")
    assert [name for name in extras if f"`{name}`" not in text] == []
