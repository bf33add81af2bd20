"""Batch sizes and learning rates that papers found for a budget, each with its source. All batches are in tokens."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.science.allocation import Allocation
from trainer.science.kaplan import critical_batch


@dataclass(frozen=True)
class Suggestion:
    """What a paper would take: `batch` in tokens, `lr` the peak rate of AdamW; None where it says nothing."""

    name: str
    source: str
    batch: float | None
    lr: float | None


def suggestions(allocation: Allocation, loss: float | None) -> list[Suggestion]:
    """Batch and peak learning rate for a training; two of the rules need the loss in nats a token."""
    n, d, c = allocation.parameters, allocation.tokens, allocation.compute
    found = [
        Suggestion(
            "DeepSeek LLM",
            "arXiv 2401.02954, section 3.1; fitted at 1e17 to 2e19 FLOPs",
            0.2920 * c**0.3271,
            0.3118 * c**-0.1250,
        ),
        Suggestion("Step Law", "arXiv 2503.04715", 0.58 * d**0.571, 1.79 * n**-0.713 * d**0.307),
        Suggestion("Moonlight", "arXiv 2502.16982", 0.0065 * c**0.4138, 0.0127 * c**-0.057),
    ]
    if loss is not None:
        found.append(Suggestion("MiniCPM", "arXiv 2404.06395, section 4.2", 1.21e9 / loss**6.24, None))
        found.append(Suggestion("Kaplan, critical", "arXiv 2001.08361, section 5.1", critical_batch(loss), None))
    return found


WARMUPS = (
    ("LLaMA, DeepSeek LLM", "2,000 steps"),
    ("GPT-3", "375M tokens"),
    ("short runs", "2 to 5 % of the steps"),
)
"""Lengths of linear warm-ups. A fixed length that is a large part of a small run bends a scaling law (Porian et al. 2024)."""
