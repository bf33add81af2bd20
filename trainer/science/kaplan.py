"""Kaplan et al. 2020 (arXiv 2001.08361), for comparison: N without embeddings, compute in PF-days.

Its steep exponent comes mostly from leaving out embeddings and the last layer, and from a warm-up that was too long for
small models (Pearce and Song 2024, Porian et al. 2024).
"""

from __future__ import annotations

from trainer.science.allocation import AllocationLaw

PF_DAY = 8.64e19
"""FLOPs of a petaflop/s for a day."""
_EXPONENT = 0.73


def loss(parameters: float, tokens: float) -> float:
    """L(N, D) = [(N_c/N)^(α_N/α_D) + D_c/D]^α_D in nats a token of WebText2 (equation 4.1, Table 2)."""
    return float(((6.4e13 / parameters) ** (0.076 / 0.103) + 1.8e13 / tokens) ** 0.103)


def critical_batch(loss: float) -> float:
    """Tokens of the batch that spends as much on steps as on tokens, at a loss in nats: 2e8 / L^(1/0.21) (section 5.1)."""
    return float(2e8 / loss ** (1 / 0.21))


KAPLAN = AllocationLaw(
    "Kaplan",
    "Kaplan et al. 2020, section 6",
    1.3e9 / PF_DAY**_EXPONENT,
    _EXPONENT,
    loss,
    "parameters without embeddings",
)
