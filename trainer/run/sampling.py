"""How `trainer generate` chooses the next token. Nothing here needs torch."""

from __future__ import annotations

from dataclasses import dataclass

from corpus.config import check_options
from corpus.option import option


@dataclass(frozen=True)
class SamplingConfig:
    """How the next token is chosen."""

    max_tokens: int = option(100, "most tokens to add", least=1)
    temperature: float = option(0.0, "0: always the most likely token; else logits are divided by this", least=0)
    top_k: int = option(0, "sample from the k most likely tokens only; 0: from all", least=0)
    top_p: float = option(
        1.0, "sample from the most likely tokens that together have this probability", above=0, most=1
    )
    seed: int = option(0, "seed of the samples", least=0)

    def __post_init__(self) -> None:
        check_options(self)
