"""The packaged recipes: what their papers say of steps and mixture, folders that several domains share, evaluation sets."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpus.cli import cli
from corpus.data.dataset import Dataset
from corpus.engine.runner import RunOptions
from corpus.errors import UsageError
from pipelines.recipes.graph import MODELS, TRAIN, StepRef, substituted
from pipelines.recipes.growth import read_changes
from pipelines.recipes.recipe import load_recipe, make_reader, parse_recipe, recipe_passes, step_config
from pipelines.recipes.run import run_recipe
from pipelines.recipes.steps import RecipeRun

QUIET = RunOptions(quiet=True)
NAMES = ("llama", "palm", "redpajama", "gopher", "chinchilla", "lamda", "galactica")
TABLES = {
    # share of each domain, and epochs where the paper gives them, as recipes.md of the papers has them
    "palm": ({"conversations": 50, "webpages": 27, "books": 13, "github": 5, "wikipedia": 4, "news": 1}, dict.fromkeys(
        ("conversations", "webpages", "books", "github", "wikipedia", "news"), 1)),
    "gopher": ({"massiveweb": 48, "books": 27, "c4": 10, "news": 10, "github": 3, "wikipedia": 2}, {}),
    "chinchilla": (
        {"massiveweb": 45, "books": 30, "c4": 10, "news": 10, "github": 4, "wikipedia": 1},
        {"massiveweb": 1.24, "books": 0.75, "c4": 0.77, "news": 0.21, "github": 0.13, "wikipedia": 3.4},
    ),
    "lamda": ({"dialogs": 50, "c4": 12.5, "code_documents": 12.5, "wikipedia": 12.5, "web": 6.25, "web_multilingual": 6.25}, {}),
    "redpajama": (
        {"commoncrawl": 878, "c4": 175, "github": 59, "arxiv": 28, "books": 26, "wikipedia": 24, "stackexchange": 20},
        dict.fromkeys(("commoncrawl", "c4", "github", "arxiv", "books", "wikipedia", "stackexchange"), 1),
    ),
    "galactica": (
        {"papers": 83.0, "code": 6.9, "reference_material": 6.5, "knowledge_bases": 2.0, "commoncrawl": 1.0, "prompts": 0.3, "other": 0.2},
        dict.fromkeys(("papers", "code", "reference_material", "knowledge_bases", "commoncrawl", "prompts", "other"), 4.25),
    ),
}  # fmt: skip
"""Papers' tables: shares, epochs."""


@pytest.mark.parametrize("name", TABLES)
def test_mixtures_of_the_papers(name: str) -> None:
    shares, epochs = TABLES[name]
    weights = {weight.domain: weight for weight in load_recipe(name).weights().weights}
    total = sum(shares.values())
    assert {domain: pytest.approx(share / total) for domain, share in shares.items()} == {
        domain: float(weight.share or 0) for domain, weight in weights.items()
    }
    assert {domain: float(weight.epochs) for domain, weight in weights.items() if weight.epochs} == epochs


def test_what_the_recipes_ask_of_their_tokenizers_and_sequences() -> None:
    found = {name: load_recipe(name) for name in NAMES}
    presets = {name: (recipe.tokenizer.preset, recipe.tokenizer.vocab_size) for name, recipe in found.items()}
    assert presets["palm"] == ("palm", 256_000) and presets["galactica"] == ("galactica", 50_000)
    assert {recipe.packing.sequence_length for recipe in found.values()} == {2048}
    assert all(weight.max_epochs == 1 for weight in found["palm"].weights().weights), (
        "no component of PaLM's is repeated"
    )


RECIPE = {
    "domains": {
        "english": {"folder": "crawl", "reader": "jsonl", "stages": [{"filter": {"rules": [], "languages": ["en"]}}]},
        "others": {"folder": "crawl", "reader": "jsonl", "stages": [{"filter": {"where": "language <> 'en'"}}]},
    },
    "validation": {"fraction": 0.1, "overlap": "exact"},
    "tokenizer": {"preset": "llama", "vocab_size": 320},
    "packing": {"sequence_length": 16},
    "mixture": {"english": 60, "others": 40},
}


