"""Best-fit packing: documents stay whole, and the room that a sequence has left is padding.

Documents are taken `WINDOW_DOCUMENTS` at a time in the order of an epoch. A document longer than a sequence fills
sequences of its own; its last segment is packed like the other documents: longest first (of equals the earlier), each
into the sequence with the least room that is enough (of equals the one changed last), else into a new one. No two
sequences of a window that are not full then fit into one, so that a window takes at most twice the sequences that it
needs, and one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import types

from corpus.kernel import kernel
from corpus.mixture.pack.best_fit_limits import WINDOW_DOCUMENTS
from corpus.mixture.pack.order import Ints

_INTS = types.Array(types.int64, 1, "C")
_SMALL = types.Array(types.int32, 1, "C")
_INTS_IN = types.Array(types.int64, 1, "C", readonly=True)
_LENGTHS_IN = types.Array(types.uint32, 1, "C", readonly=True)
_GRID = types.Array(types.int64, 2, "C")


def fit(lengths: npt.NDArray[np.uint32], width: int) -> tuple[Ints, int]:
    """Pack documents (uint32[n], in the order of an epoch) into sequences of `width` tokens.

    Returns int64[n, 2] as `stream.cut_documents` takes them, and the number of sequences. Both depend on the windows
    alone.
    """
    out = np.empty((len(lengths), 2), np.int64)
    rows = 0
    size = 2
    while size < width + 1:
        size *= 2
    heads, counts = np.full(width + 1, -1, np.int32), np.zeros(2 * size, np.int32)
    for begin in range(0, len(lengths), WINDOW_DOCUMENTS):
        window = lengths[begin : begin + WINDOW_DOCUMENTS]
        rest = window.astype(np.int64) % width
        order = np.argsort(-rest, kind="stable")
        below = np.empty(len(window), np.int32)
        rows = int(_fit(window, rest, order, width, rows, heads, counts, below, out[begin : begin + len(window)]))
    return out, rows


@kernel(types.void(_SMALL, types.int64, types.int32))
def _add(counts: npt.NDArray[np.int32], room: int, change: int) -> None:
    """Count `change` more sequences with this room, in a tree whose leaves are the upper half."""
    node = len(counts) // 2 + room
    while node:
        counts[node] += change
        node //= 2


@kernel(types.int64(_SMALL, types.int64))
def _smallest(counts: npt.NDArray[np.int32], room: int) -> int:
    """The least room, of at least `room`, that a sequence has; -1 where none has."""
    leaves = len(counts) // 2
    node = leaves + room
    if counts[node]:
        return room
    while node > 1:
        if node % 2 == 0 and counts[node + 1]:
            node += 1
            while node < leaves:
                node = 2 * node if counts[2 * node] else 2 * node + 1
            return node - leaves
        node //= 2
    return -1


@kernel(types.int64(_LENGTHS_IN, _INTS_IN, _INTS_IN, types.int64, types.int64, _SMALL, _SMALL, _SMALL, _GRID))
def _fit(
    lengths: npt.NDArray[np.uint32],
    rest: Ints,
    order: Ints,
    width: int,
    rows: int,
    heads: npt.NDArray[np.int32],
    counts: npt.NDArray[np.int32],
    below: npt.NDArray[np.int32],
    out: Ints,
) -> np.int64:
    """Pack a window after `rows` sequences. `heads[room]` is the sequence changed last of those with that room,
    `below` the one before it. `heads` and `counts` are empty again afterwards."""
    for d in range(len(lengths)):
        whole = int(lengths[d]) // width
        out[d, 0] = rows if whole else -1
        out[d, 1] = -1
        rows += whole
    first = rows
    for k in range(len(order)):
        d = order[k]
        if rest[d] == 0:
            continue
        room = _smallest(counts, rest[d])
        if room < 0:
            row, room = rows - first, width
            rows += 1
        else:
            row = int(heads[room])
            heads[room] = below[row]
            _add(counts, room, -1)
        out[d, 1] = (first + row) * width + width - room
        left = room - rest[d]
        if left:
            below[row] = heads[left]
            heads[left] = row
            _add(counts, left, 1)
    for room in range(width + 1):
        while heads[room] >= 0:
            heads[room] = below[heads[room]]
            _add(counts, room, -1)
    return np.int64(rows)
