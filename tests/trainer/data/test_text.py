"""Texts and ids by either kind of tokenizer, and the bytes that an id stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.errors import DataError
from tests.trainer.export.tokenizers import END, TEXT, library_tokenizer, tokenizer
from trainer.data.text import TextCodec, token_bytes

TEXTS = (TEXT, "the sea", "na\u00efve \u6771 text", "a")


def made(kind: str, directory: Path) -> Path:
    if kind == "bpe":
        return tokenizer(directory, "bpe", [])
    return library_tokenizer(directory, byte_level=kind == "byte-level")


@pytest.mark.parametrize("kind", ["bpe", "byte-level", "byte-fallback"])
def test_texts_come_back_and_their_bytes_add_up(kind: str, tmp_path: Path) -> None:
    path = made(kind, tmp_path)
    codec, sizes = TextCodec(path), token_bytes(path, 320)
    for text in TEXTS:
        ids = codec.encode(text)
        assert codec.decode(ids) == text
        assert codec.decode([*ids, 310, 319]) == text
        assert sizes[1, ids[0]] + sizes[0, ids[1:]].sum() == len(text.encode())
    assert not sizes[:, 310:].any()


@pytest.mark.parametrize("kind", ["byte-level", "byte-fallback"])
def test_no_text_gives_a_special_token_and_none_is_added(kind: str, tmp_path: Path) -> None:
    codec = TextCodec(made(kind, tmp_path))
    ids = codec.encode(f"<s> a {END} b")
    assert 0 not in ids and 1 not in ids
    assert codec.decode(ids) == f"<s> a {END} b"
    assert codec.decode([0, *codec.encode("the sea"), 0]) == "the sea"


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "tokenizer.model").write_text("no model")
    with pytest.raises(DataError, match="no usable tokenizer"):
        TextCodec(tmp_path / "tokenizer.json")
    with pytest.raises(DataError, match="not a SentencePiece model"):
        TextCodec(tmp_path / "tokenizer.model")
    with pytest.raises(DataError, match="is missing"):
        TextCodec(tmp_path / "none.json")
