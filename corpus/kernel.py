"""Machine code for hot loops over Arrow and NumPy buffers: the one decorator of all kernels.

A kernel and what it calls stay in one file, because the cache on disk sees no change in another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def kernel(signature: Any, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function for `signature` (Numba's: a type called with types, a string, or a list of these) when its
    module is imported; the machine code is cached on disk and runs without the interpreter's lock."""

    def compiled(function: Callable[..., Any]) -> Any:
        return njit(signature, nogil=True, cache=True, **options)(function)

    return compiled
