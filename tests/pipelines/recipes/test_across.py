"""The section `across`: what stands in several domains stays in the first of its order, and is accounted for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from corpus.data.dataset import Dataset
from corpus.data.manifest import Manifest
from corpus.data.run_state import clean
from corpus.data.verify import find_datasets, verify_dataset
from corpus.engine.runner import RunOptions
from corpus.errors import UsageError
from pipelines.recipes.recipe import load_recipe
from pipelines.recipes.run import run_recipe
from pipelines.recipes.steps import RecipeRun
from pipelines.recipes.summary import summarize
from tests.raw import RECIPE, write_raw

QUIET = RunOptions(quiet=True)
ACROSS = """
across:
  order: [wikipedia]
  stages:
    - dedup: {level: document}
    - dedup: {level: near}
    - decontaminate: {against: [EVALUATION]}
"""


def texts(output: Path) -> list[str]:
    return [text for batch in Dataset.open(output).batches(["text"]) for text in batch["text"].to_pylist()]


def test_a_recipe_compares_all_domains(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    write_raw(raw, documents=60, files=1)
    for other in ("commoncrawl", "books"):  # half of Wikipedia stands in the others, too
        lines = (raw / "wikipedia/0.jsonl").read_text(encoding="utf-8").splitlines()[:30]
        (raw / other / "copies.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    evaluation = tmp_path / "evaluation.jsonl"
    evaluation.write_text(json.dumps({"text": "nothing of this set of words stands in any text"}) + "\n")
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE + ACROSS.replace("EVALUATION", str(evaluation)), encoding="utf-8")
    run_recipe(RecipeRun(load_recipe(str(path)), raw, out), QUIET)
    names = sorted(folder.name for folder in (out / "documents/books").iterdir())
    assert names == [
        "00-ingest", "01-dedup", "02-dedup", "03-dedup", "04-decontaminate", "05-train", "06-validation",
    ]  # fmt: skip
    assert sorted(folder.name for folder in (out / "across").iterdir()) == ["01-dedup", "02-dedup", "03-decontaminate"]
    for dataset in find_datasets(out):
        assert verify_dataset(dataset).problems == [], dataset
    before = [
        texts(out / f"documents/{name}/01-{step}") for name, step in (("wikipedia", "filter"), ("books", "dedup"))
    ]
    assert set(before[0]) & set(before[1])
    assert texts(out / "documents/wikipedia/02-dedup") == list(dict.fromkeys(before[0]))
    assert not set(texts(out / "documents/books/02-dedup")) & set(before[0])
    counts = Manifest.load(out / "documents/books/02-dedup").counts["documents"]
    assert counts.dropped["duplicate document in wikipedia"] == len(set(before[0]) & set(before[1]))
    said = summarize(out)
    assert f"01-dedup: books: {counts.dropped['duplicate document in wikipedia']:,} for those of wikipedia" in said
    assert "documents/books/02-dedup".removeprefix("documents/") in said
    # no verdict is made again where all is there
    stamps = {file: file.stat().st_mtime_ns for file in out.rglob("*.npy")}
    (out / "_log/run.json").unlink()
    run_recipe(RecipeRun(load_recipe(str(path)), raw, out), QUIET)
    assert {file: file.stat().st_mtime_ns for file in stamps} == stamps
    # what is cleaned is made again where it is needed, the verdict and all
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file() and "_log" not in file.parts}
    assert out / "documents/books/03-dedup" in [entry.path for entry in clean(out, dry_run=False)]
    shutil.rmtree(out / "documents/books/05-train")
    shutil.rmtree(out / "across/02-dedup")
    (out / "_log/run.json").unlink()
    run_recipe(RecipeRun(load_recipe(str(path)), raw, out), QUIET)
    after = {file: file.read_bytes() for file in out.rglob("*") if file.is_file() and "_log" not in file.parts}
    assert all(before[file] == data for file, data in after.items())
    assert out / "documents/books/05-train/00000.parquet" in after and summarize(out) == said


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("{order: [wikipdia], stages: [{dedup: {level: document}}]}", r"names wikipdia, .*did you mean 'wikipedia'"),
        ("{order: [books, books]}", "names books, which is not defined or named twice"),
        ("{stages: [dedup]}", "level line does not compare domains with each other"),
        ("{stages: [dedupe]}", "section across has no step 'dedupe': did you mean 'dedup'"),
        ("{stages: [{dedup: {level: near, treshold: 1}}]}", "did you mean 'threshold'"),
        ("{stages: [{dedup: {level: near}, decontaminate: {}}]}", "one name with its settings"),
        ("{steps: []}", "unknown key 'across.steps'; did you mean 'stages'"),
    ],
)
def test_sections_that_make_no_sense(tmp_path: Path, section: str, words: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"{RECIPE}across: {section}\n", encoding="utf-8")
    with pytest.raises(UsageError, match=words):
        load_recipe(str(path))


def test_files_of_steps_are_looked_for_before_any_work(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE + ACROSS.replace("EVALUATION", str(tmp_path / "gone.jsonl")), encoding="utf-8")
    with pytest.raises(UsageError, match=r"section across, step decontaminate: .*gone.jsonl does not exist"):
        load_recipe(str(path))
    for stage in ("{decontaminate: {against: [gone.jsonl]}}", "{filter: {rules: [{badwords: {list: gone.txt}}]}}"):
        path.write_text(RECIPE.replace("{dedup: {level: document}}", stage), encoding="utf-8")
        with pytest.raises(UsageError, match=r"gone\.(jsonl|txt)"):
            load_recipe(str(path))


def test_a_recipe_without_the_section_is_resolved_as_before(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    assert "across" not in load_recipe(str(path)).resolved()
