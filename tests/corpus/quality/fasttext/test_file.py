"""Model files that are cut short, damaged, of another kind: one sentence, and never a crash."""

from __future__ import annotations

import struct
from pathlib import Path

import fasttext
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import DataError, UsageError
from corpus.quality.fasttext.file import read_model
from corpus.quality.fasttext.model import FastText
from corpus.quality.langid import shipped_model
from tests.corpus.quality.fasttext.models import predict, train


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A dense and a quantised model."""
    names = ("softmax, words alone", "softmax, pairs of words, quantised", "hierarchical softmax, pruned")
    return {name: train(tmp_path_factory.mktemp("model"), name).read_bytes() for name in names}


def refused(path: Path, data: bytes) -> str:
    """What is said of a file that is no classifier."""
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        FastText(read_model(path))
    message = caught.value.format_message()
    assert str(path) in message and "\n" not in message and message.endswith(".")
    return message


def test_a_file_that_is_cut_short_is_refused_wherever(files: dict[str, bytes], tmp_path: Path) -> None:
    for data in files.values():
        for size in {*range(200), *range(200, len(data), 4001), len(data) - 1}:
            refused(tmp_path / "cut.bin", data[:size])
    whole = shipped_model().read_bytes()
    assert "truncated" in refused(tmp_path / "lid.ftz", whole[: len(whole) // 2])


def test_other_files(tmp_path: Path, files: dict[str, bytes]) -> None:
    data = files["softmax, words alone"]
    assert "not a fastText model" in refused(tmp_path / "text", b"no model" * 10)
    assert "not a fastText model" in refused(tmp_path / "empty", b"")
    assert "version 13" in refused(tmp_path / "new", data[:4] + struct.pack("<i", 13) + data[8:])
    text = tmp_path / "text.txt"
    text.write_text("a b c d e\n" * 50, encoding="utf-8")
    vectors = tmp_path / "vectors.bin"
    fasttext.train_unsupervised(str(text), dim=4, minCount=1, bucket=100, thread=10, verbose=0).save_model(str(vectors))
    assert "no classifier" in refused(vectors, vectors.read_bytes())
    with pytest.raises(UsageError, match="does not exist"):
        read_model(tmp_path / "none.ftz")
    with pytest.raises(UsageError, match="does not exist"):
        read_model(tmp_path)


def test_a_model_of_version_11_has_no_character_ngrams(files: dict[str, bytes], tmp_path: Path) -> None:
    data = files["softmax, words alone"]
    old = tmp_path / "old.bin"
    old.write_bytes(data[:4] + struct.pack("<i", 11) + data[8:52] + struct.pack("<i", 5) + data[56:])
    assert read_model(old).settings.maxn == 0


@given(
    which=st.integers(0, 2),
    damage=st.lists(
        st.tuples(st.integers(0, 200) | st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=4
    ),
)
@settings(max_examples=80)
def test_damage_is_refused_or_answered(
    which: int, damage: list[tuple[int, int]], files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = bytearray(list(files.values())[which])
    for at, byte in damage:
        whole[at % len(whole)] = byte
    path = tmp_path_factory.getbasetemp() / "damaged.bin"
    path.write_bytes(whole)
    try:
        model = FastText(read_model(path))
    except DataError:
        return
    labels, _ = predict(model, ["cat3 of the song7 " * 3, "é" * 90, ""], 3)
    assert np.all((labels >= -1) & (labels < len(model.labels)))
