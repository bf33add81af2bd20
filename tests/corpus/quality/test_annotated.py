"""Scores as columns, and documents kept by columns: the maps and the commands."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from corpus.cli import cli
from corpus.data.dataset import Dataset
from corpus.engine.document_stage import MapStage
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import DataError, UsageError
from corpus.quality.annotated import Annotated
from corpus.quality.filter import FilterConfig
from corpus.quality.rules.registry import RULES
from corpus.quality.sample import SampleByScore
from corpus.quality.where import Where
from tests.corpus.quality.batches import batch_of, reasons
from tests.corpus.quality.texts import texts

QUIET = RunOptions(quiet=True)
MEASURED = ("gopher_quality", "gopher_repetition", "fineweb", "c4", "c4_paper", "code", "min_chars", "max_chars")


@given(st.lists(texts, min_size=1, max_size=4))
def test_verdicts_are_those_of_the_rule(values: list[str]) -> None:
    for name in (*MEASURED, "pii"):
        rule = RULES.load(name)()
        out = Annotated(rule).apply(batch_of(values))
        assert out.reasons is None and set(out.columns) == {column.name for column in Annotated(rule).columns}
        if name != "pii":
            assert out.columns[f"{name}_reason"].to_pylist() == reasons(rule, values)


def test_scores_are_ratios_and_null_without_a_divisor() -> None:
    (rule,) = FilterConfig(rules=("gopher_quality",), annotate=True).maps()
    out = rule.apply(batch_of(["the # of words", " "]))
    assert out.columns["gopher_quality_words"].to_pylist() == [4, 0]
    assert out.columns["gopher_quality_hashes"].to_pylist() == [0.25, None]
    assert out.columns["gopher_quality_mean_word"].to_pylist() == [2.75, None]
    assert rule.name == "gopher_quality" and rule.config()["annotate"] is True
    with pytest.raises(UsageError, match="named twice"):
        FilterConfig(rules=("min_chars:3", "min_chars:5"), annotate=True)


def scored(scores: list[float | None], **columns: list[object]) -> pa.RecordBatch:
    ids = [f"d/{n}" for n in range(len(scores))]
    texts_ = pa.array(["x"] * len(ids), pa.large_string())
    given = {"id": ids, "text": texts_, "perplexity": pa.array(scores, pa.float64())}
    return pa.RecordBatch.from_pydict(given | columns)


def keep(expression: str, rows: pa.RecordBatch) -> list[str | None]:
    from corpus.engine.document_map import DocumentBatch

    step = Where(expression)
    step.check_columns(rows.schema)
    out = step.apply(DocumentBatch(rows)).reasons
    assert out is not None
    return list(out)


def test_where() -> None:
    rows = scored(
        [100.0, 900.0, None, math.nan], reference=pa.array([0.5, 0.9, 0.9, None]), language=["en", None, "de", "en"]
    )
    missing, no = "where: no score", "where: not met"
    assert keep("perplexity < 500 and reference > 0.25", rows) == [None, no, missing, no]
    assert keep("perplexity < 500 or reference > 0.6", rows) == [None, None, None, missing]
    assert keep("language = 'en' -- a comment", rows) == [None, missing, no, None]
    assert keep("id IN ('d/1', 'd/3')", rows) == [no, None, no, None]
    assert keep("length(text) = 1 AND upper(language) = 'DE'", rows) == [no, missing, None, no]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "empty"),
        ("perplexity <", "syntax error"),
        ("perplexity < 5) FROM x; DROP TABLE y; SELECT (1", "no expression alone"),
        ("random() < 0.5", "random is no function of one document"),
        ("perplexity < avg(perplexity)", "avg is no function"),
        ("row_number() OVER () < 5", "only columns of one document"),
        ("perplexity < (SELECT 5)", "only columns of one document"),
        ("perplexity < (SELECT max(x) FROM read_csv('/etc/passwd'))", "only columns of one document"),
        ("now() > DATE '2020-01-01'", "now is no function"),
        ("current_date > DATE '2020-01-01'", "no column 'current_date'"),
        ("perplexty < 5", "did you mean 'perplexity'"),
        ("text < 5", "Conversion|convert|compare|type"),
    ],
)
def test_expressions_that_are_refused(expression: str, message: str) -> None:
    with pytest.raises((UsageError, DataError), match=message):
        keep(expression, scored([1.0]))


def test_probabilities_of_scores() -> None:
    scores = np.array([-1, 0, 0.25, 1, 1.00001])
    assert list(SampleByScore("s").probability(scores)) == [0, 0, 0.25, 1, 1]
    pareto = SampleByScore("s", "pareto").probability(scores)
    assert list(pareto) == pytest.approx([2**-9, 2**-9, 1.75**-9, 1, 1])
    draws = np.random.default_rng(1).pareto(9, 100_000)  # GPT-3's rule
    for score in (0.5, 0.9):
        assert (draws > 1 - score).mean() == pytest.approx(
            SampleByScore("s", "pareto").probability(np.array([score]))[0], abs=0.01
        )


def test_samples_follow_seed_and_id() -> None:
    ids = pa.array([f"d/{n}" for n in range(4000)])
    draws = SampleByScore("s").draws(ids)
    assert list(draws[5:9]) == list(SampleByScore("s").draws(ids.slice(5, 4)))
    assert list(draws) != list(SampleByScore("s", seed=1).draws(ids))
    for share in (0.1, 0.5, 0.9):
        assert (draws < share).mean() == pytest.approx(share, abs=0.03)
    out = SampleByScore("perplexity").apply(batch_with(scored([0.0, 1.0, None, math.nan])))
    no, missing = "sample_by_score: not drawn", "sample_by_score: no score"
    assert list(out.reasons or ()) == [no, None, missing, missing]
    kept = SampleByScore("perplexity", missing="keep").apply(batch_with(scored([0.0, 1.0, None, math.nan])))
    assert list(kept.reasons or ()) == [no, None, None, None]


def batch_with(rows: pa.RecordBatch):  # type: ignore[no-untyped-def]
    from corpus.engine.document_map import DocumentBatch

    return DocumentBatch(rows)


def test_annotate_then_drop_is_to_drop_at_once(make_documents: Callable[..., Path], tmp_path: Path) -> None:
    values = [" ".join(f"word{n * m % 97}" for m in range(n)) for n in range(60)]
    source = str(make_documents("in", values, shard_rows=20))
    rules = ("gopher_repetition", "min_chars:90")
    run_stage(MapStage((source,), "filter", maps=FilterConfig(rules=rules).maps()), tmp_path / "once", QUIET)
    noted = FilterConfig(rules=rules, annotate=True)
    manifest = run_stage(MapStage((source,), "filter", maps=noted.maps()), tmp_path / "noted", QUIET)
    assert manifest.rows == 60 and not manifest.counts["documents"].dropped
    later = FilterConfig(where="gopher_repetition_reason IS NULL AND min_chars_characters >= 90")
    run_stage(MapStage((str(tmp_path / "noted"),), "filter", maps=later.maps()), tmp_path / "later", QUIET)
    once, then = (
        [(row["id"], row["text"]) for batch in Dataset.open(tmp_path / name).batches() for row in batch.to_pylist()]
        for name in ("once", "later")
    )
    assert once == then and 0 < len(once) < 60
    two = RunOptions(quiet=True, workers=2, always_pool=True)
    run_stage(MapStage((source,), "filter", maps=noted.maps()), tmp_path / "again", two)
    assert Dataset.open(tmp_path / "again").digest == Dataset.open(tmp_path / "noted").digest


def test_a_missing_column_is_said_before_any_work(make_documents: Callable[..., Path], tmp_path: Path) -> None:
    source = str(make_documents("in", ["a"]))
    for options, message in (
        (["--where", "perplexity < 5"], "no column 'perplexity'"),
        (["--sample-by-score", "score"], "no column 'score'"),
        (["--sample-by-score", "url"], "is of type"),
    ):
        result = CliRunner().invoke(cli, ["filter", source, *options, "--output", str(tmp_path / "out")])
        assert result.exit_code == 2 and message in result.output, result.output
        assert not (tmp_path / "out").exists()
