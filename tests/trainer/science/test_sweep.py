"""`trainer sweep`: equal budgets, differences over seeds, and what a variant did to the data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from scipy import stats

from corpus.errors import UsageError
from tests.trainer.packed import learnable_rows, write_packed
from trainer.cli import main
from trainer.run.directory import Run
from trainer.science.paired import Difference, student
from trainer.science.sweep_grid import merged, read_sweep

TINY = {"model.layers": 1, "model.d_model": 16, "model.heads": 1, "model.n_kv_heads": 1, "model.head_size": 16,
        "model.feed_forward": 16, "optimizer.lr": 0.02}  # fmt: skip
RECIPE = {
    "domains": {
        "web": {"stages": [{"dedup": {"level": "line"}}, {"filter": {"rules": ["c4"]}}]},
        "books": {"stages": []},
    },
    "mixture": {"web": {"share": 60}, "books": {"share": 40}},
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
    ],
)  # fmt: skip
def test_a_wrong_grid_is_said_before_anything_is_made(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_sweep(_grid(tmp_path, **changes))
    assert not (tmp_path / "sweep").exists()


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
