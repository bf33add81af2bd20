"""How `trainer generate` chooses the next token, and when it ends. Nothing here needs torch."""

from __future__ import annotations

from dataclasses import dataclass

from corpus.config import check_options
from corpus.errors import UsageError
from corpus.option import option


@dataclass(frozen=True)
class SamplingConfig:
    """How the next token is chosen, and what ends a text besides the end of a document."""

    max_tokens: int = option(100, "most tokens to add", least=1)
    temperature: float = option(0.8, "logits are divided by this; 0: always the most likely token", least=0)
    top_k: int = option(0, "sample from the k most likely tokens only; 0: from all", least=0)
    top_p: float = option(
        0.95, "sample from the most likely tokens that together have this probability", above=0, most=1
    )
    seed: int = option(0, "seed of the samples; each prompt of several has one of its own", least=0)
    stop: tuple[str, ...] = option((), "a text that ends the continuation, which is left out", metavar="TEXT")

    def __post_init__(self) -> None:
        check_options(self)
        if "" in self.stop:
            raise UsageError("--stop is empty: give a text.")


GREEDY = SamplingConfig(temperature=0.0, top_p=1.0)
"""Always the most likely token."""
