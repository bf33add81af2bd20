"""The section `validation`: no domain trains on what another validates on, and figures say what they rest on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from corpus.data.dataset import Dataset
from corpus.data.manifest import Manifest
from corpus.engine.runner import RunOptions
from corpus.errors import UsageError
from corpus.heldout.report import report_lines
from pipelines.recipes.recipe import choice_config, load_recipe
from pipelines.recipes.run import run_recipe
from pipelines.recipes.steps import RecipeRun
from pipelines.recipes.summary import summarize
from tests.raw import RECIPE, write_raw


def texts(output: Path) -> list[str]:
    return [text for batch in Dataset.open(output).batches(["text"]) for text in batch["text"].to_pylist()]


def recipe(tmp_path: Path, section: str) -> str:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.replace("validation: {fraction: 0.02}", f"validation: {section}"), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("overlap", ["exact", "near"])
def test_domains_of_the_same_texts(tmp_path: Path, overlap: str) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    write_raw(raw, documents=80, files=1)
    shutil.rmtree(raw / "books")
    shutil.copytree(raw / "wikipedia", raw / "books")
    name = recipe(tmp_path, f"{{fraction: 0.02, min_documents: 4, overlap: {overlap}}}")
    run_recipe(RecipeRun(load_recipe(name), raw, out), RunOptions(quiet=True))
    last = {"commoncrawl": 2, "wikipedia": 2, "books": 2}
    trained = {text for domain, at in last.items() for text in texts(out / f"documents/{domain}/{at:02d}-train")}
    for domain, at in last.items():
        validation = texts(out / f"documents/{domain}/{at + 1:02d}-validation")
        assert len(validation) >= 4 and not set(validation) & trained
        assert Manifest.load(out / f"validation/{domain}").extra["min_documents"] == 4
    choice = Manifest.load(out / "validation-choice")
    assert {row["domain"] for row in choice.extra["validation"]} == set(last)
    said = summarize(out)
    rows = {line.split()[0]: line for line in said.splitlines() if line}
    for domain, at in last.items():
        assert "to training" in rows[f"{domain}/{at + 1:02d}-validation"]
        assert "to validation" in rows[f"{domain}/{at:02d}-train"]
    assert "set aside" in said and "given share" in said and "paper" not in said
    assert all(line in said for line in report_lines(choice))


def test_the_fields_are_those_of_split(tmp_path: Path) -> None:
    name = recipe(
        tmp_path,
        "{fraction: 0.01, overlap: near, near_overlap: 80%, line_overlap: 0.4, min_documents: 1K, min_tokens: 2K,"
        " max_share_of_one_document: 0.1, seed: 3}",
    )
    config = choice_config(load_recipe(name))
    assert (config.min_documents, config.min_bytes, config.seed) == (1000, 32_000, 3)
    assert (str(config.lines), str(config.near), str(config.wanted.share)) == ("2/5", "4/5", "1/10")
    plain = choice_config(load_recipe(recipe(tmp_path, "{}")))
    assert (plain.overlap, plain.min_bytes, plain.min_documents) == ("lines", 16 * 33, 10)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("{overlap: line}", "validation.overlap"),
        ("{overlap: lines, near_overlap: 75%}", "--near-overlap is of no use with --overlap lines"),
        ("{max_share_of_one_document: 2}", "is no part of a text"),
        ("{max_share_of_one_document: 0}", "leaves no document for validation"),
        ("{min_documents: 0}", "validation.min_documents"),
        ("{min_document: 3}", "did you mean 'min_documents'"),
    ],
)
def test_settings_that_make_no_sense(tmp_path: Path, section: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        load_recipe(recipe(tmp_path, section))
