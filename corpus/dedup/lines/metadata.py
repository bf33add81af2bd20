"""CCNet's fields in the metadata of deduplicated documents, put into JSON objects by a kernel.

A document's `metadata` is a compact JSON object with sorted keys, so that new fields have one place each and the others
are copied as they are. Objects that are written otherwise, or have one of the fields already, go through Python.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numba import types

from corpus.data.buffers import Array, text_buffers
from corpus.errors import DataError
from corpus.kernel import kernel

_U8 = types.Array(types.uint8, 1, "C", readonly=True)
_I64 = types.Array(types.int64, 1, "C", readonly=True)
_SIZES = types.Array(types.int64, 2, "C", readonly=True)
_NUMBERS = types.Array(types.int32, 1, "C", readonly=True)
_FIELDS = ("length", "line_ids", "nlines", "original_length", "original_nlines")
_NAMES = np.frombuffer("".join(_FIELDS).encode(), dtype=np.uint8)
_NAME_BOUNDS = np.cumsum([0, *map(len, _FIELDS)])
_LIST = 1
_FIELD_BYTES = int(_NAME_BOUNDS[-1]) + 5 * (4 + 20) + 2
"""The most bytes that the fields add to an object, without the numbers of the lines."""
_NUMBER_BYTES = 11
_MOST_BYTES = (1 << 31) - 1
"""What the 32-bit offsets of a `string` column reach."""
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class LineSizes(NamedTuple):
    """Lines and characters of a document, now and before."""

    nlines: int
    length: int
    original_nlines: int
    original_length: int


def line_metadata(text: str, line_ids: list[int], sizes: LineSizes) -> str:
    """A document's metadata with CCNet's fields: line_ids (numbers of the kept lines in the original text), nlines,
    length, original_nlines, original_length. A document that was deduplicated before keeps its originals, and its
    numbers still say where a line was at first."""
    value: dict[str, Any] = json.loads(text)
    earlier = value.get("line_ids")
    if isinstance(earlier, list) and len(earlier) == sizes.original_nlines:
        line_ids = [earlier[number] for number in line_ids]
    value.setdefault("original_nlines", sizes.original_nlines)
    value.setdefault("original_length", sizes.original_length)
    value.update(line_ids=line_ids, nlines=sizes.nlines, length=sizes.length)
    return _ENCODER.encode(value)


@kernel(types.int64(types.uint8[::1], types.int64, types.int64))
def _put_number(out: Any, at: Any, number: Any) -> Any:
    digits = np.int64(1)
    rest = number // 10
    while rest:
        rest //= 10
        digits += 1
    for i in range(digits):
        out[at + digits - 1 - i] = 48 + number % 10
        number //= 10
    return at + digits


@kernel(types.int64(types.uint8[::1], types.int64, types.int64, _SIZES, types.int64, _NUMBERS, _I64))
def _put_field(out: Any, at: Any, field: Any, sizes: Any, row: Any, numbers: Any, number_bounds: Any) -> Any:
    """Write `"name":value`, after a comma unless it is the first of its object."""
    if out[at - 1] != 123:
        out[at] = 44
        at += 1
    out[at] = 34
    at += 1
    for i in range(_NAME_BOUNDS[field], _NAME_BOUNDS[field + 1]):
        out[at] = _NAMES[i]
        at += 1
    out[at], out[at + 1] = 34, 58
    at += 2
    if field != _LIST:
        return _put_number(out, at, sizes[row, field])
    out[at] = 91
    at += 1
    for i in range(number_bounds[row], number_bounds[row + 1]):
        if i > number_bounds[row]:
            out[at] = 44
            at += 1
        at = _put_number(out, at, np.int64(numbers[i]))
    out[at] = 93
    return at + 1


@kernel(types.int64(_U8, types.int64, types.int64, _U8, types.int64, types.int64))
def _compare(one: Any, a: Any, b: Any, other: Any, c: Any, d: Any) -> Any:
    """The order of two keys: below, equal to or above 0. That of UTF-8 is that of code points."""
    for i in range(min(b - a, d - c)):
        if one[a + i] != other[c + i]:
            return np.int64(one[a + i]) - np.int64(other[c + i])
    return (b - a) - (d - c)


@kernel(types.int64(_U8, types.int64, types.int64))
def _key_end(data: Any, i: Any, end: Any) -> Any:
    """Where the quote is that ends the key at `i`, if a colon follows and nothing is escaped; else -1."""
    if i >= end or data[i] != 34:
        return np.int64(-1)
    i += 1
    while i < end and data[i] != 34:
        if data[i] == 92:
            return np.int64(-1)
        i += 1
    return i if i + 1 < end and data[i + 1] == 58 else np.int64(-1)


@kernel(types.int64(_U8, types.int64, types.int64))
def _value_end(data: Any, i: Any, end: Any) -> Any:
    """Where the value at `i` ends: at the comma or brace after it; -1 where white space is between tokens."""
    depth = np.int64(0)
    start = i
    while i < end:
        byte = data[i]
        if byte == 34:
            i += 1
            while i < end and data[i] != 34:
                i += 2 if data[i] == 92 else 1
        elif byte <= 32:
            return np.int64(-1)
        elif byte == 123 or byte == 91:
            depth += 1
        elif depth == 0 and (byte == 44 or byte == 125):
            return i if i > start else np.int64(-1)
        elif byte == 125 or byte == 93:
            depth -= 1
        i += 1
    return np.int64(-1)


@kernel(types.int64(_U8, types.int64, types.int64, _SIZES, types.int64, _NUMBERS, _I64, types.uint8[::1], types.int64))
def _splice_row(
    data: Any, i: Any, end: Any, sizes: Any, row: Any, numbers: Any, number_bounds: Any, out: Any, at: Any
) -> Any:
    """Copy one object with the fields in their places; where the copy ends, or -1 for an object for Python."""
    if end - i < 2 or data[i] != 123:
        return np.int64(-1)
    out[at] = 123
    at += 1
    i += 1
    field = np.int64(0)
    before, before_end = np.int64(0), np.int64(-1)
    while data[i] != 125 or before_end >= 0:
        key_end = _key_end(data, i, end)
        if key_end < 0 or (before_end >= 0 and _compare(data, before, before_end, data, i + 1, key_end) >= 0):
            return np.int64(-1)
        while field < 5:
            order = _compare(_NAMES, _NAME_BOUNDS[field], _NAME_BOUNDS[field + 1], data, i + 1, key_end)
            if order == 0:
                return np.int64(-1)
            if order > 0:
                break
            at = _put_field(out, at, field, sizes, row, numbers, number_bounds)
            field += 1
        stop = _value_end(data, key_end + 2, end)
        if stop < 0:
            return np.int64(-1)
        if out[at - 1] != 123:
            out[at] = 44
            at += 1
        for j in range(i, stop):
            out[at] = data[j]
            at += 1
        before, before_end = i + 1, key_end
        i = stop
        if data[i] == 125:
            break
        i += 1
    if i != end - 1:
        return np.int64(-1)
    while field < 5:
        at = _put_field(out, at, field, sizes, row, numbers, number_bounds)
        field += 1
    out[at] = 125
    return at + 1


@kernel(types.void(_U8, _I64, _SIZES, _NUMBERS, _I64, types.uint8[::1], types.int64[::1], types.boolean[::1]))
def _splice(
    data: Any, offsets: Any, sizes: Any, numbers: Any, number_bounds: Any, out: Any, bounds: Any, left: Any
) -> None:
    at = np.int64(0)
    bounds[0] = 0
    for row in range(offsets.size - 1):
        if number_bounds[row + 1] > number_bounds[row]:
            done = _splice_row(data, offsets[row], offsets[row + 1], sizes, row, numbers, number_bounds, out, at)
            left[row] = done < 0
            at = max(at, done)
        bounds[row + 1] = at


@dataclass(frozen=True)
class Kept:
    """The lines that n documents keep: their numbers, one document after the other, between the int64[n + 1] bounds;
    and int64[n, 5] characters and lines now and before, in the order of the fields (the second column is unused)."""

    numbers: Array[np.int32]
    bounds: Array[np.int64]
    sizes: Array[np.int64]


def with_lines(metadata: pa.Array, kept: Kept) -> pa.Array:
    """The metadata (a `string` column) of the documents that keep a line, with CCNet's fields as `line_metadata`."""
    data, offsets = text_buffers(metadata)
    rows = len(metadata)
    size = int(offsets[-1] - offsets[0]) + _FIELD_BYTES * rows + _NUMBER_BYTES * len(kept.numbers)
    out = np.empty(size, dtype=np.uint8)
    bounds = np.empty(rows + 1, dtype=np.int64)
    left = np.zeros(rows, dtype=np.bool_)
    _splice(data, offsets, kept.sizes, kept.numbers, kept.bounds, out, bounds, left)
    full = kept.bounds[1:] > kept.bounds[:-1]
    if bounds[-1] > _MOST_BYTES:
        raise DataError(
            f"the line numbers of {rows:,} documents with {len(kept.numbers):,} lines take more than 2 GiB: write the"
            " input with smaller row groups."
        )
    narrow = np.append(bounds[:-1][full], bounds[-1]).astype(np.int32)
    buffers = [None, pa.py_buffer(narrow), pa.py_buffer(out[: bounds[-1]])]
    result = pa.Array.from_buffers(pa.string(), int(full.sum()), buffers)
    if not left.any():
        return result
    values = result.to_pylist()
    places = np.cumsum(full) - 1
    spans = list(pairwise(kept.bounds.tolist()))
    for row in np.flatnonzero(left).tolist():
        length, _, nlines, original_length, original_nlines = kept.sizes[row].tolist()
        sizes = LineSizes(nlines, length, original_nlines, original_length)
        numbers = kept.numbers[slice(*spans[row])].tolist()
        values[places[row]] = line_metadata(metadata[row].as_py(), numbers, sizes)
    return pa.array(values, pa.string())
