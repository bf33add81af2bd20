"""GPUs by name: what they can do and hold at most. Nothing here needs torch."""

from __future__ import annotations

import re

from corpus.errors import UsageError
from corpus.option import nearest

_DENSE_BF16 = {
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "H800": 989e12,
    "H20": 148e12,
    "GH200": 989e12,
    "B200": 2250e12,
    "GB200": 2250e12,
    "B100": 1750e12,
    "A100": 312e12,
    "A800": 312e12,
    "A40": 149.7e12,
    "A30": 165e12,
    "A10G": 70e12,
    "A10": 125e12,
    "RTX A6000": 154.8e12,
    "L40S": 362e12,
    "L40": 181e12,
    "L4": 121e12,
    "GeForce RTX 4090": 165.2e12,
    "GeForce RTX 3090": 71e12,
    "Instinct MI300X": 1307e12,
    "Instinct MI250X": 383e12,
}
"""Dense bf16 FLOP/s from the makers' data sheets, without sparsity, by the model's name."""
_GIGABYTES = {
    "H200": 141,
    "H100 PCIe": 80,
    "H100 NVL": 94,
    "H100": 80,
    "H800": 80,
    "H20": 96,
    "GH200": 96,
    "B200": 180,
    "GB200": 186,
    "B100": 192,
    "A100": 80,
    "A800": 80,
    "A40": 48,
    "A30": 24,
    "A10G": 24,
    "A10": 24,
    "RTX A6000": 48,
    "L40S": 48,
    "L40": 48,
    "L4": 24,
    "GeForce RTX 4090": 24,
    "GeForce RTX 3090": 24,
    "Instinct MI300X": 192,
    "Instinct MI250X": 128,
}
"""Memory from the same sheets, of the larger board where there are two."""
_PEAK_FREE = re.compile(r"^(NVIDIA|AMD)$|^SXM\d?$|^HBM3e?$|^\d+GB$")
"""Words of a name that leave the peak as it is: maker, socket of the full power, memory."""
_AMPERE = ("A100", "A800", "A30", "A40", "A10")
"""Models whose PCIe boards have the peak of the others."""


def peak_flops(name: str) -> float | None:
    """Dense bf16 peak of a device by its name; None where it is not known.

    The whole name must be known: a laptop's chip or a PCIe board of the same name does less.
    """
    words = [word for word in name.replace("-", " ").split() if not _PEAK_FREE.match(word)]
    if words and words[0] in _AMPERE and words[1:] == ["PCIe"]:
        words = words[:1]
    return _DENSE_BF16.get(" ".join(words))


def find_gpu(name: str) -> str:
    """The name of the tables that a user means, whatever its case; a UsageError names the nearest."""
    asked = name.lower().replace("-", " ")
    whole = [known for known in _DENSE_BF16 if known.lower() == asked]
    last = [known for known in _DENSE_BF16 if known.lower().split()[-1] == asked]
    if whole or len(last) == 1:
        return (whole or last)[0]
    raise UsageError(f"the GPU '{name}' is not known: {nearest(name, _DENSE_BF16)}")


def memory_of(name: str) -> float:
    """Bytes of memory of a GPU of the tables."""
    return _GIGABYTES[name] * 1e9
