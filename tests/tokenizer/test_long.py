"""Texts that can nowhere be cut, which are one chunk however long they are. They are encoded in a process of their own,
since a read outside an array would end it."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.tokenizer.test_encode import model_bytes
from tokenizer import proto
from tokenizer.model import Tokenizer

LETTERS = "etao"
_ENCODE = """
import sys
import numpy as np
from pathlib import Path
from tokenizer.model import Tokenizer
tokenizer = Tokenizer.load(sys.argv[1])
encoder = tokenizer._encoder
for path in map(Path, sys.argv[2:]):
    before = encoder.chunks
    ids = tokenizer.encode_batch([path.read_text(encoding="utf-8")]).values.to_numpy()
    np.save(path.with_suffix(".npy"), ids)
    print(encoder.chunks - before)
"""


@dataclass(frozen=True)
class Encoded:
    """What another process made of a text."""

    ids: npt.NDArray[np.uint16]
    chunks: int


def encode_apart(model: Path, texts: list[str], folder: Path) -> list[Encoded]:
    """The ids of each text and of how many chunks it was, from a fresh process."""
    paths = [folder / f"text{number}.txt" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")
    command = [sys.executable, "-c", _ENCODE, str(model), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"the process ended with {done.returncode}: {done.stderr[-500:]}"
    found = [np.load(path.with_suffix(".npy")) for path in paths]
    return [Encoded(ids, int(count)) for ids, count in zip(found, done.stdout.split(), strict=True)]


def uncuttable_model(folder: Path) -> Tokenizer:
    """A model in whose pieces every pair of its letters stands, so that a text of them has no place for a cut."""
    words = ["".join(word) for size in (2, 3, 4) for word in itertools.product(LETTERS, repeat=size)]
    pieces = [(word, -float(number * 7919 % 331), proto.NORMAL) for number, word in enumerate(words)]
    pieces += [(letter, -1000.0, proto.NORMAL) for letter in LETTERS] + [("\u2581", -1000.0, proto.NORMAL)]
    path = folder / "uncuttable.model"
    path.write_bytes(model_bytes(pieces))
    return Tokenizer.load(path)


def letters(size: int) -> str:
    """Random letters of the uncuttable model."""
    alphabet = np.frombuffer(LETTERS.encode(), dtype=np.uint8)
    return alphabet[np.random.default_rng(0).integers(0, len(alphabet), size, dtype=np.uint8)].tobytes().decode()


def test_a_long_text_that_can_nowhere_be_cut_has_the_ids_of_sentencepiece(tmp_path: Path) -> None:
    tokenizer = uncuttable_model(tmp_path)
    assert not tokenizer.slow_because
    texts = ["e" * 4_000_000, letters(2_000_000), letters(32), letters(2049)]
    for text, found in zip(texts, encode_apart(tokenizer.path, texts, tmp_path), strict=True):
        assert found.chunks == 1
        assert np.array_equal(found.ids, tokenizer.processor.encode(text, return_type="numpy"))


@pytest.mark.slow
def test_dashes_are_one_chunk_of_a_trained_model(tokenizers: dict[str, Tokenizer], tmp_path: Path) -> None:
    tokenizer = tokenizers["llama"]
    sizes = [1000, 4_000_000, 20_000_000]
    found = encode_apart(tokenizer.path, ["-" * size for size in sizes], tmp_path)
    assert [entry.chunks for entry in found] == [1, 1, 1]
    for size, entry in zip(sizes[:2], found, strict=False):
        assert np.array_equal(entry.ids, tokenizer.processor.encode("-" * size, return_type="numpy"))
    pieces = [len(piece.text.replace("\u2581".encode(), b"")) for piece in tokenizer.model.pieces]
    assert int(np.array(pieces)[found[2].ids].sum()) == 20_000_000
