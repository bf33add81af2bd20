"""Memory that was freed and that the C library still holds, given back to the system."""

from __future__ import annotations

from torch import Tensor

from corpus.system import give_memory_back

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
    give_memory_back()
