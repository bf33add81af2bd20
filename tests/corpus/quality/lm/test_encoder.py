"""Pieces found word by word against SentencePiece on the whole text."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from corpus.data.buffers import text_buffers
from corpus.errors import DataError
from corpus.quality.lm import encoder as encoder_module
from corpus.quality.lm.encoder import PieceEncoder
from corpus.quality.lm.normalize import normalize
from corpus.quality.lm.spmodel import UnigramModel, read_unigram
from tests.corpus.quality.lm.texts import made_texts

_HARD = "aAeinst  \n\n\t.0９’–“漢字éé½ﬁΣς\u0301\u00ad\u00a0\u2028\ue000ｶﾞ가▁İ\x7f\x85"
hard = st.text(st.one_of(st.sampled_from(_HARD), st.characters(exclude_categories=["Cs"])))


@pytest.fixture(scope="module")
def model(models: Path) -> UnigramModel:
    found = read_unigram(models / "en" / "sp.model")
    assert isinstance(found, UnigramModel)
    return found


@pytest.fixture(scope="module")
def encoder(model: UnigramModel) -> PieceEncoder:
    return PieceEncoder(model)


def encoded(encoder: PieceEncoder, texts: Sequence[str], by_line: bool) -> list[list[list[str]]]:
    """By text and sentence the pieces."""
    out = encoder.encode(*text_buffers(pa.array(texts, pa.large_string())), by_line)
    pieces = [
        bytes(out.store[at : at + size]).decode()
        for at, size in zip(out.places.tolist(), out.sizes.tolist(), strict=True)
    ]
    sentences = [pieces[a:b] for a, b in zip([0, *out.ends.tolist()], out.ends.tolist(), strict=False)]
    assert out.lengths.tolist() == [len(" ".join(sentence).split()) for sentence in sentences]
    return [sentences[a:b] for a, b in zip([0, *out.last.tolist()], out.last.tolist(), strict=False)]


def expected(model: UnigramModel, texts: Sequence[str], by_line: bool) -> list[list[list[str]]]:
    return [
        [model.processor.encode_as_pieces(normalize(part)) for part in (text.split("\n") if by_line else [text])]
        for text in texts
    ]


@given(texts=st.lists(hard, max_size=5), by_line=st.booleans())
def test_pieces_are_those_of_the_library(
    model: UnigramModel, encoder: PieceEncoder, texts: list[str], by_line: bool
) -> None:
    assert encoded(encoder, texts, by_line) == expected(model, texts, by_line)


@pytest.mark.parametrize("by_line", [False, True])
def test_long_texts_and_words_are_encoded_as_by_the_library(
    model: UnigramModel, encoder: PieceEncoder, by_line: bool
) -> None:
    """Sums of single precision run on, and are taken back at -100,000; what was remembered has to give way."""
    prose = "\n".join(made_texts(1500, seed=9))
    word = "".join(made_texts(20, seed=5)).replace(" ", "")
    texts = [prose, prose[::-1], word * 3, "ab" * 40_000 + " and so on " + "漢" * 300, ""]
    assert encoded(encoder, texts, by_line) == expected(model, texts, by_line)


def test_close_segmentations_change_places_with_the_sum_before_them(tmp_path: Path) -> None:
    """A word whose two segmentations differ by less than single precision can tell."""
    vocabulary = {"a": -5.0, "b": -6.25, "ab": -11.250003, "▁": -3.0, "▁a": -8.000001, "c": -2.0}
    model = UnigramModel(*_unigram(tmp_path, vocabulary))
    encoder = PieceEncoder(model)
    for length in (0, 10, 3_000, 9_000, 40_000):
        text = "c" * length + " ab abab aab"
        assert encoded(encoder, [text], False) == expected(model, [text], False)


def _unigram(folder: Path, scores: dict[str, float]) -> tuple[Any, tuple[bytes, ...], Any, float]:
    """A model with scores of one's own, written into the file of a trained one."""
    out = io.BytesIO()
    letters = ["a b c ab aab abc cab"] * 50
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(letters), model_writer=out, vocab_size=10, hard_vocab_limit=False, minloglevel=2
    )
    trained = sentencepiece.SentencePieceProcessor(model_proto=out.getvalue())
    rest = out.getvalue()
    for _ in range(trained.get_piece_size()):
        rest = rest[2 + rest[1] :]  # pieces come first, each a field of less than 128 bytes
    pieces = b""
    for text, score, kind in [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3), *((*p, 1) for p in scores.items())]:
        name = text.encode()
        body = b"\n" + bytes([len(name)]) + name + b"\x15" + struct.pack("<f", score)
        body += b"\x18" + bytes([kind]) if kind != 1 else b""
        pieces += b"\n" + bytes([len(body)]) + body
    path = folder / "sp.model"
    path.write_bytes(pieces + rest)
    model = read_unigram(path)
    assert isinstance(model, UnigramModel), model
    return model.processor, model.pieces, model.scores, model.unknown


def test_what_is_forgotten_changes_no_piece(model: UnigramModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_module, "_MOST_WORDS", 50)
    monkeypatch.setattr(encoder_module, "_MOST_BYTES", 400)
    encoder = PieceEncoder(model)
    for seed in range(6):
        texts = [*made_texts(10, seed), "ünï №½ " * seed]
        assert encoded(encoder, texts, True) == expected(model, texts, True)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"model_type": "bpe", "vocab_size": 60, "hard_vocab_limit": True}, "no unigram model"),
        ({"byte_fallback": True, "vocab_size": 400}, "bytes"),
        ({"normalization_rule_name": "identity", "vocab_size": 100}, "white space"),
        ({"add_dummy_prefix": False, "vocab_size": 100}, "spaces"),
        ({"split_by_whitespace": False, "vocab_size": 300}, "several words"),
        ({"user_defined_symbols": ["<x>"], "vocab_size": 100}, "symbols of its own"),
    ],
)
def test_models_that_have_to_be_left_to_the_library(tmp_path: Path, settings: dict[str, Any], why: str) -> None:
    path = tmp_path / "sp.model"
    path.write_bytes(train(settings))
    found = read_unigram(path)
    assert isinstance(found, str) and why in found


def train(settings: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    arguments = {"hard_vocab_limit": False} | settings
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(made_texts(100)), model_writer=out, minloglevel=2, **arguments
    )
    return out.getvalue()


def test_a_file_that_is_no_model_is_one_sentence(tmp_path: Path, models: Path) -> None:
    whole = (models / "en" / "sp.model").read_bytes()
    for number, data in enumerate([b"", b"no model at all", *(whole[:-cut] for cut in range(1, len(whole), 61))]):
        path = tmp_path / str(number)
        path.write_bytes(data)
        with pytest.raises(DataError, match="no whole SentencePiece model"):
            read_unigram(path)
