"""SentencePiece is the oracle: our ids and those of `tokenizer.json` are its own on all real samples."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sentencepiece
import tokenizers as hf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tokenizer.test_long import encode_apart, letters, uncuttable_model
from tokenizer import huggingface
from tokenizer.model import Tokenizer
from tokenizer.presets import PRESETS
from tokenizer.sample import chunks, for_training
from tokenizer.train import TrainTokenizerConfig, train_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MODELS = [*PRESETS, "symbols", "unigram"]
VOCABULARY = 8000
SYMBOLS = ("<code>", "</code>", "[", "]]", "--", "the", "é")
TRAINING_CHARACTERS = 400_000
"""Characters of each folder that the models are trained on."""
UNIGRAM_CHARACTERS = 4_000_000
"""Characters of each folder that slow encoders and decoders are asked for (long documents included)."""


def _read(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _zipped(path: Path) -> Iterator[str]:
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            yield archive.read(name).decode("latin-1")


@pytest.fixture(scope="session")
def documents(samples: Path) -> dict[str, list[str]]:
    """The text of every sample by folder, and Python's own library as code."""
    text = [text for path in sorted((samples / "text").glob("*.zip")) for text in _zipped(path)]
    code = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    dumps = sorted((samples / "wikipedia").rglob("*.xml*"))
    return {
        "books": [_read(path) for path in sorted((samples / "books").rglob("*.txt"))],
        "text": [*text, *(_read(path) for path in sorted((samples / "text").rglob("*.txt")))],
        "multilingual": [_read(path) for path in sorted((samples / "multilingual").rglob("*")) if path.is_file()],
        "arxiv": [_read(path) for path in sorted((samples / "arxiv/src").rglob("*.tex"))],
        "wikipedia": [
            part for path in dumps for part in (bz2.open(path).read() if path.suffix == ".bz2" else path.read_bytes())
            .decode("utf-8", "replace").split("</page>")
        ],
        "stackexchange": [_read(path) for path in sorted((samples / "stackexchange").rglob("Posts.xml"))],
        "c4": [
            json.loads(line)["text"]
            for path in sorted((samples / "c4").rglob("*.json.gz"))
            for line in gzip.open(path)
        ],
        "web": [_read(path) for path in sorted((samples / "commoncrawl").rglob("*.html"))]
        + [
            gzip.open(path).read().decode("utf-8", "replace")
            for path in sorted((samples / "commoncrawl").rglob("*.wet.gz"))
        ],
        "instructions": [_read(path) for path in sorted((samples / "alpaca").iterdir())],
        "code": [_read(path) for path in code],
    }  # fmt: skip


@pytest.fixture(scope="session")
def models(documents: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tokenizer]:
    """The presets, BPE with user-defined symbols and a blank before the text, and unigram; all small."""
    sample = [part for texts in documents.values() for part in _first(texts, TRAINING_CHARACTERS)]
    found = {}
    folder = tmp_path_factory.mktemp("models")
    for name in MODELS:
        preset = name if name in PRESETS else "llama"
        kind = "unigram" if name == "unigram" else None
        config = TrainTokenizerConfig(preset=preset, vocab_size=VOCABULARY, model_type=kind).resolved()
        config |= {"user_symbols": list(SYMBOLS)} if name == "symbols" else {}
        parts = (chunk for text in sample for chunk in chunks(text))
        path = folder / f"{name}.model"
        path.write_bytes(
            train_model((for_training(part.text, part.first, config["dummy_prefix"]) for part in parts), config)
        )
        found[name] = Tokenizer.load(path)
    return found


def _first(texts: list[str], most: int) -> Iterator[str]:
    """Parts of documents, from all over the folder."""
    size = max(1, most // max(1, len(texts)))
    for text in texts:
        yield text[:size]


def _some(texts: list[str], most: int) -> list[str]:
    """Whole documents, the longest first, then the others in order, until there are `most` characters."""
    longest = max(range(len(texts)), key=lambda number: len(texts[number]))
    chosen, size = [], 0
    for number in [longest, *(n for n in range(len(texts)) if n != longest)]:
        if size < most:
            chosen.append(texts[number])
            size += len(texts[number])
    return chosen


@pytest.mark.parametrize("name", MODELS)
def test_every_document_has_the_ids_of_sentencepiece(
    models: dict[str, Tokenizer], documents: dict[str, list[str]], name: str
) -> None:
    """Every document of the samples, but for unigram, which gets `UNIGRAM_CHARACTERS` of each folder."""
    tokenizer = models[name]
    assert bool(tokenizer.slow_because) == (name == "unigram")
    reference = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer.path))
    long = 0
    for folder, texts in documents.items():
        assert texts, folder
        chosen = _some(texts, UNIGRAM_CHARACTERS) if name == "unigram" else texts
        expected = reference.encode(chosen, num_threads=2, return_type="numpy")
        for text, ids, wanted in zip(chosen, tokenizer.encode_batch(chosen), expected, strict=True):
            assert np.array_equal(ids.values.to_numpy(), wanted), folder
            long += len(text) > 1_000_000
    assert long >= 5


