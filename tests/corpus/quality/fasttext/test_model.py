"""The fastText reader against the library: labels, probabilities, odd texts, what is remembered."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.quality.fasttext import matrix, model
from corpus.quality.fasttext.file import read_model
from corpus.quality.fasttext.model import FastText, load_model
from corpus.quality.langid import shipped_model
from tests.corpus.quality.fasttext.models import TRAINED, differences, oracle, predict, train

WORD = st.text(st.characters(exclude_categories=["Cs"]), max_size=9) | st.sampled_from(
    ["</s>", "__label__en", "__label__", "__label_", "the", "cat", "Wolf7", "パン水", "a" * 33, "é" * 16, "の" * 200]
)
TEXT = st.lists(WORD | st.sampled_from(list(" \t\v\f\r\0\x1f\x85\u00a0\u2028")), max_size=12).map(" ".join)
TEXT |= st.text(st.characters(exclude_categories=["Cs"])) | st.text("ab \t\r\0</s>_", max_size=20)
CASES = [
    "",
    " ",
    "a",
    "123",
    "</s>",
    "x </s> y",
    "__label__en",
    "a" * 40,
    "é" * 300,
    "日本語のテキストです。",
    "a\0b\x0bc",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The classifiers' files."""
    return {name: train(tmp_path_factory.mktemp("model"), name) for name in TRAINED}


@pytest.fixture(scope="module")
def pairs(trained: dict[str, Path]) -> dict[str, tuple[FastText, Any]]:
    """Our reader and the library for each classifier, and for the shipped one."""
    paths = trained | {"lid.176": shipped_model()}
    return {name: (load_model(path), oracle(path)) for name, path in paths.items()}


def step(name: str) -> float:
    """How far probabilities may differ: fastText's sigmoid is a table, with steps of up to 1/256 between its values."""
    return 0.004 if name.startswith(("one against", "negative")) else 1e-4


@pytest.mark.parametrize("name", [*TRAINED, "lid.176"])
def test_labels_are_those_of_the_library(name: str, pairs: dict[str, tuple[FastText, Any]]) -> None:
    ours, library = pairs[name]
    texts = [*CASES, "cat3 horse the song7", "мотор колесо of パン 水", "unknown words alone", "song Flute drum " * 50]
    assert not differences(ours, library, texts, step(name))
    everything = library.predict("cat3 of the song7\n", -1, 0.0, "strict")
    labels, probabilities = predict(ours, ["cat3 of the song7"], len(ours.labels))
    assert sum(labels[0] >= 0) == len(everything)
    for place, (probability, _) in enumerate(everything):
        assert abs(probability - probabilities[0, place]) <= step(name)


@pytest.mark.parametrize("name", [*TRAINED, "lid.176"])
@given(texts=st.lists(TEXT, max_size=8))
@settings(max_examples=40)
def test_any_text_has_the_librarys_answer(name: str, texts: list[str], pairs: dict[str, tuple[FastText, Any]]) -> None:
    assert not differences(*pairs[name], texts, step(name))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["lid.176", "softmax, pairs of words, quantised", "hierarchical softmax"])
def test_twenty_thousand_texts(name: str, pairs: dict[str, tuple[FastText, Any]]) -> None:
    @given(st.lists(TEXT, min_size=20, max_size=20))
    @settings(max_examples=1000)
    def check(texts: list[str]) -> None:
        assert not differences(*pairs[name], texts, step(name))

    check()


def lines_of_samples(samples: Path) -> Iterator[str]:
    """NTREX, the Universal Declaration of Human Rights, and pages of a WET file."""
    for path in sorted((samples / "multilingual" / "ntrex128").glob("*.txt")):
        yield from path.read_text(encoding="utf-8").split("\n")
    with zipfile.ZipFile(samples / "multilingual" / "udhr2.zip") as archive:
        for name in sorted(archive.namelist()):
            text = archive.read(name).decode("utf-8", "replace")
            yield text
            yield from text.split("\n")
    for path in sorted((samples / "commoncrawl").rglob("*.wet.gz")):
        with gzip.open(path) as file:
            pages = file.read().decode("utf-8", "replace").split("WARC/1.0")
        yield from (page[:20_000] for page in pages)


