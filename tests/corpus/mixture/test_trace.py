"""Trace: rows to documents and back, by stored positions, for both packings; and what it says where it cannot."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus.cli import cli
from corpus.data.dataset import Dataset
from corpus.data.packed import PackedRows
from corpus.data.provenance import DocumentList, hash_id, partition_of
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import DataError, UsageError
from corpus.mixture.pack import ids as ids_module
from corpus.mixture.pack.ids import hash_ids, merge_partition, partitions_of, save_hashed
from corpus.mixture.pack.stage import MixConfig, MixStage
from corpus.mixture.plan.weights import parse_mixture
from corpus.mixture.trace import Trace
from tests.corpus.mixture.mixing import write_tokens
from tests.datasets import write_documents
from tokenizer.model import LONG_TEXT, Tokenizer
from tokenizer.surface import Surface
from tokenizer.tokenize import TokenizeConfig, TokenizeStage
from tokenizer.train import TrainTokenizerConfig, TrainTokenizerStage

QUIET = RunOptions(quiet=True)


def token_rows(path: Path) -> dict[str, list[int]]:
    """The ids of every document of a token dataset, by id."""
    return {row["id"]: row["ids"] for batch in Dataset.open(path, "tokens").batches() for row in batch.to_pylist()}


def check_round_trip(packed: Path, inputs: list[Path]) -> None:
    """Every row is its documents' tokens, and every document lists exactly the places where rows hold it."""
    originals = {key: ids for path in inputs for key, ids in token_rows(path).items()}
    rows = PackedRows(packed)
    trace = Trace(rows)
    held: dict[str, Counter[tuple[int, ...]]] = {key: Counter() for key in originals}
    for entry, tokens in zip(trace.rows(0, len(rows)), rows[0 : len(rows)].tolist(), strict=True):
        made: list[int] = []
        for part in entry["segments"]:
            ids = originals[part["document"]]
            assert part["of"] == len(ids)
            assert part["position"] == len(made)
            made += ids[part["start"] : part["start"] + part["length"]]
            place = (part["epoch"], part["position"], part["start"], part["length"], entry["row"])
            held[part["document"]][place] += 1
        assert made == tokens[: len(made)]
        assert len(made) + entry["padding"] == len(tokens) == entry["tokens"]
        assert [entry] == list(trace.rows(entry["row"], entry["row"] + 1))
    for key, places in held.items():
        (document,) = trace.document(key)
        found = [tuple(p[k] for k in ("epoch", "position", "start", "length", "row")) for p in document["rows"]]
        assert Counter(found) == places
        assert [place[0] for place in found] == sorted(place[0] for place in found)
        assert document["tokens"] == len(originals[key])
        assert key.startswith(document["domain"] + "/")


SIZES = st.lists(st.integers(1, 70), min_size=1, max_size=25)


@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(
    st.lists(SIZES, min_size=1, max_size=3),
    st.lists(st.sampled_from([0.4, 1, 1.7, 2.45, 3]), min_size=3, max_size=3),
    st.integers(1, 40),
    st.sampled_from(["concatenate", "best-fit"]),
)
def test_round_trip_of_random_mixtures(
    domains: list[list[int]], epochs: list[float], length: int, packing: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        names = ["alpha", "beta", "gamma"][: len(domains)]
        inputs = [
            write_tokens(place / name, name, lengths, shards=min(3, len(lengths)), first=7000 * n)
            for n, (name, lengths) in enumerate(zip(names, domains, strict=True))
        ]
        mixture = parse_mixture({name: {"epochs": e} for name, e in zip(names, epochs, strict=False)}, "weights")
        config = MixConfig(sequence_length=length, packing=packing, shard_bytes=700)  # type: ignore[arg-type]
        try:
            run_stage(MixStage(tuple(map(str, inputs)), config, mixture), place / "packed", QUIET)
        except (UsageError, DataError) as error:
            # too few tokens for a sequence, or no document as short as what is asked for
            assert "too few for one sequence" in error.message or "kept none of" in error.message
            return
        check_round_trip(place / "packed", inputs)


def test_round_trip_with_many_parts_of_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids_module, "PARTITION_DOCUMENTS", 7)
    lengths = np.random.default_rng(0).integers(1, 50, 60).tolist()
    inputs = [write_tokens(tmp_path / "a", "alpha", lengths, shards=4)]
    mixture = parse_mixture({"alpha": {"epochs": 1.5}}, "weights")
    run_stage(MixStage((str(inputs[0]),), MixConfig(sequence_length=16), mixture), tmp_path / "packed", QUIET)
    assert len(list((tmp_path / "packed" / "_documents").glob("ids-*.npy"))) == 9
    check_round_trip(tmp_path / "packed", inputs)


