"""Machine code for hot loops over Arrow and NumPy buffers: the one decorator of all kernels, and the
instructions that Numba has no names for.

A kernel and what it calls stay in one file, because the cache on disk sees no change in another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba as nb
from llvmlite import ir
from numba import njit
from numba.core import cgutils
from numba.extending import intrinsic


def kernel(signature: Any, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function for `signature` (Numba's: a type called with types, a string, or a list of these) when its
    module is imported; the machine code is cached on disk and runs without the interpreter's lock."""

    def compiled(function: Callable[..., Any]) -> Any:
        return njit(signature, nogil=True, cache=True, **options)(function)

    return compiled


@intrinsic  # type: ignore[untyped-decorator]  # Numba has no types
def prefetch(context: Any, words: Any, at: Any) -> Any:
    """Have the processor fetch the line of `words[at]` into its cache; a kernel goes on without waiting."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        place = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        builder.call(fetch, [place, number(0), number(3), number(1)])  # to read, into all levels, data
        return context.get_dummy_value()

    return nb.void(words, at), generate


@intrinsic  # type: ignore[untyped-decorator]  # Numba has no types
def load_lane(context: Any, bytes_: Any, at: Any) -> Any:
    """The eight bytes of a uint8 array from `at` on as a uint64, least significant first; they must lie in the array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(64).as_pointer())
        return builder.load(place, align=1)

    return nb.uint64(bytes_, at), generate


@intrinsic  # type: ignore[untyped-decorator]  # Numba has no types
def trailing_zeros(context: Any, word: Any) -> Any:
    """The number of zero bits below the lowest one of a uint64 that is not 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return nb.uint64(nb.uint64), generate


@intrinsic  # type: ignore[untyped-decorator]  # Numba has no types
def ones(context: Any, word: Any) -> Any:
    """The number of bits of a uint64 that are set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return nb.uint64(nb.uint64), generate
