"""The hardware of a run, and what it can do at most, for model FLOPs utilisation (MFU; PaLM appendix B).

Both formulas are reported: 6·N, and 6·N + 12·layers·heads·head_size·length, which counts attention too. Unknown hardware
has no MFU, and neither has a CPU.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from trainer.config.gpus import peak_flops
from trainer.models.model import LanguageModel
from trainer.models.shape import ModelShape


@dataclass(frozen=True)
class Hardware:
    """What a run is planned for: `ranks` devices of a kind ("cpu", "cuda") with `memory` bytes each (0: not known), which
    hold the whole model or, `sharded`, a part of it, which `offloaded` waits in the host's memory."""

    kind: str = "cpu"
    memory: int = 0
    ranks: int = 1
    sharded: bool = False
    offloaded: bool = False

    @classmethod
    def of(cls, device: torch.device, ranks: int, parallel: str = "ddp") -> Hardware:
        """`ranks` devices like `device`; `parallel` as for `ParallelModel`."""
        sharded = ranks > 1 and parallel != "ddp"
        memory = torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else 0
        return cls(device.type, memory, ranks, sharded, sharded and parallel == "fsdp-offload")


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
