"""Packed sets made for the tests, and the check of a whole set against slow twins."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.data.dataset import Dataset
from corpus.data.files import checksum
from corpus.data.manifest import Manifest
from corpus.engine.runner import RunOptions
from corpus.mixture.pack.stage import MixConfig, MixStage
from corpus.mixture.plan.weights import parse_mixture
from tests.corpus.mixture.mixing import EOD, Place, slow_rows, slow_set, slow_stream

MIXTURE = {"alpha": {"epochs": 2.45}, "beta": {"epochs": 0.7}, "gamma": {"epochs": 1}}
QUIET = RunOptions(quiet=True)


def stage(inputs: Sequence[Path], mixture: Any = MIXTURE, **config: Any) -> MixStage:
    found = parse_mixture(mixture, "weights") if mixture is not None else None
    return MixStage(tuple(map(str, inputs)), MixConfig(**({"sequence_length": 16} | config)), found)


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
    used: Counter[tuple[int, int, int]] = Counter()
    padded = manifest.extra["packing"] == "best-fit"
    for number, row in enumerate(rows):
        places = _places(row)
        real = len(places)
        assert row["tokens"] == [ids[document][at] for document, _, at in places] + [EOD] * (length + 1 - real)
        assert padded or real == length + 1
        assert row["epoch"] == places[0][1]
        targets.update(places[1:])
        used.update(places)
        for part in row["segments"]:
            held[part["document"]].append((number, part["epoch"]))
    assert set(targets.values()) <= {1}
    if padded:
        _check_whole(rows, used, ids, length + 1)
    for number, entry in enumerate(documents):
        found = [(place["row"], place["epoch"]) for place in entry["rows"]]
        assert sorted(found) == sorted(held[number])
    _check_ledger(manifest, rows, targets, length)
    sizes: dict[str, dict[int, int]] = {}
    for number, entry in enumerate(documents):
        domain = sources[entry["source"]["input"]].manifest.extra["domain"]
        sizes.setdefault(domain, {})[number] = entry["tokens"]
    _check_order(manifest, rows, sizes, length)


def _check_order(manifest: Manifest, rows: list[dict[str, Any]], sizes: dict[str, dict[int, int]], length: int) -> None:
    """Every row stands where the definitions put it. Of best-fit rows only: they hold the documents that a prefix of the
    stream holds whole."""
    config = manifest.config
    made: dict[str, list[list[Place]]] = {}
    for line in manifest.extra["domains"]:
        domain = line["domain"]
        stream = slow_stream(sizes[domain], line["epochs_begun"], config["seed"], domain)
        if config["packing"] == "best-fit":
            first = next((at for at in range(line["stream"], len(stream)) if stream[at][2] == 0), len(stream))
            assert first == line["stream"] <= line["planned_tokens"]
            found = [_places(row) for row in rows if row["domain"] == domain]
            assert Counter(itertools.chain.from_iterable(found)) == Counter(stream[:first])
            size = sizes[domain][stream[first][0]] if first < len(stream) else math.inf
            # a domain to which the plan deals no sequence takes no document, which `mix` says
            assert first + size > line["planned_tokens"] or line["rows"] == first == 0
            continue
        seed = config["seed"] if config["row_order"] == "shuffled" else None
        made[domain] = slow_rows(stream, line["rows"], length, seed, domain)
        end = line["stream"]
        cut = next((at for at in range(end, len(stream)) if stream[at][2] == 0), len(stream)) - end
        assert manifest.extra["ledger"][domain]["cut"] == cut
    if made:
        got = [(row["domain"], row["epoch"], _places(row)) for row in rows]
        assert got == [(domain, places[0][1], places) for domain, places in slow_set(made)]


def _places(row: dict[str, Any]) -> list[Place]:
    return [
        (part["document"], part["epoch"], part["start"] + at)
        for part in row["segments"]
        for at in range(part["length"])
    ]


def _check_whole(rows: list[dict[str, Any]], used: Counter[Any], ids: list[list[int]], width: int) -> None:
    """Rows share no token, and a document is in an epoch whole or not at all; only a long one is cut, at row widths."""
    assert set(used.values()) == {1}
    occurring = Counter((document, epoch) for document, epoch, _ in used)
    assert all(count == len(ids[document]) for (document, _), count in occurring.items())
    for row in rows:
        for part in row["segments"]:
            rest = len(ids[part["document"]]) - part["start"]
            assert part["start"] % width == 0
            assert part["length"] == min(width, rest)


def _batches(path: Path) -> list[pa.RecordBatch]:
    with pa.ipc.open_file(pa.memory_map(str(path))) as reader:
        return [reader.get_batch(number) for number in range(reader.num_record_batches)]


def _check_ledger(manifest: Manifest, rows: list[dict[str, Any]], targets: Counter[Any], length: int) -> None:
    counts = manifest.counts["tokens"]
    per_domain = Counter(row["domain"] for row in rows)
    for line in manifest.extra["domains"]:
        ledger = manifest.extra["ledger"][line["domain"]]
        slots = per_domain[line["domain"]] * (length + 1)
        assert line["rows"] == per_domain[line["domain"]]
        if manifest.extra["packing"] == "best-fit":
            assert ledger["packed"] + ledger["tail"] + ledger["padding"] == slots
            assert ledger["tail"] == line["rows"]
            assert ledger["cut"] == 0
        else:
            assert ledger["packed"] == per_domain[line["domain"]] * length
            assert ledger["padding"] == 0
        assert ledger["unique"] * ledger["epochs_begun"] == sum(
            ledger[key] for key in ("packed", "tail", "cut", "unused")
        )
        assert ledger["tail"] == line["tail"]
        assert ledger["cut"] + ledger["unused"] == line["beyond"]
        assert all(value >= 0 for value in ledger.values())
    assert counts.kept == sum(targets.values()) == manifest.totals["tokens"]
    assert counts.seen == sum(entry["unique"] * entry["epochs_begun"] for entry in manifest.extra["ledger"].values())
    share = {line["domain"]: per_domain[line["domain"]] / len(rows) for line in manifest.extra["domains"]}
    seen: Counter[str] = Counter()
    for number, row in enumerate(rows, start=1):
        seen[row["domain"]] += 1
        assert all(abs(seen[domain] - share[domain] * number) < 1 for domain in share)
