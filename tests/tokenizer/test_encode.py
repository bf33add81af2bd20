"""The fast encoder gives SentencePiece's ids, for trained models and for arbitrary vocabularies."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import DataError
from tests.tokenizer.conftest import synthetic_texts
from tokenizer import proto
from tokenizer.encode import Encoder
from tokenizer.kernel import BLOCK, KEY_BYTES, SHORT_BITS, WIDE_BITS
from tokenizer.merges import read_merges, why_not
from tokenizer.model import Tokenizer
from tokenizer.presets import PRESETS


def varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def message(number: int, body: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(body)) + body


def flag(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def model_bytes(
    pieces: list[tuple[str, float, int]],
    dummy_prefix: bool = False,
    model_type: int = proto.BPE,
    byte_fallback: bool = True,
    normalizer: bytes = flag(4, 0),
    trainer: bytes = b"",
) -> bytes:
    """A SentencePiece model file with the pieces `(text, score, type)` after `<unk>`, `</s>` and the bytes."""
    special = [("<unk>", 0.0, proto.UNKNOWN), ("</s>", 0.0, proto.CONTROL)]
    special += [(f"<0x{byte:02X}>", 0.0, proto.BYTE) for byte in range(256 if byte_fallback else 0)]
    out = b"".join(
        message(1, message(1, text.encode()) + b"\x15" + struct.pack("<f", score) + flag(3, kind))
        for text, score, kind in special + pieces
    )
    out += message(2, flag(3, model_type) + flag(35, int(byte_fallback)) + trainer)
    return out + message(3, message(1, b"identity") + flag(3, int(dummy_prefix)) + normalizer)


def encode(encoder: Encoder, texts: list[str]) -> list[list[int]]:
    data = [text.encode() for text in texts]
    offsets = np.cumsum([0, *(len(part) for part in data)], dtype=np.int64)
    ids, ends = encoder.encode(np.frombuffer(b"".join(data), dtype=np.uint8), offsets)
    return [part.tolist() for part in np.split(ids, ends[:-1])] if texts else []


def agree(data: bytes, texts: list[str]) -> None:
    """The encoder and SentencePiece give the same ids, when the chunks are new and when they are known."""
    reference = sentencepiece.SentencePieceProcessor(model_proto=data)
    encoder = Encoder(read_merges(proto.read_model(data)))
    expected = [reference.encode(text) for text in texts]
    assert encode(encoder, texts) == expected
    assert encode(encoder, texts) == expected


letters = st.sampled_from("abc\u2581\n.é日𝄞")
scores = st.sampled_from([-0.0, 0.0, -1.0, -2.0, -3.5, 1.0, 2.0, -1e30, 1e-40])
vocabularies = st.dictionaries(st.text(letters, min_size=1, max_size=6), scores, max_size=40)
documents = st.lists(st.text(st.sampled_from("abc \u2581\n.é日𝄞x\x00"), max_size=80), max_size=5)


@given(
    pieces=vocabularies,
    user=st.sets(st.text(st.sampled_from("abc.é"), min_size=1, max_size=4), max_size=4),
    texts=documents,
    prefix=st.booleans(),
)
@settings(max_examples=400)
def test_arbitrary_vocabularies_agree_with_sentencepiece(
    pieces: dict[str, float], user: set[str], texts: list[str], prefix: bool
) -> None:
    entries = [(text, score, proto.NORMAL) for text, score in pieces.items() if text not in user]
    entries += [(text, 0.0, proto.USER_DEFINED) for text in sorted(user)]
    if "\u2581" not in pieces:
        entries.append(("\u2581", -9.0, proto.NORMAL))
    agree(model_bytes(entries, prefix), texts)


@given(pieces=vocabularies, unit=st.text(st.sampled_from("abc é"), min_size=1, max_size=12), times=st.integers(1, 40))
@settings(max_examples=100)
def test_long_chunks_agree_with_sentencepiece(pieces: dict[str, float], unit: str, times: int) -> None:
    entries = [(text, score, proto.NORMAL) for text, score in ({"\u2581": -9.0} | pieces).items()]
    agree(model_bytes(entries), [unit * times, "x".join([unit * times] * 3)])


@given(pieces=vocabularies, unit=st.text(st.sampled_from("abc é日𝄞\u2581"), min_size=1, max_size=5), data=st.data())
@settings(max_examples=100)
def test_blocks_may_end_anywhere(pieces: dict[str, float], unit: str, data: st.DataObject) -> None:
    entries = [(text, score, proto.NORMAL) for text, score in ({"\u2581": -9.0} | pieces).items()]
    before = data.draw(st.integers(BLOCK - 20, BLOCK + 1))
    text = ("a" if data.draw(st.booleans()) else "a b") * before
    agree(model_bytes(entries), [text[:before] + unit * data.draw(st.integers(1, 20)), unit * (BLOCK // 2), ""])


@given(
    user=st.sets(st.text(st.sampled_from("ab<é"), min_size=1, max_size=7), min_size=20, max_size=60),
    text=st.text(st.sampled_from("ab<é \u2581x"), max_size=200),
)
@settings(max_examples=100)
def test_many_user_symbols_agree_with_sentencepiece(user: set[str], text: str) -> None:
    entries = [("\u2581", -9.0, proto.NORMAL), ("a\u2581", -1.0, proto.NORMAL), ("ab", -2.0, proto.NORMAL)]
    entries += [(symbol, 0.0, proto.USER_DEFINED) for symbol in sorted(user - {"ab"})]
    agree(model_bytes(entries), [text, text * 3])


@pytest.mark.parametrize("unit", ["a", " ", "\n", "日", "🙂", "ab", "a ", "\u2581", "etaoin", "aé"])
def test_long_runs_agree_with_sentencepiece(tokenizers: dict[str, Tokenizer], unit: str) -> None:
    texts = [unit * 100_000, unit * (BLOCK + 3) + "x" + unit * 9]
    for name in ("llama", "galactica"):
        tokenizer = tokenizers[name]
        assert tokenizer.encode_batch(texts).to_pylist() == [tokenizer.processor.encode(text) for text in texts]


@pytest.mark.parametrize("name", PRESETS)
@given(data=st.data())
@settings(max_examples=60)
def test_presets_agree_with_sentencepiece(tokenizers: dict[str, Tokenizer], name: str, data: st.DataObject) -> None:
    tokenizer = tokenizers[name]
    assert not tokenizer.slow_because
    stems = st.sampled_from([piece.text.decode().replace("\u2581", " ") for piece in tokenizer.model.pieces])
    text = data.draw(st.lists(st.one_of(stems, st.text(max_size=5)), max_size=40).map("".join))
    assert tokenizer.encode_batch([text, text]).to_pylist() == [tokenizer.processor.encode(text)] * 2


@pytest.mark.parametrize("name", PRESETS)
def test_hard_texts_agree_with_sentencepiece(tokenizers: dict[str, Tokenizer], name: str) -> None:
    tokenizer = tokenizers[name]
    rng = random.Random(7)
    texts = [
        *("", " ", "\u2581", "\n", "\x00", "a", " a", "\u2581a", "a\u2581", "  \u2581 \u2581\u2581  a"),
        *(char * size for char in "ae é日🙂[" for size in (1, 7, 8, 9, 15, 16, 17, 24, 25, 31, 32, 33, 200, 5000)),
        *("".join(rng.choices("etao ié日\n", k=size)) for size in range(1, 70)),
        "".join(rng.choices("etaoinshrdlu", k=60_000)),
        "[START_REF][START_RE[START_REF] <work></work </work>",
        *synthetic_texts(9, number=10),
    ]
    expected = [tokenizer.processor.encode(text) for text in texts]
    assert tokenizer.encode_batch(texts).to_pylist() == expected
    assert tokenizer.encode_batch(pa.array(texts)).to_pylist() == expected


@pytest.mark.parametrize(("shortest", "longest", "rows"), [(5, 15, SHORT_BITS), (16, KEY_BYTES + 3, WIDE_BITS)])
def test_full_tables_forget_and_stay_exact(
    tokenizers: dict[str, Tokenizer], shortest: int, longest: int, rows: int
) -> None:
    rng = random.Random(3)
    words = ["".join(rng.choices("etaoinshrdlucm", k=rng.randint(shortest, longest))) for _ in range(3 << rows)]
    words += words[: 1 << 14] * 2
    texts = [" ".join(words[start : start + 1000]) for start in range(0, len(words), 1000)]
    encoder = Encoder(read_merges(tokenizers["llama"].model))
    met = encode(encoder, texts)
    assert 2 << rows < encoder.misses < encoder.chunks
    reference = tokenizers["llama"].processor
    for number in range(0, len(texts), len(texts) // 40):
        assert met[number] == reference.encode(texts[number])
    assert met[-10:] == [reference.encode(text) for text in texts[-10:]]


def test_known_chunks_are_not_merged_again(tokenizers: dict[str, Tokenizer]) -> None:
    encoder = Encoder(read_merges(tokenizers["llama"].model))
    texts = synthetic_texts(5, number=5)
    encode(encoder, texts)
    before, chunks = encoder.misses, encoder.chunks
    encode(encoder, texts)
    assert 50 < before < chunks
    # a few with many ids are not remembered
    assert encoder.misses - before < before // 10
    assert encoder.chunks == 2 * chunks


def test_models_whose_rules_forbid_cutting_are_left_to_sentencepiece(
    tokenizers: dict[str, Tokenizer], tmp_path: Path
) -> None:
    pieces = [("\u2581", -1.0, proto.NORMAL), ("a", -2.0, proto.NORMAL), ("\u2581a", -0.5, proto.NORMAL)]
    cases = {
        "not bpe": model_bytes(pieces, model_type=proto.UNIGRAM),
        "no bytes": model_bytes(pieces, byte_fallback=False),
        "removes blanks": model_bytes(pieces, normalizer=flag(4, 1)),
        "another way": model_bytes(pieces, normalizer=flag(4, 0) + flag(5, 0)),
        "blanks in another": model_bytes(pieces, trainer=flag(24, 1)),
        "unused pieces": model_bytes([*pieces, ("aa", -1.0, proto.UNUSED)]),
        "no piece of its own": model_bytes(pieces[1:]),
        "holds a blank": model_bytes([*pieces, ("x\u2581y", 0.0, proto.USER_DEFINED)]),
    }
    texts = ["a a  aa", "", "x y b", "\u2581a b\nc"]
    for reason, data in cases.items():
        assert reason in why_not(proto.read_model(data))
        path = tmp_path / "slow.model"
        path.write_bytes(data)
        tokenizer = Tokenizer.load(path)
        assert tokenizer.encode_batch(texts).to_pylist() == [tokenizer.processor.encode(text) for text in texts]
    assert "not bpe" in tokenizers["unigram"].slow_because


def test_texts_that_are_no_unicode_are_refused(tokenizers: dict[str, Tokenizer]) -> None:
    bad = pa.array([b"a\xffb"], pa.binary()).view(pa.string())
    with pytest.raises(DataError, match="no valid Unicode"):
        tokenizers["llama"].encode_batch(bad)


@pytest.mark.slow
def test_the_samples_agree_with_sentencepiece(samples: Path, tokenizers: dict[str, Tokenizer]) -> None:
    texts = [path.read_bytes().decode("utf-8", "replace") for path in sorted(samples.glob("text/**/*.txt"))[:20]]
    texts += [
        path.read_bytes().decode("utf-8", "replace") for path in sorted(samples.glob("multilingual/**/*.txt"))[:40]
    ]
    for name in PRESETS:
        tokenizer = tokenizers[name]
        assert tokenizer.encode_batch(texts).to_pylist() == [tokenizer.processor.encode(text) for text in texts]