def test_samples(samples: Path, pairs: dict[str, tuple[FastText, Any]]) -> None:
    texts = list(lines_of_samples(samples))[::60]
    assert len(texts) > 2000
    assert not differences(*pairs["lid.176"], texts)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_all_samples(samples: Path, pairs: dict[str, tuple[FastText, Any]]) -> None:
    texts = list(lines_of_samples(samples))
    assert len(texts) > 120_000
    for name in ("lid.176", "softmax, pairs of words, quantised"):
        assert not differences(*pairs[name], texts)


def vectors(model: FastText, texts: list[str]) -> tuple[bytes, bytes]:
    parts = [text.encode() for text in texts]
    bounds = np.cumsum([0, *map(len, parts)], dtype=np.int64)
    hidden, counts = model.vectors(np.frombuffer(b"".join(parts), dtype=np.uint8), bounds)
    return hidden.tobytes(), counts.tobytes()


@settings(max_examples=15)
@given(texts=st.lists(TEXT, min_size=1, max_size=30), other=st.lists(TEXT, max_size=5))
def test_what_is_remembered_changes_no_bit(texts: list[str], other: list[str]) -> None:
    file = read_model(shipped_model())
    wanted = b"".join(vectors(fresh(file, 1), [text])[0] for text in texts)
    large, small = fresh(file, 1 << 20), fresh(file, 500)
    for reader in (large, small):
        vectors(reader, other)
        assert vectors(reader, texts)[0] == wanted
        assert vectors(reader, texts)[0] == wanted
    assert large.misses < small.misses or large.words < 60


def fresh(file: Any, memory: int) -> FastText:
    """A reader that has met nothing, with so many bytes of memory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "MEMORY_BYTES", memory)
        return FastText(file)


def test_a_quantised_matrix_need_not_be_decoded(trained: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["cat3 horse the song7", "мотор колесо of パン 水", "x" * 700]
    for name, path in trained.items():
        decoded = vectors(FastText(read_model(path)), texts)
        with monkeypatch.context() as patch:
            patch.setattr(matrix, "DECODED_BYTES", 0)
            assert vectors(FastText(read_model(path)), texts) == decoded, name


def test_large_texts_and_broken_ones(pairs: dict[str, tuple[FastText, Any]]) -> None:
    ours, library = pairs["lid.176"]
    line = "Alle Menschen sind frei und gleich an Würde und Rechten geboren. " * 150_000
    word = "Menschenrechte" * 100_000
    assert not differences(ours, library, [line, word], 1e-3)
    broken = [
        b"\xff\xfe\x80",
        b"\x80" * 50,
        b"caf\xe9 \xed\xa0\x80 x",
        b"\xf0\x9f",
        b"\0\0",
        b"\xc3" * 40,
        b"\xc3\xc3\xa9" * 9,
    ]
    labels, probabilities = predict(ours, broken)
    for number, text in enumerate(broken):
        ((score, label),) = library.predict(text + b"\n", 1, 0.0, "strict")
        assert ours.labels[labels[number, 0]] == label.removeprefix("__label__")
        assert abs(score - probabilities[number, 0]) < 1e-4


def test_line_feeds_are_spaces_or_nothing(pairs: dict[str, tuple[FastText, Any]]) -> None:
    ours, _ = pairs["lid.176"]
    text = "Alle Men\nschen sind\n\nfrei"

    def vector(text: str, glue: bool) -> bytes:
        data = np.frombuffer(text.encode(), dtype=np.uint8)
        return ours.vectors(data, np.array([0, len(data)]), glue)[0].tobytes()

    assert vector(text, True) == vector(text.replace("\n", ""), False) != vector(text, False)
    assert vector(text, False) == vector(text.replace("\n", " "), False)
