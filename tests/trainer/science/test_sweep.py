"""`trainer sweep`: equal budgets, differences over seeds, and what a variant did to the data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from scipy import stats

from corpus.errors import UsageError
from tests.raw import write_raw
from tests.trainer.packed import learnable_rows, write_packed
from trainer.cli import main
from trainer.run.directory import Run
from trainer.science.paired import Difference, student
from trainer.science.sweep import run_sweep
from trainer.science.sweep_grid import merged, read_sweep
from trainer.science.sweep_report import sweep_lines

TINY = {"model.layers": 1, "model.d_model": 16, "model.heads": 1, "model.n_kv_heads": 1, "model.head_size": 16,
        "model.feed_forward": 16, "optimizer.lr": 0.02}  # fmt: skip
RECIPE = {
    "domains": {
        "web": {"stages": [{"dedup": {"level": "line"}}, {"filter": {"rules": ["c4"]}}]},
        "books": {"stages": []},
    },
    "mixture": {"web": {"share": 60}, "books": {"share": 40}},
}


RECIPE_OF_LINES = {
    "domains": {
        "commoncrawl": {"reader": "jsonl", "stages": [{"dedup": {"level": "line"}}]},
        "books": {"reader": "jsonl", "stages": []},
    },
    "validation": {"fraction": 0.05, "min_documents": 3, "min_tokens": 50},
    "tokenizer": {"preset": "llama", "vocab_size": 400},
    "packing": {"sequence_length": 16},
    "mixture": {"commoncrawl": {"share": 80, "epochs": 1}, "books": {"share": 20, "epochs": 1}},
}


def _grid(tmp_path: Path, **changes: object) -> Path:
    grid = {
        "output": str(tmp_path / "sweep"),
        "model": "llama-tiny",
        "tokens": 640,
        "seeds": [0, 1, 2],
        "batch_size": 4,
        "threads": 1,
        "settings": TINY,
        "validation": str(tmp_path / "validation"),
        "variants": {"clean": {"data": str(tmp_path / "clean")}, "noisy": {"data": str(tmp_path / "noisy")}},
    }
    path = tmp_path / "grid.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in (grid | changes).items() if value is not None}))
    return path


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """A set that can be learned, one of noise, and validation of the first kind."""
    domains = ["web", "books"] * 60
    write_packed(tmp_path / "clean", learnable_rows(120, 8, 30), 30, domains=domains)
    noise = np.random.default_rng(0).integers(3, 30, (120, 9))
    write_packed(tmp_path / "noisy", noise, 30, domains=domains)
    write_packed(tmp_path / "validation", learnable_rows(12, 8, 30, seed=1), 30, domains=["web", "books"] * 6)
    return tmp_path


def test_a_worse_set_is_told_by_its_losses_and_nothing_is_done_twice(sets: Path) -> None:
    path = _grid(sets)
    result = CliRunner().invoke(main, ["sweep", str(path), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    noisy = found["variants"]["noisy"]
    assert found["baseline"] == "clean" and noisy["tokens"] == 640 == found["variants"]["clean"]["tokens"]
    mean = noisy["differences"]["mean"]
    pairs = np.subtract(noisy["losses"]["mean"], found["variants"]["clean"]["losses"]["mean"])
    interval = stats.t.interval(0.95, 2, pairs.mean(), stats.sem(pairs))
    assert mean["difference"] == pytest.approx(pairs.mean())
    assert mean["half_width"] == pytest.approx((interval[1] - interval[0]) / 2, rel=1e-4)
    assert mean["difference"] > mean["half_width"] > 0
    # the same seeds for both, and the losses are those of the runs
    for seed in (0, 1, 2):
        run = Run(sets / "sweep" / "runs" / f"noisy-seed{seed}")
        assert run.config().training.seed == seed
        last = json.loads(run.metrics.read_text().splitlines()[-1])
        assert last["domains"]["web"]["loss"] == noisy["losses"]["web"][seed]
    before = {log: log.read_bytes() for log in (sets / "sweep").rglob("metrics.jsonl")}
    text = CliRunner().invoke(main, ["sweep", str(path), "--quiet"]).output
    assert len(before) == 6 and before == {log: log.read_bytes() for log in before}
    assert "noisy hurts" in text and "worse in books, web" in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"settings": {**TINY, "optimizer.lr": 0.001}}, "optimizer.lr: 0.02 -> 0.001"),
        ({"settings": {key: value for key, value in TINY.items() if key != "optimizer.lr"}}, "optimizer.lr: 0.02 -> "),
        ({"tokens": 704}, "training.steps: 20 -> 22"),
        ({"validation": "other"}, "other validation sets"),
    ],
)
def test_an_edited_grid_does_not_take_the_losses_of_the_old_one(
    sets: Path, changes: dict[str, object], words: str
) -> None:
    assert CliRunner().invoke(main, ["sweep", str(_grid(sets, seeds=[0])), "--quiet"]).exit_code == 0
    before = {log: log.read_bytes() for log in (sets / "sweep").rglob("metrics.jsonl")}
    if "validation" in changes:
        write_packed(sets / "other", learnable_rows(12, 8, 30, seed=2), 30)
        changes = {"validation": str(sets / "other")}
    result = CliRunner().invoke(main, ["sweep", str(_grid(sets, seeds=[0], **changes))])
    said = " ".join(result.output.split())
    assert result.exit_code == 2 and words in said
    assert f"remove {sets / 'sweep' / 'runs' / 'clean-seed0'} to make it anew, or give another output:" in said
    assert len(before) == 2 and before == {log: log.read_bytes() for log in before}
    # how much is in memory at once is no other training
    assert CliRunner().invoke(main, ["sweep", str(_grid(sets, seeds=[0], micro_batch_size=2))]).exit_code == 0


def test_settings_of_a_variant_and_equal_compute(sets: Path) -> None:
    variants = {"one": {}, "wide": {"settings": {"model.d_model": 32, "model.head_size": 32}}}
    path = _grid(sets, tokens=None, compute=4e6, seeds=[0], data=str(sets / "clean"), variants=variants)
    result = CliRunner().invoke(main, ["sweep", str(path), "--json", "--quiet"])
    assert result.exit_code == 0, result.output
    one, wide = (json.loads(result.stdout)["variants"][name] for name in ("one", "wide"))
    assert wide["tokens"] < one["tokens"]
    assert one["flops"] == pytest.approx(4e6, rel=0.3) and wide["flops"] == pytest.approx(4e6, rel=0.3)
    assert wide["differences"]["mean"]["half_width"] is None
    assert "one seed does not tell" in CliRunner().invoke(main, ["sweep", str(path), "--quiet"]).output


def test_recipes_lose_steps_and_take_changes(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE))
    variants = {
        "all": {},
        "bare": {"without": ["web/dedup", "web/filter"]},
        "mixed": {"changes": {"mixture": {"books": {"share": 10, "epochs": 2}}}},
    }
    path = _grid(tmp_path, recipe=str(recipe), input="raw", variants=variants)
    made = {variant.name: variant.recipe for variant in read_sweep(path).variants}
    assert made["all"] == RECIPE
    bare = made["bare"]
    assert bare is not None and bare["domains"]["web"]["stages"] == [] and bare["mixture"] == RECIPE["mixture"]
    mixed = made["mixed"]
    assert mixed is not None and mixed["mixture"] == {"web": {"share": 60}, "books": {"share": 10, "epochs": 2}}
    assert merged({"a": {"b": 1}}, {"a": 2}) == {"a": 2}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"varients": {}}, "did you mean 'variants'"),
        ({"compute": 1e6}, "the same budget"),
        ({"variants": {"one": {"data": "x"}}}, "two or more"),
        ({"baseline": "cleen"}, "did you mean 'clean'"),
        ({"seeds": 3}, "no list of whole numbers"),
        ({"variants": {"a": {}, "b": {}}}, "variant a has no data"),
        ({"variants": {"a": {"data": "x"}, "b": {"data": "x", "without": ["w/f"]}}}, "and without, which makes some"),
        ({"variants": {"a": {"data": "x"}, "b/c": {"data": "x"}}}, "no name of a variant"),
        ({"recipe": "llama", "input": "raw", "variants": {"a": {}, "b": {"without": ["github/filtre"]}}}, "did you mean 'filter'"),
        ({"recipe": "llama", "input": "raw", "variants": {"a": {}, "b": {"without": ["gitub/filter"]}}}, "did you mean 'github'"),
        ({"recipe": "llama", "input": "raw", "variants": {"a": {}, "b": {"without": "github/filter"}}}, "variant b: without has 'github/filter': write a list of steps"),
        ({"recipe": "llama", "input": "raw", "variants": {"a": {}, "b": {"without": 3}}}, "without has 3: write a list of steps"),
        ({"recipe": "llama", "input": "raw", "variants": {"a": {}, "b": {"changes": ["x"]}}}, "changes has .*: write a table"),
        ({"recipe": "llama", "input": "raw", "corpus": 3}, "corpus has 3: write a table"),
        ({"recipe": "llama", "input": "raw", "corpus": ["limit"]}, "corpus has .*: write a table"),
        ({"corpus": {"workers": "two"}}, "corpus: workers has 'two': write a whole number"),
        ({"corpus": {"memory": "much"}}, "corpus: memory: 'much' is not a whole number"),
        ({"corpus": {"limit": [3]}}, "corpus: limit: .* is not a whole number"),
        ({"settings": ["optimizer.lr"]}, "settings has .*: write a table"),
        ({"settings": "optimizer.lr=1"}, "settings has .*: write a table"),
        ({"settings": {"training.steps": 3}}, "training.steps, which tokens: says"),
        ({"settings": {"training.seed": 3}}, "training.seed, which seeds: says"),
        ({"settings": {"training.batch_size": 3}}, "training.batch_size, which batch_size: says"),
        ({"variants": {"a": {"data": "x", "settings": [3]}, "b": {"data": "x"}}}, "variant a: settings has"),
        ({"variants": {"a": {"data": 3}, "b": {"data": "x"}}}, "variant a: data has 3: write a path"),
        ({"variants": {"a": [], "b": {"data": "x"}}}, "variant a is no table"),
        ({"variants": {1: {"data": "x"}, "1": {"data": "x"}}}, "two variants are called '1'"),
        ({"output": 3}, "output has 3: write a path"),
        ({"validation": 3}, "validation has 3: write a path"),
        ({"batch_size": "x"}, "batch_size has 'x': write a whole number"),
        ({"batch_size": True}, "batch_size has True: write a whole number"),
        ({"threads": "two"}, "threads has 'two': write a whole number"),
        ({"device": 0}, "device has 0: write cpu or cuda"),
        ({"seeds": [True]}, "no list of whole numbers"),
    ],
)  # fmt: skip
def test_a_wrong_grid_is_said_before_anything_is_made(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_sweep(_grid(tmp_path, **changes))
    assert not (tmp_path / "sweep").exists()


def test_a_recipe_without_steps_that_fit_is_said(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    for domains in (3, {"web": ["dedup"]}, {"web": {"stages": "dedup"}}):
        recipe.write_text(yaml.safe_dump({**RECIPE, "domains": domains}))
        variants = {"a": {"recipe": "llama"}, "b": {"without": ["web/dedup"]}}
        with pytest.raises(UsageError, match="variant b: the recipe has no table of domains"):
            read_sweep(_grid(tmp_path, recipe=str(recipe), input="raw", variants=variants))
    path = _grid(tmp_path)
    path.write_text(path.read_text() + "output:\n")  # the last one counts
    with pytest.raises(UsageError, match="output has None: write a path"):
        read_sweep(path)


def test_no_verdict_rests_on_what_training_held(sets: Path) -> None:
    path = _grid(sets)
    found = run_sweep(path, lambda text: None)
    assert "noisy hurts" in "\n".join(sweep_lines(found))
    for name in ("noisy", "clean"):  # a variant, the baseline
        variants = tuple(replace(each, leaked=int(each.name == name)) for each in found.variants)
        text = "\n".join(sweep_lines(replace(found, variants=variants)))
        assert f"noisy: whether it helps is not said, for {name} learned of validation documents" in text
        assert "noisy hurts" not in text and "give them as validation:" in text


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_variants_of_a_recipe_are_made_and_no_verdict_rests_on_what_training_held(tmp_path: Path) -> None:
    write_raw(tmp_path / "raw", documents=60, files=1)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE_OF_LINES))
    variants = {
        "all": {},
        "no-dedup": {"without": ["commoncrawl/dedup"]},  # which takes lines out of texts
    }
    changes = {
        "recipe": str(recipe),
        "input": str(tmp_path / "raw"),
        "corpus": {"workers": 1},
        "seeds": [0],
        "tokens": 640,
        "validation": None,
        "variants": variants,
    }
    path = _grid(tmp_path, **changes)
    result = CliRunner().invoke(main, ["sweep", str(path), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    data = tmp_path / "sweep" / "data"
    assert found["validation"] == str(data / "all" / "validation")
    known = [(data / name / "packed" / "_tokenizer" / "tokenizer.model").read_bytes() for name in variants]
    assert known[0] == known[1]  # the baseline's
    stages = {
        name: {(row["domain"], row["stage"]): (row["in"], row["kept"]) for row in found["variants"][name]["stages"]}
        for name in variants
    }
    assert stages["all"][("commoncrawl", "dedup, lines")][0] > 0
    assert all(stage != "dedup, lines" for domain, stage in stages["no-dedup"])
    leaked = {name: found["variants"][name]["leaked_documents"] for name in variants}
    assert leaked["all"] == 0 < leaked["no-dedup"] <= found["validation_documents"]
    text = CliRunner().invoke(main, ["sweep", str(path), "--quiet"]).output
    assert "no-dedup: whether it helps is not said, for no-dedup learned of validation documents" in text
    assert "no-dedup helps" not in text and "no-dedup hurts" not in text
    assert f"note: {leaked['no-dedup']} of {found['validation_documents']} validation documents" in text
    assert "left out" in text
    # other data are not made in the place of those that are there
    changes["variants"] = {**variants, "no-dedup": {"changes": {"packing": {"seed": 1}}}}
    result = CliRunner().invoke(main, ["sweep", str(_grid(tmp_path, **changes)), "--quiet"])
    said = " ".join(result.output.split())
    assert result.exit_code == 2 and "was made with another recipe" in said and "--overwrite" not in said
    assert f"remove {data / 'no-dedup'} to make it anew, or give another output:" in said


def test_a_domain_may_be_called_mean(sets: Path) -> None:
    write_packed(sets / "of-mean", learnable_rows(12, 8, 30, seed=1), 30, domains=["web", "mean"] * 6)
    path = _grid(sets, seeds=[0], validation=str(sets / "of-mean"))
    result = CliRunner().invoke(main, ["sweep", str(path), "--json", "--quiet"])
    assert result.exit_code == 0, result.output
    for each in json.loads(result.stdout)["variants"].values():
        assert set(each["losses"]) == {"web", "mean", "mean of domains"} == set(each["differences"])
    last = json.loads((sets / "sweep/runs/noisy-seed0/metrics.jsonl").read_text().splitlines()[-1])
    assert json.loads(result.stdout)["variants"]["noisy"]["losses"]["mean"] == [last["domains"]["mean"]["loss"]]
    assert "mean of domains" in CliRunner().invoke(main, ["sweep", str(path), "--quiet"]).output


def test_sets_that_do_not_compare_or_suffice_are_refused(sets: Path) -> None:
    write_packed(sets / "other", learnable_rows(120, 8, 30), 30, tokenizer="t1")
    variants = {"clean": {"data": str(sets / "clean")}, "other": {"data": str(sets / "other")}}
    result = CliRunner().invoke(main, ["sweep", str(_grid(sets, variants=variants))])
    assert result.exit_code == 2 and "other tokenizers or sequence lengths" in " ".join(result.output.split())
    result = CliRunner().invoke(main, ["sweep", str(_grid(sets, tokens="1M"))])
    assert result.exit_code == 2 and "variant clean: " in result.output
    assert not (sets / "sweep" / "runs").exists()


@pytest.mark.parametrize("degrees", [1, 2, 10, 11, 15, 30, 200])
def test_the_quantile_is_students(degrees: int) -> None:
    assert student(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=1e-4)


def test_a_difference_is_told_where_its_interval_leaves_zero_out() -> None:
    assert Difference.of([1.0, 1.1, 1.2], [0.0, 0.1, 0.2]).told
    assert not Difference.of([1.0, -1.0], [0.0, 0.1]).told
    assert not Difference.of([1.0], [0.0]).told