@pytest.mark.parametrize("name", PRESETS)
def test_lossless_presets_give_millions_of_characters_back(
    models: dict[str, Tokenizer], documents: dict[str, list[str]], name: str
) -> None:
    tokenizer = models[name]
    for texts in documents.values():
        chosen = _some(texts, UNIGRAM_CHARACTERS)
        for text, ids in zip(chosen, tokenizer.encode_batch(chosen), strict=True):
            assert tokenizer.decode(ids.values.to_numpy()) == text.replace("\u2581", " ")


@pytest.mark.parametrize("name", PRESETS)
def test_tokenizer_json_has_the_ids_of_sentencepiece_on_millions_of_characters(
    models: dict[str, Tokenizer], documents: dict[str, list[str]], name: str, tmp_path: Path
) -> None:
    """The ids of the fast encoder, which another test finds to be SentencePiece's."""
    from transformers import AutoTokenizer

    tokenizer = models[name]
    assert huggingface.write(tokenizer.path, tmp_path) == ""
    other: Any = AutoTokenizer.from_pretrained(tmp_path)
    for folder, texts in documents.items():
        chosen = _some(texts, UNIGRAM_CHARACTERS)
        for text, ids in zip(chosen, tokenizer.encode_batch(chosen), strict=True):
            assert other(text)["input_ids"] == ids.as_py(), folder


def test_unigram_differs_in_hugging_face_as_documented(
    models: dict[str, Tokenizer], documents: dict[str, list[str]], tmp_path: Path
) -> None:
    tokenizer = models["unigram"]
    huggingface.write(tokenizer.path, tmp_path, nearly=True)
    other = hf.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    texts = [line for text in documents["text"][:300] for line in text.split("\n") if line]
    ours = tokenizer.encode_batch(texts).to_pylist()
    same = sum(other.encode(text).ids == ids for text, ids in zip(texts, ours, strict=True))
    assert same > 0.99 * len(texts)


hard = st.text(
    st.one_of(
        st.sampled_from("  \n\t\u2581\x00etaoinshrdlu.,19[]{}()<>/s-▅é日本\u0301\u200d🙂"),
        st.characters(exclude_categories=("Cs",)),
    ),
    max_size=60,
)


@given(texts=st.lists(hard, min_size=50, max_size=50), data=st.data())
@settings(max_examples=400)
def test_twenty_thousand_strings(models: dict[str, Tokenizer], texts: list[str], data: st.DataObject) -> None:
    """400 examples of 50 strings for each of the models; every fourth string has pieces of the model in it."""
    for tokenizer in models.values():
        numbers = data.draw(st.lists(st.integers(0, VOCABULARY - 1), min_size=24, max_size=24))
        pieces = [tokenizer.model.pieces[number].text.decode().replace("\u2581", " ") for number in numbers]
        mixed = [text + "".join(pieces[n : n + 2]) if n % 4 == 0 else text for n, text in enumerate(texts)]
        expected = [tokenizer.processor.encode(text) for text in mixed]
        assert tokenizer.encode_batch(mixed).to_pylist() == expected
        lossless = [text.replace("\u2581", " ") for text in mixed]
        assert [tokenizer.decode(ids) for ids in expected] == lossless


def test_a_model_of_other_settings_is_taken_as_it_is(documents: dict[str, list[str]], tmp_path: Path) -> None:
    """SentencePiece's defaults: normalisation, blanks removed, no bytes."""
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=_first(documents["text"], 500_000), model_writer=out, model_type="bpe", vocab_size=2000,
        max_sentence_length=1 << 20, minloglevel=2,
    )  # fmt: skip
    path = tmp_path / "default.model"
    path.write_bytes(out.getvalue())
    tokenizer = Tokenizer.load(path)
    texts = [*documents["text"][:200], *documents["multilingual"][:30]]
    assert tokenizer.encode_batch(texts).to_pylist() == [tokenizer.processor.encode(text) for text in texts]


@pytest.mark.parametrize("case", ["every pair", "dashes"])
def test_a_document_of_100_mb_that_can_nowhere_be_cut(models: dict[str, Tokenizer], tmp_path: Path, case: str) -> None:
    """In a process of its own, which a bad access would end. SentencePiece needs sixty bytes of memory for a character,
    so that the ids are compared with those of 20 MB, and the rest by its pieces."""
    tokenizer = models["llama"] if case == "dashes" else uncuttable_model(tmp_path)
    text = "-" * 100_000_000 if case == "dashes" else letters(100_000_000)
    short, whole = encode_apart(tokenizer.path, [text[:20_000_000], text], tmp_path)
    assert short.chunks == whole.chunks == 1
    assert np.array_equal(short.ids, tokenizer.processor.encode(text[:20_000_000], return_type="numpy"))
    pieces = pa.array([piece.text.decode() for piece in tokenizer.model.pieces], pa.string())
    starts = range(0, len(whole.ids), 1_000_000)
    written = "".join("".join(pieces.take(pa.array(whole.ids[at : at + 1_000_000])).to_pylist()) for at in starts)
    assert written.replace("\u2581", " ").removeprefix(" ") == text
    # merges reach hardly further than a piece: far from the end the ids are those of the beginning of the text
    same = len(short.ids) - 1000
    assert np.array_equal(short.ids[:same], whole.ids[:same])
