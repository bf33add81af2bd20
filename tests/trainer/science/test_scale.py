"""`trainer scale`: ladders, their points, fits from tables, pass rates."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from corpus.errors import UsageError
from tests.trainer.packed import learnable_rows, write_packed
from trainer.cli import main
from trainer.science.chinchilla import UNROUNDED
from trainer.science.isoflop import isoflop
from trainer.science.ladder import read_ladder, run_ladder
from trainer.science.measurements import Measurement, read_runs
from trainer.science.pass_rate import fit_pass_rates, read_pass_rates

SIZES = {
    "a": {"layers": 1, "d_model": 8, "heads": 1, "n_kv_heads": 1, "head_size": 8, "feed_forward": 16},
    "b": {
        "layers": 1,
        "d_model": 16,
        "heads": 1,
        "n_kv_heads": 1,
        "head_size": 16,
        "feed_forward": 32,
        "optimizer.lr": 0.02,
    },
}


def _invoke(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["scale", *arguments])
    assert result.exit_code == code, result.output
    return result.output


def _grid(tmp_path: Path, **changes: object) -> Path:
    write_packed(tmp_path / "packed", learnable_rows(200, 8, 30), 30)
    write_packed(tmp_path / "validation", learnable_rows(8, 8, 30, seed=1), 30)
    grid = {
        "data": str(tmp_path / "packed"),
        "validation": str(tmp_path / "validation"),
        "output": str(tmp_path / "ladder"),
        "model": "llama-tiny",
        "sizes": SIZES,
        "budgets": {"tokens": [160, 320]},
        "batch_size": 4,
        "threads": 1,
        "settings": {"optimizer.lr": 0.01},
    }
    path = tmp_path / "grid.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in (grid | changes).items() if value is not None}))
    return path


def test_a_ladder_trains_its_runs_and_goes_on_where_it_was(tmp_path: Path) -> None:
    path = _grid(tmp_path)
    rungs = read_ladder(path)
    assert [rung.name for rung in rungs] == ["a-160", "a-320", "b-160", "b-320"]  # by FLOPs
    said: list[str] = []
    runs = run_ladder(path, said.append)
    before = [(run / "metrics.jsonl").read_bytes() for run in runs]
    run_ladder(path, said.append)
    assert [(run / "metrics.jsonl").read_bytes() for run in runs] == before
    points = read_runs(runs, None, False)
    assert [point.tokens for point in points] == [160, 320, 160, 320]
    assert points[0].parameters < points[2].parameters and points[0].compute < points[1].compute
    assert json.loads((tmp_path / "ladder" / "b-160" / "config.json").read_text())["optimizer"]["lr"] == 0.02
    # with four points there is one more than the law has numbers
    text = _invoke("fit", *map(str, runs), "--training-loss", "--draws", "20", "--irreducible", "0.1")
    assert "through 4 runs" in text and "c = 0.1 (given)" in text


def test_an_edited_ladder_does_not_take_the_losses_of_the_old_one(tmp_path: Path) -> None:
    run_ladder(_grid(tmp_path, sizes={"a": SIZES["a"]}, budgets={"tokens": [160]}), lambda text: None)
    changed = tmp_path / "grid.yaml"
    changed.write_text(yaml.safe_dump(yaml.safe_load(changed.read_text()) | {"settings": {"optimizer.lr": 0.03}}))
    with pytest.raises(
        UsageError, match=r"optimizer.lr: 0.01 -> 0.03\): remove .*a-160 to make it anew, or give another"
    ):
        run_ladder(changed, lambda text: None)


def test_tokens_per_parameter_and_compute_are_lengths(tmp_path: Path) -> None:
    by_ratio = read_ladder(_grid(tmp_path, sizes={"a": SIZES["a"]}, budgets={"tokens_per_parameter": [0.5]}))
    assert (
        by_ratio[0].options.tokens == 844
    )  # 1,688 parameters: embedding and output of 64 × 8, a block of 640, three norms of 8
    grid = yaml.safe_load((tmp_path / "grid.yaml").read_text())
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(grid | {"budgets": {"compute": [5e6]}}))
    for rung in read_ladder(tmp_path / "grid.yaml"):
        assert rung.options.tokens is not None and rung.options.tokens < 5e6 / 6 / 300


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sises": {}}, "did you mean 'sizes'"),
        ({"sizes": None}, "lacks sizes"),
        ({"budgets": {"epochs": [1]}}, "budgets names one of"),
        ({"budgets": {"tokens": "many"}}, "no list of numbers"),
        ({"budgets": {"tokens": ["1M"]}}, "re-mix with a larger budget"),
        ({"sizes": {"a": {"width": 4}}}, "model.d_model"),
    ],
)
def test_a_wrong_ladder_is_said_before_anything_is_trained(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        read_ladder(_grid(tmp_path, **changes))
    assert not (tmp_path / "ladder").exists()


def test_runs_that_do_not_compare_are_refused(tmp_path: Path) -> None:
    runs = run_ladder(_grid(tmp_path, sizes={"a": SIZES["a"]}, budgets={"tokens": [160]}), lambda text: None)
    other = tmp_path / "other"
    other.mkdir()
    strange = run_ladder(
        _grid(other, sizes={"a": SIZES["a"]}, budgets={"tokens": [160]}, validation=None), lambda t: None
    )
    with pytest.raises(UsageError, match="another validation sets"):
        read_runs([*runs, *strange], None, False)
    with pytest.raises(UsageError, match="no validation loss"):
        read_runs(strange, None, False)
    with pytest.raises(UsageError, match="no validation domain 'wab': did you mean 'web'"):
        read_runs(runs, "wab", False)
    assert read_runs([*runs, *strange], None, True)[0].loss > 0


def _table(path: Path, points: list[tuple[float, float, float]]) -> Path:
    path.write_text("parameters,tokens,loss\n" + "".join(f"{n},{d},{loss}\n" for n, d, loss in points))
    return path


def test_a_table_gives_law_prediction_and_drawing(tmp_path: Path) -> None:
    sizes, ratios = np.geomspace(1e7, 1e9, 6), (5, 20, 80)
    points = [(n, n * r, UNROUNDED(n, n * r)) for n in sizes for r in ratios]
    path = _table(tmp_path / "runs.csv", points)
    text = _invoke(
        "fit", str(path), "--law", "parametric", "--held-out", "2", "--target-compute", "5.76e23", "--draws", "20",
        "--plot", str(tmp_path / "fit.svg"),
    )  # fmt: skip
    assert "alpha = 0.33917" in text and "beta = 0.28491" in text and ": inside" in text
    value = json.loads(
        _invoke("fit", str(path), "--law", "parametric", "--draws", "20", "--json", "--target-compute", "5.76e23")
    )
    optimum = UNROUNDED.optimum()
    best = optimum[0] * 5.76e23 ** optimum[1]
    assert value["predictions"][0]["loss"] == pytest.approx(UNROUNDED(best, 5.76e23 / 6 / best), rel=1e-5)
    assert (tmp_path / "fit.svg").read_text().startswith("<svg")


def test_options_that_do_not_go_together_are_said(tmp_path: Path) -> None:
    path = str(_table(tmp_path / "runs.csv", [(n, 20 * n, UNROUNDED(n, 20 * n)) for n in np.geomspace(1e7, 1e9, 6)]))
    assert "give both" in _invoke("fit", path, "--target-tokens", "1B", code=2)
    assert "give --target-compute" in _invoke("fit", path, "--target-tokens", "1B", "--target-parameters", "1M", code=2)
    assert "nothing is left" in _invoke("fit", path, "--held-out", "6", code=2)


def test_isoflop_minima_follow_the_law() -> None:
    points = [
        Measurement(f"{c:g}-{k}", n, c / 6 / n, c, UNROUNDED(n, c / 6 / n))
        for c in (1e19, 1e20, 1e21)
        for k, n in enumerate(UNROUNDED.optimum()[0] * c ** UNROUNDED.optimum()[1] * np.geomspace(0.4, 2.5, 7))
    ]
    found = isoflop(points)
    assert found.exponent == pytest.approx(UNROUNDED.optimum()[1], abs=0.01)
    for profile in found.profiles:
        assert profile.best == pytest.approx(
            UNROUNDED.optimum()[0] * profile.compute ** UNROUNDED.optimum()[1], rel=0.15
        )
    # a minimum outside of the runs is none
    assert isoflop(points[:3]).profiles[0].best is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("parameters,tokens\n1,2\n", "lacks the column loss"),
        ("parameters,tokens,loss\n1e6,x,2\n", "tokens is 'x'"),
        ("parameters,tokens,loss\n1e6,1e7,0\n", "loss is '0'"),
        ("", "lacks the column parameters"),
        ("parameters,tokens,loss\n1e6,1e7,3\n2e6,1e7,2.9\n3e6,1e7,2.8\n", "too few"),
    ],
)
def test_a_wrong_table_is_said(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    assert words in _invoke("fit", str(path), code=2)


def _rates(path: Path, noise: float, seed: int = 0) -> Path:
    generator = np.random.default_rng(seed)
    rows = []
    for problem in range(20):
        hardness = 20 * (1 + problem / 10)
        for compute in np.geomspace(1e17, 1e20, 6):
            rate = np.exp(-hardness * compute**-0.08 * np.exp(noise * generator.standard_normal()))
            rows.append(f"p{problem},{compute},{rate}")
    rows += [f"hard,{compute},{0 if compute < 1e18 else 0.1}" for compute in np.geomspace(1e17, 1e20, 6)]
    path.write_text("problem,compute,pass_rate\n" + "\n".join(rows) + "\n")
    return path


def test_pass_rates_have_gpt_4s_form(tmp_path: Path) -> None:
    rates = read_pass_rates(_rates(tmp_path / "t.csv", 0.0))
    assert (rates.problems, rates.left_out) == (20, 1)
    law = fit_pass_rates(rates)
    assert law.k == pytest.approx(0.08) and law.a == pytest.approx(20 * 1.95)
    held = 0
    for seed in range(40):
        law = fit_pass_rates(read_pass_rates(_rates(tmp_path / "t.csv", 0.2, seed)), draws=300, seed=seed)
        low, high = law.interval(1e23)
        held += low <= np.exp(-39 * 1e23**-0.08) <= high
    assert held >= 38
    text = _invoke("pass-rate", str(tmp_path / "t.csv"), "--target-compute", "1e23")
    assert "20 problems; 1 left out" in text and "target: 1e+23" in text


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("1e18,0\n1e19,0.1\n1e20,0.2\n", "no problem that every model solves"),
        ("1e18,1.5\n", "share from 0 to 1"),
        ("1e18,0.1\n1e18,0.2\n", "twice"),
        ("1e18,0.1\n1e19,0.2\n", "at least 3"),
        ("1e18,0.1\n1e19,0.2\n1e20,1\n", "solves everything"),
    ],
)
def test_pass_rates_without_a_law_are_said(tmp_path: Path, rows: str, words: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text("compute,pass_rate\n" + rows)
    assert words in _invoke("pass-rate", str(path), "--target-compute", "1e23", code=2)
