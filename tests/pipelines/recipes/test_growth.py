"""A run goes on over raw files that came later: equal to one over all of them, and what did not change is not done again."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpus.cli import cli
from corpus.data.files import checksum
from corpus.data.manifest import RESULTS
from corpus.data.verify import find_datasets, verify_dataset
from corpus.engine.runner import RunOptions
from corpus.errors import UsageError
from pipelines.recipes.recipe import load_recipe
from pipelines.recipes.run import run_recipe
from pipelines.recipes.steps import RecipeRun
from tests.raw import RECIPE, write_raw

QUIET = RunOptions(quiet=True)
DOMAINS = ("commoncrawl", "wikipedia", "books")


@pytest.fixture(autouse=True)
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raw files of this size make several groups."""
    monkeypatch.setattr("corpus.ingest.groups._GROUP_BYTES", 20_000)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def run(recipe: Path, raw: Path, out: Path, options: RunOptions = QUIET, retrain: tuple[str, ...] = ()) -> None:
    run_recipe(RecipeRun(load_recipe(str(recipe)), raw, out, retrain=retrain), options)


def fresh(recipe: Path, raw: Path, out: Path, tokenizer: Path) -> None:
    """A run over all raw files at once, with the tokenizer of another."""
    text = recipe.read_text(encoding="utf-8").replace(
        "tokenizer: {preset: llama, vocab_size: 500}", f"tokenizer: {{path: {tokenizer}}}"
    )
    assert str(tokenizer) in text
    other = recipe.with_name("fresh.yaml")
    other.write_text(text, encoding="utf-8")
    run(other, raw, out)


def content(out: Path) -> dict[str, str]:
    """All files of all datasets but the tokenizer's."""
    return {
        path.relative_to(out).as_posix(): checksum(path)
        for dataset in find_datasets(out)
        for path in dataset.rglob("*")
        if path.is_file() and "_log" not in path.parts and dataset.name != "tokenizer"
    }


def hold_back(raw: Path, aside: Path, names: list[str]) -> None:
    for domain in DOMAINS:
        (aside / domain).mkdir(parents=True)
        for name in names:
            shutil.move(raw / domain / name, aside / domain / name)


@pytest.mark.parametrize("seed", [pytest.param(seed, marks=pytest.mark.slow) for seed in range(3)])
def test_files_that_come_in_any_order(tmp_path: Path, recipe: Path, seed: int) -> None:
    raw, out, aside = tmp_path / "raw", tmp_path / "out", tmp_path / "aside"
    write_raw(raw, documents=50, files=6)
    held = ["2.jsonl", "4.jsonl", "5.jsonl"]
    hold_back(raw, aside, held)
    run(recipe, raw, out)
    rng = random.Random(seed)
    files = [(domain, name) for domain in DOMAINS for name in held]
    rng.shuffle(files)
    for count in (1, 3, len(files)):
        while files and count:
            domain, name = files.pop()
            shutil.move(aside / domain / name, raw / domain / name)
            count -= 1
        run(recipe, raw, out, RunOptions(quiet=True, workers=rng.randint(1, 2)))
    fresh(recipe, raw, tmp_path / "fresh", out / "tokenizer")
    assert content(out) == content(tmp_path / "fresh")
    for dataset in find_datasets(out):
        assert verify_dataset(dataset).problems == [], dataset


