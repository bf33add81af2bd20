"""Memory that was freed and that the C library still holds, given back to the system."""

from __future__ import annotations

import ctypes
from functools import cache

from torch import Tensor

LARGE = 1 << 28
"""Bytes of an embedding from which on the memory of freed activations is given back before its gradient is made. That
takes about a second for each gigabyte when it is needed again, so that it does not pay for a small one."""


def make_room_for_gradient(embedded_BTD: Tensor, embedding_VD: Tensor) -> None:
    """Let the backward pass give back what it has freed before it makes the gradient of a large embedding.

    That gradient is the last to be made and as large as the embedding, and activations, freed by then, lie in holes of
    the heap: on a CPU the peak would hold both.
    """
    large = embedding_VD.numel() * embedding_VD.element_size() >= LARGE
    if large and embedded_BTD.requires_grad and embedded_BTD.device.type == "cpu":
        embedded_BTD.register_hook(_trim)  # type: ignore[no-untyped-call]  # torch leaves it untyped


def _trim(gradient_BTD: Tensor) -> None:
    """Give freed memory back where the C library can (glibc)."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> ctypes._NamedFuncPointer | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library, another system
        return None
