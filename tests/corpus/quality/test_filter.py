"""The filter step: which rule sets, with which settings, in which order; and its stage."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from corpus.data.dataset import Dataset
from corpus.engine.document_stage import MapStage
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import UsageError
from corpus.quality.filter import PRESETS, RULES, FilterConfig
from tests.corpus.quality.batches import filtered
from tests.datasets import write_documents

GOOD = "This is a line with enough words."
PAGE = "\n".join([GOOD] * 5)


def test_rules_in_order() -> None:
    maps = FilterConfig(rules=("c4", "min_chars:100", "max_chars:200")).maps()
    assert filtered(maps, PAGE + "\nmenu") == (PAGE, None)
    assert filtered(maps, "\n".join([GOOD] * 3 + ["x" * 300]))[1] is None
    assert filtered(maps, "\n".join(["It is so very short."] * 3))[1] == "min_chars: too short"
    assert filtered(maps, "\n".join([GOOD] * 9))[1] == "max_chars: too long"


def test_every_preset_and_reason_is_plain() -> None:
    for preset in PRESETS:
        assert [step.name for step in FilterConfig(rules=(preset,)).maps()]
    for name in ("gopher_quality", "gopher_repetition", "c4", "c4_paper", "code", "min_chars:9"):
        _, reason = filtered(FilterConfig(rules=(name,)).maps(), "x {" * 2)
        assert reason is None or (reason.startswith(name.split(":")[0] + ": ") and not any(c == "%" for c in reason))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("gopher_qualty", "did you mean 'gopher_quality'"),
        ("min_chars:x", "needs a whole number"),
        ("code:3", "takes no limit"),
        ("code@2", "there is version 1 of code"),
        ("languages@1", "has no versions"),
        ("min_chars@1:x", "needs a whole number"),
    ],
)
def test_rules_that_do_not_exist(rule: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FilterConfig(rules=("gopher", rule))


def test_stage(make_documents: Callable[..., Path], tmp_path: Path) -> None:
    texts = [f"{PAGE} {n}.\nmenu" if n % 3 else f"{PAGE} {{" + "." for n in range(30)]
    source = make_documents("in", texts, shard_rows=4)
    maps = FilterConfig(rules=("c4", "max_chars:172")).maps()
    stage = MapStage((str(source),), "filter", maps=maps)
    manifest = run_stage(stage, tmp_path / "one", RunOptions(quiet=True))
    rows = [row for batch in Dataset.open(tmp_path / "one").batches() for row in batch.to_pylist()]
    wanted = [n for n in range(30) if n % 3]
    assert [row["source"]["record"] for row in rows] == [n for n in wanted if len(f"{PAGE} {n}.") <= 172]
    assert all(row["text"] == f"{PAGE} {row['source']['record']}." for row in rows)
    counts = manifest.counts["documents"]
    assert not counts.missing and counts.dropped["c4: curly bracket"] == 10
    assert [entry["map"] for entry in manifest.config["maps"]] == ["c4", "max_chars"]
    assert manifest.extra["domains"] == ["c4"]
    run_stage(stage, tmp_path / "two", RunOptions(quiet=True, workers=2, always_pool=True))
    assert Dataset.open(tmp_path / "two").digest == manifest.digest


def test_every_threshold_is_a_documented_setting(tmp_path: Path) -> None:
    for half in ("en.sp.model", "en.arpa"):
        (tmp_path / half).touch()
    own = {"perplexity": {"models": str(tmp_path)}}
    for name in RULES:
        rule = RULES.load(name)
        if name in ("reference", "cited"):  # test_classifier.py has files for them
            continue
        fields = dataclasses.fields(rule)
        assert fields and all(field.metadata["doc"] for field in fields)
        settings = {"languages": {"keep": ("en",)}, "badwords": {"list": __file__}, **own}.get(name, {})
        assert set(rule(**settings).config()) - {"version"} == {field.name for field in fields}


def test_rules_by_version() -> None:
    config = FilterConfig(rules=("min_chars@1:9", {"code@1": {"max_line": 5}}, "pii@1"), set=("code.max_mean_line=3",))
    assert [step.config() for step in config.maps()][:2] == [
        {"version": 1, "limit": 9},
        {"version": 1, "max_line": 5, "max_mean_line": 3.0, "min_alphanumeric": 0.25},
    ]


def test_thresholds_by_recipe_and_by_set() -> None:
    rules = ("gopher_quality", {"gopher_repetition": {"top_2_gram": 0.25}}, {"length": None})
    with pytest.raises(UsageError, match="there is no filter rule 'length'"):
        FilterConfig(rules=rules)
    config = FilterConfig(rules=rules[:2], set=("gopher_quality.min_words=40", "gopher_quality.stop_words=der, die"))
    quality_rule, repetition = config.maps()
    assert quality_rule.config()["min_words"] == 40 and quality_rule.config()["stop_words"] == ("der", "die")
    assert repetition.config()["top_2_gram"] == 0.25
    for wrong, message in (
        ("gopher_quality.min_word=4", "did you mean 'min_words'"),
        ("code.max_line=4", "code is not among the rules"),
        ("gopher_quality.min_words=x", "is not a whole number"),
        ("min_words=4", "is not RULE.SETTING=VALUE"),
    ):
        with pytest.raises(UsageError, match=message):
            FilterConfig(rules=("gopher_quality",), set=(wrong,))
    with pytest.raises(UsageError, match="unknown key 'top_5_gram'"):
        FilterConfig(rules=({"gopher_repetition": {"top_5_gram": 1.0}},))


def test_import_is_light() -> None:
    code = "import corpus.quality.filter, corpus.dedup.lines.stage, sys; print('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_real_prose_passes_and_a_price_list_does_not(samples: Path) -> None:
    rules = FilterConfig(rules=("gopher",)).maps()
    prose_text = next(iter(sorted((samples / "books_clean_ref").glob("*.txt")))).read_text(encoding="utf-8")[:20_000]
    assert filtered(rules, prose_text)[1] is None
    assert filtered(rules, "\n".join(f"- Item {n} | 3.{n:02d} EUR | 0{n} 77" for n in range(200)))[1] is not None


def test_languages_are_those_of_the_column(tmp_path: Path) -> None:
    documents = write_documents(tmp_path / "in", ["a", "b", "c"], language=["en", "af", None])
    maps = FilterConfig(rules=(), languages=("en", "de")).maps()
    stage = MapStage((str(documents),), "filter", maps=maps)
    manifest = run_stage(stage, tmp_path / "out", RunOptions(quiet=True))
    assert manifest.counts["documents"].kept == 1
    assert manifest.counts["documents"].dropped == {"languages: another language": 2}
