"""`tokenizer.json`: the ids of SentencePiece from `tokenizers` and `transformers`, or a refusal that says why."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import tokenizers as hf
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.cli import cli
from corpus.errors import DataError
from tests.tokenizer.conftest import synthetic_texts
from tests.tokenizer.test_encode import flag, message, model_bytes
from tests.tokenizer.test_model import ODD
from tokenizer import huggingface, proto
from tokenizer.model import Tokenizer
from tokenizer.presets import PRESETS

HARD = [
    *ODD,
    *("literal \u2581 and \u2581\u2581", "\u2581", " ", "   ", " a", "a ", "\n", "\t\t\t", "  \n  \n\n\n    x"),
    *("</s>", "<s></s>", "[eod]", "<unk>", "<0x0A>", "a</s>b", "[START_REF", "[START_REF][END_REF] x"),
    *(char * size for char in (" ", "a", "-", "\n", "日", "\u2581", "[") for size in (2, 3, 5, 16, 17, 33, 200)),
]


def loaded(model: proto.Model) -> Any:
    return hf.Tokenizer.from_str(json.dumps(huggingface.tokenizer_json(model)))


def ids(tokenizer: Any, text: str) -> list[int]:
    found: list[int] = tokenizer.encode(text).ids
    return found


@pytest.mark.parametrize("name", PRESETS)
def test_tokenizers_gives_the_ids_of_sentencepiece(tokenizers: dict[str, Tokenizer], name: str) -> None:
    tokenizer = tokenizers[name]
    assert huggingface.why_not(tokenizer.model) == huggingface.differences(tokenizer.model) == ""
    other = loaded(tokenizer.model)
    for text in [*HARD, *synthetic_texts(2, number=20), "\n".join(synthetic_texts(3))]:
        expected = tokenizer.processor.encode(text)
        assert ids(other, text) == expected
        assert other.decode(expected, skip_special_tokens=False) == tokenizer.decode(expected)


@pytest.mark.parametrize("name", PRESETS)
@given(data=st.data())
@settings(max_examples=60)
def test_any_text_gives_the_ids_of_sentencepiece(
    tokenizers: dict[str, Tokenizer], name: str, data: st.DataObject
) -> None:
    tokenizer = tokenizers[name]
    stems = st.sampled_from([piece.text.decode().replace("\u2581", " ") for piece in tokenizer.model.pieces])
    texts = data.draw(st.lists(st.lists(st.one_of(stems, st.text(max_size=5)), max_size=30).map("".join), max_size=5))
    other = _OTHERS.setdefault(name, loaded(tokenizer.model))
    assert [ids(other, text) for text in texts] == [tokenizer.processor.encode(text) for text in texts]


_OTHERS: dict[str, Any] = {}
letters = st.sampled_from("abc\u2581\n.é日")


@given(
    pieces=st.lists(st.text(letters, min_size=1, max_size=6), unique=True, max_size=40),
    user=st.sets(st.text(st.sampled_from("abc.é \u2581"), min_size=1, max_size=4), max_size=4),
    texts=st.lists(st.text(st.sampled_from("aaabbc  \u2581\n.é日𝄞x\x00<0x41>"), max_size=80), max_size=5),
    prefix=st.booleans(),
    trimmed=st.booleans(),
    byte_fallback=st.booleans(),
)
@settings(max_examples=300)
def test_arbitrary_vocabularies_give_the_ids_of_sentencepiece(
    pieces: list[str], user: set[str], texts: list[str], prefix: bool, trimmed: bool, byte_fallback: bool
) -> None:
    """Every piece has a score of its own, in any order: also such as no training gives."""
    user = set() if prefix else user
    singles = sorted({character for text in [*pieces, "\u2581"] for character in text} - set(pieces))
    entries = [(text, -float(rank), proto.NORMAL) for rank, text in enumerate([*pieces, *singles]) if text not in user]
    entries += [(text, 0.0, proto.USER_DEFINED) for text in sorted(user)]
    data = model_bytes(entries, prefix, byte_fallback=byte_fallback, normalizer=flag(4, int(trimmed)))
    model = proto.read_model(data)
    if huggingface.why_not(model):
        assert user
        return
    reference = sentencepiece.SentencePieceProcessor(model_proto=data)
    other = loaded(model)
    texts = [*texts, *(text + "</s>" + text for text in texts)]
    assert [ids(other, text) for text in texts] == [reference.encode(text) for text in texts]


@pytest.mark.filterwarnings("ignore")  # of transformers' own imports
@pytest.mark.parametrize("name", PRESETS)
def test_transformers_loads_the_directory(
    tokenizers: dict[str, Tokenizer], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    tokenizer = tokenizers[name]
    assert huggingface.write(tokenizer.path, tmp_path) == ""
    for loader in (AutoTokenizer, PreTrainedTokenizerFast):
        other = loader.from_pretrained(tmp_path)
        assert len(other) == tokenizer.vocab_size
        assert (other.eos_token, other.eos_token_id) == (tokenizer.eod_piece, tokenizer.eod_id)
        assert other.bos_token == (PRESETS[name].bos_piece or None)
        for text in [*HARD, *synthetic_texts(2, number=5)]:
            expected = tokenizer.encode(text)
            assert other(text)["input_ids"] == other.encode(text) == expected
            assert other.decode(expected) == tokenizer.decode(expected)
            assert other.decode([*expected, tokenizer.eod_id], skip_special_tokens=True) == tokenizer.decode(expected)


def unigram(symbols: tuple[str, ...] = (), rule: str = "identity") -> bytes:
    """A unigram model that has every character of the special pieces."""
    out = io.BytesIO()
    spelled = ["< > / k 0123456789ABCDEFx"] * 20
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*synthetic_texts(1), *spelled]),
        model_writer=out,
        model_type="unigram",
        vocab_size=700,
        byte_fallback=True,
        character_coverage=1.0,
        normalization_rule_name=rule,
        remove_extra_whitespaces=False,
        user_defined_symbols=list(symbols),
        add_dummy_prefix=not symbols,
        bos_id=-1,
        minloglevel=2,
    )
    return out.getvalue()


@pytest.mark.parametrize(("symbols", "rule"), [((), "identity"), (("[A]", "(("), "identity"), ((), "nmt_nfkc")])
def test_models_with_other_ids_in_places_are_written_on_request_only(
    tmp_path: Path, symbols: tuple[str, ...], rule: str
) -> None:
    path = tmp_path / "uni.model"
    path.write_bytes(unigram(symbols, rule))
    output = tmp_path / "hf"
    with pytest.raises(DataError, match=r"scores up in 32 bits.*--nearly"):
        huggingface.write(path, output)
    assert not output.exists()
    found = huggingface.write(path, output, nearly=True)
    assert ("nmt_nfkc" in found) == (rule == "nmt_nfkc")
    config = json.loads((output / "tokenizer_config.json").read_text())
    assert config["differences_from_sentencepiece"] == found
    tokenizer, other = Tokenizer.load(path), hf.Tokenizer.from_file(str(output / "tokenizer.json"))
    texts = [*synthetic_texts(2, number=40), "</s> x </s>", "<0x41><unk>", "a[A]b((c", "", " x  y ", "½ ﬁ ① é"]
    pairs = [(tokenizer.processor.encode(text), ids(other, text)) for text in texts]
    assert sum(a == b for a, b in pairs) >= len(pairs) - 2
    assert all(tokenizer.eod_id not in b for _, b in pairs)


def test_models_that_hugging_face_cannot_follow_are_refused(tmp_path: Path) -> None:
    pieces = [("\u2581", -1.0, proto.NORMAL), ("a", -2.0, proto.NORMAL), ("b", -3.0, proto.NORMAL)]
    user = ("[X]", 0.0, proto.USER_DEFINED)
    charsmap = proto.read_model(unigram(rule="nmt_nfkc")).charsmap
    cases = {
        "neither bpe nor unigram": model_bytes(pieces, model_type=proto.CHAR),
        "another way": model_bytes(pieces, trainer=flag(24, 1)),
        "unused pieces": model_bytes([*pieces, ("aa", -1.0, proto.UNUSED)]),
        "a blank goes before": model_bytes([*pieces, user], dummy_prefix=True),
        "not normalised": model_bytes([*pieces, user], normalizer=flag(4, 0) + message(2, charsmap)),
        "blanks are removed": model_bytes([*pieces, ("a b", 0.0, proto.USER_DEFINED)], normalizer=flag(4, 1)),
        "the same score": model_bytes([*pieces, ("ab", -1.0, proto.NORMAL), ("ba", -1.0, proto.NORMAL)]),
        "a character that is no piece": model_bytes([*pieces, ("az", -1.0, proto.NORMAL)]),
        "a single character": model_bytes([*pieces, ("z", 0.0, proto.CONTROL)]),
        "spelled with": model_bytes(pieces, model_type=proto.UNIGRAM),
    }
    for reason, data in cases.items():
        path = tmp_path / "odd.model"
        path.write_bytes(data)
        assert reason in huggingface.why_not(proto.read_model(data))
        with pytest.raises(DataError, match=f"{reason}.*use the model itself"):
            huggingface.write(path, tmp_path / "hf", nearly=True)
    assert not (tmp_path / "hf").exists()


def test_the_command_writes_what_train_tokenizer_writes(tokenizers: dict[str, Tokenizer], tmp_path: Path) -> None:
    path = str(tokenizers["galactica"].path)
    result = CliRunner().invoke(cli, ["export-tokenizer", path, "-o", str(tmp_path / "a"), "--eod-piece", "<s>"])
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "a/tokenizer_config.json").read_text())["eos_token"] == "<s>"
    huggingface.write(path, tmp_path / "b")
    assert (tmp_path / "a/tokenizer.json").read_bytes() == (tmp_path / "b/tokenizer.json").read_bytes()
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(cli, ["export-tokenizer", path, "-o", str(tmp_path / "file/sub")])
    assert result.exit_code == 1 and "cannot be written" in result.output
