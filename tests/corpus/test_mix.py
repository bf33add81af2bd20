"""Mixing end to end: the ledger, provenance, the same bytes for any workers, validation, and bad input."""

from __future__ import annotations

import itertools
import pickle
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus.data.dataset import Dataset
from corpus.data.files import checksum
from corpus.data.manifest import Manifest
from corpus.data.verify import verify_dataset
from corpus.errors import DataError, UsageError
from corpus.mixture import tasks
from corpus.mixture.mix import MixConfig, MixStage
from corpus.mixture.weights import parse_mixture
from corpus.stage.runner import RunOptions, run_stage
from corpus.stage.task import Task
from tests.corpus.mixing import write_tokens

MIXTURE = {"alpha": {"epochs": 2.45}, "beta": {"epochs": 0.7}, "gamma": {"epochs": 1}}
QUIET = RunOptions(quiet=True)


def stage(inputs: Sequence[Path], mixture: Any = MIXTURE, **config: Any) -> MixStage:
    found = parse_mixture(mixture, "weights") if mixture is not None else None
    return MixStage(tuple(map(str, inputs)), MixConfig(**({"sequence_length": 16} | config)), found)


@pytest.fixture
def inputs(tmp_path: Path) -> list[Path]:
    generator = np.random.default_rng(0)
    return [
        write_tokens(tmp_path / "in" / "a", "alpha", generator.integers(1, 60, 40).tolist(), shards=3),
        write_tokens(tmp_path / "in" / "b", "beta", generator.integers(1, 400, 10).tolist(), shards=2, first=7000),
        write_tokens(tmp_path / "in" / "c", "gamma", generator.integers(1, 90, 17).tolist(), first=17_000),
        write_tokens(tmp_path / "in" / "d", "alpha", generator.integers(1, 60, 7).tolist(), first=25_000),
    ]


def packed_rows(output: Path) -> list[dict[str, Any]]:
    return [row for batch in Dataset.open(output, "packed").batches() for row in batch.to_pylist()]


def listed_documents(output: Path) -> list[dict[str, Any]]:
    return [
        row for path in sorted((output / "_documents").glob("*.parquet")) for row in pq.read_table(path).to_pylist()
    ]


def files(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): checksum(path)
        for path in sorted(directory.rglob("*"))
        if path.is_file() and "_log" not in path.parts
    }


def check_set(output: Path, inputs: Sequence[Path], length: int) -> None:
    """The ledger adds up, every row is its documents' tokens, and every document lists exactly the rows it is in."""
    manifest = Manifest.load(output)
    rows, documents = packed_rows(output), listed_documents(output)
    sources = [Dataset.open(path, "tokens") for path in inputs]
    shards = {
        (number, path.name): [r for b in _batches(path) for r in b.to_pylist()]
        for number, source in enumerate(sources)
        for path in source.shard_paths()
    }
    ids = []
    for entry in documents:
        where = entry["source"]
        origin = shards[where["input"], where["shard"]][where["row"]]
        assert origin["id"] == entry["id"]
        assert len(origin["ids"]) == entry["tokens"]
        ids.append(origin["ids"])
    held: dict[int, list[tuple[int, int]]] = {number: [] for number in range(len(documents))}
    targets: Counter[tuple[int, int, int]] = Counter()
    for number, row in enumerate(rows):
        places = [
            (part["document"], part["epoch"], part["start"] + at)
            for part in row["segments"]
            for at in range(part["length"])
        ]
        assert row["tokens"] == [ids[document][at] for document, _, at in places]
        assert row["epoch"] == places[0][1]
        targets.update(places[1:])
        for part in row["segments"]:
            held[part["document"]].append((number, part["epoch"]))
    assert set(targets.values()) <= {1}
    for number, entry in enumerate(documents):
        found = [(place["row"], place["epoch"]) for place in entry["rows"]]
        assert sorted(found) == sorted(held[number])
    _check_ledger(manifest, rows, targets, length)


def _batches(path: Path) -> list[pa.RecordBatch]:
    with pa.ipc.open_file(pa.memory_map(str(path))) as reader:
        return [reader.get_batch(number) for number in range(reader.num_record_batches)]


