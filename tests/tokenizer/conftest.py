"""Synthetic text and small models of every preset for the tokenizer's tests."""

from __future__ import annotations

import random

import pytest

from tokenizer.model import Tokenizer
from tokenizer.presets import PRESETS
from tokenizer.train import TrainTokenizerConfig, train_model

VOCABULARY = 900


def synthetic_texts(seed: int, number: int = 120, words: int = 120) -> list[str]:
    """Documents of invented words with a Zipf-like frequency, with code, digits, newlines and a few scripts."""
    rng = random.Random(seed)
    stems = ["".join(rng.choices("etaoinshrdlucmfw", k=rng.randint(1, 4))) for _ in range(1500)]
    others = [
        "größe",
        "naïve",
        "слово",
        "мир",
        "日本語",
        "漢字",
        "1984",
        "3.14",
        "20567",
        "x[i]",
        "foo(bar)",
        "{",
        "}",
        "--",
        "…",
    ]
    texts = []
    for _ in range(number):
        parts = []
        for _ in range(words):
            word = (
                stems[min(int(rng.paretovariate(0.35)) - 1, len(stems) - 1)]
                if rng.random() < 0.85
                else rng.choice(others)
            )
            parts.append(word + rng.choice(["", "", "", ",", ".", "s", "ing"]))
            parts.append(rng.choices([" ", "\n", "  ", "\n\n", "\n    ", "\t"], weights=[80, 5, 4, 3, 3, 1])[0])
        texts.append("".join(parts))
    return texts


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """The documents the small models are trained on."""
    return synthetic_texts(1)


@pytest.fixture(scope="session")
def tokenizers(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tokenizer]:
    """A small model of each preset by its name, and `unigram`, the llama preset with that model type."""
    found = {}
    folder = tmp_path_factory.mktemp("models")
    for name in [*PRESETS, "unigram"]:
        config = TrainTokenizerConfig(
            preset="llama" if name == "unigram" else name,
            vocab_size=VOCABULARY,
            model_type="unigram" if name == "unigram" else None,
        )
        path = folder / f"{name}.model"
        path.write_bytes(train_model(texts, config.resolved()))
        found[name] = Tokenizer.load(path)
    return found
