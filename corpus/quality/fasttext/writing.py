"""Writes a trained classifier as a `.bin` file of fastText (version 12), which the library reads, too."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from corpus.quality.fasttext.dictionary import LABEL
from corpus.quality.fasttext.file import MAGIC, SOFTMAX, SUPERVISED
from corpus.quality.fasttext.training import Trained, Training

_WORD, _LABEL = 0, 1


def write_model(path: Path, trained: Trained, labels: Sequence[tuple[str, int]], settings: Training) -> None:
    """Write the matrices with the words, and the labels with how many texts each had."""
    buckets = settings.buckets if settings.word_ngrams > 1 else 0
    entries = [(word, count, _WORD) for word, count in zip(trained.words, trained.counts, strict=True)]
    entries += [(f"{LABEL}{name}".encode(), count, _LABEL) for name, count in labels]
    with path.open("wb") as file:
        file.write(struct.pack("<ii", MAGIC, 12))
        numbers = (settings.dim, 5, settings.epochs, settings.min_count, 5, settings.word_ngrams, SOFTMAX, SUPERVISED)
        file.write(struct.pack("<12id", *numbers, buckets, 0, 0, 100, 1e-4))
        file.write(struct.pack("<iii", len(entries), len(trained.words), len(labels)))
        file.write(struct.pack("<qq", sum(count for _, count, _ in entries), -1))
        file.writelines(word + struct.pack("<xqb", count, kind) for word, count, kind in entries)
        for matrix, flag in ((trained.input, False), (trained.output, False)):
            file.write(struct.pack("<?qq", flag, *matrix.shape))
            file.write(matrix.astype("<f4", copy=False).data)