@given(st.lists(st.lists(st.text(max_size=5), max_size=20), min_size=1, max_size=5), st.integers(1, 9))
def test_parts_hold_all_ids_in_order(groups: list[list[str]], parts: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        places, first = [], 0
        for number, group in enumerate(groups):
            places.append(Path(folder, str(number)))
            places[-1].mkdir()
            save_hashed(places[-1], hash_ids(group), first)
            first += len(group)
        tables = [merge_partition(places, part, parts) for part in range(parts)]
    everything = [id for group in groups for id in group]
    expected = sorted((hash_id(id), number) for number, id in enumerate(everything))
    assert [tuple(pair) for table in tables for pair in table.T.tolist()] == expected
    for part, table in enumerate(tables):
        assert all(partition_of(hashed, parts) == part for hashed in table[0].tolist())
    assert partitions_of(0) == 1


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run in the layout of `corpus run`: two domains, one with an empty and a long document."""
    out = tmp_path_factory.mktemp("run")
    generator = np.random.default_rng(5)
    words = ["größe", "house", "日本語", "tree", " ", "\n", "x[1]", "run", "the", "of", "é", "🙂", "12"]

    def text(size: int) -> str:
        return " ".join(generator.choice(words, size))

    books = [text(30), "", text(LONG_TEXT // 3), text(200), "", text(50)]
    web = [text(int(size)) for size in generator.integers(1, 60, 40)]
    write_documents(out / "documents" / "books" / "01-train", books, "books", shard_rows=2)
    write_documents(out / "documents" / "web" / "03-train", web, "web", shard_rows=15)
    config = TrainTokenizerConfig(vocab_size=300)
    sources = tuple(str(next((out / "documents" / name).iterdir())) for name in ("books", "web"))
    run_stage(TrainTokenizerStage(sources, config), out / "tokenizer", QUIET)
    for name, source in zip(("books", "web"), sources, strict=True):
        run_stage(TokenizeStage((source,), str(out / "tokenizer"), TokenizeConfig()), out / "tokens" / name, QUIET)
    tokens = tuple(str(out / "tokens" / name) for name in ("books", "web"))
    mixture = parse_mixture({"books": {"epochs": 1.2}, "web": {"epochs": 2}}, "weights")
    config_mix = MixConfig(sequence_length=64, tokenizer=str(out / "tokenizer"))
    run_stage(MixStage(tokens, config_mix, mixture), out / "packed", QUIET)
    validation = MixConfig(split="validation", sequence_length=64, tokenizer=str(out / "tokenizer"))
    run_stage(MixStage(tokens[1:], validation), out / "validation" / "web", QUIET)
    return out


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["trace", *map(str, arguments)])


def lines(*arguments: object) -> list[dict[str, Any]]:
    result = call(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.output.splitlines()]


def texts(run: Path) -> dict[str, bytes]:
    return {
        row["id"]: row["text"].encode()
        for path in (run / "documents").glob("*/*")
        for batch in Dataset.open(path).batches()
        for row in batch.to_pylist()
    }


@pytest.mark.parametrize("name", ["packed", "validation/web"])
def test_bytes_and_text_are_the_documents(run: Path, name: str) -> None:
    originals = texts(run)
    entries = lines(run / name, "--rows", ":")
    assert len(entries) == len(PackedRows(run / name))
    covered = 0
    for entry in entries:
        for part in entry["segments"]:
            begin, end = part["bytes"]
            whole = originals[part["document"]]
            assert part["text"] == whole[begin:end].decode("utf-8", "replace")
            assert part["source"]["file"] == "made.jsonl"
            assert part["document"].endswith(f"#{part['source']['record']}")
            if part["start"] + part["length"] == part["of"]:
                assert end == len(whole)
            covered += end - begin
    assert covered > 1000


def test_for_people_too(run: Path) -> None:
    shown = call(run / "packed", "--row", 1).output
    assert shown.startswith("row 1: ")
    assert "bytes" in shown
    assert "    │ " in shown
    assert "    │ " not in call(run / "packed", "--row", 1, "--no-text").output
    shown = call(run / "packed", "--document", "web/made.jsonl#3").output
    assert "(made.jsonl, record 3)" in shown
    assert shown.count("epoch 1, row ") >= 1
    assert shown.count("epoch 2, row ") >= 1


def test_documents_are_found_where_they_are_given(run: Path, tmp_path: Path) -> None:
    moved = tmp_path / "alone"
    moved.symlink_to(run / "packed")
    assert all("bytes" not in part for part in lines(moved, "--row", 0)[0]["segments"])
    given_too = lines(moved, "--rows", ":", "--documents", run / "documents")
    assert given_too == lines(run / "packed", "--rows", ":")
    web = lines(moved, "--rows", ":", "--documents", run / "documents/web/03-train")
    for entry in web:
        assert all(("bytes" in part) == (entry["domain"] == "web") for part in entry["segments"])


def test_a_dataset_that_cannot_be_read_stops_no_trace(run: Path, tmp_path: Path) -> None:
    for name in ("documents", "packed"):
        shutil.copytree(run / name, tmp_path / name)
    whole = lines(tmp_path / "packed", "--rows", ":")
    (tmp_path / "documents" / "web" / "03-train" / "manifest.json").write_text("{")
    result = call(tmp_path / "packed", "--rows", ":", "--json")
    assert result.exit_code == 0
    assert re.fullmatch(
        r"Left out: .*manifest.json is not a readable manifest .*: make the dataset again.\n", result.stderr
    )
    for entry, before in zip(map(json.loads, result.stdout.splitlines()), whole, strict=True):
        for part, there in zip(entry["segments"], before["segments"], strict=True):
            if there["document"].startswith("web/"):
                del there["bytes"]
                there["source"] = part["source"]
            assert part == there
    given_too = call(tmp_path / "packed", "--row", 0, "--documents", tmp_path / "documents")
    assert given_too.exit_code == 1


def test_errors_are_one_sentence(run: Path, tmp_path: Path) -> None:
    packed = run / "packed"
    total = len(PackedRows(packed))
    other = write_documents(tmp_path / "other", ["not it"], "web")
    (tmp_path / "plain").mkdir()
    for arguments, wanted in (
        ((packed,), "Give one of --row N"),
        ((packed, "--row", total), f"has the rows 0 to {total - 1}: row {total} is not among them"),
        ((packed, "--row", -1), "row -1 is not among them"),
        ((packed, "--rows", "3:3"), "rows 3:3 are not among them"),
        ((packed, "--rows", "x"), "--rows x is no range"),
        ((packed, "--document", "web/made.jsonl#4000"), "ids are like 'web/made.jsonl#0'"),
        ((packed, "--document", "wep/made.jsonl#4"), "did you mean 'web'?"),
        ((packed, "--row", 0, "--documents", other), "is not what .*packed was made from"),
        ((packed, "--row", 0, "--documents", tmp_path / "plain"), "is not what .*packed was made from"),
        ((packed, "--row", 0, "--documents", tmp_path / "none"), "none does not exist"),
        ((packed, "--row", 0, "--tokenizer", run / "recipe"), "does not exist"),
        ((run / "tokens" / "web", "--row", 0), "holds tokens, but packed are wanted"),
        ((run, "--row", 0), "is not a finished dataset"),
    ):
        result = CliRunner().invoke(cli, ["trace", *map(str, arguments)], standalone_mode=True)
        assert result.exit_code in (1, 2), arguments
        assert isinstance(result.exception, SystemExit)
        message = result.output.replace("\n", " ")
        assert re.search(wanted, message), message


def test_a_document_in_no_row_is_said_to_be(tmp_path: Path) -> None:
    path = write_tokens(tmp_path / "a", "alpha", [30] * 40)
    mixture = parse_mixture({"alpha": {"epochs": 0.2}}, "weights")
    run_stage(MixStage((str(path),), MixConfig(sequence_length=16), mixture), tmp_path / "packed", QUIET)
    listed = DocumentList(Dataset.open(tmp_path / "packed"))
    unused = [d.id for d in listed.read(range(40), True).values() if not d.occurrences]
    assert unused
    result = call(tmp_path / "packed", "--document", unused[0])
    assert (result.exit_code, "in no row" in result.output) == (0, True)


def test_without_a_tokenizer_rows_have_no_text(tmp_path: Path) -> None:
    path = write_tokens(tmp_path / "a", "alpha", [30] * 10)
    mixture = parse_mixture({"alpha": {"epochs": 1}}, "weights")
    run_stage(MixStage((str(path),), MixConfig(sequence_length=16), mixture), tmp_path / "packed", QUIET)
    result = call(tmp_path / "packed", "--row", 0)
    assert result.exit_code == 0
    assert "carries no SentencePiece model, so no text is shown: give --tokenizer" in result.output


def test_text_of_pieces_is_what_they_stand_for(run: Path) -> None:
    surface = Surface(Tokenizer.load(run / "tokenizer"))
    for text in ("größe the  house\n x[1]", " leading", "", "▁ 日本語 🙂", "a" * LONG_TEXT):
        ids, starts = surface.encode(text)
        assert surface.text(ids, True) == text or "▁" in text
        if starts is not None:
            data = text.encode()
            parts = [data[a:b] for a, b in itertools.pairwise(starts.tolist())]
            assert b"".join(parts) == data
            for number, part in zip(ids, parts, strict=True):
                assert len(part) == len(surface._pieces[number]) or number == ids[0]
