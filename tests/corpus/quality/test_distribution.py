"""Distributions against sorting, and the table of what rules would drop; `corpus stats`."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from corpus.cli import cli
from corpus.engine.document_stage import MapStage
from corpus.engine.runner import RunOptions, run_stage
from corpus.quality.distribution import QUANTILES, Distribution, Query, bins_of, number_of, rule_table
from corpus.quality.filter import FilterConfig

NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False, width=64), st.integers(-3000, 3000).map(float), st.just(-0.0)
)


@given(st.lists(NUMBERS, min_size=1))
def test_bins_keep_the_order_and_lose_a_thousandth(values: list[float]) -> None:
    numbers = np.array(values)
    bins = bins_of(numbers)
    assert list(bins[np.argsort(numbers, kind="stable")]) == sorted(bins)
    for value, bin in zip(values, bins, strict=True):
        found = number_of(int(bin))
        assert abs(found) <= abs(value) and abs(found - value) <= max(abs(value) / 1000, 1e-305)
        assert found == value or not (value.is_integer() and abs(value) <= 2048)


@given(
    st.lists(st.lists(st.one_of(NUMBERS, st.sampled_from([math.nan, math.inf])), max_size=20), min_size=1, max_size=4)
)
def test_distributions_are_those_of_all_numbers(parts: list[list[float]]) -> None:
    found = Distribution()
    for part in parts:
        one = Distribution()
        one.add(np.array(part, dtype=np.float64))
        found.merge(one)
    known = sorted(value for part in parts for value in part if math.isfinite(value))
    assert (found.number, found.missing) == (len(known), sum(map(len, parts)) - len(known))
    if not known:
        assert found.to_json() == {"number": 0, "missing": found.missing}
        return
    assert (found.least, found.most) == (known[0], known[-1])
    for share, quantile in zip(QUANTILES, found.quantiles(), strict=True):
        exact = known[max(1, math.ceil(Fraction(str(share)) * len(known))) - 1]
        assert abs(quantile - exact) <= max(abs(exact) / 1000, 1e-305)
    assert sum(count for _, _, count in found.histogram()) in (len(known), 0)


def test_a_histogram() -> None:
    found = Distribution()
    found.add(np.arange(101.0))
    bars = found.histogram()
    assert [count for _, _, count in bars] == [5] * 19 + [6] and bars[0][:2] == (0, 5) and bars[-1][1] == 100


def test_what_rules_would_drop() -> None:
    query = Query((), (), ("a_reason", "b_reason", "c_reason"))
    verdicts = Counter({("x", None, None): 3, ("y", "z", None): 2, (None, "z", "w"): 4, (None, None, None): 9})
    rows = rule_table(query, verdicts)
    assert [(row["rule"], row["alone"], row["in_order"], row["only"]) for row in rows] == [
        ("a", 5, 5, 3),
        ("b", 6, 4, 0),
        ("c", 4, 0, 0),
    ]
    assert rows[0]["reasons"] == {"x": 3, "y": 2}


def test_stats_of_documents(make_documents: Callable[..., Path], tmp_path: Path) -> None:
    one = make_documents("one", [f"a text of {'x' * n}" for n in range(50)], domain="c4", shard_rows=10)
    two = make_documents("two", ["short"] * 30, domain="books")
    for source in (one, two):
        maps = FilterConfig(rules=("min_chars:30", "gopher_repetition"), annotate=True).maps()
        run_stage(
            MapStage((str(source),), "filter", maps=maps), tmp_path / f"{source.name}-out", RunOptions(quiet=True)
        )
    documents = [str(tmp_path / "one-out"), str(tmp_path / "two-out"), "--by", "domain"]
    outputs = [
        CliRunner().invoke(cli, ["stats", *documents, "--json", "--workers", workers]).stdout for workers in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    books, c4 = json.loads(outputs[0])["groups"]
    assert books["group"] == {"domain": "books"} and (books["documents"], c4["documents"]) == (30, 50)
    lengths = c4["columns"]["min_chars_characters"]
    assert (lengths["min"], lengths["max"], lengths["mean"], lengths["quantiles"]["0.5"]) == (10, 59, 34.5, 34)
    assert c4["columns"]["characters"] == lengths and c4["columns"]["language_score"] == {"number": 0, "missing": 50}
    rules = {row["rule"]: row for row in c4["rules"]}
    assert rules["min_chars"]["alone"] == rules["min_chars"]["in_order"] == 20
    shown = CliRunner().invoke(cli, ["stats", *documents, "--histogram", "--column", "characters"])
    assert shown.exit_code == 0 and "domain c4: 50 documents" in shown.output and "too short" in shown.output
    for wrong, message in (
        (["--by", "domian"], "did you mean 'domain'"),
        (["--column", "text"], "no such column of numbers"),
    ):
        result = CliRunner().invoke(cli, ["stats", documents[0], *wrong])
        assert result.exit_code == 2 and message in result.output


@pytest.mark.parametrize("values", [[5.0], [-1e308, 1e308], [1e-320, 2e-320], [3.0] * 7])
def test_odd_histograms(values: list[float]) -> None:
    found = Distribution()
    found.add(np.array(values))
    assert sum(count for _, _, count in found.histogram()) == len(values)
