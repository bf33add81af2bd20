"""Gopher's rules at their published limits, against their twins, and against datatrove's filters on real texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.quality.rules.gopher import GopherQuality, GopherRepetition
from tests.corpus.quality import twins
from tests.corpus.quality.batches import reasons
from tests.corpus.quality.texts import texts

FILLER = ["river", "stone", "cloud", "forest", "window", "table", "garden", "music", "paper", "silver"]


def prose(words: int, stop: str = "the of") -> str:
    """As many words, one line, that pass the quality rules."""
    return " ".join([*stop.split(), *(FILLER[i % 10] for i in range(words - len(stop.split())))])


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
    assert reasons(GopherQuality(), [text]) == [reason]


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
    assert reasons(GopherRepetition(), [text]) == [reason]


SHORT = GopherQuality(min_words=3, min_mean_word=1.5, min_stop_words=1, stop_words=("the", "of", "a"))
"""Limits that short texts reach."""


@given(st.lists(texts, min_size=1, max_size=4))
def test_rules_decide_as_their_twins(values: list[str]) -> None:
    for rule in (GopherQuality(), SHORT, GopherQuality(min_words=0, min_stop_words=0)):
        assert reasons(rule, values) == [twins.gopher_quality(rule, text) for text in values]
    repetition = GopherRepetition()
    assert reasons(repetition, values) == [twins.gopher_repetition(repetition, text) for text in values]


def test_stop_words_are_those_of_the_language() -> None:
    english, german = prose(60), prose(60, "der und").replace("stone", "Stein")
    texts_ = [english, german, english, german, german]
    languages = ["en", "en", None, None, "de"]
    few = "too few stop words"
    assert reasons(GopherQuality(), texts_, languages) == [None, few, None, few, None]
    lists = GopherQuality(stop_word_lists="fineweb-2")
    assert reasons(lists, [german, english, english], ["de", "de", "eo"]) == [None, few, None]
    told = GopherQuality(stop_words=("der", "die", "und"))
    assert reasons(told, [german, english], ["en", "de"]) == [None, few]


def test_chinese_has_words() -> None:
    text = "".join(chr(0x5100 + n) + ("，" if n % 9 == 8 else "") for n in range(0, 300, 5)) + "的是"
    assert reasons(GopherQuality(), [text, text], ["zh", "en"]) == [None, "too few words"]
    lists = GopherQuality(stop_word_lists="fineweb-2")
    assert reasons(lists, [text, text[:-2]], ["zh", "zh"]) == [None, "too few stop words"]
    assert reasons(GopherRepetition(), ["今天天气很好。" * 9], ["zh"]) == ["top 2-gram"]
