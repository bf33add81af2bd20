"""What levels `document`, `book` and `near` are made of, each beside its slow twin: spilled records, votes, the choice,
shingles, sets, MinHash."""

from __future__ import annotations

import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.dedup import spill
from corpus.dedup.similar import pairs
from corpus.dedup.similar.clusters import EDGE, IdReader, IdWriter, Numbering, choose_kept, largest
from corpus.dedup.similar.minhash import BANDS, ROWS, band_keys, parameters, signature
from corpus.dedup.similar.pairs import ENTRY, PAIR, add_votes, check_documents, sum_votes, vote
from corpus.dedup.similar.shingles import SetReader, SetWriter, count_shared, shingle_hashes, shingle_sets
from corpus.dedup.spill import Spill, part_bounds, partitions_for, read_pieces, run_paths
from corpus.errors import DataError
from tests.corpus.dedup.similar_twin import greedy, shingles, words

KEYS = st.lists(st.lists(st.integers(0, 30) | st.integers(2**64 - 3, 2**64 - 1), max_size=8), min_size=1, max_size=6)


@settings(max_examples=50)
@given(KEYS, st.integers(1, 4000), st.integers(1, 5))
def test_spilled_records_come_back_sorted(parts: list[list[int]], memory: int, tasks: int) -> None:
    """Whatever the memory: by key, equal ones in the order of tasks and arrival, in pieces without a gap."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(spill, "_LEAST_BYTES", 48)
        paths, everything = [], []
        for task in range(tasks):
            directory = Path(name, str(task))
            directory.mkdir()
            runs = Spill(directory, ENTRY, memory)
            for number, keys in enumerate(parts):
                records = np.zeros(len(keys), ENTRY)
                records["key"], records["order"], records["document"] = keys, task, number
                runs.add(records)
                everything += [(key, task, number) for key in keys]
            paths += run_paths(directory, runs.close())
        for low, high in ((0, 1 << 64), (3, 20), (20, 1 << 64), (7, 7)):
            pieces = list(read_pieces(paths, ENTRY, low, high, memory))
            assert [pieces[0][0], *(end for _, end, _ in pieces)] == [*(begin for begin, _, _ in pieces), high]
            found = [tuple(record) for _, _, records in pieces for record in records.tolist()]
            assert found == sorted((entry for entry in everything if low <= entry[0] < high), key=lambda e: e[:2])


def test_partitions_fill_the_keys() -> None:
    for parts in (1, 3, 1024):
        bounds = [part_bounds(part, parts) for part in range(parts)]
        assert bounds[0][0] == 0 and bounds[-1][1] == 1 << 64
        assert all(left[1] == right[0] for left, right in pairwise(bounds))
    assert partitions_for(0) == 1 and partitions_for(spill.ENTRIES_PER_PARTITION + 1) == 2
    assert partitions_for(1 << 60) == spill.MOST_PARTITIONS
    check_documents(1 << 32)
    with pytest.raises(DataError, match="too many"):
        check_documents((1 << 32) + 1)


DOCUMENTS = st.lists(st.tuples(st.integers(0, 3), st.sets(st.integers(0, 6))), max_size=14)


@settings(max_examples=60)
@given(DOCUMENTS, st.integers(1, 3000), st.integers(1, 4))
def test_votes(documents: list[tuple[int, set[int]]], memory: int, most: int) -> None:
    """documents: of each its place in the order of preference, and its keys."""
    wanted: Counter[tuple[int, int]] = Counter()
    for key in range(7):
        own = sorted((order, number) for number, (order, keys) in enumerate(documents) if key in keys)
        for place, (_, second) in enumerate(own):
            compared = [at for at in range(place) if at < most - most // 2 or place - at <= most // 2]
            wanted.update((second, own[at][1]) for at in compared)
    spread = (1 << 64) // 7
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(spill, "_LEAST_BYTES", 48)
        patch.setattr(pairs, "MOST_BEFORE", most)
        patch.setattr(pairs, "_PAIRS_AT_ONCE", most + 1)
        runs = Spill(Path(name), ENTRY, memory)
        for number, (order, keys) in enumerate(documents):
            records = np.zeros(len(keys), ENTRY)
            records["key"], records["order"], records["document"] = [k * spread for k in sorted(keys)], order, number
            runs.add(records)
        entries = run_paths(Path(name), runs.close())
        paths = []
        for part in range(2):
            directory = Path(name, f"votes{part}")
            directory.mkdir()
            votes = Spill(directory, PAIR, memory, sum_votes)
            vote(entries, *part_bounds(part, 2), votes, memory)
            paths += run_paths(directory, votes.close())
        middle = len(documents) // 2
        found = [
            tuple(record)
            for bounds in ((0, middle), (middle, len(documents)))
            for records in add_votes(paths, *bounds, memory)
            for record in records.tolist()
        ]
    assert found == sorted((second << 32 | first, votes) for (second, first), votes in wanted.items())


EDGES = st.dictionaries(
    st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda pair: pair[0] != pair[1]),
    st.sampled_from([0.8, 0.9, 1.0]),
)


@given(EDGES, st.lists(st.integers(1, 3), min_size=10, max_size=10), st.booleans(), st.integers(0, 9))
def test_the_choice(found: dict[tuple[int, int], float], sizes: list[int], by_size: bool, protected: int) -> None:
    order = sorted(range(10), key=lambda n: (n >= protected, -sizes[n] if by_size and n >= protected else 0, n))
    alike = {pair: value for pair, value in found.items() if order.index(pair[0]) < order.index(pair[1])}
    alike = {pair: value for pair, value in alike.items() if pair[1] >= protected}  # no edge of two protected ones
    edges = np.array([(b, a, 5, sizes[b], sizes[a], value) for (a, b), value in alike.items()], EDGE)
    removals = choose_kept(edges, by_size, protected)
    wanted = greedy(order, alike)
    assert dict(zip(removals["removed"].tolist(), removals["kept"].tolist(), strict=True)) == wanted
    assert removals["removed"].tolist() == sorted(wanted)
    assert all(
        sizes[r] == s for r, s in zip(removals["removed"].tolist(), removals["removed_size"].tolist(), strict=True)
    )
    # the promises: what stays has no duplicate that stays, what goes has one that does
    stays = set(range(10)) - wanted.keys()
    assert stays >= set(range(protected))
    assert not any({a, b} <= stays for a, b in alike)
    assert set(wanted.values()) <= stays and all((kept, gone) in alike for gone, kept in wanted.items())
    clusters = Counter(wanted.values())
    assert largest(removals) == [list(item) for item in sorted(clusters.items(), key=lambda item: (-item[1], item[0]))]


@settings(max_examples=50)
@given(st.lists(st.lists(st.text(max_size=5), max_size=4), min_size=1, max_size=4))
def test_ids(tasks: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name, str(number)) for number in range(len(tasks))]
        for folder, ids in zip(folders, tasks, strict=True):
            folder.mkdir()
            writer = IdWriter(folder)
            for start in range(0, len(ids), 2):
                writer.write(pa.array([None, *ids], pa.string()).slice(1 + start, 2))
            writer.close()
        reader = IdReader(Numbering.of(map(len, tasks)), folders)
        assert [reader.id(n) for n in range(reader.numbering.documents)] == [id for ids in tasks for id in ids]


LETTERS = st.sampled_from(
    [*"ab é\u0301ßÀ٣7.-_\n\t\u3000本書カかกำا\u200bﬁİΣ", "\U0001f600", "\U00020000", "\U0002f800"]
)
TEXT = st.text(LETTERS, max_size=30) | st.text(max_size=12)


@given(st.lists(TEXT, max_size=6), st.integers(1, 8), st.data())
def test_shingles_as_the_twin(texts: list[str], width: int, data: st.DataObject) -> None:
    """Equal shingles have equal hashes, different ones different hashes; slices and both offset widths."""
    kind = data.draw(st.sampled_from([pa.string(), pa.large_string()]))
    column = pa.array(["skipped words", *texts, None], kind).slice(1)
    hashes, bounds = shingle_hashes(column, width)
    known: dict[int, tuple[str, ...]] = {}
    for row, text in enumerate([*texts, ""]):
        own = words(text)
        wanted = [tuple(own[at : at + width]) for at in range(max(1, len(own) - width + 1))] if own else []
        found = hashes[bounds[row] : bounds[row + 1]].tolist()
        assert len(found) == len(wanted)
        assert all(known.setdefault(key, shingle) == shingle for key, shingle in zip(found, wanted, strict=True))
    assert len(set(known.values())) == len(known)
    for text, found in zip([*texts, ""], shingle_sets(column, width), strict=True):
        assert found.tolist() == sorted(set(found.tolist()))
        assert {known[key] for key in found.tolist()} == shingles(text, width)


def test_words() -> None:
    assert words("Well-known: the 25 Ärzte’s ﬁne") == ["wellknown", "the", "00", "arztes", "fine"]
    assert words("白鯨 Moby-Dickは、") == ["白", "鯨", "mobydick", "は"]


SETS = st.sets(st.integers(0, 40) | st.sampled_from([2**63, 2**64 - 1]))


@given(SETS, SETS)
def test_count_shared(left: set[int], right: set[int]) -> None:
    arrays = [np.array(sorted(values), dtype=np.uint64) for values in (left, right)]
    assert count_shared(*arrays) == len(left & right)


@given(st.lists(st.lists(st.none() | st.sets(st.integers(0, 99))), min_size=1, max_size=3), st.integers(0, 100))
def test_sets_on_disk(tasks: list[list[set[int] | None]], memory: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name, str(number)) for number in range(len(tasks))]
        for folder, sets in zip(folders, tasks, strict=True):
            folder.mkdir()
            writer = SetWriter(folder, len(sets))
            for row, own in enumerate(sets):
                if own is not None:
                    writer.write(row, np.array(sorted(own), dtype=np.uint64))
            writer.close()
        reader = SetReader(Numbering.of(map(len, tasks)), folders, memory)
        for number, own in [*enumerate(s for sets in tasks for s in sets)] * 2:
            assert reader.read(number).tolist() == sorted(own or ()) and reader.size(number) == len(own or ())


@given(st.sets(st.integers(0, 2**64 - 1), max_size=20))
def test_minhash_as_the_twin(values: set[int]) -> None:
    own = np.array(sorted(values), dtype=np.uint64)
    factors, terms = (array.tolist() for array in parameters())
    wanted = [
        min((((value >> 32) * a + b) % 2**32 for value in values), default=2**32 - 1)
        for a, b in zip(factors, terms, strict=True)
    ]
    assert signature(own).tolist() == wanted
    keys = band_keys(own).tolist()
    assert len(keys) == (BANDS if values else 0) and len(set(keys)) == len(keys)
    if values:
        changed = own.copy()
        changed[0] ^= np.uint64(1 << 63)
        same = [wanted[r : r + ROWS] == signature(changed).tolist()[r : r + ROWS] for r in range(0, BANDS * ROWS, ROWS)]
        assert [a == b for a, b in zip(keys, band_keys(changed).tolist(), strict=True)] == same


def test_minhash_estimates_the_jaccard_index() -> None:
    """Its mean and its spread are those of 112 independent draws, so that bands meet as often as FineWeb says."""
    rng = np.random.default_rng(1)
    factors, _ = parameters()
    assert factors.size == BANDS * ROWS == 112 and (factors % 2 == 1).all() and len(set(factors.tolist())) == 112
    for shared, met in ((467, 0.56), (600, 0.92), (650, 0.98)):
        estimates, bands = [], []
        for _ in range(400):
            values = rng.integers(0, 2**64, 1200 - shared + 300, dtype=np.uint64)
            values = np.sort(values[: 2 * 700 - shared])
            rng.shuffle(values)
            left, right = values[:700], values[700 - shared :]
            estimates.append(np.mean(signature(left) == signature(right)))
            bands.append(bool(np.intersect1d(band_keys(left), band_keys(right)).size))
        index = shared / (1400 - shared)
        assert abs(np.mean(estimates) - index) < 0.01
        assert 0.7 < np.std(estimates) / (index * (1 - index) / 112) ** 0.5 < 1.3
        assert abs(np.mean(bands) - (1 - (1 - index**ROWS) ** BANDS)) < 0.08, met
