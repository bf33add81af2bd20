"""The kernels of the rule sets against what Python's strings say."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.quality.characters import ALPHANUMERIC, DECIMAL, LETTER, TABLE_SIZE, UNSPACED, character_table
from corpus.quality.cut import UNSPACED_LANGUAGES, Cut, cut_documents, cut_texts
from corpus.quality.lines import line_figures
from corpus.quality.repetition import repetition
from corpus.quality.rules.gopher import BULLETS
from corpus.quality.rules.stop_words import GOPHER
from corpus.quality.words import line_ends, stop_words_in, word_figures
from tests.corpus.quality import twins
from tests.corpus.quality.texts import texts


def column(values: Sequence[str]) -> pa.Array:
    return pa.array(values, pa.large_string())


def test_characters_are_those_of_python() -> None:
    table = character_table()
    characters = [chr(code) for code in range(sys.maxunicode + 1)]
    assert not any(char.isalnum() or char.isspace() for char in characters[TABLE_SIZE:])
    for bit, holds in ((LETTER, str.isalpha), (ALPHANUMERIC, str.isalnum), (DECIMAL, str.isdecimal)):
        assert ((table & bit) != 0).tolist() == list(map(holds, characters[:TABLE_SIZE]))


def check_cut(cut: Cut, index: int, text: str) -> None:
    def part(begin: int, end: int) -> str:
        return bytes(cut.data[begin:end]).decode("utf-8", "surrogatepass")

    words, first = text.split(), cut.different_from[index]
    different = slice(first, cut.different_to[index])
    spans = zip(cut.word_begins[different], cut.word_ends[different], strict=True)
    known = [part(begin, end) for begin, end in spans]
    assert known == list(dict.fromkeys(words))
    assert [known[id] for id in cut.ids[cut.words_from[index] : cut.words_to[index]]] == words
    assert list(cut.word_characters[different]) == list(map(len, known))
    assert list(cut.occurrences[different]) == [words.count(word) for word in known]
    lines = slice(cut.lines_from[index], cut.lines_to[index])
    wanted = twins.lines_of(text)
    pairs = zip(cut.line_begins[lines], cut.line_ends[lines], strict=True)
    assert [part(begin, end) for begin, end in pairs] == wanted
    assert list(cut.line_characters[lines]) == list(map(len, wanted))
    pairs = zip(cut.line_text_begins[lines], cut.line_text_ends[lines], strict=True)
    assert [part(begin, end) for begin, end in pairs] == [line.strip() for line in wanted]
    assert cut.characters[index] == len(text)


@given(st.lists(texts, max_size=4))
def test_texts_are_cut_as_python_cuts_them(values: list[str]) -> None:
    cut = cut_texts(column(["before", *values]).slice(1))
    for index, text in enumerate(values):
        check_cut(cut, index, text)
    stays = np.array([len(text) % 2 == 0 for text in values], dtype=np.bool_)
    left = cut.filter(stays)
    for index, text in enumerate(text for text in values if len(text) % 2 == 0):
        check_cut(left, index, text)


@pytest.mark.parametrize(
    "text", ["", " \n\u3000", "one", "a" * 3000, " ".join(f"word-number-{n}" for n in range(5000))]
)
def test_plain_cuts(text: str) -> None:
    check_cut(cut_texts(column([text])), 0, text)


@given(st.lists(texts, min_size=1, max_size=3))
def test_repetition_is_its_twin(values: list[str]) -> None:
    found = repetition(cut_texts(column(values)))
    for index, text in enumerate(values):
        words = text.split()
        lines, paragraphs = twins.lines_of(text), twins.paragraphs_of(text)
        number, characters = found.duplicate_lines[index], found.duplicate_line_characters[index]
        assert (number, characters) == twins.repeats(lines)
        assert found.paragraphs[index] == len(paragraphs)
        number, characters = found.duplicate_paragraphs[index], found.duplicate_paragraph_characters[index]
        assert (number, characters) == twins.repeats(paragraphs)
        assert {n: top[index] for n, top in found.top_ngrams.items()} == {
            n: twins.top_ngram(words, n) for n in (2, 3, 4)
        }
        assert {n: size[index] for n, size in found.duplicate_ngrams.items()} == {
            n: twins.duplicate_ngrams(words, n) for n in range(5, 11)
        }


@given(st.lists(texts, min_size=1, max_size=3))
def test_words_and_lines_are_counted(values: list[str]) -> None:
    cut = cut_texts(column(values))
    figures, (bullets, ending) = word_figures(cut), line_ends(cut, BULLETS)
    lines = line_figures(pa.record_batch([column(values)], ["text"]))
    for index, text in enumerate(values):
        assert figures.characters[index] == sum(map(len, text.split()))
        assert figures.lettered[index] == sum(any(map(str.isalpha, word)) for word in text.split())
        assert figures.alphanumeric[index] == lines.alphanumeric[index] == sum(map(str.isalnum, text))
        assert figures.hashes[index] == text.count("#")
        assert figures.ellipses[index] == text.count("...") + text.count("…")
        assert bullets[index] == sum(line.lstrip().startswith(BULLETS) for line in twins.lines_of(text))
        assert ending[index] == sum(line.rstrip().endswith(("...", "…")) for line in twins.lines_of(text))
        assert lines.characters[index] == len(text)
        assert lines.longest[index] == max(map(len, text.split("\n")))
        assert lines.lines[index] == text.count("\n") + (not text.endswith("\n"))


@given(st.lists(texts, min_size=1, max_size=3), st.lists(st.one_of(st.sampled_from([*GOPHER, "a", "bb", "é"]), texts)))
def test_stop_words_are_counted(values: list[str], words: list[str]) -> None:
    found = stop_words_in(cut_texts(column(values)), words)
    assert list(found) == [twins.stop_words(text, words) for text in values]


def test_a_line_of_10_mb() -> None:
    text = " ".join(f"w{n % 5000}" for n in range(1_700_000))
    cut = cut_texts(column([text, "\0" + "x" * 10_000_000]))
    assert list(cut.words) == [1_700_000, 1] and list(cut.different_to - cut.different_from) == [5000, 1]
    found = repetition(cut)
    assert found.duplicate_ngrams[10][0] == len(text.replace(" ", "")) - len("".join(text.split(" ", 5000)[:5000]))
    assert found.top_ngrams[2][0] == 340 * len("w0 w1")


def test_words_whose_hashes_meet_stay_apart() -> None:
    """Long words that differ in their last byte or only in size, and short ones beside a NUL."""
    words = [
        "a",
        "a\0",
        "a\0\0",
        "abcdefg",
        "abcdefg\0",
        "abcdefgh",
        *("abcdefgh" * 3 + chr(97 + n) for n in range(26)),
    ]
    cut = cut_texts(column([" ".join(words * 3)]))
    assert list(cut.ids) == list(range(len(words))) * 3 and set(cut.occurrences) == {3}


def unspaced_twin(text: str) -> list[str]:
    """The words of a text of a language without blanks."""
    table = character_table()
    words = []
    for chunk in text.split():
        alone = None  # whether the last word is a letter of its own
        for char in chunk:
            unspaced = ord(char) < TABLE_SIZE and bool(table[ord(char)] & UNSPACED)
            if alone is None or unspaced or (alone and char.isalnum()):
                words.append(char)
                alone = unspaced
            else:
                words[-1] += char
    return words


@given(
    st.lists(st.one_of(texts, st.text(st.sampled_from("漢字かカー々〇。、「」ไทยก็ที่ລາວမြန်ខ្មែរab1,. \n"))), max_size=4)
)
def test_words_of_languages_without_blanks(values: list[str]) -> None:
    cut = cut_texts(column(values), np.ones(len(values), dtype=np.bool_))
    for index, text in enumerate(values):
        different = slice(cut.different_from[index], cut.different_to[index])
        spans = zip(cut.word_begins[different], cut.word_ends[different], strict=True)
        known = [bytes(cut.data[begin:end]).decode() for begin, end in spans]
        assert [known[id] for id in cut.ids[cut.words_from[index] : cut.words_to[index]]] == unspaced_twin(text)
        assert list(cut.word_characters[different]) == list(map(len, known))


def test_words_go_by_the_language_of_a_document() -> None:
    text = "今天天气很好。Hello, 2024年！"
    rows = pa.record_batch([column([text] * 4), pa.array(["zh", "en", None, "ja"])], ["text", "language"])
    cut = cut_documents(rows)
    assert list(cut.words) == [9, 2, 2, 9] and list(cut.unspaced) == [True, False, False, True]
    assert list(cut.filter(np.array([False, True, False, True])).unspaced) == [False, True]
    assert unspaced_twin(text) == ["今", "天", "天", "气", "很", "好。", "Hello,", "2024", "年！"]
    assert unspaced_twin("ที่นี่") == ["ที่", "นี่"] and set(UNSPACED_LANGUAGES) >= {"zh", "ja", "th"}
