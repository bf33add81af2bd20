"""The choice of validation: within its bounds, the same for any parts, and that of a slow twin."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xxhash
from hypothesis import example, given
from hypothesis import strategies as st

from corpus.errors import DataError
from corpus.heldout.choice import DOCUMENT_HASH, Choice, Wanted, choose, ranks
from corpus.heldout.join import CHOSEN, join

NONE = np.empty(0, "S16")
Documents = list[tuple[int, int]]
"""Documents as the number of their text, and its size."""


def digest(text: int) -> bytes:
    return xxhash.xxh3_128_digest(b"%d" % text).rstrip(b"\0")  # as NumPy gives them back


def hashed(documents: Documents, first: int = 0) -> np.ndarray[Any, Any]:
    """The hashes of documents whose ids are numbers from `first` on."""
    found = np.zeros(len(documents), DOCUMENT_HASH)
    for row, (text, size) in enumerate(documents):
        found[row] = (digest(text), xxhash.xxh3_64_intdigest(b"%d" % (first + row)), size)
    return found


def slow_choice(documents: Documents, wanted: Wanted) -> set[bytes] | None:
    """The texts that are held out, each by going through all."""
    size = {digest(text): size for text, size in documents}
    copies = {key: sum(digest(text) == key for text, _ in documents) for key in size}
    bytes_of = {key: copies[key] * size[key] for key in size}
    text = sum(bytes_of.values())
    able = [key for key in sorted(size) if copies[key] <= len(documents) // 2 and bytes_of[key] <= text // 2]
    if not able:
        return None

    def within(part: int, counted: list[bytes]) -> int:
        count = 0
        while count < len(able):
            taken = [key for key in able[: count + 1] if key in counted]
            if sum(copies[key] for key in taken) > len(documents) // part:
                break
            if sum(bytes_of[key] for key in taken) > text // part:
                break
            count += 1
        return count

    half = max(1, within(2, able))
    small = [key for key in able if copies[key] <= len(documents) // 10 and bytes_of[key] <= text // 10]
    limit = int(wanted.fraction * 2**64)
    count = max(1, sum(int.from_bytes(key.ljust(16, b"\0")[:8], "big") < limit for key in able))
    while sum(size[key] for key in able[:count]) < wanted.bytes and count < len(able):
        count += 1
    count = min(count, half)
    most = max(count, min(half, within(10, small)))
    count = min(most, max(count, wanted.documents))
    while True:
        taken = able[:count]
        stay = slow_small_enough([size[key] for key in taken], float(wanted.share))
        kept = {key for key in taken if stay is not None and size[key] <= stay}
        enough = len(kept) >= wanted.documents and sum(size[key] for key in kept) >= wanted.bytes
        if enough or count == most:
            break
        count = min(most, count + max(1, count // 64))
    return kept if sum(size[key] for key in kept) >= max(1, wanted.bytes) else set(taken)


def slow_small_enough(sizes: list[int], share: float) -> int | None:
    """The size of the largest document that has no more than `share` of those up to its size; None: there is none."""
    if share >= 1:
        return max(sizes)
    total, found = 0, None
    for size in sorted(sizes):
        total += size
        if size <= share * total:
            found = size
    return found


DOCUMENTS = st.lists(st.integers(0, 25), min_size=2, max_size=60).flatmap(
    lambda texts: st.tuples(st.just(texts), st.lists(st.integers(0, 60), min_size=26, max_size=26)).map(
        lambda made: [(text, made[1][text]) for text in made[0]]
    )
)
WANTED = st.builds(
    Wanted,
    st.sampled_from([Fraction(1, 1 << 60), Fraction(1, 10), Fraction(1, 2)]),
    st.integers(0, 300),
    st.integers(1, 12),
    st.sampled_from([Fraction(1), Fraction(1, 2), Fraction(1, 4)]),
)


@given(DOCUMENTS, WANTED, st.integers(1, 5))
@example([(0, 0), (0, 0)], Wanted(Fraction(1, 2), 0, 1, Fraction(1)), 1)
def test_the_choice_equals_a_slow_one(documents: Documents, wanted: Wanted, cuts: int) -> None:
    hashes = hashed(documents)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("corpus.heldout.choice._FEWEST_WAITING", 3)
        try:
            choice, texts = choose(lambda: np.array_split(hashes, cuts), wanted)
        except DataError:
            assert slow_choice(documents, wanted) is None
            return
    assert set(texts.tolist()) == slow_choice(documents, wanted)
    held_out = choice.held_out(hashes["text"])
    assert held_out.tolist() == [text in set(texts.tolist()) for text in hashes["text"].tolist()]
    assert 1 <= held_out.sum() <= len(documents) // 2
    assert 2 * hashes["bytes"][held_out].sum() <= hashes["bytes"].sum()


def test_one_large_text_is_left_or_outweighed() -> None:
    books = [(n, 1000) for n in range(100)]
    wanted = Wanted(Fraction(1, 1000), 10, 3, Fraction(1, 4))
    _, texts = choose(lambda: [hashed(books)], wanted)
    assert len(texts) == 4  # each is a quarter
    first = min(books, key=lambda book: digest(book[0]))[0]
    books[first] = (first, 20_000)
    choice, texts = choose(lambda: [hashed(books)], wanted)
    assert digest(first) not in texts.tolist() and len(texts) == 4
    assert choice.left.tolist() == [digest(first)]
    # where nothing else will do it is taken
    _, texts = choose(lambda: [hashed([(0, 50), (1, 40), (2, 20)])], wanted)
    assert len(texts) == 1


def test_many_copies_take_few_passes() -> None:
    documents = [(n if n % 20 == 0 else -(n % 7) - 1, 500) for n in range(20_000)]
    passes = []

    def parts() -> list[np.ndarray[Any, Any]]:
        passes.append(1)
        return [hashes]

    hashes = hashed(documents)
    choice, texts = choose(parts, Wanted(Fraction(1, 1 << 64), 16_000, 10, Fraction(1)))
    assert len(texts) == 32
    assert len(passes) < 15
    # a text is held out with all of its copies
    assert set(hashes["text"][choice.held_out(hashes["text"])].tolist()) == set(texts.tolist())


@given(st.lists(DOCUMENTS, min_size=1, max_size=4), st.lists(DOCUMENTS, max_size=2), WANTED, st.data())
def test_what_joins_equals_a_slow_look(
    domains: list[Documents], further: list[Documents], wanted: Wanted, data: st.DataObject
) -> None:
    sizes = {text: size for documents in [*domains, *further] for text, size in documents}
    domains = [[(text, sizes[text]) for text, _ in documents] for documents in domains]
    made = [hashed(documents, 100 * number) for number, documents in enumerate(domains)]
    chosen: list[set[bytes]] = []
    with tempfile.TemporaryDirectory() as folder:
        places = []
        for number, hashes in enumerate(made):
            try:
                _, texts = choose(lambda hashes=hashes: [hashes], wanted)  # type: ignore[misc]
            except DataError:
                texts = NONE
            chosen.append(set(texts.tolist()))
            places.append(Path(folder, str(number)))
            places[-1].mkdir()
            np.save(places[-1] / CHOSEN, texts)
        at = data.draw(st.integers(0, len(made) - 1))
        parts = np.array_split(made[at], data.draw(st.integers(1, 4)))
        others = [(lambda own=own: [hashed(own)]) for own in further]
        found = join(at, places, parts, others)  # type: ignore[arg-type]
    texts = made[at]["text"].tolist()
    everywhere = set().union(*chosen)
    assert set(found.joined.tolist()) == {text for text in texts if text in everywhere - chosen[at]}
    held_out = sorted((text, int(row["id"])) for text, row in zip(texts, made[at], strict=True) if text in everywhere)
    stay = dict(reversed(held_out))
    assert found.repeated.tolist() == sorted(id for text, id in held_out if stay[text] != id)
    trained = {digest(text) for own in further for text, _ in own}
    assert set(found.trained.tolist()) == {text for text, _ in held_out} & trained
    assert found.notes["held_out"] == len(held_out)
    assert found.notes["trained"] == len(set(stay) & trained)
    assert sum(count for _, count in found.notes["places"]) == found.notes["trained"]
    owner = {text: min(n for n, own in enumerate(chosen) if text in own) for text in everywhere - chosen[at]}
    counts = [sum(owner.get(text) == n for text, _ in held_out) for n in range(len(made))]
    assert found.notes["joined"] == [[n, count] for n, count in enumerate(counts) if count]


def test_ranks_are_in_the_order_of_the_hashes() -> None:
    texts = np.unique(np.array([digest(n) for n in range(300)] + [b"\0" * 16, b"\xff" * 16], "S16"))
    assert (np.diff(ranks(texts).astype(object)) >= 0).all()
    assert ranks(texts)[[0, -1]].tolist() == [0, 2**64 - 1]
    choice = Choice(int(ranks(texts)[5]), texts[2:3], texts[8:9])
    assert np.flatnonzero(choice.held_out(texts)).tolist() == [0, 1, 3, 4, 5, 8]