def _check_ledger(manifest: Manifest, rows: list[dict[str, Any]], targets: Counter[Any], length: int) -> None:
    counts = manifest.counts["tokens"]
    per_domain = Counter(row["domain"] for row in rows)
    for line in manifest.extra["domains"]:
        ledger = manifest.extra["ledger"][line["domain"]]
        assert ledger["packed"] == per_domain[line["domain"]] * length
        assert ledger["unique"] * ledger["passes"] == sum(ledger[key] for key in ("packed", "tail", "cut", "unused"))
        assert ledger["tail"] == line["tail"]
        assert ledger["cut"] + ledger["unused"] == line["beyond"]
        assert all(value >= 0 for value in ledger.values())
    assert counts.kept == len(rows) * length == sum(targets.values()) == manifest.totals["tokens"]
    assert counts.seen == sum(entry["unique"] * entry["passes"] for entry in manifest.extra["ledger"].values())
    share = {line["domain"]: per_domain[line["domain"]] / len(rows) for line in manifest.extra["domains"]}
    seen: Counter[str] = Counter()
    for number, row in enumerate(rows, start=1):
        seen[row["domain"]] += 1
        assert all(abs(seen[domain] - share[domain] * number) < 1 for domain in share)


def test_a_mixture_end_to_end(tmp_path: Path, inputs: list[Path]) -> None:
    output = tmp_path / "out"
    manifest = run_stage(stage(inputs, shard_bytes=2000), output, QUIET)
    check_set(output, inputs, 16)
    assert not verify_dataset(output).problems
    assert len(manifest.shards) > 2
    assert manifest.extra["sequence_length"] == 16
    assert manifest.extra["vocab_size"] == 32_000
    assert manifest.extra["ledger"]["alpha"]["passes"] == 3
    assert {row["epoch"] for row in packed_rows(output) if row["domain"] == "alpha"} == {1, 2, 3}
    assert sum(entry["rows"] for entry in manifest.extra["documents"]) == 40 + 10 + 17 + 7


SIZES = st.lists(st.integers(1, 50), min_size=1, max_size=15)


