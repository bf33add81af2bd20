"""Words of a list, at every border, and against an expression of Python's."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import DataError, UsageError
from corpus.quality.filter import FilterConfig
from corpus.quality.phrases import Phrases
from corpus.quality.rules.badwords import BadWords
from tests.corpus.quality import twins
from tests.corpus.quality.batches import reasons
from tests.corpus.quality.texts import texts

WORDS = ["a", "ab", "bad", "bad word", "word", "é", "漢字", "."]


@given(
    st.lists(st.one_of(texts, st.text(st.sampled_from("abdword é漢字._")))), st.sets(st.sampled_from(WORDS), min_size=1)
)
def test_phrases_are_found_as_by_an_expression(values: list[str], words: set[str]) -> None:
    lower = pa.array([text.lower() for text in values], pa.large_string())
    phrases = Phrases.of(sorted(words))
    whole = pa.array([True] * len(values), pa.bool_()).to_numpy(zero_copy_only=False)
    assert list(phrases.in_texts(lower, whole)) == [twins.bad_words(sorted(words), text) for text in values]
    anywhere = phrases.in_texts(lower, ~whole)
    wanted = [
        sum(text.lower()[at:].startswith(word) for at in range(len(text.lower())) for word in words) for text in values
    ]
    assert list(anywhere) == wanted


def test_the_rule(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("Bad\nvery rude \n\n字\n", encoding="utf-8")
    (rule,) = FilterConfig(rules=(f"badwords:{path}",)).maps()
    assert isinstance(rule, BadWords) and set(rule.config()["list"]) <= set("0123456789abcdef")
    values = ["BAD", "a badge", "so bad!", "very rude", "very  rude", "漢字", "漢字", "x_bad"]
    languages = [None, "en", "en", "en", "en", "ja", "en", "en"]
    gone = "bad words"
    assert reasons(rule, values, languages) == [gone, None, gone, gone, None, gone, None, None]
    assert reasons(BadWords(list=str(path), max_found=1), ["bad", "bad bad"]) == [None, gone]


def test_lists_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no list"):
        FilterConfig(rules=("badwords",))
    with pytest.raises(UsageError, match="does not exist"):
        FilterConfig(rules=("badwords:nowhere.txt",))
    for name, data in (("empty", b"\n \n"), ("latin", "é\n".encode("latin-1"))):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match="one word a line"):
            BadWords(list=str(tmp_path / name)).prepare()
