"""ARPA files in memory against KenLM and a slow twin."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import DataError
from corpus.quality.lm.arpa_reader import read_arpa
from corpus.quality.lm.tables import Tables
from tests.corpus.quality.lm.kneser_ney import Model, kneser_ney
from tests.corpus.quality.lm.kneser_ney import read_arpa as read_slowly

WORDS = list("abcdefgh")


def write_arpa(path: Path, model: Model) -> Path:
    order = max(map(len, model))
    levels = [[(gram, value) for gram, value in model.items() if len(gram) == n] for n in range(1, order + 1)]
    lines = ["\\data\\", *(f"ngram {n}={len(level)}" for n, level in enumerate(levels, 1))]
    for n, level in enumerate(levels, 1):
        lines += ["", f"\\{n}-grams:"]
        lines += [f"{p:.7g}\t{' '.join(gram)}" + (f"\t{b:.7g}" if n < order else "") for gram, (p, b) in level]
    path.write_text("\n".join([*lines, "", "\\end\\", ""]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def arpa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(5)
    texts = [[WORDS[int(k) % 8] for k in rng.zipf(1.5, rng.integers(1, 12))] for _ in range(150)]
    return write_arpa(tmp_path_factory.mktemp("arpa") / "made.arpa", kneser_ney(texts, 4))


@pytest.fixture(scope="module")
def tables(arpa: Path) -> Tables:
    found = read_arpa(arpa)
    assert isinstance(found, Tables)
    return found


@pytest.fixture(scope="module")
def slow(arpa: Path) -> Model:
    return read_slowly(arpa)


@pytest.fixture(scope="module")
def kenlm(arpa: Path) -> Any:
    return pytest.importorskip("kenlm").Model(str(arpa))


def scores(tables: Tables, sentences: Sequence[Sequence[str]]) -> list[float]:
    words = [tables.word(word.encode()) for sentence in sentences for word in sentence]
    ends = np.cumsum([len(sentence) for sentence in sentences], dtype=np.int64)
    found: list[float] = tables.score(np.array(words, np.int32), ends).tolist()
    return found


def slow_score(model: Model, sentence: Sequence[str]) -> float:
    """Katz's recursion."""

    def logarithm(gram: tuple[str, ...]) -> float:
        if gram in model:
            return model[gram][0]
        if len(gram) == 1:
            return model[("<unk>",)][0]
        return model.get(gram[:-1], (0, 0.0))[1] + logarithm(gram[1:])

    order = max(map(len, model))
    words = [word if (word,) in model else "<unk>" for word in ("<s>", *sentence, "</s>")]
    return sum(logarithm(tuple(words[max(0, i - order + 1) : i + 1])) for i in range(1, len(words)))


@given(st.lists(st.lists(st.sampled_from([*WORDS, "new", "漢"]), max_size=12), max_size=6))
def test_scores_are_those_of_the_twin_and_of_kenlm_to_the_bit(
    tables: Tables, slow: Model, kenlm: Any, sentences: list[list[str]]
) -> None:
    found = scores(tables, sentences)
    assert found == pytest.approx([slow_score(slow, sentence) for sentence in sentences], abs=1e-4)
    assert found == [kenlm.score(" ".join(sentence)) for sentence in sentences]


def test_a_model_without_unknown_gives_unknown_words_what_kenlm_gives(slow: Model, tmp_path: Path) -> None:
    path = write_arpa(tmp_path / "made.arpa", {gram: value for gram, value in slow.items() if gram != ("<unk>",)})
    found = read_arpa(path)
    assert isinstance(found, Tables)
    theirs = pytest.importorskip("kenlm").Model(str(path))
    for sentence in (["new"], ["a", "new", "b"], ["a", "b"], []):
        assert scores(found, [sentence]) == [theirs.score(" ".join(sentence))]


def test_weights_of_what_is_no_context_count_as_in_kenlm(slow: Model, tmp_path: Path) -> None:
    path = write_arpa(tmp_path / "made.arpa", slow | {("<unk>",): (-1.5, -20.0), ("</s>",): (-0.7, -3.0)})
    found = read_arpa(path)
    assert isinstance(found, Tables)
    theirs = pytest.importorskip("kenlm").Model(str(path))
    for sentence in (["new", "a"], ["a", "new", "new", "b"], ["b", "a"]):
        assert scores(found, [sentence]) == [theirs.score(" ".join(sentence))]


def test_windows_line_ends_comments_and_exponents_are_read(arpa: Path, tables: Tables, tmp_path: Path) -> None:
    text = arpa.read_text().replace("\\data\\", "# made\n\n\\data\\", 1).replace("\n0\t<s>", "\n-0.0e+1\t<s>")
    other = tmp_path / "other.arpa"
    other.write_bytes(text.replace("\n", "\r\n").encode())
    found = read_arpa(other)
    assert isinstance(found, Tables)
    sentences = [["a", "b", "a"], ["h", "g"]]
    assert scores(found, sentences) == scores(tables, sentences)


def test_ngrams_without_their_shorter_ones_are_left_to_kenlm(tmp_path: Path) -> None:
    model = {("<unk>",): (-2.0, 0.0), ("<s>",): (-99.0, -0.1), ("</s>",): (-1.0, 0.0), ("a",): (-1.0, -0.3)}
    model |= {("b",): (-1.0, -0.2), ("<s>", "a"): (-0.5, -0.1), ("<s>", "a", "b"): (-0.4, 0.0)}
    found = read_arpa(write_arpa(tmp_path / "holes.arpa", model))
    assert isinstance(found, str) and "shorter" in found


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: "", "empty"),
        (lambda text: "no model", "begin with"),
        (lambda text: text.replace("\\data\\", "\\dta\\"), "begin with"),
        (lambda text: text.replace("ngram 1", "ngrm 1"), "how many"),
        (lambda text: text[: len(text) // 2], "ends before|more, or fewer"),
        (lambda text: text.replace("\\end\\", ""), "end"),
        (lambda text: text.replace("\\2-grams:", "\\5-grams:"), "2-grams"),
        (lambda text: text.replace("\ta b", "\ta zz", 1), "no 1-gram"),
        (lambda text: text.replace("\ta b", "\ta", 1), "no 1-gram"),
        (lambda text: text.replace("\ta b", "\ta b c d", 1), "more, or fewer"),
        (lambda text: text.replace("\tb\t", "\ta\t", 1), "twice"),
        (lambda text: text.replace("<s>\t", "<S>\t").replace("<s> ", "<S> "), "no 1-gram <s>"),
        (lambda text: text.replace("\n-", "\nminus ", 1), "no number"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_sentence(arpa: Path, tmp_path: Path, change: Any, why: str) -> None:
    broken = tmp_path / "broken.arpa"
    broken.write_text(change(arpa.read_text()))
    with pytest.raises(DataError, match=f"no whole ARPA file .*({why})"):
        read_arpa(broken)


def test_no_cut_of_a_file_passes(arpa: Path, tmp_path: Path) -> None:
    whole = arpa.read_bytes()
    cut = tmp_path / "cut.arpa"
    for size in range(0, len(whole) - 6, 97):
        cut.write_bytes(whole[:size])
        with pytest.raises(DataError):
            read_arpa(cut)
