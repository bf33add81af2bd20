"""RegMix: what is drawn, how it ranks, and a toy whose answer is known."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from corpus.errors import UsageError
from corpus.mixture.plan.weights import load_mixture
from tests.trainer.packed import learnable_rows, write_packed
from trainer.cli import main
from trainer.science.mixture_draws import MixtureDraws
from trainer.science.mixture_regression import FITS, left_out, rank_correlation
from trainer.science.regmix_options import RegmixOptions

PRIOR = np.array([0.6, 0.3, 0.09, 0.01])
SMALL = {"layers": 1, "d_model": 32, "heads": 2, "n_kv_heads": 2, "head_size": 16, "feed_forward": 64}


@pytest.mark.parametrize("seed", [0, 1])
def test_mixtures_keep_the_bounds_and_gather_around_the_prior(seed: int) -> None:
    drawn = MixtureDraws(PRIOR, 0.5, 0.1, 5.0, 15.0).draw(4000, seed)
    assert drawn.shape == (4000, 4) and np.allclose(drawn.sum(1), 1)
    assert (drawn >= 0).all() and (drawn[:, 3] <= 0.15 + 1e-9).all()
    assert len(np.unique(drawn.round(9), axis=0)) == 4000
    assert ((drawn == 0) | (drawn > 1e-4)).all()
    np.testing.assert_array_equal(drawn, MixtureDraws(PRIOR, 0.5, 0.1, 5.0, 15.0).draw(4000, seed))
    # strong draws of an unbounded law have the tempered prior for their mean
    middle = MixtureDraws(PRIOR, 0.5, 50.0, 50.0, 1e9).draw(4000, seed).mean(0)
    np.testing.assert_allclose(middle, PRIOR**0.5 / (PRIOR**0.5).sum(), atol=0.01)


def test_bounds_that_leave_nothing_are_said() -> None:
    with pytest.raises(UsageError, match="give a larger --most"):
        MixtureDraws(PRIOR, 0.5, 0.1, 5.0, 0.5).draw(10, 0)


@pytest.mark.parametrize(("prior", "count"), [([0.999, 0.001], 64), ([0.997, 0.003], 128)])
def test_rare_domains_give_enough_mixtures(prior: list[float], count: int) -> None:
    """Many draws leave the rare domain out, and are one mixture."""
    draws = MixtureDraws(np.array(prior), 0.5, 0.1, 5.0, 15.0)
    assert len(np.unique(draws.draw(count, 0).round(9), axis=0)) == count
    assert draws.draw(100_000, 1, repeats=True).shape == (100_000, 2)
    with pytest.raises(UsageError, match=r"only \d+ different mixtures in 800 draws"):
        MixtureDraws(np.array(prior), 0.5, 0.1, 5.0, 0.9999).draw(8, 0)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=20))
def test_ranks_are_spearmans(pairs: list[tuple[int, int]]) -> None:
    one, other = np.array(pairs, np.float64).T
    expected = 0.0 if len(set(one)) == 1 or len(set(other)) == 1 else stats.spearmanr(one, other).statistic
    assert rank_correlation(one, other) == pytest.approx(expected, abs=1e-9)


def test_regressions_rank_what_they_have_not_seen() -> None:
    mixtures = MixtureDraws(np.full(4, 0.25), 1.0, 0.5, 5.0, 15.0).draw(80, 0)
    slopes = np.array([1.0, 2.0, 3.0, 4.0])
    straight = mixtures @ slopes
    np.testing.assert_allclose(left_out(FITS["linear"], mixtures, straight), straight, atol=1e-9)
    # a law with a least loss inside, which no plane has
    bent = ((mixtures - 0.25) ** 2).sum(1)
    ranks = {name: rank_correlation(left_out(fit, mixtures, bent), bent) for name, fit in FITS.items()}
    assert ranks["lightgbm"] > 0.7 > ranks["linear"]


def _arguments(tmp_path: Path, *more: str) -> list[str]:
    domains = ["clean", "noise"] * 60
    rows = learnable_rows(120, 8, 30)
    rows[1::2] = np.random.default_rng(0).integers(3, 30, (60, 9))
    if not (tmp_path / "packed").exists():
        write_packed(tmp_path / "packed", rows, 30, domains=domains)
        write_packed(tmp_path / "validation", learnable_rows(8, 8, 30, seed=1), 30, domains=["clean"] * 8)
    settings = [f"--set=model.{key}={value}" for key, value in SMALL.items()]
    return [
        "regmix", str(tmp_path / "packed"), "--validation", str(tmp_path / "validation"), "--proxy", "llama-tiny",
        "--steps", "12", "--batch-size", "8", "--mixtures", "10", "--draws", "2000", "--keep", "20", "--threads", "1",
        "--output", str(tmp_path / "out"), "--set=optimizer.lr=0.02", *settings, *more,
    ]  # fmt: skip


def test_the_domain_that_teaches_gets_the_mixture(tmp_path: Path) -> None:
    arguments = _arguments(tmp_path, "--regression", "linear", "--serves", "1e9")
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "of the run that it serves, 11 proxies of 12 steps" in result.output
    mixture = load_mixture(tmp_path / "out" / "mixture.yaml")
    shares = {weight.domain: float(weight.share or 0) for weight in mixture.weights}
    assert shares["clean"] > 0.9 and sum(shares.values()) == pytest.approx(1, abs=1e-12) and not mixture.note
    made = {file: file.stat().st_mtime_ns for file in (tmp_path / "out" / "proxies").iterdir()}
    assert len(made) == 11  # the answer, the clean domain alone, was drawn
    again = json.loads(CliRunner().invoke(main, [*arguments, "--json", "--quiet"]).stdout)
    assert made == {file: file.stat().st_mtime_ns for file in (tmp_path / "out" / "proxies").iterdir()}
    assert again["weights"] == pytest.approx(shares, abs=1e-8)
    assert again["ranking"]["linear"] > 0.7 and again["reached"] < again["reached_prior"]
    # the losses are those that the shares follow: more of the clean domain, a lower loss
    losses, clean = np.array(again["losses"])[:, 0], np.array(again["mixtures"])[:, 0]
    assert stats.spearmanr(losses, clean).statistic < -0.7


def test_what_cannot_be_is_said_before_a_proxy_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[object] = []
    monkeypatch.setattr("trainer.science.regmix.Proxy", lambda *given: trained.append(given))
    result = CliRunner().invoke(main, _arguments(tmp_path, "--target", "cleen"))
    assert result.exit_code == 2 and "did you mean 'clean'" in result.output
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    result = CliRunner().invoke(main, _arguments(tmp_path))
    assert result.exit_code == 2 and "corpusmill[regmix]" in result.output
    (tmp_path / "file").touch()
    result = CliRunner().invoke(
        main, _arguments(tmp_path, "--regression", "linear", "--output", str(tmp_path / "file"))
    )
    assert result.exit_code == 1 and "give another --output" in result.output
    assert not trained


def test_a_proxy_that_diverges_ends_the_search(tmp_path: Path) -> None:
    arguments = _arguments(tmp_path, "--regression", "linear")
    for _ in range(2):  # it is not kept
        result = CliRunner().invoke(main, [*arguments, "--set=optimizer.lr=1e25"])
        assert result.exit_code == 1 and "proxy 1 of 10 diverged" in result.output, result.output
        assert not list((tmp_path / "out/proxies").iterdir()) and not (tmp_path / "out/mixture.yaml").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [({"keep": 10, "draws": 5}, "more than --draws"), ({"weakest": 9.0}, "above --strongest"), ({"mixtures": 3}, "--mixtures is 3")],
)  # fmt: skip
def test_options_that_do_not_go_together_are_said(options: dict[str, object], words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        RegmixOptions(tmp_path, tmp_path, "llama-tiny", 4, **options)  # type: ignore[arg-type]  # wrong on purpose
