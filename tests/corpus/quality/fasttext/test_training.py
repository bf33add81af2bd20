"""Training of classifiers: its bytes, the library that reads them, and what it learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from corpus.quality.fasttext.file import read_model
from corpus.quality.fasttext.model import FastText
from corpus.quality.fasttext.training import Trained, Training, fnv, train, words_of
from corpus.quality.fasttext.writing import write_model
from tests.corpus.quality.fasttext.models import differences, oracle, predict

TEXTS = [
    "the cat sat on the mat",
    "a motor drives the wheel",
    "cats and dogs\nsleep",
    "oil the gear, oil the pump",
] * 40
KINDS = [0, 1] * 80


def twin(texts: list[str], kinds: list[int], settings: Training, input: np.ndarray, counts: list[bytes]) -> np.ndarray:
    """The output matrix after training, in plain NumPy, of words alone."""
    number = {word: place for place, word in enumerate(counts)}
    output = np.zeros((2, settings.dim))
    lines = [[number[word] for word in words_of(text)] for text in texts]
    done, total = 0, settings.epochs * sum(map(len, lines))
    for _ in range(settings.epochs):
        for line, kind in zip(lines, kinds, strict=True):
            rate = settings.rate * (1 - done / total)
            done += len(line)
            hidden = input[line].mean(axis=0)
            scores = np.exp(output @ hidden)
            error = rate * ((np.arange(2) == kind) - scores / scores.sum())
            gradient = error @ output
            output += np.outer(error, hidden)
            np.add.at(input, line, gradient / len(line))
    return output


def test_training_is_its_twin() -> None:
    settings = Training(dim=8, epochs=3, rate=0.5)
    trained = train(TEXTS, KINDS, 2, settings)
    start = train(TEXTS, KINDS, 2, Training(dim=8, epochs=3, rate=0.0)).input.astype(np.float64)
    assert np.abs(start).max() <= 1 / 8 and np.abs(start).max() > 0.9 / 8
    output = twin(TEXTS, KINDS, settings, start, trained.words)
    assert np.allclose(trained.output, output, atol=1e-4) and np.abs(output).max() > 0.1
    assert np.allclose(trained.input, start, atol=1e-4)
    assert trained.words[0] == b"the" and trained.counts[0] == 200 and b"</s>" in trained.words


def model_of(path: Path, settings: Training) -> tuple[Trained, FastText]:
    trained = train(TEXTS, KINDS, 2, settings)
    write_model(path, trained, [("zero", 80), ("one", 80)], settings)
    return trained, FastText(read_model(path))


@pytest.mark.parametrize("ngrams", [1, 3])
def test_the_library_reads_what_is_written(tmp_path: Path, ngrams: int) -> None:
    settings = Training(dim=12, rate=0.5, word_ngrams=ngrams, buckets=500, min_count=2)
    _, model = model_of(tmp_path / "model.bin", settings)
    library = oracle(tmp_path / "model.bin")
    texts = [*TEXTS[:4], "the unknown cat", "", "gear the oil wheel sat", "on the mat the cat"]
    assert not differences(model, library, texts)
    labels, probabilities = predict(model, ["the cat sat", "the motor and the gear"])
    assert [model.labels[n] for n in labels[:, 0]] == ["zero", "one"] and probabilities.min() > 0.6


def test_equal_texts_give_equal_bytes(tmp_path: Path) -> None:
    settings = Training(dim=10, word_ngrams=2, buckets=100)
    for name in ("a", "b"):
        model_of(tmp_path / name, settings)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    model_of(tmp_path / "c", Training(dim=10, word_ngrams=2, buckets=100, seed=1))
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_words_are_fasttexts(tmp_path: Path) -> None:
    assert words_of("a\tb\0c\u00a0d </s> \n e") == [b"a", b"b", "c\u00a0d".encode(), b"e", b"</s>"]
    assert fnv(b"</s>") == 3617362777
