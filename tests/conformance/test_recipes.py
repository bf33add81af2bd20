"""Every packaged recipe on the samples, from raw folders to packed sets, and its table beside the paper's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from corpus.data.manifest import Manifest
from corpus.engine.runner import RunOptions
from pipelines.recipes.recipe import load_recipe
from pipelines.recipes.run import run_recipe
from pipelines.recipes.steps import RecipeRun
from pipelines.recipes.summary import summarize
from tests.pipelines.recipes.test_packaged import NAMES

DOMAINS = ("commoncrawl", "c4", "wikipedia", "books", "stackexchange", "news", "conversations")
SOURCES = ("attrs==24.2.0", "click==8.1.7", "requests==2.32.3", "tomli==2.0.1", "Unidecode==1.3.8")


@pytest.fixture(scope="module")
def raw(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for each domain; github's are source distributions of the package index, and it is left out if one of them
    cannot be downloaded."""
    folder = tmp_path_factory.mktemp("raw")
    for domain in DOMAINS:
        (folder / domain).symlink_to(samples / domain)
    (folder / "arxiv").mkdir()
    for tar in (samples / "arxiv").glob("*.tar"):
        (folder / "arxiv" / tar.name).symlink_to(tar)
    (folder / "github").mkdir()
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--no-binary",
        ":all:",
        "-d",
        str(folder / "github"),
    ]
    for source in SOURCES:
        if subprocess.run([*command, source], capture_output=True, check=False).returncode:
            shutil.rmtree(folder / "github")
            break
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_on_the_samples(name: str, raw: Path, tmp_path: Path) -> None:
    recipe = load_recipe(name, {"tokenizer": {"vocab_size": 8_000}})
    run = RecipeRun(recipe, raw, tmp_path / "out", allow_missing=True)
    run_recipe(run, RunOptions(quiet=True))
    table = Manifest.load(tmp_path / "out/packed").extra["mixture"]["domains"]
    there = {line["domain"]: line for line in table}
    lacking = {"knowledge_bases", "prompts", "other"} if name == "galactica" else set()
    if not (raw / "github").exists():
        lacking |= {domain for domain in recipe.domains if recipe.folder(raw, domain) == raw / "github"}
    assert set(there) == set(recipe.domains) - lacking
    epochs = {weight.domain: float(weight.epochs) for weight in recipe.weights().weights if weight.epochs}
    for domain, line in there.items():
        assert line["unique_tokens"] > 0
        if domain in epochs:
            assert float(line["realised_epochs"]) == pytest.approx(epochs[domain], rel=0.1), domain
    assert all(domain in summarize(tmp_path / "out") for domain in there)