def write(raw: Path, name: str, number: int, begin: int = 0) -> None:
    (raw / "crawl").mkdir(parents=True, exist_ok=True)
    rows = [
        {"text": f"document {n} of {n * n} words and {n % 7} more, {language}", "language": language}
        for n in range(begin, begin + number)
        for language in ("en", "de")
    ]
    (raw / "crawl" / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def rows_of(folder: Path) -> list[dict[str, object]]:
    return [row for batch in Dataset.open(folder, "documents").batches() for row in batch.to_pylist()]


def test_domains_of_one_folder(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    write(raw, "a.jsonl", 60)
    run = RecipeRun(parse_recipe("made", RECIPE, tmp_path), raw, out)
    run_recipe(run, QUIET)
    for domain, language in (("english", "en"), ("others", "de")):
        rows = rows_of(out / f"documents/{domain}/01-filter")
        assert (
            len(rows) == 60
            and {row["language"] for row in rows} == {language}
            and {row["domain"] for row in rows} == {domain}
        )
    assert read_changes(out) == []
    write(raw, "b.jsonl", 5, begin=60)
    assert [change.new for change in read_changes(out)] == [("b.jsonl",)] * 2
    run_recipe(run, QUIET)
    assert len(rows_of(out / "documents/others/01-filter")) == 65


@pytest.mark.parametrize("domain", ["massiveweb", "books"])
def test_what_is_missing_is_named_with_its_folder_and_patterns(tmp_path: Path, domain: str) -> None:
    (tmp_path / "commoncrawl").mkdir()
    (tmp_path / "commoncrawl/CC-MAIN-1.warc.wet.gz").touch()
    if domain == "books":
        (tmp_path / "books").mkdir()
        (tmp_path / "books/1.txt").touch()
    with pytest.raises(UsageError, match=r"massiveweb \([^)]*\*\.warc\.gz[^)]* in folder commoncrawl\)"):
        RecipeRun(load_recipe("gopher"), tmp_path, tmp_path / "out").domains()


def test_evaluation_sets_are_taken_out(tmp_path: Path) -> None:
    raw, out, evaluation = tmp_path / "raw", tmp_path / "out", tmp_path / "eval.jsonl"
    write(raw, "a.jsonl", 60)
    question = " ".join(f"word{n}" for n in range(20))
    evaluation.write_text(json.dumps({"question": question}) + "\n")
    with (raw / "crawl/a.jsonl").open("a") as file:
        file.write(json.dumps({"text": f"Seen before: {question} {'x ' * 200}", "language": "en"}) + "\n")
    recipe = parse_recipe("made", RECIPE, tmp_path)
    assert recipe.without_texts_of(()) is recipe
    run_recipe(RecipeRun(recipe.without_texts_of([str(evaluation)]), raw, out), QUIET)
    rows = rows_of(out / "documents/english/02-decontaminate")
    assert len(rows) >= 60 and not any("word7" in row["text"] for row in rows)


def touch_raw(raw: Path, name: str, without: str = "") -> None:
    """An empty raw file of each domain of a recipe, but of those that lie where `without` does."""
    recipe = load_recipe(name)
    for domain, entry in recipe.domains.items():
        if recipe.folder(raw, domain) != (recipe.folder(raw, without) if without else None):
            pattern = (entry.patterns or make_reader(domain, entry).patterns)[0]
            recipe.folder(raw, domain).mkdir(parents=True, exist_ok=True)
            (recipe.folder(raw, domain) / pattern.replace("*", "x")).touch()


@pytest.mark.parametrize(("name", "missing"), [(name, one) for name in NAMES for one in load_recipe(name).domains])
def test_a_packaged_recipe_goes_on_without_any_domain(tmp_path: Path, name: str, missing: str) -> None:
    touch_raw(tmp_path, name, missing)
    run = RecipeRun(load_recipe(name), tmp_path, tmp_path / "out", allow_missing=True)
    assert missing not in run.domains() and run.domains()
    assert "packed" in [step.output for step in run.steps()]
    paths: dict[StepRef, str] = defaultdict(lambda: "a step")
    for step in (step for one in recipe_passes(run.recipe, run.domains()) for step in one.steps):
        if step.ref.domain != MODELS and step.name != TRAIN:
            step_config("", step.name, substituted(step.settings, paths))


def test_palm_goes_by_the_positives_that_are_there(tmp_path: Path) -> None:
    every = set(load_recipe("palm").domains)
    for there, positive in ((every - {"books"}, ["wikipedia/train"]), (every - {"wikipedia"}, ["books/train"])):
        steps = {str(s.ref): s for one in recipe_passes(load_recipe("palm"), there) for s in one.steps}
        assert [str(ref) for ref in steps["models/quality"].reads if ref.step == TRAIN] == positive
        assert steps["webpages/filter"].settings["sample_by_score"] == "reference"
    refs = [str(s.ref) for one in recipe_passes(load_recipe("palm"), every - {"books", "wikipedia"}) for s in one.steps]
    assert "webpages/dedup" in refs and "webpages/filter" not in refs and "models/quality" not in refs


def test_what_is_left_of_a_filter_without_its_model() -> None:
    recipe = load_recipe("palm", {})
    entry = recipe.domains["webpages"]
    entry.stages[-1]["filter"]["rules"].append("min_chars:9")
    stages = (*entry.stages, {"filter": {"rules": ["min_chars:5"]}})
    recipe.domains["webpages"] = entry.model_copy(update={"stages": stages})
    there = set(recipe.domains) - {"books", "wikipedia"}
    steps = {str(s.ref): s for one in recipe_passes(recipe, there) for s in one.steps}
    assert steps["webpages/filter"].settings == {"rules": ["min_chars:9"]} and "webpages/filter.2" in steps


def test_a_dry_run_of_palm_without_books_and_wikipedia(tmp_path: Path) -> None:
    touch_raw(tmp_path / "raw", "palm")
    for folder in ("books", "wikipedia"):
        next((tmp_path / "raw" / folder).iterdir()).unlink()
    command = ["run", "palm", "--input", str(tmp_path / "raw"), "-o", str(tmp_path / "out"), "--dry-run"]
    shown = CliRunner().invoke(cli, [*command, "--allow-missing"])
    assert shown.exit_code == 0 and "models/quality is not made" in shown.output, shown.output
