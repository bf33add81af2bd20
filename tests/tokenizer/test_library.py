"""Token sets by a `tokenizer.json`: the library's own ids, ended by a token that no text can write."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.data.dataset import Dataset
from corpus.data.packed import PackedRows
from corpus.data.verify import verify_dataset
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import DataError, UsageError
from corpus.export.export import export
from corpus.mixture.pack.stage import MixConfig, MixStage
from corpus.mixture.plan.weights import parse_mixture
from tests.tokenizer.conftest import synthetic_texts
from tokenizer import library as library_module
from tokenizer.library import LibraryTokenizer, vocabulary_file
from tokenizer.tokenize import TokenizeConfig, TokenizeStage

EOD = "<|endoftext|>"
QUIET = RunOptions(quiet=True)
ODD = [f"a{EOD}b", EOD, "<pad> and <s>", "\n", "日本語 größe 🙂", "\u0000", " " * 300, "x" * 5000]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE as GPT-2's, with a template that adds tokens, truncation and padding."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    place = tmp_path_factory.mktemp("tokenizer")
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = [EOD, "<pad>", "<s>"]
    made.train_from_iterator(
        synthetic_texts(3, number=20),
        trainers.BpeTrainer(vocab_size=600, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    made.add_tokens(["plain"])
    made.post_processor = processors.TemplateProcessing(single="<s> $A <s>", special_tokens=[("<s>", 2)])
    made.enable_truncation(16)
    made.enable_padding(pad_id=1, pad_token="<pad>")
    made.save(str(place / "tokenizer.json"))
    (place / "tokenizer_config.json").write_text("{}")
    return place


def changed(folder: Path, place: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    config = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    change(config)
    place.mkdir()
    (place / "tokenizer.json").write_text(json.dumps(config), encoding="utf-8")
    return place


def tokenized(documents: Path, folder: Path, output: Path, workers: int = 1) -> Path:
    stage = TokenizeStage((str(documents),), str(folder), TokenizeConfig(eod_piece=EOD))
    run_stage(stage, output, RunOptions(quiet=True, workers=workers, always_pool=workers > 1))
    return output


def ids_of(output: Path) -> list[list[int]]:
    return [row["ids"] for batch in Dataset.open(output).batches() for row in batch.to_pylist()]


def test_the_ids_are_the_librarys(
    make_documents: Callable[..., Path], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tokenizers import Tokenizer

    monkeypatch.setattr(library_module, "_SLICE", 1000)
    texts = [*ODD, *synthetic_texts(4, number=10)]
    output = tokenized(make_documents("docs", texts), folder, tmp_path / "tokens")
    reference = Tokenizer.from_file(str(folder / "tokenizer.json"))
    reference.no_truncation()
    reference.no_padding()
    reference.encode_special_tokens = True
    end = reference.token_to_id(EOD)
    found = ids_of(output)
    assert found == [[*reference.encode(text, add_special_tokens=False).ids, end] for text in texts]
    assert [reference.decode(ids[:-1], skip_special_tokens=False) for ids in found] == texts
    assert not verify_dataset(output).problems
    said = Dataset.open(output).manifest.extra["tokenizer"]
    assert (said["eod_piece"], said["eod_id"]) == (EOD, end)


def test_packed_and_exported(make_documents: Callable[..., Path], folder: Path, tmp_path: Path) -> None:
    tokens = tokenized(make_documents("docs", synthetic_texts(4, number=10)), folder, tmp_path / "tokens")
    config = MixConfig(sequence_length=32, tokenizer=str(folder))
    run_stage(MixStage((str(tokens),), config, parse_mixture({"c4": {"epochs": 1}}, "w")), tmp_path / "packed", QUIET)
    packed = PackedRows(tmp_path / "packed")
    assert packed.identity.tokenizer == Dataset.open(tokens).manifest.extra["tokenizer"]["digest"]
    assert packed.tokenizer_model is None
    export(tmp_path / "packed", "nanogpt", tmp_path / "out", lambda line: None)
    found = np.fromfile(tmp_path / "out" / "train.bin", np.uint16).reshape(-1, 33)
    assert np.array_equal(found, packed[:])
    carried = tmp_path / "out" / "tokenizer" / "tokenizer.json"
    assert carried.read_bytes() == (folder / "tokenizer.json").read_bytes()


def test_same_bytes_for_any_workers(make_documents: Callable[..., Path], folder: Path, tmp_path: Path) -> None:
    documents = make_documents("docs", synthetic_texts(5, number=8), shard_rows=3)
    one, two = (tokenized(documents, folder, tmp_path / str(n), workers=n) for n in (1, 2))
    assert Dataset.open(one).digest == Dataset.open(two).digest


def test_ids_with_gaps_are_wide_by_the_largest(folder: Path, tmp_path: Path) -> None:
    def move(config: dict[str, Any]) -> None:
        vocabulary = config["model"]["vocab"]
        vocabulary[max(vocabulary, key=lambda key: (vocabulary[key] < 500, vocabulary[key]))] = 70_000

    place = changed(folder, tmp_path / "wide", move)
    assert LibraryTokenizer.load(place / "tokenizer.json", EOD).wide


def test_the_file_of_a_path(folder: Path, tmp_path: Path) -> None:
    assert vocabulary_file(folder) == vocabulary_file(folder / "tokenizer.json") == folder / "tokenizer.json"
    with pytest.raises(UsageError, match="no finished output of train-tokenizer"):
        vocabulary_file(tmp_path)


@pytest.mark.parametrize(
    ("piece", "words"),
    [
        (None, r"name the special token .* --eod-piece \(<\|endoftext\|>, <pad>, <s>\)"),
        ("plain", "it is no special token"),
        ("<|endoftex|>", r"has no token .* did you mean '<\|endoftext\|>'"),
    ],
)
def test_the_end_of_documents_is_a_special_token(folder: Path, piece: str | None, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        LibraryTokenizer.load(folder / "tokenizer.json", piece)


def test_an_end_that_a_page_can_write(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.WordLevel({"a": 0, "b": 1, "END": 2, "?": 3}, unk_token="?"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens(["END"])
    made.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(UsageError, match="a page that writes it gets its id"):
        LibraryTokenizer.load(tmp_path / "tokenizer.json", "END")


def test_what_cannot_be_used(folder: Path, tmp_path: Path) -> None:
    place = changed(folder, tmp_path / "random", lambda config: config["model"].update(dropout=0.1))
    with pytest.raises(UsageError, match="at random"):
        LibraryTokenizer.load(place / "tokenizer.json", EOD)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match="is no usable tokenizer"):
        LibraryTokenizer.load(tmp_path / "tokenizer.json", EOD)
