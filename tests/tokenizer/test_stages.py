"""train-tokenizer and tokenize through the stage engine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from corpus.cli import cli
from corpus.data.dataset import Dataset
from corpus.data.verify import verify_dataset
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import DataError, UsageError
from corpus.mixture.pack.stage import MixConfig, MixStage
from tests.tokenizer.conftest import VOCABULARY, synthetic_texts
from tests.tokenizer.test_model import piece_field
from tokenizer.end_of_document import check_ends
from tokenizer.model import Tokenizer
from tokenizer.sample import RESERVED
from tokenizer.tokenize import TokenizeConfig, TokenizeStage
from tokenizer.train import TrainTokenizerConfig, TrainTokenizerStage

MakeDocuments = Callable[..., Path]
QUIET = RunOptions(quiet=True)
POOL = RunOptions(quiet=True, workers=2, always_pool=True)


def train(output: Path, *documents: Path, options: RunOptions = QUIET, **settings: object) -> Path:
    """Run train-tokenizer with a small vocabulary."""
    config = TrainTokenizerConfig(**({"vocab_size": VOCABULARY} | settings))  # type: ignore[arg-type]
    run_stage(TrainTokenizerStage(tuple(map(str, documents)), config), output, options)
    return output


def tokenize(output: Path, model: Path, *documents: Path, options: RunOptions = QUIET) -> Dataset:
    """Run tokenize, by default with a task for every shard."""
    config = TokenizeConfig()
    run_stage(TokenizeStage(tuple(map(str, documents)), str(model), config), output, options)
    return Dataset.open(output, "tokens")


def contents(directory: Path) -> dict[str, str]:
    """MD5 of every file but logs."""
    return {
        str(path.relative_to(directory)): hashlib.md5(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and "_log" not in path.parts
    }


@pytest.fixture
def documents(make_documents: MakeDocuments) -> Path:
    return make_documents("docs", synthetic_texts(3), shard_rows=20)


def test_training_gives_a_model_with_a_report(documents: Path, tmp_path: Path) -> None:
    output = train(tmp_path / "tok", documents)
    model = Tokenizer.load(output)
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["kind"] == "tokenizer"
    assert manifest["extra"]["tokenizer"]["digest"] == model.digest
    assert manifest["counts"]["documents"] == {"in": 120, "kept": 120, "dropped": {}, "merged": 0, "quarantined": 0}
    report = json.loads((output / "_report.json").read_text())
    size = sum(len(text.encode()) for text in synthetic_texts(3))
    assert report["domains"]["c4"]["bytes_used"] == size and report["bytes_skipped"] == 0
    measured = report["domains"]["c4"]["measured"]
    assert measured == report["measured"] == report["languages"]["und"]
    ids = [model.encode(text) for text in synthetic_texts(3)]
    assert measured["bytes"] == size and measured["tokens"] == sum(map(len, ids))
    assert measured["words"] == sum(len(text.split()) for text in synthetic_texts(3))
    assert measured["bytes_per_token"] == round(size / measured["tokens"], 4)
    assert {entry["name"] for entry in manifest["files"]} == {
        *("tokenizer.model", "tokenizer.json", "tokenizer_config.json", "_report.json"),
    }


@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
def test_training_twice_and_with_other_workers_gives_the_same_bytes(
    documents: Path, tmp_path: Path, model_type: str
) -> None:
    first = contents(train(tmp_path / "a", documents, model_type=model_type))
    assert first == contents(train(tmp_path / "b", documents, model_type=model_type))
    assert first == contents(train(tmp_path / "c", documents, model_type=model_type, options=POOL))
    assert ("tokenizer.json" in first) == (model_type == "bpe")
    other = contents(train(tmp_path / "d", documents, seed=1, sample_bytes=20_000, vocab_size=600))
    assert first["tokenizer.model"] != other["tokenizer.model"]


def test_many_tasks_give_the_model_of_one(documents: Path, make_documents: MakeDocuments, tmp_path: Path) -> None:
    many = contents(train(tmp_path / "many", documents))
    whole = make_documents("whole", synthetic_texts(3))
    assert many["tokenizer.model"] == contents(train(tmp_path / "one", whole))["tokenizer.model"]


def test_the_sample_follows_the_weights(make_documents: MakeDocuments, tmp_path: Path) -> None:
    books = make_documents("books", synthetic_texts(4, number=400), domain="books")
    wiki = make_documents("wiki", synthetic_texts(5, number=400), domain="wiki")
    weights = ("books=3", "wiki=1", "absent=1")
    output = train(tmp_path / "tok", books, wiki, sample_bytes=120_000, weights=weights, vocab_size=600)
    domains = json.loads((output / "_report.json").read_text())["domains"]
    assert domains["books"]["bytes_used"] == pytest.approx(90_000, rel=0.3)
    assert domains["wiki"]["bytes_used"] == pytest.approx(30_000, rel=0.4)
    for entry in domains.values():
        assert entry["bytes"] == entry["bytes_used"] + entry["bytes_skipped"] + entry["bytes_not_sampled"]
        assert entry["bytes_skipped"] == 0 < entry["bytes_not_sampled"]
    counts = json.loads((output / "manifest.json").read_text())["counts"]["documents"]
    assert counts["dropped"]["not sampled"] == counts["in"] - counts["kept"] > 0


def test_long_documents_are_not_skipped(make_documents: MakeDocuments, tmp_path: Path) -> None:
    long = "\n".join(synthetic_texts(6)) + RESERVED + "zyzzyva zyzzyva " * 2000
    output = train(tmp_path / "tok", make_documents("long", [long, "x" * 200_000]))
    report = json.loads((output / "_report.json").read_text())
    assert report["bytes_skipped"] == 3
    assert "\u2581zyzzyva".encode() in {piece.text for piece in Tokenizer.load(output).model.pieces}


def test_a_vocabulary_that_does_not_fit_names_the_limit(documents: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"it gives at most \d+ pieces") as raised:
        train(tmp_path / "a", documents, vocab_size=60_000)
    limit = int(str(raised.value).split("at most ")[1].split()[0])
    train(tmp_path / "b", documents, vocab_size=limit)
    with pytest.raises(DataError, match="at most"):
        train(tmp_path / "c", documents, vocab_size=limit + 1)
    with pytest.raises(DataError, match=r"too small: .* alone take 3"):
        train(tmp_path / "d", documents, vocab_size=270)
    with pytest.raises(DataError, match="at most"):
        train(tmp_path / "e", documents, vocab_size=60_000, model_type="unigram")


def test_what_a_training_error_advises_works(documents: Path, tmp_path: Path) -> None:
    def run(*more: str) -> Result:
        arguments = ["train-tokenizer", str(documents), "-o", str(tmp_path / "out"), "--preset", "llama", *more]
        return CliRunner().invoke(cli, arguments)

    failed = run("--vocab-size", "60000")
    assert failed.exit_code == 1 and "--overwrite" not in failed.output
    limit = failed.output.split("at most ")[1].split()[0]
    assert run("--vocab-size", limit).exit_code == 0


def test_bad_settings_are_usage_errors(documents: Path, tmp_path: Path) -> None:
    for settings in (
        {"preset": "lama"},
        {"model_type": "word"},
        {"vocab_size": 0},
        {"sample_bytes": 0},
        {"seed": -1},
        {"weights": ("c4",)},
    ):
        with pytest.raises(UsageError):
            TrainTokenizerConfig(**settings)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="'c4' of the documents has no weight"):
        train(tmp_path / "w", documents, weights=("books=1",))


def test_tokenizing_gives_the_ids_of_the_texts(documents: Path, tmp_path: Path) -> None:
    model = train(tmp_path / "tok", documents)
    dataset = tokenize(tmp_path / "tokens", model, documents)
    loaded = Tokenizer.load(model)
    rows = [row for batch in dataset.batches() for row in batch.to_pylist()]
    texts = synthetic_texts(3)
    assert [row["id"] for row in rows] == [f"c4/made.jsonl#{number}" for number in range(len(texts))]
    assert [row["ids"] for row in rows] == [loaded.encode(text, eod=True) for text in texts]
    extra, totals = dataset.manifest.extra, dataset.manifest.totals
    assert extra["domain"] == "c4"
    assert extra["tokenizer"] == {"digest": loaded.digest, "vocab_size": VOCABULARY, "eod_id": 2, "eod_piece": "</s>"}
    assert totals["tokens"] == sum(len(row["ids"]) for row in rows)
    assert totals["documents"] == 120 and totals["bytes"] == sum(len(text.encode()) for text in texts)


def test_tokenizing_with_other_workers_gives_the_same_bytes(documents: Path, tmp_path: Path) -> None:
    model = train(tmp_path / "tok", documents)
    tokenize(tmp_path / "a", model, documents)
    for workers in (2, 3):
        options = RunOptions(quiet=True, workers=workers, always_pool=True)
        output = tmp_path / f"with-{workers}"
        tokenize(output, model / "tokenizer.model", documents, options=options)
        assert contents(tmp_path / "a") == contents(output)


def test_a_slow_model_is_named_once_and_never_with_quiet(
    documents: Path, tmp_path: Path, tokenizers: dict[str, Tokenizer]
) -> None:
    path = str(tokenizers["unigram"].path)
    for quiet in ((), ("--quiet",)):
        output = tmp_path / f"tokens{len(quiet)}"
        arguments = ["tokenize", str(documents), "--tokenizer", path, "-o", str(output), *quiet]
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 0, result.output
        told = result.output.count("SentencePiece itself encodes with this model")
        assert told == (0 if quiet else 1)
        assert not quiet or not result.output
    result = CliRunner().invoke(cli, ["tokenize", str(documents), "--tokenizer", path, "-o", str(tmp_path / "tokens0")])
    assert "SentencePiece itself" not in result.output


def test_documents_begin_with_a_symbol_where_that_is_asked_for(
    documents: Path, tmp_path: Path, tokenizers: dict[str, Tokenizer]
) -> None:
    def run(piece: str | None, name: str, *more: str, tokenizer: str = "llama") -> Result:
        path = str(tokenizers[tokenizer].path)
        arguments = ["tokenize", str(documents), "--tokenizer", path, "-o", str(tmp_path / name), *more]
        return CliRunner().invoke(cli, [*arguments, *(["--bos-piece", piece] if piece else [])])

    def ids(name: str) -> list[list[int]]:
        batches = Dataset.open(tmp_path / name, "tokens").batches()
        return [row["ids"] for batch in batches for row in batch.to_pylist()]

    assert run(None, "without").exit_code == run("<s>", "with").exit_code == 0
    assert ids("with") == [[1, *row] for row in ids("without")]
    known = Dataset.open(tmp_path / "with").manifest
    assert known.extra["tokenizer"]["bos_id"] == 1 and known.config["bos_piece"] == "<s>"
    assert known.totals["tokens"] == sum(map(len, ids("with")))
    assert "bos_id" not in Dataset.open(tmp_path / "without").manifest.extra["tokenizer"]
    assert verify_dataset(tmp_path / "with").problems == []
    for piece, more, words in (
        ("</s>", (), "ends documents and so cannot begin them"),
        ("a", (), "cannot begin documents"),
        ("<x>", (), "has no piece '<x>'"),
    ):
        refused = run(piece, "refused", *more)
        assert refused.exit_code == 2 and words in refused.output
    with pytest.raises(DataError, match="were tokenized differently"):
        sets = (str(tmp_path / "with"), str(tmp_path / "without"))
        MixStage(sets, MixConfig(sequence_length=8)).plan()


def test_token_and_packed_sets_carry_the_tokenizer(
    documents: Path, tmp_path: Path, tokenizers: dict[str, Tokenizer]
) -> None:
    source = tokenizers["llama"].path
    tokenize(tmp_path / "tokens", source, documents)
    run_stage(
        MixStage((str(tmp_path / "tokens"),), MixConfig(sequence_length=8)), tmp_path / "packed", RunOptions(quiet=True)
    )
    for name in ("tokens", "packed"):
        assert (tmp_path / name / "_tokenizer/tokenizer.model").read_bytes() == source.read_bytes()
        assert verify_dataset(tmp_path / name).problems == []


def test_another_end_of_document_is_taken_or_refused(
    documents: Path, tmp_path: Path, tokenizers: dict[str, Tokenizer]
) -> None:
    def run(piece: str, name: str) -> Result:
        path = str(tokenizers["galactica"].path)
        arguments = ["tokenize", str(documents), "--tokenizer", path, "-o", str(tmp_path / name), "--eod-piece", piece]
        return CliRunner().invoke(cli, arguments)

    assert run("<s>", "taken").exit_code == 0
    dataset = Dataset.open(tmp_path / "taken", "tokens")
    assert dataset.manifest.extra["tokenizer"]["eod_piece"] == "<s>"
    assert all(row["ids"][-1] == 1 for batch in dataset.batches() for row in batch.to_pylist())
    for piece, words in (("[START_REF]", "a page could write it"), ("[eod]", "has no piece '[eod]'")):
        result = run(piece, "refused")
        assert result.exit_code == 2 and words in result.output
        assert not (tmp_path / "refused" / "manifest.json").exists()


def test_a_large_vocabulary_gives_uint32(documents: Path, tmp_path: Path, tokenizers: dict[str, Tokenizer]) -> None:
    path = tmp_path / "wide.model"
    entries = [(f"w{number}x", -1000.0 - number) for number in range(66_000)]
    path.write_bytes(tokenizers["llama"].path.read_bytes() + b"".join(piece_field(*entry) for entry in entries))
    dataset = tokenize(tmp_path / "tokens", path, documents)
    rows = [row["ids"] for batch in dataset.batches() for row in batch.to_pylist()]
    assert next(iter(dataset.batches())).schema.field("ids").type.value_type == pa.uint32()
    assert rows == [tokenizers["llama"].encode(text, eod=True) for text in synthetic_texts(3)]


def test_text_that_spells_the_end_of_document_does_not_end_it(make_documents: MakeDocuments, tmp_path: Path) -> None:
    texts = ["a </s> b", "[eod]", "\x00", "\u2581", *synthetic_texts(3)]
    documents = make_documents("docs", texts)
    for preset in ("llama", "palm"):
        dataset = tokenize(tmp_path / f"{preset}-tokens", train(tmp_path / preset, documents, preset=preset), documents)
        eod = dataset.manifest.extra["tokenizer"]["eod_id"]
        rows = [row["ids"] for batch in dataset.batches() for row in batch.to_pylist()]
        assert [row.count(eod) for row in rows] == [1] * len(texts)
        assert all(row[-1] == eod for row in rows)


def test_empty_documents_are_dropped_and_counted(make_documents: MakeDocuments, tmp_path: Path) -> None:
    documents = make_documents("docs", ["", *synthetic_texts(3), ""])
    dataset = tokenize(tmp_path / "tokens", train(tmp_path / "tok", documents), documents)
    counts = dataset.manifest.counts["documents"]
    assert (counts.seen, counts.kept, counts.dropped) == (122, 120, {"empty": 2})
    with pytest.raises(DataError, match="kept none of 1 documents"):
        tokenize(tmp_path / "none", tmp_path / "tok", make_documents("empty", [""]))


def test_several_domains_are_refused_by_name(make_documents: MakeDocuments, tmp_path: Path) -> None:
    texts = synthetic_texts(3)
    mixed = make_documents("mixed", texts, domain="books")
    other = make_documents("other", texts, domain="wiki")
    model = train(tmp_path / "tok", mixed)
    with pytest.raises(UsageError, match=r"several domains \(books, wiki\)"):
        tokenize(tmp_path / "tokens", model, mixed, other)


def test_several_domains_are_refused_across_tasks(make_documents: MakeDocuments, tmp_path: Path) -> None:
    books = make_documents("books", synthetic_texts(3), domain="books")
    wiki = make_documents("wiki", synthetic_texts(3), domain="wiki")
    with pytest.raises(UsageError, match=r"several domains \(books, wiki\)"):
        tokenize(tmp_path / "tokens", train(tmp_path / "tok", books), books, wiki)


def test_another_tokenizer_is_another_input(documents: Path, tmp_path: Path) -> None:
    tokenize(tmp_path / "tokens", train(tmp_path / "a", documents), documents)
    tokenize(tmp_path / "tokens", tmp_path / "a", documents)
    other = train(tmp_path / "b", documents, vocab_size=800)
    with pytest.raises(UsageError, match=r"tokenizer\.model changed"):
        tokenize(tmp_path / "tokens", other, documents)


def test_ends_are_checked() -> None:
    check_ends(pa.array([[1, 2], [2], [3, 4, 2]], pa.list_(pa.uint16())), 2)
    for bad in ([[2, 2]], [[1]], [[2, 1]], [[]]):
        with pytest.raises(AssertionError):
            check_ends(pa.array([*bad, [2]], pa.list_(pa.uint16())), 2)
