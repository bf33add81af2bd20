"""What hardware can do at most, for model FLOPs utilisation (MFU; PaLM appendix B).

Both formulas are reported: 6·N, and 6·N + 12·layers·heads·head_size·length, which counts attention too. Unknown hardware
has no MFU, and neither has a CPU.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch

from trainer.models.model import LanguageModel
from trainer.models.shape import ModelShape

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


@dataclass(frozen=True)
class Utilisation:
    """Turns tokens per second into MFU."""

    shape: ModelShape
    length: int
    peak: float | None

    @classmethod
    def of(cls, shape: ModelShape, length: int, device: torch.device, ranks: int) -> Utilisation:
        """That of `ranks` devices like `device`."""
        peak = peak_flops(torch.cuda.get_device_name(device)) if device.type == "cuda" else None
        return cls(shape, length, None if peak is None else peak * ranks)

    def mfu(self, tokens_per_second: float) -> tuple[float, float] | None:
        """The share of the peak by 6·N and with attention; None for unknown hardware."""
        if self.peak is None:
            return None
        share = tokens_per_second / self.peak
        matrix = LanguageModel.count(self.shape).matrix
        return 6 * matrix * share, LanguageModel.flops_per_token(self.shape, self.length) * share

    def text(self, tokens_per_second: float) -> str:
        """The MFU to print."""
        shares = self.mfu(tokens_per_second)
        return "MFU n/a" if shares is None else f"MFU {shares[1]:.1%} (6N: {shares[0]:.1%})"
