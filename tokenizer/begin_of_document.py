"""A begin-of-document id before the ids of each document, where `corpus tokenize --bos-piece` asks for one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def with_begin(ids: pa.ListArray, begin: int) -> pa.ListArray:
    """The lists, each with `begin` before its ids; they keep their type, `list<uint16>` or `list<uint32>`."""
    values = ids.values.to_numpy(zero_copy_only=True)
    offsets = ids.offsets.to_numpy(zero_copy_only=True).astype(np.int64)
    assert offsets[0] == 0 and offsets[-1] == len(values), "the lists are no part of others"
    starts = offsets[:-1] + np.arange(len(ids))
    out = np.empty(len(values) + len(ids), values.dtype)
    own = np.ones(len(out), np.bool_)
    own[starts] = False
    out[starts], out[own] = begin, values
    moved = offsets + np.arange(len(offsets))
    return pa.ListArray.from_arrays(pa.array(moved.astype(np.int32)), pa.array(out), type=ids.type)
