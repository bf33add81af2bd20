"""Recipe web-to-c4: pages of a crawl by C4's rules, in the order of its code."""

from __future__ import annotations

from hashlib import md5
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from corpus.cli import cli
from corpus.data.dataset import Dataset
from corpus.dedup.url import c4_url
from corpus.engine.runner import RunOptions, run_stage
from pipelines.recipes.recipe import load_recipe
from pipelines.recipes.steps import RecipeRun
from tests.corpus.dedup.lines_twin import lower, twin_dedup

WET = "commoncrawl/derived_pages.warc.wet.gz"
STEPS = ["00-ingest", "01-filter", "02-dedup+filter", "03-dedup+filter+langid"]


@pytest.fixture
def raw(samples: Path, tmp_path: Path) -> Path:
    """A folder of raw files with a WET file in which a page stands twice."""
    folder = tmp_path / "raw/commoncrawl"
    folder.mkdir(parents=True)
    (folder / "a.warc.wet.gz").symlink_to(samples / WET)
    (folder / "b.warc.wet.gz").symlink_to(samples / WET)
    return tmp_path / "raw"


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [row for batch in Dataset.open(folder, "documents").batches() for row in batch.to_pylist()]


def check(documents: Path) -> int:
    """Compare the documents of the steps with the twins; how many are left."""
    before, cleaned, after = (rows_of(documents / name) for name in STEPS[1:])
    urls = {c4_url(row["url"]) for row in before}
    assert len(cleaned) <= len(urls) == len(before) // 2
    assert all(line[-1:] in '.?!"' and len(line.split()) >= 5 for row in cleaned for line in row["text"].split("\n"))
    ranks = [md5(c4_url(row["url"]).encode()).hexdigest() for row in cleaned]
    assert len(set(ranks)) == len(cleaned)
    twin = twin_dedup([row["text"] for row in cleaned], lower, "url", ranks=ranks)
    wanted = {row["id"]: document for row, document in zip(cleaned, twin, strict=True)}
    assert sum(document.duplicates for document in twin) > 0
    for row in after:
        assert row["text"] == wanted[row["id"]].text and row["language"] == "en"
    lines = [line.lower() for row in after for line in row["text"].split("\n")]
    assert len(lines) == len(set(lines))
    return len(after)


def test_each_step_on_some_pages(raw: Path, tmp_path: Path) -> None:
    recipe = load_recipe("web-to-c4").model_copy(update={"limit": 30})
    for step in RecipeRun(recipe, raw, tmp_path / "out").steps():
        if not step.output.startswith("documents/c4/0") or step.output.endswith("train"):
            break
        run_stage(step.make(), tmp_path / "out" / step.output, RunOptions(quiet=True))
    assert check(tmp_path / "out/documents/c4") > 3


@pytest.mark.slow
def test_the_whole_recipe_on_the_sample(raw: Path, tmp_path: Path) -> None:
    command = [
        "run",
        "web-to-c4",
        "--input",
        str(raw),
        "--output",
        str(tmp_path / "out"),
        "--vocab-size",
        "400",
        "--quiet",
    ]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0, result.output
    assert check(tmp_path / "out/documents/c4") > 100
    assert Dataset.open(tmp_path / "out/packed", "packed").manifest.totals["tokens"] > 100_000
