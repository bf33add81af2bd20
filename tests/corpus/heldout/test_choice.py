"""The choice of validation: within its bounds, the same for any parts, and that of a slow twin."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import DataError
from corpus.heldout.choice import DOCUMENT_HASH, choose


def rank(key: str, seed: int) -> int:
    return xxhash.xxh3_64_intdigest(key.encode(), seed)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 50)), min_size=2, max_size=60),
    st.integers(0, 400),
    st.integers(1, 7),
)
def test_every_choice_is_within_its_bounds(documents: list[tuple[int, int]], wanted: int, cuts: int) -> None:
    hashes = np.zeros(len(documents), DOCUMENT_HASH)
    for row, (text, _) in enumerate(documents):
        hashes[row] = (rank(str(row), 0), xxhash.xxh3_128_digest(str(text).encode()), text * 3)
    parts = np.array_split(hashes, cuts)
    whole = int(hashes["bytes"].sum())
    try:
        choice = choose(lambda: parts, Fraction(1, 1 << 60), wanted)
    except DataError:
        return
    again = choose(lambda: [hashes], Fraction(1, 1 << 60), wanted)
    assert (choice.limit, choice.shared.tolist()) == (again.limit, again.shared.tolist())
    chosen = choice.chosen(hashes["id"])
    assert (choice.held_out, choice.twins) == (chosen.sum(), (chosen & choice.overlapping(hashes["text"])).sum())
    good = chosen & ~choice.overlapping(hashes["text"])
    assert good.any()
    assert chosen.sum() == 1 or 2 * hashes["bytes"][chosen].sum() <= whole
    assert not set(hashes["text"][good]) & set(hashes["text"][~chosen])
    if hashes["bytes"][good].sum() < wanted:
        # no further document fits into half of the text
        order = np.argsort(hashes["id"])
        more = hashes["bytes"][order][: int(chosen.sum()) + 1].sum()
        assert 2 * more > whole or 2 * hashes["bytes"][chosen].sum() >= whole


def slow_choice(hashes: np.ndarray[Any, Any], fraction: Fraction, wanted: int) -> tuple[int, set[bytes]] | None:
    """The limit and the texts on both sides, each round from the start."""
    rows = sorted((int(row["id"]), bytes(row["text"]), int(row["bytes"])) for row in hashes)
    text, needed = sum(row[2] for row in rows), wanted
    while True:
        taken = 0
        limit = max(rows[0][0], int(fraction * 2**64) - 1)
        for key, _, size in rows:
            if taken >= needed or taken + size > text // 2:
                break
            taken += size
            limit = max(limit, key)
        own = [row for row in rows if row[0] <= limit]
        shared = {row[1] for row in own} & {row[1] for row in rows if row[0] > limit}
        taken, kept = sum(row[2] for row in own), sum(row[2] for row in own if row[1] not in shared)
        enough = 2 * taken >= text or taken < needed
        if len(shared) < len({row[1] for row in own}) and (kept >= wanted or enough):
            return limit, shared
        if enough:
            return None
        needed = taken + max(1, wanted - kept)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 20)), min_size=2, max_size=40),
    st.sampled_from([Fraction(1, 1 << 60), Fraction(1, 10), Fraction(1, 2)]),
    st.integers(0, 300),
    st.integers(1, 5),
)
def test_the_choice_equals_a_slow_one(
    documents: list[tuple[int, int]], fraction: Fraction, wanted: int, cuts: int
) -> None:
    hashes = np.zeros(len(documents), DOCUMENT_HASH)
    for row, (text, size) in enumerate(documents):
        hashes[row] = (rank(str(row), 0), b"%d" % text, size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("corpus.heldout.choice._FEWEST_WAITING", 3)
        try:
            choice = choose(lambda: np.array_split(hashes, cuts), fraction, wanted)
            got = (choice.limit, set(choice.shared.tolist()))
        except DataError:
            got = None
    assert got == slow_choice(hashes, fraction, wanted)


def test_few_survivors_take_few_passes() -> None:
    hashes, rng = np.zeros(20_000, DOCUMENT_HASH), np.random.default_rng(0)
    hashes["id"], hashes["bytes"] = rng.permutation(20_000), 500
    hashes["text"] = [b"own %d" % n if n % 20 == 0 else b"twin %d" % (n % 7) for n in range(20_000)]
    passes = []

    def parts() -> list[np.ndarray[Any, Any]]:
        passes.append(1)
        return [hashes]

    choice = choose(parts, Fraction(1, 1 << 64), 16_000)
    assert (choice.chosen(hashes["id"]) & ~choice.overlapping(hashes["text"])).sum() == 32
    assert len(passes) < 15
