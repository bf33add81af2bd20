"""The orders of a packed set: permutations that can be asked at any index, and interleaving.

A permutation of n items is a keyed Feistel network over the smallest power of two that holds n (at least 4), walked
until it comes back below n, which takes less than two walks on average. Its round function is the SplitMix64
generator at a position of its own per round and half (Steele, Lea and Flood, OOPSLA 2014), so that nothing depends on
a library's generators. It needs no memory, and its inverse costs the same.

The interleaving is the earliest-deadline-first schedule for the chairman assignment problem (Tijdeman, Discrete
Mathematics 32, 1980): with R sequences in all and R_d of domain d, its j-th one (j from 1) may stand at position n
(from 1) once n > (j-1) R/R_d and must by n = ceil(j R/R_d). Such a schedule always exists, earliest deadline first
finds it, and every prefix of n sequences then has n R_d/R of each domain to within less than one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import xxhash
from numba import types

from corpus.kernel import kernel

Ints = npt.NDArray[np.int64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_ROUNDS = 12
_SMALL_ROUNDS = 48
"""Both are even. Short halves need more rounds: with 48 all permutations of a handful of items are equally likely."""
_SMALL_BITS = np.uint64(12)
_ROUND_BITS = np.uint64(6)
_ONE, _S27, _S30, _S31 = np.uint64(1), np.uint64(27), np.uint64(30), np.uint64(31)

_INTS = types.Array(types.int64, 1, "C")
_INTS_IN = types.Array(types.int64, 1, "C", readonly=True)
_GRID = types.Array(types.int64, 2, "C")


def order_key(seed: int, purpose: str, domain: str, number: int) -> np.uint64:
    """The key of one permutation: xxh3-64 of seed, purpose ("documents" or "rows"), domain and epoch (from 0)."""
    return np.uint64(xxhash.xxh3_64_intdigest("\0".join((str(seed), purpose, domain, str(number))).encode()))


def permuted(indices: Ints, size: int, key: np.uint64) -> Ints:
    """int64[k] -> int64[k]: the item, of `size`, at each of the positions `indices`."""
    out = np.empty(len(indices), np.int64)
    _permute(np.ascontiguousarray(indices), size, key, False, out)
    return out


def positions(items: Ints, size: int, key: np.uint64) -> Ints:
    """The inverse of `permuted`: the position of each item."""
    out = np.empty(len(items), np.int64)
    _permute(np.ascontiguousarray(items), size, key, True, out)
    return out


def interleave(rows: Ints, step: int = 1 << 20) -> Iterator[Ints]:
    """The domain at each position of the set, `step` positions at a time.

    `rows` int64[k] are the sequences per domain; ties go to the earlier domain.
    """
    rows = np.ascontiguousarray(rows)
    total = int(rows.sum())
    most = np.maximum(rows, 1)
    state = np.stack([np.zeros_like(rows), np.zeros_like(rows), total // most, total % most])
    for begin in range(0, total, step):
        out = np.empty(min(step, total - begin), np.int64)
        done = int(_interleave(rows, total, begin, state, out))
        assert done == len(out), "a sequence missed its deadline"
        yield out


@kernel(types.uint64(types.uint64, types.uint64, types.uint64), inline="always")
def _scramble(key: np.uint64, half: np.uint64, step: np.uint64) -> np.uint64:
    """SplitMix64 of `key` at position 64 half + step + 1."""
    value = key + _GOLDEN * ((half << _ROUND_BITS) + step + _ONE)
    value = (value ^ (value >> _S30)) * _MIX1
    value = (value ^ (value >> _S27)) * _MIX2
    return value ^ (value >> _S31)


@kernel(types.uint64(types.uint64, types.uint64, types.uint64, types.uint64, types.int64))
def _forward(value: np.uint64, key: np.uint64, low_bits: np.uint64, high_bits: np.uint64, rounds: int) -> np.uint64:
    low_mask, high_mask = (_ONE << low_bits) - _ONE, (_ONE << high_bits) - _ONE
    low, high = value & low_mask, value >> low_bits
    for step in range(0, rounds, 2):
        low ^= _scramble(key, high, np.uint64(step)) & low_mask
        high ^= _scramble(key, low, np.uint64(step + 1)) & high_mask
    return (high << low_bits) | low


@kernel(types.uint64(types.uint64, types.uint64, types.uint64, types.uint64, types.int64))
def _backward(value: np.uint64, key: np.uint64, low_bits: np.uint64, high_bits: np.uint64, rounds: int) -> np.uint64:
    low_mask, high_mask = (_ONE << low_bits) - _ONE, (_ONE << high_bits) - _ONE
    low, high = value & low_mask, value >> low_bits
    for step in range(rounds - 2, -1, -2):
        high ^= _scramble(key, low, np.uint64(step + 1)) & high_mask
        low ^= _scramble(key, high, np.uint64(step)) & low_mask
    return (high << low_bits) | low


@kernel(types.Tuple((types.uint64, types.uint64, types.int64))(types.int64))
def _network(size: int) -> tuple[np.uint64, np.uint64, int]:
    """Bits of the two halves, together at least two and enough for 0 … size - 1, and the number of rounds."""
    bits = np.uint64(2)
    while (_ONE << bits) < np.uint64(size):
        bits += _ONE
    low_bits = bits >> _ONE
    return low_bits, bits - low_bits, _SMALL_ROUNDS if bits <= _SMALL_BITS else _ROUNDS


@kernel(types.void(_INTS_IN, types.int64, types.uint64, types.boolean, _INTS))
def _permute(indices: Ints, size: int, key: np.uint64, inverse: bool, out: Ints) -> None:
    low_bits, high_bits, rounds = _network(size)
    limit = np.uint64(size)
    for i in range(len(indices)):
        value = np.uint64(indices[i])
        while True:
            value = (
                _backward(value, key, low_bits, high_bits, rounds)
                if inverse
                else _forward(value, key, low_bits, high_bits, rounds)
            )
            if value < limit:
                break
        out[i] = np.int64(value)


@kernel(types.int64(_INTS_IN, types.int64, types.int64, _GRID, _INTS))
def _interleave(rows: Ints, total: int, begin: int, state: Ints, out: Ints) -> np.int64:
    """Deal the positions from `begin` on by earliest deadline; returns how many were dealt, which is all of `out`.

    With q = j R // R_d and m = j R % R_d for the j sequences that domain d already has, its next one may stand at
    positions (from 0) >= q, and q and m of the one after give the last position allowed. Kept as running sums
    (`state`: j, q, and q and m of the one after), nothing overflows.
    """
    done, quotient, next_quotient, next_rest = state[0], state[1], state[2], state[3]
    for position in range(begin, begin + len(out)):
        best, earliest = -1, np.int64(0)
        for d in range(len(rows)):
            if done[d] == rows[d] or quotient[d] > position:
                continue
            deadline = next_quotient[d] + (1 if next_rest[d] else 0) - 1
            if best < 0 or deadline < earliest:
                best, earliest = d, deadline
        if best < 0 or earliest < position:
            return np.int64(position - begin)
        out[position - begin] = best
        done[best] += 1
        quotient[best] = next_quotient[best]
        next_quotient[best] += total // rows[best]
        next_rest[best] += total % rows[best]
        if next_rest[best] >= rows[best]:
            next_rest[best] -= rows[best]
            next_quotient[best] += 1
    return np.int64(len(out))
