"""Texts laid out for the kernels: in a row, with a separator around each, so that words need no look at the end."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from corpus.kernel import kernel

_U8 = nb.types.Array(nb.uint8, 1, "C", readonly=True)
_I64 = nb.types.Array(nb.int64, 1, "C", readonly=True)


@kernel(nb.void(_U8, _I64, nb.boolean, nb.uint8[::1], nb.int64[::1]))
def lay_out(text: Any, bounds: Any, glue: Any, room: Any, starts: Any) -> None:
    """Copy texts into `room`, a line feed before each and after the last, with `glue` without line feeds; `starts` gets
    where each begins, and where one more would."""
    at, one = np.uint64(0), np.uint64(1)
    for number in range(bounds.size - 1):
        room[at] = 10
        at += one
        starts[number] = at
        begin, end = np.uint64(bounds[number]), np.uint64(bounds[number + 1])
        if glue:
            for place in range(begin, end):
                byte = text[place]
                room[at] = byte
                at += np.uint64(byte != 10)
        else:
            room[at : at + end - begin] = text[begin:end]
            at += end - begin
    room[at] = 10
    starts[bounds.size - 1] = at + one
