"""Loading models, encoding and decoding, and what a text can and cannot do."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import sentencepiece
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus.errors import DataError, UsageError
from tests.tokenizer.conftest import synthetic_texts
from tokenizer.model import LONG_TEXT, Tokenizer, _as_array
from tokenizer.presets import PRESETS

ALL = [*PRESETS, "unigram"]
ODD = [
    "",
    " ",
    "  two  blanks ",
    "\n\n a\tb\r\n",
    "NUL \x00 inside",
    "\x00",
    "</s> [eod] <s> <unk> <0x41> [START_REF]",
    "½ ﬁ ① ℌ é e\u0301",
    "日本語のテキスト と 漢字",
    "🙂 emoji 👩‍👩‍👧 and \U0010ffff",
    "12345.678",
    "x" * 5000,
    "▅ ▄ \ufffd \u2028 \u0085",
]
text_strategy = st.text(
    alphabet=st.one_of(
        st.sampled_from("  \n\tetaoin.,19[]{}(<s/>eod)\x00▅"),
        st.characters(exclude_categories=("Cs",), exclude_characters="\u2581"),
    ),
    max_size=200,
)


@pytest.mark.parametrize("name", ALL)
def test_ids_are_those_of_sentencepiece(tokenizers: dict[str, Tokenizer], name: str) -> None:
    tokenizer = tokenizers[name]
    reference = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer.path))
    texts = [*ODD, "literal \u2581 and \u2581\u2581", *synthetic_texts(2, number=20)]
    batch = tokenizer.encode_batch(texts)
    for text, row in zip(texts, batch.to_pylist(), strict=True):
        assert row == reference.encode(text) == tokenizer.encode(text)


@pytest.mark.parametrize("name", ALL)
@given(text=text_strategy)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_presets_are_lossless(tokenizers: dict[str, Tokenizer], name: str, text: str) -> None:
    tokenizer = tokenizers[name]
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("name", ALL)
def test_the_one_exception_to_lossless_is_the_sign_for_a_blank(tokenizers: dict[str, Tokenizer], name: str) -> None:
    tokenizer = tokenizers[name]
    for text in ODD:
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.decode(tokenizer.encode("a\u2581b")) == "a b"


@pytest.mark.parametrize("name", ALL)
@given(text=text_strategy)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_gives_the_end_of_document(tokenizers: dict[str, Tokenizer], name: str, text: str) -> None:
    tokenizer = tokenizers[name]
    assert tokenizer.eod_id not in tokenizer.encode(f"{text}{tokenizer.eod_piece}{text} </s>[eod]<s>")


def test_palm_ends_documents_with_eod_and_llama_with_its_end_of_sentence(tokenizers: dict[str, Tokenizer]) -> None:
    assert (tokenizers["palm"].eod_piece, tokenizers["palm"].eod_id) == ("[eod]", 1)
    assert (tokenizers["llama"].eod_piece, tokenizers["llama"].eod_id) == ("</s>", 2)
    assert tokenizers["llama"].encode("a", eod=True)[-1] == 2
    assert tokenizers["llama"].decode([2]) == ""


def test_digits_are_split_where_the_paper_says_so(tokenizers: dict[str, Tokenizer]) -> None:
    for name in ("llama", "palm", "galactica"):
        pieces = [tokenizers[name].model.pieces[i].text.decode() for i in tokenizers[name].encode("123.5")]
        assert [piece for piece in pieces if piece != "\u2581"] == ["1", "2", "3", ".", "5"]
    assert any(len(piece.text) > 1 and piece.text.isdigit() for piece in tokenizers["chinchilla"].model.pieces)


def test_user_symbols_are_matched_whole(tokenizers: dict[str, Tokenizer]) -> None:
    tokenizer = tokenizers["galactica"]
    pieces = [tokenizer.model.pieces[i].text.decode() for i in tokenizer.encode("see[START_REF](x)")]
    assert [piece for piece in pieces if len(piece) > 8] == ["[START_REF]"]
    assert pieces[-3:] == ["(", "x", ")"]


def test_newlines_are_learned(tokenizers: dict[str, Tokenizer]) -> None:
    assert any(b"\n" in piece.text for piece in tokenizers["llama"].model.pieces)


def test_batches_take_arrays_slices_and_nulls(tokenizers: dict[str, Tokenizer]) -> None:
    tokenizer = tokenizers["llama"]
    words = ["skipped", "one two", None, "", "drei\nvier"]
    expected = [tokenizer.encode(word or "") for word in words[1:]]
    for kind in (pa.string(), pa.large_string()):
        array = pa.array(words, kind).slice(1)
        result = tokenizer.encode_batch(array)
        assert result.type.value_type == pa.uint16()
        assert result.to_pylist() == expected
        assert tokenizer.encode_batch(pa.chunked_array([array, array])).to_pylist() == expected * 2
        ended = tokenizer.encode_batch(array, eod=True).to_pylist()
        assert ended == [[*ids, tokenizer.eod_id] for ids in expected]
    assert tokenizer.encode_batch([]).to_pylist() == []
    assert tokenizer.decode(np.array(expected[0], dtype=np.uint16)) == "one two"


def test_a_vocabulary_over_65536_gives_uint32(tokenizers: dict[str, Tokenizer], tmp_path: Path) -> None:
    pieces = b"".join(piece_field(f"w{number}x", -float(number)) for number in range(66_000))
    path = tmp_path / "wide.model"
    path.write_bytes(tokenizers["llama"].path.read_bytes() + pieces)
    tokenizer = Tokenizer.load(path)
    assert tokenizer.wide and tokenizer.vocab_size == 66_900
    assert tokenizer.encode_batch(["a"]).type.value_type == pa.uint32()


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.model"
    for data in (b"", b"hello world, this is text\n", bytes(range(256)), b"\x00" * 100):
        path.write_bytes(data)
        with pytest.raises(DataError, match="no usable tokenizer model"):
            Tokenizer.load(path)
    with pytest.raises(UsageError, match="does not exist"):
        Tokenizer.load(tmp_path / "missing.model")
    with pytest.raises(UsageError, match="no finished output"):
        Tokenizer.load(tmp_path)


def test_a_model_cut_short_anywhere_is_refused(tokenizers: dict[str, Tokenizer], tmp_path: Path) -> None:
    data = tokenizers["llama"].path.read_bytes()
    path = tmp_path / "cut.model"
    cuts = {*range(0, len(data), len(data) // 150), *range(len(data) - 200, len(data))}
    for cut in sorted(cuts):
        path.write_bytes(data[:cut])
        with pytest.raises(DataError, match="no usable tokenizer model"):
            Tokenizer.load(path)


def test_an_end_of_document_that_a_page_could_write_is_refused(tokenizers: dict[str, Tokenizer]) -> None:
    path = tokenizers["galactica"].path
    assert Tokenizer.load(path, "<s>").eod_id == 1
    with pytest.raises(UsageError, match="a page could write it"):
        Tokenizer.load(path, "[START_REF]")
    with pytest.raises(UsageError, match="a page could write it"):
        Tokenizer.load(path, "e")
    with pytest.raises(UsageError, match=r"no piece '\[eod\]'.*</s>"):
        Tokenizer.load(path, "[eod]")


@pytest.mark.parametrize("name", ["llama", "unigram"])
def test_a_lone_surrogate_is_refused_by_its_place(tokenizers: dict[str, Tokenizer], name: str) -> None:
    tokenizer = tokenizers[name]
    for call in (lambda: tokenizer.encode("ab\ud800c"), lambda: tokenizer.encode_batch(["fine", "ab\ud800c"])):
        with pytest.raises(DataError, match=r"lone surrogate U\+D800 at character 2"):
            call()


def test_what_is_no_text_is_a_type_error(tokenizers: dict[str, Tokenizer]) -> None:
    tokenizer = tokenizers["llama"]
    for bad in ("one string", b"bytes", [1], [b"a"], [None], pa.array([1]), pa.array([b"a"]), pa.array([["a"]])):
        with pytest.raises(TypeError):
            tokenizer.encode_batch(bad)
    with pytest.raises(TypeError):
        tokenizer.encode(b"bytes")  # type: ignore[arg-type]  # the mistake that is tested
    with pytest.raises(TypeError):
        tokenizer.decode([1.5])  # type: ignore[list-item]  # the mistake that is tested
    words = pa.array(["one", None, "two"])
    expected = tokenizer.encode_batch(words)
    assert tokenizer.encode_batch(words.dictionary_encode()) == expected
    assert tokenizer.encode_batch(words.cast(pa.string_view())) == expected
    assert tokenizer.encode_batch(pa.array([None, None])).to_pylist() == [[], []]
    assert tokenizer.encode_batch(text for text in ("one", "", "two")) == expected


@pytest.mark.parametrize("name", ["llama", "palm", "unigram"])
def test_a_long_text_has_the_same_ids_alone(tokenizers: dict[str, Tokenizer], name: str) -> None:
    text = "\n".join(synthetic_texts(7, number=200))
    assert len(text) > LONG_TEXT
    tokenizer = tokenizers[name]
    expected = tokenizer.processor.encode(text)
    assert tokenizer.encode(text) == expected
    assert tokenizer.encode(text, eod=True) == [*expected, tokenizer.eod_id]


@pytest.mark.parametrize("name", ["llama", "unigram"])
def test_a_tokenizer_can_be_pickled_at_any_time(tokenizers: dict[str, Tokenizer], name: str) -> None:
    expected = tokenizers[name].encode_batch(["one two"])
    for again in (pickle.loads(pickle.dumps(tokenizers[name])), copy.deepcopy(tokenizers[name])):
        assert again.digest == tokenizers[name].digest
        assert again.encode_batch(["one two"]) == expected
        assert again.encode("one two") == expected[0].as_py()


def test_chunks_are_joined_as_large_strings(tokenizers: dict[str, Tokenizer]) -> None:
    array = pa.chunked_array([["one two"], [None, "drei"]], pa.string())
    assert _as_array(array).type == pa.large_string()
    assert tokenizers["llama"].encode_batch(array)[2].as_py() == tokenizers["llama"].encode("drei")


def test_an_id_outside_the_vocabulary_is_refused(tokenizers: dict[str, Tokenizer]) -> None:
    for number in (-1, 900):
        with pytest.raises(DataError, match="not in the vocabulary"):
            tokenizers["llama"].decode([number])


def piece_field(text: str, score: float) -> bytes:
    """One `pieces` field of a model file."""
    body = b"\x0a" + bytes([len(text)]) + text.encode() + b"\x15" + np.float32(score).tobytes()
    return b"\x0a" + bytes([len(body)]) + body
