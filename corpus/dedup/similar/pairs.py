"""An inverted index on disk: which documents share keys, and how many.

Each key lists its documents in the order of preference; each of them votes for a pair with those before it, at most
`MOST_BEFORE` of them: half the first ones, which most others are compared with, half the ones just before it, among
which equal documents are. So a key that all documents have costs no more than others do per document, and a pair whose
documents are far apart in many lists is found by the keys that few documents have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numba import types

from corpus.data.buffers import Array
from corpus.dedup.spill import Records, Spill, read_pieces
from corpus.errors import DataError
from corpus.kernel import kernel

ENTRY = np.dtype([("key", np.uint64), ("order", np.uint64), ("document", np.uint64)])
"""One key of one document, and the document's place in the order of preference: lower goes first, then its number."""
PAIR = np.dtype([("pair", np.uint64), ("votes", np.uint64)])
"""Two documents by number, second << 32 | first (the first is preferred), and how many keys voted for them."""
MOST_BEFORE = 16
"""Documents that one votes for a pair with, by one key."""
MOST_DOCUMENTS = 1 << 32
_PAIRS_AT_ONCE = 1 << 16

_U64 = types.Array(types.uint64, 1, "C", readonly=True)


def check_documents(documents: int) -> None:
    """A DataError if there are more documents than pairs have room for."""
    if documents > MOST_DOCUMENTS:
        raise DataError(
            f"{documents:,} documents are too many for one run of dedup: give at most 4,294,967,296 at once."
        )


@kernel(types.UniTuple(types.int64, 2)(_U64, _U64, types.int64, types.int64, types.uint64[::1]))
def _vote(keys: Any, documents: Any, start: Any, most: Any, out: Any) -> Any:
    begin = start
    while begin > 0 and begin < keys.size and keys[begin - 1] == keys[begin]:
        begin -= 1
    count = np.int64(0)
    for at in range(start, keys.size):
        if keys[at] != keys[begin]:
            begin = at
        if count + most > out.size:
            return at, count
        near = max(begin, at - most // 2)
        for other in range(begin, min(near, begin + most - most // 2)):
            out[count] = documents[at] << np.uint64(32) | documents[other]
            count += 1
        for other in range(near, at):
            out[count] = documents[at] << np.uint64(32) | documents[other]
            count += 1
    return keys.size, count


def sum_votes(records: Records) -> Records:
    """One `PAIR` for each pair of sorted ones, with all its votes."""
    if not records.size:
        return records
    starts = np.flatnonzero(np.append(True, records["pair"][1:] != records["pair"][:-1]))
    summed = np.empty(starts.size, PAIR)
    summed["pair"] = records["pair"][starts]
    summed["votes"] = np.add.reduceat(records["votes"], starts)
    return summed


def vote(paths: Sequence[Path], low: int, high: int, spill: Spill, memory: int) -> None:
    """Add the votes of all keys from `low` to `high` to `spill`, whose records are `PAIR`s. `paths`: runs of `ENTRY`s."""
    out = np.empty(_PAIRS_AT_ONCE, dtype=np.uint64)
    for _, _, records in read_pieces(paths, ENTRY, low, high, memory):
        order = np.lexsort((records["document"], records["order"], records["key"]))
        keys, documents = records["key"][order], records["document"][order]
        done = 0
        while done < keys.size:
            done, count = _vote(keys, documents, done, MOST_BEFORE, out)
            votes = np.empty(count, PAIR)
            votes["pair"], votes["votes"] = out[:count], 1
            if count:
                spill.add(votes)


def add_votes(paths: Sequence[Path], low: int, high: int, memory: int) -> Iterator[Records]:
    """The `PAIR`s of all runs whose second document has a number from `low` to `high`, with all their votes, sorted."""
    for _, _, records in read_pieces(paths, PAIR, low << 32, high << 32, memory):
        yield sum_votes(records)


def seconds_of(pairs: Array[np.uint64]) -> Array[np.int64]:
    """The numbers of the second documents."""
    return (pairs >> np.uint64(32)).astype(np.int64)


def firsts_of(pairs: Array[np.uint64]) -> Array[np.int64]:
    """The numbers of the first documents."""
    return (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64)
