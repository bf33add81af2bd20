"""Classifiers trained by the library, and its own answers: the oracle of the tests."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import fasttext
import fasttext_pybind
import numpy as np

from corpus.quality.fasttext.model import FastText, Predictions

_WORDS = {
    "animals": "cat dog horse lion whale Wolf été čaj bear sheep owl",
    "machines": "engine wheel Motor pump lever gear мотор колесо piston crank valve",
    "food": "bread cheese soup パン 水 rice salt Käse noodle plum pear",
    "music": "song Flute drum choir violin tune 音楽 opera harp lute viola",
}
TRAINED: dict[str, dict[str, Any]] = {
    "softmax, pairs of words, quantised": {"loss": "softmax", "wordNgrams": 2, "minn": 2, "maxn": 4, "quantize": {}},
    "hierarchical softmax": {"loss": "hs", "minn": 1, "maxn": 3},
    "one against all, three words": {"loss": "ova", "wordNgrams": 3},
    "negative sampling": {"loss": "ns", "minn": 0, "maxn": 2, "neg": 2},
    "softmax, words alone": {"loss": "softmax"},
    "softmax, norms and output quantised": {
        "loss": "softmax", "wordNgrams": 2, "minn": 3, "maxn": 5,
        "quantize": {"qnorm": True, "qout": True, "dsub": 3, "cutoff": 300},
    },
    "hierarchical softmax, pruned": {"loss": "hs", "minn": 3, "maxn": 6, "quantize": {"cutoff": 280}},
    "hierarchical softmax, words alone, pruned": {"loss": "hs", "quantize": {"cutoff": 280}},
}  # fmt: skip
"""Settings of each classifier, and how it is quantised."""


def train(folder: Path, name: str) -> Path:
    """Train one of the classifiers; its output matrix has more rows than a product quantiser has centroids."""
    settings = dict(TRAINED[name])
    quantize = settings.pop("quantize", None)
    random = np.random.default_rng(7)
    lines = []
    for number in range(1500):
        kind = list(_WORDS)[number % 4]
        words = random.choice([*_WORDS[kind].split(), *"the of and a to".split()], size=random.integers(1, 9))
        numbered = [f"{word}{random.integers(40)}" if random.random() < 0.7 else word for word in words]
        label = f"{kind}{number % 300}" if "output" in name else kind
        lines.append(f"__label__{label} " + " ".join(numbered))
    text = folder / "train.txt"
    text.write_text("\n".join(lines) + "\n", encoding="utf-8")
    # with fewer than ten threads fastText 0.9.3 leaves a part of the matrix as the memory was, and finds NaN in it
    settings = {"dim": 10, "epoch": 3, "bucket": 3000, "thread": 10, "verbose": 0} | settings
    model = fasttext.train_supervised(str(text), **settings)
    if quantize is not None:
        model.quantize(str(text), thread=10, **({"cutoff": 0, "retrain": False} | quantize))
    path = folder / ("model.ftz" if quantize is not None else "model.bin")
    model.save_model(str(path))
    return path


def oracle(path: Path) -> Any:
    """The library's model object, without the class around it, which fails with NumPy 2 in some of its packages."""
    model = fasttext_pybind.fasttext()
    model.loadModel(str(path))
    return model


def predict(model: FastText, texts: Sequence[str | bytes], k: int = 1) -> Predictions:
    """Our answers for some texts."""
    parts = [text.encode() if isinstance(text, str) else text for text in texts]
    bounds = np.cumsum([0, *map(len, parts)], dtype=np.int64)
    return model.predict(np.frombuffer(b"".join(parts), dtype=np.uint8), bounds, k)


def differences(model: FastText, library: Any, texts: Sequence[str], steps: float = 1e-4) -> list[str]:
    """What of the best labels of texts is not the library's. Of labels whose probabilities are within 1e-4 either may go
    first; probabilities differ by no more than `steps`."""
    labels, probabilities = predict(model, texts, 2)
    found = []
    for number, text in enumerate(texts):
        wanted = library.predict(text.replace("\n", " ") + "\n", 2, 0.0, "strict")
        ours = [
            (float(p), model.labels[n]) for n, p in zip(labels[number], probabilities[number], strict=True) if n >= 0
        ]
        theirs = [(p, label.removeprefix("__label__")) for p, label in wanted]
        # fastText leaves labels out whose logarithm is below that of 1e-5
        compared = zip_longest(ours, theirs, fillvalue=(0.0, ""))
        equal = bool(ours) == bool(theirs) and all(abs(a[0] - b[0]) <= steps for a, b in compared)
        sure = len(theirs) < 2 or theirs[0][0] - theirs[1][0] > steps
        if not equal or (sure and theirs and ours[0][1] != theirs[0][1]):
            found.append(f"{text[:80]!r}: {ours} and not {theirs}")
    return found