@given(
    st.lists(st.tuples(SIZES, st.integers(5, 400)), min_size=1, max_size=3),
    st.integers(2, 40),
    st.sampled_from(["shuffled", "stream"]),
    st.integers(0, 3),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_every_mixture_adds_up(
    tmp_path: Path, domains: list[tuple[list[int], int]], length: int, row_order: str, seed: int
) -> None:
    shutil.rmtree(tmp_path / "any", ignore_errors=True)
    inputs = [
        write_tokens(tmp_path / "any" / f"d{n}", f"d{n}", sizes, shards=1 + n, first=9000 * n)
        for n, (sizes, _) in enumerate(domains)
    ]
    mixture = {f"d{n}": {"epochs": hundredths / 100} for n, (_, hundredths) in enumerate(domains)}
    made = stage(inputs, mixture, sequence_length=length, row_order=row_order, seed=seed, shard_bytes=1500)
    try:
        made.plan()
    except UsageError as error:
        assert "too few for one row" in error.message
        return
    run_stage(made, tmp_path / "any" / "out", QUIET)
    check_set(tmp_path / "any" / "out", inputs, length)


def test_same_bytes_for_any_workers_and_block(
    tmp_path: Path, inputs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = stage(inputs, shard_bytes=1500, seed=4)
    run_stage(made, tmp_path / "one", QUIET)
    run_stage(made, tmp_path / "two", RunOptions(workers=2, quiet=True, always_pool=True))
    monkeypatch.setattr(tasks, "BLOCK_BYTES", 100)
    run_stage(made, tmp_path / "small", QUIET)
    monkeypatch.setattr("corpus.mixture.layout.ORDER_DOCUMENTS", 1)
    run_stage(stage(inputs, shard_bytes=1500, seed=4), tmp_path / "passes", QUIET)
    assert files(tmp_path / "one") == files(tmp_path / "two") == files(tmp_path / "small") == files(tmp_path / "passes")
    assert pickle.loads(pickle.dumps(made)) == made
    run_stage(stage(inputs, shard_bytes=1500, seed=5), tmp_path / "other", QUIET)
    one, other = packed_rows(tmp_path / "one"), packed_rows(tmp_path / "other")
    assert one != other
    assert [row["domain"] for row in one] == [row["domain"] for row in other]


def test_same_bytes_after_a_failure_in_every_phase(
    tmp_path: Path, inputs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = stage(inputs, shard_bytes=1500)
    run_stage(made, tmp_path / "whole", QUIET)
    for name in ("index_shards", "order_passes", "pack_shard", "list_documents"):
        step = getattr(tasks, name)

        def stumble(made: MixStage, index: int, task: Task, step: Any = step) -> None:
            step(made, index, task)
            if index == made.phases()[0].tasks - 1:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(tasks, name, stumble)
            with pytest.raises(KeyboardInterrupt):
                run_stage(made, tmp_path / "torn", QUIET)
    run_stage(made, tmp_path / "torn", QUIET)
    assert files(tmp_path / "torn") == files(tmp_path / "whole")


def test_tokens_and_shares(tmp_path: Path, inputs: list[Path]) -> None:
    mixture = {"alpha": 50, "beta": 30, "gamma": 20}
    manifest = run_stage(stage(inputs, mixture, tokens=3200, exhausted="repeat"), tmp_path / "out", QUIET)
    assert {line["domain"]: line["rows"] for line in manifest.extra["domains"]} == {
        "alpha": 100,
        "beta": 60,
        "gamma": 40,
    }
    assert manifest.totals["tokens"] == 3200
    check_set(tmp_path / "out", inputs, 16)


def test_wide_vocabularies(tmp_path: Path) -> None:
    source = write_tokens(tmp_path / "in", "alpha", [30] * 20, vocab_size=256_000, first=70_000)
    run_stage(stage([source], {"alpha": {"epochs": 1}}), tmp_path / "out", QUIET)
    check_set(tmp_path / "out", [source], 16)
    (batch, *_) = Dataset.open(tmp_path / "out").batches(["tokens"])
    assert batch.schema.field("tokens").type.value_type == pa.uint32()


def test_validation_is_read_once_in_stream_order(tmp_path: Path, inputs: list[Path]) -> None:
    made = stage([inputs[1]], None, split="validation")
    manifest = run_stage(made, tmp_path / "out", QUIET)
    assert manifest.extra["split"] == "validation"
    (ledger,) = manifest.extra["ledger"].values()
    assert ledger["passes"] == 1
    assert ledger["cut"] == ledger["unused"] == 0
    rows = packed_rows(tmp_path / "out")
    assert all(row["tokens"][-1] == after["tokens"][0] for row, after in itertools.pairwise(rows))
    check_set(tmp_path / "out", inputs[1:2], 16)


def test_a_validation_set_too_small_for_a_row(tmp_path: Path) -> None:
    source = write_tokens(tmp_path / "in", "beta", [9, 7])
    with pytest.raises(UsageError, match=r"16 validation tokens of 'beta', too few for one row of 17: split off more"):
        stage([source], None, split="validation").plan()


def test_the_tokenizer_comes_along(tmp_path: Path) -> None:
    (tmp_path / "tok").mkdir()
    (tmp_path / "tok" / "tokenizer.model").write_bytes(b"pieces")
    digest = checksum(tmp_path / "tok" / "tokenizer.model")
    source = write_tokens(tmp_path / "in", "alpha", [30] * 20, tokenizer=digest)
    for path in (tmp_path / "tok", tmp_path / "tok" / "tokenizer.model"):
        output = tmp_path / f"out-{path.suffix}"
        run_stage(stage([source], {"alpha": {"epochs": 1}}, tokenizer=str(path)), output, QUIET)
        assert (output / "_tokenizer" / "tokenizer.model").read_bytes() == b"pieces"
    other = write_tokens(tmp_path / "other", "alpha", [30] * 20)
    with pytest.raises(DataError, match="did not make these tokens"):
        run_stage(stage([other], {"alpha": {"epochs": 1}}, tokenizer=str(tmp_path / "tok")), tmp_path / "no", QUIET)
    with pytest.raises(UsageError, match="There is no tokenizer model at"):
        run_stage(stage([source], {"alpha": {"epochs": 1}}, tokenizer=str(tmp_path / "x")), tmp_path / "no2", QUIET)


def test_different_tokenizers_are_refused(tmp_path: Path) -> None:
    one = write_tokens(tmp_path / "one", "alpha", [30] * 20)
    two = write_tokens(tmp_path / "two", "beta", [30] * 20, tokenizer="1" * 32)
    with pytest.raises(DataError, match=r"were tokenized differently .tokenizer 00000000 and 11111111"):
        stage([one, two], {"alpha": {"epochs": 1}, "beta": {"epochs": 1}}).plan()


def test_a_missing_domain(tmp_path: Path, inputs: list[Path]) -> None:
    mixture = MIXTURE | {"books": {"epochs": 2}}
    with pytest.raises(UsageError, match="The domain 'books' of the mixture has no tokens"):
        stage(inputs, mixture).plan()
    made = stage(inputs, mixture, allow_missing=True)
    manifest = run_stage(made, tmp_path / "out", QUIET)
    assert manifest.extra["messages"] == ["Without tokens and left out: books."]
    empty = write_tokens(tmp_path / "empty", "books", [])
    manifest = run_stage(stage([*inputs, empty], mixture, allow_missing=True), tmp_path / "out2", QUIET)
    assert manifest.shards == Manifest.load(tmp_path / "out").shards


def test_shards_that_are_not_what_their_manifest_says(tmp_path: Path) -> None:
    source = write_tokens(tmp_path / "in", "alpha", [30] * 20)
    data = (source / "00000.arrow").read_bytes()
    (source / "00000.arrow").write_bytes(data[:-100])
    with pytest.raises(DataError, match=r"00000.arrow has \d+ bytes, the manifest says"):
        run_stage(stage([source], {"alpha": {"epochs": 1}}), tmp_path / "out", QUIET)
    (source / "00000.arrow").write_bytes(data[:-100] + bytes(100))
    with pytest.raises(DataError, match=r"00000.arrow cannot be read"):
        run_stage(stage([source], {"alpha": {"epochs": 1}}), tmp_path / "out2", QUIET)


def test_ids_outside_the_vocabulary(tmp_path: Path) -> None:
    source = write_tokens(tmp_path / "in", "alpha", [30] * 20)
    manifest = (source / "manifest.json").read_text()
    Manifest.load(source)
    extra = {"domain": "alpha", "tokenizer": {"digest": "0" * 32, "vocab_size": 100, "eod_id": 2}}
    loaded = Manifest.load(source)
    Manifest(**(vars(loaded) | {"extra": extra})).save(source)
    assert manifest != (source / "manifest.json").read_text()
    with pytest.raises(DataError, match="outside the vocabulary of 100; tokenize"):
        run_stage(stage([source], {"alpha": {"epochs": 1}}), tmp_path / "out", QUIET)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"sequence_length": 0}, "--sequence-length 0 makes no rows"),
        ({"tokens": 0}, "--tokens 0 is no budget"),
        ({"shard_bytes": 0}, "--shard-bytes 0 holds no row"),
        ({"split": "validation", "tokens": 5}, "leave --weights and --tokens out"),
    ],
)
def test_settings_that_make_no_sense(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        MixConfig(**config)


def test_weights_are_needed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Mixing needs a mixture; give --weights"):
        MixStage(("x",), MixConfig())
    with pytest.raises(UsageError, match="There are no tokens to mix"):
        MixStage((), MixConfig())
    (tmp_path / "w.yaml").write_text("alpha: {epochs: 2}")
    made = MixStage(("x",), MixConfig(weights=str(tmp_path / "w.yaml")))
    (tmp_path / "w.yaml").unlink()
    assert pickle.loads(pickle.dumps(made)).mixture == parse_mixture({"alpha": {"epochs": 2}}, "w")
