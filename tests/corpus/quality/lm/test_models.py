"""Perplexities of a folder's models against CCNet's chain: normalise, SentencePiece, KenLM, its formula."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from corpus.data.buffers import text_buffers
from corpus.errors import DataError, UsageError
from corpus.quality.lm import models as models_module
from corpus.quality.lm.models import LanguageModel, ModelFiles, find_models, perplexity, slow_because
from corpus.quality.lm.normalize import normalize
from corpus.quality.rules.perplexity import Perplexity
from tests.corpus.quality.lm.texts import made_texts


class Chain:
    """The slow twin."""

    def __init__(self, folder: Path) -> None:
        kenlm = pytest.importorskip("kenlm")
        self.processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "sp.model"))
        self.model = kenlm.Model(str(folder / "lm.arpa"))

    def perplexity(self, text: str, by_line: bool) -> float | None:
        total, length = 0.0, 0
        for sentence in text.split("\n") if by_line else [text]:
            tokenized = " ".join(self.processor.encode_as_pieces(normalize(sentence)))
            if tokenized:
                total += self.model.score(tokenized)
                length += len(tokenized.split()) + 1
        return round(10.0 ** (-total / length), 1) if length else None


@pytest.fixture(scope="module")
def chain(models: Path) -> Chain:
    return Chain(models / "en")


@pytest.fixture(scope="module")
def model(models: Path) -> LanguageModel:
    return LanguageModel(find_models(models)["en"])


def perplexities(model: LanguageModel, texts: Sequence[str], by_line: bool) -> list[float | None]:
    return model.perplexities(*text_buffers(pa.array(texts, pa.large_string())), by_line)


hard = st.text(st.one_of(st.sampled_from("ain  \n.0’漢字éﬁ\u0301\ue000<>/s"), st.characters(exclude_categories=["Cs"])))


@given(texts=st.lists(hard, max_size=4), by_line=st.booleans())
def test_perplexities_are_those_of_the_chain(
    model: LanguageModel, chain: Chain, texts: list[str], by_line: bool
) -> None:
    assert perplexities(model, texts, by_line) == [chain.perplexity(text, by_line) for text in texts]


EDGE = ["", " \n\t\u00a0", "a", "one", "\u0301\u0301", "\x00\x1f", "\uffff\ufffe\U0010ffff", "漢字", "\n\nx\n\n"]


@pytest.mark.parametrize("by_line", [False, True])
def test_odd_texts_have_a_defined_result(model: LanguageModel, chain: Chain, by_line: bool) -> None:
    found = perplexities(model, EDGE, by_line)
    assert found == [chain.perplexity(text, by_line) for text in EDGE]
    assert found[0] is found[1] is found[4] is found[5] is None and found[2] is not None


@pytest.mark.slow
@pytest.mark.parametrize("text", ["x" * 10_000_000, "word " * 2_000_000, "漢" * 3_300_000])
def test_a_line_of_ten_megabytes(model: LanguageModel, text: str) -> None:
    assert perplexities(model, [text], True) == perplexities(model, [text], False)


def test_texts_are_scored_the_same_alone_and_together(model: LanguageModel) -> None:
    texts = [*made_texts(50, 3), *EDGE]
    together = perplexities(model, texts, False)
    assert together == [perplexities(model, [text], False)[0] for text in texts]
    assert perplexities(model, [], True) == []


@pytest.mark.parametrize("slow", ["pieces", "n-grams", "both"])
def test_the_libraries_themselves_give_the_same(
    models: Path, model: LanguageModel, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    pytest.importorskip("kenlm")
    if slow != "n-grams":
        monkeypatch.setattr(models_module, "read_unigram", lambda path: "it is slow")
    if slow != "pieces":
        monkeypatch.setattr(models_module, "read_arpa", lambda path: "it is slow")
    other = LanguageModel(find_models(models)["en"])
    assert (other._encoder is None, other._kenlm is None) == (slow != "n-grams", slow == "pieces")
    texts = [*made_texts(20, 4), *EDGE]
    for by_line in (False, True):
        assert perplexities(other, texts, by_line) == perplexities(model, texts, by_line)


def test_models_are_found_by_our_names_and_by_ccnets(models: Path, tmp_path: Path) -> None:
    pieces, ngrams = models / "en" / "sp.model", models / "en" / "lm.arpa"
    shutil.copytree(models / "en", tmp_path / "en")
    for name, source in [
        ("de.sp.model", pieces),
        ("de.arpa.bin", ngrams),
        ("fr.sp.model", pieces),
        ("fr.arpa", ngrams),
    ]:
        shutil.copy(source, tmp_path / name)
    assert find_models(tmp_path) == {
        "de": ModelFiles("de", tmp_path / "de.sp.model", tmp_path / "de.arpa.bin"),
        "en": ModelFiles("en", tmp_path / "en" / "sp.model", tmp_path / "en" / "lm.arpa"),
        "fr": ModelFiles("fr", tmp_path / "fr.sp.model", tmp_path / "fr.arpa"),
    }
    assert perplexities(LanguageModel(find_models(tmp_path)["de"]), ["a b"], True)
    (tmp_path / "fr.arpa").unlink()
    with pytest.raises(DataError, match=r"fr.sp.model has no other half"):
        find_models(tmp_path)
    # what train-lm wrote itself is taken too; a folder of that form of others is not
    assert find_models(models / "en").keys() == {"en"}
    (tmp_path / "en/manifest.json").unlink(missing_ok=True)
    with pytest.raises(UsageError, match="one language"):
        find_models(tmp_path / "en")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no language model"):
        find_models(tmp_path / "empty")
    with pytest.raises(UsageError, match="no folder"):
        find_models(tmp_path / "nothing")


def test_pieces_of_another_model_are_refused(models: Path, tmp_path: Path) -> None:
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["Съешь же ещё этих мягких французских булок"] * 90),
        model_writer=out,
        vocab_size=100,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    (tmp_path / "sp.model").write_bytes(out.getvalue())
    with pytest.raises(DataError, match="do not belong together"):
        LanguageModel(ModelFiles("en", tmp_path / "sp.model", models / "en" / "lm.arpa"))


@pytest.mark.parametrize("data", [b"mmap lm http://kheafield.com/code format version 5\n\0", b"\x1f\x8bgz", b"GGUF"])
def test_foreign_files_are_one_sentence(models: Path, tmp_path: Path, data: bytes) -> None:
    pytest.importorskip("kenlm")
    (tmp_path / "lm.arpa").write_bytes(data + b"x" * 100)
    with pytest.raises(DataError, match=r"copy or make the model again"):
        LanguageModel(ModelFiles("en", models / "en" / "sp.model", tmp_path / "lm.arpa"))


def test_a_perplexity_beyond_all_numbers_is_infinite() -> None:
    assert perplexity(-4000.0, 10) == float("inf")
    assert perplexity(-10.0, 5) == 100.0


def test_a_file_that_is_missing_is_one_sentence(tmp_path: Path, models: Path) -> None:
    files: Any = ModelFiles("en", tmp_path / "sp.model", models / "en" / "lm.arpa")
    with pytest.raises(DataError, match="no whole SentencePiece model"):
        LanguageModel(files)


def test_what_is_slow_is_said_before(models: Path, tmp_path: Path) -> None:
    assert slow_because(find_models(models)["en"]) == []
    (tmp_path / "en.arpa.bin").write_bytes(b"mmap lm http://kheafield.com/code format version 5")
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(made_texts(50)), model_writer=out, model_type="bpe", vocab_size=60, minloglevel=2
    )
    (tmp_path / "en.sp.model").write_bytes(out.getvalue())
    said = slow_because(find_models(tmp_path)["en"])
    assert "no unigram model" in said[0] and "binary" in said[1]
    assert "; ".join(said) == Perplexity(models=str(tmp_path)).notice()
