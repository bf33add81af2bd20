"""train-lm through the stage engine, against the slow estimator on what SentencePiece makes of the text."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sentencepiece
from click.testing import CliRunner, Result

from corpus.cli import cli
from corpus.data.manifest import Manifest
from corpus.data.verify import verify_dataset
from corpus.engine.document_map import DocumentBatch
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import DataError, UsageError
from corpus.quality.lm.models import find_models
from corpus.quality.lm.normalize import normalize
from corpus.quality.lm.stage import TrainLmConfig, TrainLmStage, summary
from corpus.quality.rules.perplexity import Perplexity
from tests.corpus.quality.lm.kneser_ney import kneser_ney, read_arpa
from tests.corpus.quality.lm.texts import made_texts

MakeDocuments = Callable[..., Path]
QUIET = RunOptions(quiet=True)


def train(output: Path, documents: Path, options: RunOptions = QUIET, **settings: Any) -> Path:
    config = TrainLmConfig(**({"language": "en", "vocab_size": 120} | settings))
    run_stage(TrainLmStage((str(documents),), config), output, options)
    return output


def pieces_of(output: Path, sentences: Sequence[str]) -> list[list[str]]:
    processor = sentencepiece.SentencePieceProcessor(model_file=str(output / "sp.model"))
    return [pieces for text in sentences if (pieces := processor.encode_as_pieces(normalize(text)))]


@pytest.mark.parametrize(("order", "sentences"), [(5, "line"), (3, "document")])
def test_the_model_is_that_of_the_slow_estimator(
    make_documents: MakeDocuments, tmp_path: Path, order: int, sentences: str
) -> None:
    texts = [*made_texts(60), "one line\n\n  \nan unknown 漢字 word", "", "漢"]
    output = train(tmp_path / "lm", make_documents("docs", texts, shard_rows=20), order=order, sentences=sentences)
    units = texts if sentences == "document" else [line for text in texts for line in text.split("\n")]
    expected = kneser_ney(pieces_of(output, units), order)
    found = read_arpa(output / "lm.arpa")
    assert found.keys() == expected.keys() and ("漢字",) in found
    for gram, values in expected.items():
        assert found[gram] == pytest.approx(values, abs=3e-6), gram
    manifest = Manifest.load(output)
    assert manifest.kind == "lm" and {file.name for file in manifest.files} == {"sp.model", "lm.arpa", "_report.json"}
    counts = manifest.counts["documents"]
    assert (counts.seen, counts.kept, counts.dropped) == (63, 62, {"no text": 1})
    report = json.loads((output / "_report.json").read_text())
    assert report["ngrams"] == [sum(len(gram) == n for gram in expected) for n in range(1, order + 1)]
    assert verify_dataset(output).problems == []


FILES = ("sp.model", "lm.arpa", "manifest.json")


@pytest.mark.slow
def test_workers_do_not_change_a_byte(make_documents: MakeDocuments, tmp_path: Path) -> None:
    documents = make_documents("docs", made_texts(300), shard_rows=100, piece_rows=50)
    plain = train(tmp_path / "a", documents)
    pool = train(tmp_path / "b", documents, RunOptions(quiet=True, workers=2, memory=2_000_000, always_pool=True))
    assert all((plain / name).read_bytes() == (pool / name).read_bytes() for name in FILES)


def test_neither_memory_nor_partitions_change_a_byte(
    make_documents: MakeDocuments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = make_documents("docs", made_texts(300), shard_rows=100, piece_rows=50)
    plain = train(tmp_path / "a", documents)
    monkeypatch.setattr("corpus.quality.lm.stage._PARTITION_BYTES", 5_000)
    monkeypatch.setattr("corpus.quality.lm.runs._LEAST_BYTES", 5_000)
    monkeypatch.setattr("corpus.quality.lm.runs.LEAST_ROWS", 10)
    monkeypatch.setattr("corpus.quality.lm.blocks.BLOCK_WORDS", 999)
    cut = train(tmp_path / "c", documents, RunOptions(quiet=True, memory=10_000))
    assert TrainLmStage((str(documents),), TrainLmConfig("en")).partitions > 5
    assert all((plain / name).read_bytes() == (cut / name).read_bytes() for name in FILES)


def test_documents_of_another_language_do_not_count(make_documents: MakeDocuments, tmp_path: Path) -> None:
    texts = made_texts(40)
    languages = ["en" if number % 2 else None for number in range(40)]
    both = make_documents("both", [*texts, "ein anderer Text"], language=[*languages, "de"])
    alone = make_documents("alone", texts)
    outputs = [train(tmp_path / name, documents) for name, documents in (("x", both), ("y", alone))]
    assert (outputs[0] / "lm.arpa").read_bytes() == (outputs[1] / "lm.arpa").read_bytes()
    assert Manifest.load(outputs[0]).counts["documents"].dropped == {"another language": 1}


def test_a_sample_is_drawn_by_seed(make_documents: MakeDocuments, tmp_path: Path) -> None:
    documents = make_documents("docs", made_texts(200))
    models = [train(tmp_path / str(k), documents, sample_bytes=9_000, seed=k).joinpath("sp.model") for k in (0, 1)]
    assert models[0].read_bytes() != models[1].read_bytes()


def test_bytes_of_text_are_those_of_the_language(make_documents: MakeDocuments, tmp_path: Path) -> None:
    texts = made_texts(400)
    languages = ["en" if number % 10 == 0 else "de" for number in range(400)]
    english = [len(text.encode()) for text, language in zip(texts, languages, strict=True) if language == "en"]
    documents = make_documents("docs", texts, language=languages)
    for share in (1, 2):
        output = train(tmp_path / str(share), documents, text_bytes=sum(english) // share)
        kept = Manifest.load(output).counts["documents"].kept
        assert kept == 40 if share == 1 else 10 < kept < 30
    alone = make_documents("alone", texts, language=["en" if language == "en" else None for language in languages])
    assert Manifest.load(train(tmp_path / "null", alone, text_bytes=1 << 40)).counts["documents"].kept == 400


def test_what_cannot_be_trained_is_one_sentence(make_documents: MakeDocuments, tmp_path: Path) -> None:
    documents = make_documents("docs", made_texts(20))
    with pytest.raises(DataError, match=r"a vocabulary of 8 .*larger --vocab-size"):
        train(tmp_path / "small", documents, vocab_size=8)
    german = make_documents("german", ["Der Hund"], language=["de"])
    with pytest.raises(DataError, match="no text in en"):
        train(tmp_path / "none", german)
    with pytest.raises(UsageError, match="such as en"):
        TrainLmConfig("../en")


def test_the_command_names_the_folder_after_the_language(make_documents: MakeDocuments, tmp_path: Path) -> None:
    documents = make_documents("docs", made_texts(40))

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli, ["train-lm", str(documents), "--output", str(tmp_path / "lm"), *arguments])

    missing = run()
    assert missing.exit_code == 2 and "--language" in missing.output
    done = run("--language", "en", "--vocab-size", "100", "--order", "3")
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "lm" / "en").glob("*.*")) == [
        *("_report.json", "lm.arpa", "manifest.json", "sp.model"),
    ]
    assert "3-grams" in done.output


def test_too_little_text_gives_no_model_where_that_is_asked_for(make_documents: MakeDocuments, tmp_path: Path) -> None:
    documents = make_documents("docs", made_texts(30), language=["en"] * 20 + ["de"] * 10, shard_rows=12)
    output = train(tmp_path / "lm", documents, min_text=1_000_000)
    manifest = Manifest.load(output)
    assert "fewer than 1,000,000" in summary(manifest.extra["lm"]) and "judge nothing" in summary(manifest.extra["lm"])
    assert [file.name for file in manifest.files] == ["_report.json"]
    counts = manifest.counts["documents"]
    assert (counts.seen, counts.dropped) == (30, {"too little text for a model": 30})
    assert verify_dataset(output).problems == []
    rule = Perplexity(models=str(output))
    rows = pa.RecordBatch.from_pydict({"text": ["a b c"], "language": ["en"]})
    found = rule.apply(DocumentBatch(rows))
    assert found.columns["bucket"].to_pylist() == ["all"] and found.columns["perplexity"].to_pylist() == [None]
    assert rule.config()["models"] == {} and "judges nothing" in rule.notice()
    size = sum(len(text.encode()) for text in made_texts(30)[:20])
    assert find_models(train(tmp_path / "enough", documents, min_text=size)).keys() == {"en"}


def test_ngrams_of_a_part_of_the_text(make_documents: MakeDocuments, tmp_path: Path) -> None:
    texts = made_texts(300)
    documents = make_documents("docs", texts, shard_rows=70)
    size = sum(len(text.encode()) for text in texts)
    counts = Manifest.load(train(tmp_path / "part", documents, text_bytes=size // 3)).counts["documents"]
    assert counts.kept == pytest.approx(100, abs=30) and counts.dropped["not chosen"] == 300 - counts.kept
    whole, all_of_it = train(tmp_path / "whole", documents), train(tmp_path / "all", documents, text_bytes=2 * size)
    assert (whole / "lm.arpa").read_bytes() == (all_of_it / "lm.arpa").read_bytes()
    assert (whole / "lm.arpa").read_bytes() != (tmp_path / "part/lm.arpa").read_bytes()
