"""Dropout whose random numbers are a function of where they are used, not of what was drawn before.

The bit of an activation is a hash of (seed, step, row of the packed set, position, layer, site in the layer, channel).
Ranks, micro-batches, recomputation in the backward pass and a resumed run therefore drop the same activations, and no
state of a generator has to be kept. The hash is made of 32-bit multiplications and shifts (the finalizer of MurmurHash3,
public domain), which every device computes the same.

Shape suffixes: B sequences, T positions, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_STEP = 0x9E3779B1 - (1 << 32)
_FIRST, _SECOND = 0x85EBCA6B - (1 << 32), 0xC2B2AE35 - (1 << 32)
_BITS = 24
"""Bits that are compared with the rate: what a float32 holds exactly."""


@dataclass(frozen=True)
class Dropout:
    """Which activations of some sequences are dropped in one update.

    `key_B`: int64 [B], a hash of seed, step, row, site.
    """

    rate: float
    key_B: Tensor

    @staticmethod
    def of(rate: float, seed: int, step: int, rows: Sequence[int] | Tensor, device: str = "cpu") -> Dropout | None:
        """The dropout of update `step` for these rows of the packed set; None at rate 0."""
        if rate == 0.0:
            return None
        row_B = torch.as_tensor(rows if isinstance(rows, Tensor) else list(rows), dtype=torch.int64).to(device)
        key_B = _mix(_mix(torch.full_like(row_B, seed)) + step)
        return Dropout(rate, _mix(key_B + row_B))

    def at(self, site: int) -> Dropout:
        """The dropout of a site in the model, or of a site inside that site."""
        return Dropout(self.rate, _mix(self.key_B + site))

    def __call__(self, x_BTD: Tensor) -> Tensor:
        """Zero a share `rate` of the activations and divide the others by 1 - rate."""
        return x_BTD * (self.kept(x_BTD.shape[1], x_BTD.shape[2]) / (1.0 - self.rate)).to(x_BTD.dtype)

    def kept(self, length: int, width: int) -> Tensor:
        """Which activations of the rows stay: bool [B, T, D]."""
        device = self.key_B.device
        position_T = torch.arange(length, device=device)
        key_BT = _mix(self.key_B[:, None] + position_T * _GOLDEN)
        low_BT1, high_BT1 = key_BT.to(torch.int32)[..., None], (key_BT >> 32).to(torch.int32)[..., None]
        hashed_BTD = torch.arange(width, dtype=torch.int32, device=device) * _STEP + low_BT1
        for factor in (_FIRST, _SECOND):
            hashed_BTD = (hashed_BTD ^ ((hashed_BTD >> 15) & 0x1FFFF) ^ high_BT1) * factor
        hashed_BTD = (hashed_BTD >> (32 - _BITS)) & ((1 << _BITS) - 1)
        return hashed_BTD >= int(self.rate * (1 << _BITS))


def _mix(x: Tensor) -> Tensor:
    """A bijection of int64 whose every output bit depends on every input bit (splitmix64's finalizer)."""
    x = x + _GOLDEN
    x = (x ^ ((x >> 30) & 0x3FFFFFFFF)) * (0xBF58476D1CE4E5B9 - (1 << 64))
    x = (x ^ ((x >> 27) & 0x1FFFFFFFFF)) * (0x94D049BB133111EB - (1 << 64))
    return x ^ ((x >> 31) & 0x1FFFFFFFF)
