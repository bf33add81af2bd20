"""Texts laid out for the encoder: in a row, each after the blank that the model may put before it."""

from __future__ import annotations

from typing import Any

import numba as nb

from corpus.kernel import kernel

_U8 = nb.types.Array(nb.uint8, 1, "C", readonly=True)
_I64 = nb.types.Array(nb.int64, 1, "C", readonly=True)


@kernel(nb.void(_U8, _I64, nb.int64, nb.uint8[::1], nb.int64[::1]))
def lay_out(text: Any, offsets: Any, prefix: Any, room: Any, starts: Any) -> None:
    """Copy texts into `room`, each that is not empty after `prefix` blanks; `starts` gets where each begins."""
    at = 0
    for number in range(offsets.size - 1):
        size = offsets[number + 1] - offsets[number]
        starts[number] = at
        if size:
            room[at : at + prefix] = 32
            at += prefix
            room[at : at + size] = text[offsets[number] : offsets[number + 1]]
            at += size
    starts[offsets.size - 1] = at