def test_what_did_not_change_is_not_done_again(
    tmp_path: Path, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, out, aside = tmp_path / "raw", tmp_path / "out", tmp_path / "aside"
    write_raw(raw, documents=60, files=8)
    hold_back(raw, aside, ["7.jsonl"])
    run(recipe, raw, out)
    shutil.move(aside / "wikipedia/7.jsonl", raw / "wikipedia/7.jsonl")
    state = CliRunner().invoke(cli, ["status", str(out)])
    assert "wikipedia: raw files 1 new (7.jsonl): a rerun does again what depends on them" in state.output
    assert "nothing" not in state.output
    capsys.readouterr()
    run(recipe, raw, out, RunOptions())
    said = capsys.readouterr().err
    assert "tokenizer is kept, though its texts have changed" in said
    places = [line.partition("] ")[2].partition(":")[0] for line in said.splitlines() if "are as they were" in line]
    # a filter and a tokenizer see the groups of the raw files that no new one came to
    assert {"documents/wikipedia/00-ingest", "documents/wikipedia/01-filter", "tokens/wikipedia"} <= set(places)
    assert "documents/books/00-ingest" not in said, "all of it was found done"
    assert CliRunner().invoke(cli, ["status", str(out)]).output.endswith("a rerun would do nothing\n")
    fresh(recipe, raw, tmp_path / "fresh", out / "tokenizer")
    assert content(out) == content(tmp_path / "fresh")


@pytest.mark.slow
def test_a_damaged_or_lost_result_is_made_again(tmp_path: Path, recipe: Path) -> None:
    raw, out, aside = tmp_path / "raw", tmp_path / "out", tmp_path / "aside"
    write_raw(raw, documents=60, files=8)
    hold_back(raw, aside, ["7.jsonl"])
    run(recipe, raw, out)
    kept = sorted((out / "documents/wikipedia/00-ingest" / RESULTS).rglob("*.parquet"))
    data = bytearray(kept[0].read_bytes())
    data[len(data) // 2] ^= 1
    kept[0].write_bytes(data)
    shutil.rmtree(out / "documents/wikipedia/01-filter" / RESULTS)
    shutil.move(aside / "wikipedia/7.jsonl", raw / "wikipedia/7.jsonl")
    run(recipe, raw, out)
    fresh(recipe, raw, tmp_path / "fresh", out / "tokenizer")
    assert content(out) == content(tmp_path / "fresh")


def test_changed_files_are_read_again_and_lost_ones_refused(tmp_path: Path, recipe: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    write_raw(raw, documents=50, files=4)
    run(recipe, raw, out)
    lines = (raw / "books/1.jsonl").read_text(encoding="utf-8").splitlines()
    (raw / "books/1.jsonl").write_text("\n".join([*lines[3:], json.dumps({"text": "A text that is new here."})]) + "\n")
    run(recipe, raw, out)
    fresh(recipe, raw, tmp_path / "changed", out / "tokenizer")
    assert content(out) == content(tmp_path / "changed")
    (raw / "books/2.jsonl").unlink()
    with pytest.raises(UsageError, match=r"books: raw files 1 gone \(2\.jsonl\): put them back .* --overwrite"):
        run(recipe, raw, out)
    assert content(out) == content(tmp_path / "changed")
    run(recipe, raw, out, RunOptions(quiet=True, overwrite=True))
    assert not any("2.jsonl" in line for line in (out / "documents/books/00-ingest/manifest.json").read_text().split())


@pytest.mark.slow
def test_models_are_trained_anew_where_that_is_asked_for(tmp_path: Path, recipe: Path) -> None:
    raw, out, aside = tmp_path / "raw", tmp_path / "out", tmp_path / "aside"
    write_raw(raw, documents=50, files=4)
    hold_back(raw, aside, ["3.jsonl"])
    run(recipe, raw, out)
    before = checksum(out / "tokenizer/tokenizer.model")
    shutil.move(aside / "wikipedia/3.jsonl", raw / "wikipedia/3.jsonl")
    with pytest.raises(
        UsageError, match="--retrain tokeniser: the recipe trains no such model; did you mean 'tokenizer'"
    ):
        run(recipe, raw, out, retrain=("tokeniser",))
    run(recipe, raw, out)
    assert checksum(out / "tokenizer/tokenizer.model") == before
    run(recipe, raw, tmp_path / "whole")
    shutil.move(aside / "books/3.jsonl", raw / "books/3.jsonl")
    run(recipe, raw, out, retrain=("tokenizer",))
    run(recipe, raw, tmp_path / "all")
    assert content(out) == content(tmp_path / "all")
    assert checksum(out / "tokenizer/tokenizer.model") == checksum(tmp_path / "all/tokenizer/tokenizer.model")


@pytest.mark.slow
def test_clean_frees_what_is_kept_for_later(tmp_path: Path, recipe: Path) -> None:
    raw, out, aside = tmp_path / "raw", tmp_path / "out", tmp_path / "aside"
    write_raw(raw, documents=50, files=4)
    hold_back(raw, aside, ["3.jsonl"])
    run(recipe, raw, out)
    assert CliRunner().invoke(cli, ["clean", str(out)]).exit_code == 0
    assert not list((out / "documents/wikipedia/00-ingest").rglob("*.parquet"))
    shutil.move(aside / "wikipedia/3.jsonl", raw / "wikipedia/3.jsonl")
    run(recipe, raw, out)
    fresh(recipe, raw, tmp_path / "fresh", out / "tokenizer")
    assert {k: v for k, v in content(out).items() if k.startswith(("packed", "tokens/wikipedia"))} == {
        k: v for k, v in content(tmp_path / "fresh").items() if k.startswith(("packed", "tokens/wikipedia"))
    }


@pytest.mark.slow
def test_growth_through_kills(tmp_path: Path, recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the processes have groups as they are
    raw, out, aside = tmp_path / "raw", tmp_path / "out", tmp_path / "aside"
    write_raw(raw, documents=50, files=4)
    hold_back(raw, aside, ["3.jsonl"])
    run(recipe, raw, out)
    for domain in DOMAINS:
        shutil.move(aside / domain / "3.jsonl", raw / domain / "3.jsonl")
    points = "before-manifest:1,after-publish:2,shards-placed:1,after-manifest:1"
    arguments = ["run", str(recipe), "--input", str(raw), "--output", str(out), "--quiet"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.corpus.engine.killed", points, *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) > 4
    fresh(recipe, raw, tmp_path / "fresh", out / "tokenizer")
    assert content(out) == content(tmp_path / "fresh")
