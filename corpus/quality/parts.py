"""Lines and paragraphs of texts, and how much of a text's letters is in those of each label."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np
import pyarrow as pa

from corpus.data.buffers import Array, count_breaks
from corpus.kernel import kernel

_U8 = nb.types.Array(nb.uint8, 1, "C", readonly=True)
_I64 = nb.types.Array(nb.int64, 1, "C", readonly=True)


class Parts(NamedTuple):
    """Parts of texts, in order: int64[m + 1], where each begins and the last ends, and int64[m], whose text each is."""

    bounds: Array[np.int64]
    texts: Array[np.int64]


def cut(data: Array[np.uint8], bounds: Array[np.int64], paragraphs: bool) -> Parts:
    """The lines of texts, or their paragraphs, which blank lines separate; what separates goes with what is before it."""
    texts, size = len(bounds) - 1, count_breaks(data[bounds[0] : bounds[-1]])
    cuts, owners = np.empty(texts + size + 1, dtype=np.int64), np.empty(texts + size, dtype=np.int64)
    count = cut_texts(_frozen(data), _frozen(bounds), paragraphs, cuts, owners)
    return Parts(cuts[: count + 1], owners[:count])


class Shares(NamedTuple):
    """For each text its labels, the one with most first, and the share of each."""

    labels: pa.ListArray
    shares: pa.ListArray


def shares(
    names: tuple[str, ...], labels: Array[np.int64], weights: Array[np.int64], texts: Array[np.int64], number: int
) -> Shares:
    """The share of each label among the weights of the parts of each of the `number` texts: `labels` int64[m] are places
    in `names`, `texts` int64[m] ascend. Labels of equal share are in the order of `names`; without weight there is none."""
    counted = weights > 0
    keys, inverse = np.unique(texts[counted] * len(names) + labels[counted], return_inverse=True)
    sums = np.bincount(inverse, weights=weights[counted], minlength=len(keys)).astype(np.int64)
    owners, kinds = keys // len(names), keys % len(names)
    order = np.lexsort((kinds, -sums, owners))
    owners, kinds, sums = owners[order], kinds[order], sums[order]
    totals = np.bincount(owners, weights=sums, minlength=number)
    offsets = pa.array(np.searchsorted(owners, np.arange(number + 1)), pa.int32())
    part = (sums / totals[owners]).astype(np.float32)
    found = pa.array(names, pa.string()).take(pa.array(kinds))
    return Shares(pa.ListArray.from_arrays(offsets, found), pa.ListArray.from_arrays(offsets, pa.array(part)))


def _frozen(array: Array[Any]) -> Array[Any]:
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


@kernel(nb.int64(_U8, _I64, nb.boolean, nb.int64[::1], nb.int64[::1]))
def cut_texts(data: Any, bounds: Any, paragraphs: Any, cuts: Any, owners: Any) -> Any:
    """Write where each part begins, and where the last ends, and the text of each; returns the number of parts."""
    count = np.int64(0)
    for text in range(bounds.size - 1):
        cuts[count], owners[count] = bounds[text], text
        count += 1
        blank = False
        for at in range(bounds[text], bounds[text + 1] - 1):
            if data[at] != 10:
                blank = False
            elif not paragraphs or blank:
                cuts[count], owners[count] = at + 1, text
                count += 1
                blank = False
            else:
                blank = True
    cuts[count] = bounds[bounds.size - 1]
    return count
