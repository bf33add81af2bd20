"""Arrow strings and numbers as NumPy views of their bytes, and back."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_CACHED = 1 << 18
T = TypeVar("T", bound=np.generic)
Array: TypeAlias = np.ndarray[Any, np.dtype[T]]


def text_buffers(column: pa.Array) -> tuple[Array[np.uint8], Array[np.int64]]:
    """The UTF-8 bytes of a string column and the int64[n + 1] bounds of its values in them; no copy of the bytes.

    Takes `string` and `large_string`, slices with an offset, and nulls (which become empty values).
    """
    wide = pa.types.is_large_string(column.type)
    assert wide or pa.types.is_string(column.type), f"a string column, not {column.type}"
    if column.null_count:
        column = column.fill_null("")
    if not len(column):
        return np.zeros(0, dtype=np.uint8), np.zeros(1, dtype=np.int64)
    _, offsets, data = column.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int64 if wide else np.int32)[
        column.offset : column.offset + len(column) + 1
    ]
    bytes_ = np.frombuffer(data, dtype=np.uint8) if data is not None else np.zeros(0, dtype=np.uint8)
    return bytes_, np.ascontiguousarray(bounds, dtype=np.int64)


def text_column(data: Array[np.uint8], bounds: Array[np.int64]) -> pa.Array:
    """A `large_string` column over `data` (UTF-8) with the int64[n + 1] `bounds`; no copy."""
    buffers = [None, pa.py_buffer(np.ascontiguousarray(bounds)), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.large_string(), len(bounds) - 1, buffers)


def breaks_and_bytes(text: pa.Array) -> tuple[int, int]:
    """Line feeds and bytes of a string column."""
    data, bounds = text_buffers(text)
    begin, end = int(bounds[0]), int(bounds[-1])
    return count_breaks(data[begin:end]), end - begin


def count_breaks(data: Array[np.uint8]) -> int:
    """Line feeds among some bytes."""
    # a part at a time: what the comparison gives stays in the cache
    return sum(int(np.count_nonzero(data[at : at + _CACHED] == 10)) for at in range(0, len(data), _CACHED))


def numbers(array: pa.Array, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """The values of an array of numbers of this type, as a view. Not through `to_numpy`, which imports pandas."""
    buffer = array.buffers()[1]
    view = np.frombuffer(buffer, dtype=dtype) if buffer is not None and buffer.size else np.zeros(0, dtype)
    return view[array.offset : array.offset + len(array)]
