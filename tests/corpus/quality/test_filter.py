"""The filter rules at their published limits, the repetition kernels against datatrove's functions, and the stage."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.data.dataset import Dataset
from corpus.engine.document_map import DocumentBatch, DocumentMap
from corpus.engine.document_stage import MapStage
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import UsageError
from corpus.quality.filter import PRESETS, RULES, FilterConfig
from corpus.quality.rules.c4 import C4, C4Paper
from corpus.quality.rules.code import Code, alphanumeric
from corpus.quality.rules.gopher import (
    GopherQuality,
    GopherRepetition,
    duplicate_ngrams,
    duplicates,
    top_ngram,
)
from corpus.quality.rules.rule import TextView
from tests.datasets import write_documents

FILLER = ["river", "stone", "cloud", "forest", "window", "table", "garden", "music", "paper", "silver"]


def prose(words: int, stop: str = "the of") -> str:
    """So many words, one line, that pass the quality rules."""
    return " ".join([*stop.split(), *(FILLER[i % 10] for i in range(words - len(stop.split())))])


def quality(text: str) -> str | None:
    return GopherQuality().check(TextView(text))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (prose(50), None),
        (prose(49), "too few words"),
        (prose(100_000), None),
        (prose(100_001), "too many words"),
        ("the of " + "ab " * 60, "short words"),
        ("the of " + "abc " * 60, "short words"),
        ("the river " + "abc " * 60, "too few stop words"),
        ("the with " + "abc " * 60, None),
        ("the of " + "abcdefghijk " * 60, "long words"),
        (prose(90) + " #river" * 10, None),
        (prose(90) + " ##river" * 10, "hash signs"),
        (prose(89) + " river…" * 10 + " stone", None),
        (prose(90) + " ri...ver…" * 10, "ellipses"),
        ("\n".join(["- the of"] * 9 + [prose(60)]), None),
        ("\n".join(["• the of"] * 19 + ["- " + prose(60)]), "bullet lines"),
        ("\n".join([prose(100)] * 7 + ["", "stone…", "river ...", "cloud…"]), None),
        ("\n".join([prose(100)] * 2 + ["stone…", "river ..."]), "lines ending in ellipsis"),
        (prose(80) + " 1234" * 20, None),
        (prose(80) + " 1234" * 21, "words without letters"),
        (prose(60, "the"), "too few stop words"),
        (prose(60, "the The THE"), "too few stop words"),
        (prose(60, "That WITH"), None),
    ],
)
def test_gopher_quality_at_its_limits(text: str, reason: str | None) -> None:
    assert quality(text) == reason


def distinct(number: int, start: int = 0) -> list[str]:
    return [f"w{n:05d}" for n in range(start, start + number)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (" ".join(distinct(200)), None),
        ("", "no words"),
        ("\n".join([*(" ".join(distinct(20, 20 * n)) for n in range(7)), *["a"] * 3]), None),
        ("\n".join([*(" ".join(distinct(20, 20 * n)) for n in range(6)), *["a"] * 5]), "duplicate lines"),
        ("\n\n".join([*(" ".join(distinct(20, 20 * n)) for n in range(6)), *["a"] * 5]), "duplicate paragraphs"),
        ("\n".join([*distinct(40), *[" ".join(distinct(30, 900))] * 2]), "characters in duplicate lines"),
        ("\n\n".join([*distinct(40), *[" ".join(distinct(30, 900))] * 2]), "characters in duplicate paragraphs"),
        (" ".join(w for n in range(60) for w in (f"w{n:03d}", "same", "word")), "top 2-gram"),
        (" ".join([*distinct(20, 600), *(w for n in range(4) for w in distinct(10)), *distinct(5, 700)]), "top 4-gram"),
        (" ".join([*distinct(60), *distinct(20)]), "duplicate 5-grams"),
        (" ".join([*distinct(60), *distinct(4)]), None),
    ],
)
def test_gopher_repetition(text: str, reason: str | None) -> None:
    assert GopherRepetition().check(TextView(text)) == reason


WORDS = st.lists(st.sampled_from([f"{'abcdefgh'[i] * (i + 1)}." for i in range(4)]), max_size=60)


def top_twin(words: Sequence[str], n: int) -> int:
    """Occurrences of the first most frequent n-gram times its characters."""
    ngrams = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
    if not ngrams:
        return 0
    top = max(ngrams, key=ngrams.count)
    return ngrams.count(top) * len(top)


def repeats_twin(words: Sequence[str], n: int) -> int:
    """Characters in n-grams seen before, from left to right, without overlap."""
    seen: set[tuple[str, ...]] = set()
    i = characters = 0
    while i + n <= len(words):
        ngram = tuple(words[i : i + n])
        if ngram in seen:
            characters += sum(map(len, ngram))
            i += n
        else:
            seen.add(ngram)
            i += 1
    return characters


def numbered(words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    index = {word: number for number, word in enumerate(dict.fromkeys(words))}
    ids = np.array([index[word] for word in words], dtype=np.int32)
    return ids, np.array([len(word) for word in words], dtype=np.int64)


@given(WORDS)
def test_repetition_kernels_are_their_twins(words: Sequence[str]) -> None:
    ids, lengths = numbered(words)
    for n in range(1, 11):
        assert top_ngram(ids, lengths, n) == top_twin(words, n)
        assert duplicate_ngrams(ids, lengths, n) == repeats_twin(words, n)


@given(WORDS)
def test_repetition_measures_are_those_of_datatrove(words: Sequence[str]) -> None:
    pytest.importorskip("regex", reason="datatrove's filters want the package regex")
    from datatrove.pipeline.filters import gopher_repetition_filter as reference

    ids, lengths = numbered(words)
    for n in (2, 3, 4):
        ngrams = reference.get_n_grams(list(words), n)
        assert top_ngram(ids, lengths, n) == (reference.find_top_duplicate(ngrams) if ngrams else 0)
    for n in (5, 6, 7, 8, 9, 10):
        assert duplicate_ngrams(ids, lengths, n) == reference.find_all_duplicate(list(words), n)
    assert duplicates(words) == reference.find_duplicates(list(words))


GOOD = "This is a line with enough words."
PAGE = "\n".join([GOOD] * 5)


@pytest.mark.parametrize(
    ("line", "code", "paper"),
    [
        ("Only four words here.", False, True),
        ("Five words are just enough.", True, True),
        ("Two words.", False, False),
        ("A line without an end mark", False, False),
        ("A line that trails off into...", False, False),
        ('He said to them all: "so be it"', True, True),
        ("A curly quotation ends this line”", False, False),
        ("Please enable Javascript to view this page.", False, False),
        ("By using it you accept our Privacy Policy.", False, False),
        (f"A line with one {'x' * 1001} long word.", False, False),
        (f"A line with one {'x' * 999} long word.", True, True),
        ("[1] [2] one two[edit] three four.", False, True),
        ("   Leading and trailing white space goes away.  ", True, True),
        ("Please enable JavaScript { here } to go on.", False, None),
        ("Menu {", False, None),
        ("Lorem ipsum", False, None),
        ("This line has a { in it.", None, None),
        ("Lorem Ipsum dolor sit amet, consectetur.", None, None),
    ],
)
def test_c4_lines(line: str, code: bool | None, paper: bool | None) -> None:
    """True: the line stays; False: it goes; None: the page goes."""
    for rule, stays in ((C4(), code), (C4Paper(), paper)):
        text, reason = rule.clean(f"{PAGE}\n{line}")
        if stays is None:
            assert reason in ("curly bracket", "lorem ipsum")
        else:
            assert reason is None and (text.count("\n") == 5) == stays, text


def test_c4_pages() -> None:
    assert C4().clean("\n".join([GOOD] * 2))[1] == "too few sentences"
    assert C4().clean("\n".join([GOOD] * 3)) == ("\n".join([GOOD] * 3), None)
    assert C4Paper().clean("\n".join([GOOD] * 4))[1] == "too few sentences"
    assert C4().clean(f"{GOOD} {GOOD} And (so) on, v1.2 too!) Really?")[1] is None
    assert C4().clean("\n".join([GOOD] * 6000))[1] == "too long"
    assert (
        C4()
        .clean("Facts[12] about many[edit] things[citation needed] are here.\n" * 3)[0]
        .startswith("Facts about many things are here.")
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("x" * 1000 + "\n" * 30, None),
        ("x" * 1001 + "\n" * 30, "long line"),
        ("x" * 99 + "\n", None),
        ("x" * 100 + "\n", "long lines on average"),
        ("x" * 100, None),
        ("a---", None),
        ("a----", "few alphanumeric characters"),
        ("é---", None),
        ("é----", "few alphanumeric characters"),
    ],
)
def test_code_limits(text: str, reason: str | None) -> None:
    assert Code().check(TextView(text)) == reason


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_alphanumeric(text: str) -> None:
    assert alphanumeric(text) == sum(char.isalnum() for char in text)


def test_rules_in_order() -> None:
    maps = FilterConfig(rules=("c4", "min_chars:100", "max_chars:200")).maps()
    assert filtered(maps, PAGE + "\nmenu") == (PAGE, None)
    assert filtered(maps, "\n".join([GOOD] * 3 + ["x" * 300]))[1] is None
    assert filtered(maps, "\n".join(["It is so very short."] * 3))[1] == "min_chars: too short"
    assert filtered(maps, "\n".join([GOOD] * 9))[1] == "max_chars: too long"


def filtered(maps: Sequence[DocumentMap], text: str) -> tuple[str, str | None]:
    """What is left of a text by some maps, and why it goes."""
    batch = DocumentBatch(pa.RecordBatch.from_pydict({"text": pa.array([text], pa.large_string())}))
    for step in maps:
        out = step.apply(batch)
        (reason,) = [None] if out.reasons is None else list(out.reasons)
        batch = batch.with_columns(out.columns)
        if reason is not None:
            return batch.texts()[0], reason
    return batch.texts()[0], None


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


def test_every_threshold_is_a_documented_setting() -> None:
    for name in RULES:
        rule = RULES.load(name)
        fields = dataclasses.fields(rule)
        assert fields and all(field.metadata["doc"] for field in fields)
        settings = {} if name != "languages" else {"keep": ("en",)}
        assert set(rule(**settings).config()) == {field.name for field in fields}


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
