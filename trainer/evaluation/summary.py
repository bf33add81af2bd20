"""An evaluation as lines and records: each domain with what its figure rests on, and the mean weighted by the mixture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainer.data.validation_sets import PackedRows, validation_documents
from trainer.evaluation.perplexity import Score, total_of

MIXTURE, ALL_TOKENS = "mixture", "all tokens"


@dataclass(frozen=True)
class Mean:
    """A mean of the losses of domains; `bytes` are those that a token stands for in the mean (0: not known)."""

    loss: float
    bytes: float = 0.0

    @property
    def perplexity(self) -> float:
        """exp(loss); infinite where that overflows."""
        return math.exp(self.loss) if self.loss < 700 else math.inf

    @property
    def bits_per_byte(self) -> float | None:
        """Cross-entropy in bits per byte of text in the mixture's proportions."""
        return self.loss / math.log(2) / self.bytes if self.bytes else None


@dataclass(frozen=True)
class Basis:
    """What the figures of an evaluation rest on: documents of each domain, the number below which they are few, and the
    shares of the domains in the tokens that the run trains on (empty where they are not known)."""

    documents: Mapping[str, int]
    least: Mapping[str, int]
    shares: Mapping[str, float]

    @classmethod
    def of(cls, sets: Mapping[str, PackedRows], shares: Mapping[str, float]) -> Basis:
        """That of an evaluation on `sets`, of which all segments are read."""
        return cls(*validation_documents(sets.values()), shares)


@dataclass(frozen=True)
class Summary:
    """The scores of an evaluation with what they rest on."""

    scores: Mapping[str, Score]
    basis: Basis

    @property
    def mixture(self) -> Mean | None:
        """The mean over the domains that the run trains on, each weighted by its share of the tokens; None where it
        trains on none of them, or its shares are not known. Domains count as they do in training, so that a long book in a
        small domain does not outweigh the others."""
        shares = {name: share for name, share in self.basis.shares.items() if name in self.scores and share > 0}
        total = sum(shares.values())
        if not total:
            return None
        loss = sum(share * self.scores[name].loss for name, share in shares.items()) / total
        sizes = {name: self.scores[name].bytes / self.scores[name].tokens for name in shares}
        known = all(sizes.values())
        return Mean(loss, sum(share * sizes[name] for name, share in shares.items()) / total if known else 0.0)

    @property
    def headline(self) -> Mean | Score:
        """The mean weighted by the mixture, else the one over all tokens."""
        return self.mixture or total_of(self.scores)

    def few(self, domain: str) -> bool:
        """Whether the figure of a domain rests on few documents."""
        return self.basis.documents.get(domain, 0) < self.basis.least.get(domain, 0)

    def lines(self) -> list[str]:
        """A table: domain, loss, perplexity, bits per byte, tokens and documents; then the two means."""
        total = total_of(self.scores)
        documents = sum(self.basis.documents.get(name, 0) for name in self.scores)
        mean = self.mixture
        rows: list[tuple[str, Mean | Score, str]] = [
            (name, score, self._rests(name, score)) for name, score in self.scores.items()
        ]
        if mean is not None:
            rows.append((MIXTURE, mean, self._weights()))
        rows.append((ALL_TOKENS, total, f"{total.tokens:,} tokens of {_documents(documents)}"))
        width = max(len(name) for name, _, _ in rows)
        return [f"{name:<{width}}  {_figures(figure)}  {said}" for name, figure, said in rows]

    def _rests(self, name: str, score: Score) -> str:
        number = self.basis.documents.get(name, 0)
        few = f" (fewer than {self.basis.least[name]}: a rough figure)" if self.few(name) else ""
        return f"{score.tokens:,} tokens of {_documents(number)}{few}"

    def _weights(self) -> str:
        left = [name for name in self.scores if not self.basis.shares.get(name)]
        without = f", without {', '.join(left)}, which the run does not train on" if left else ""
        return f"weighted by the shares of training{without}"

    def record(self) -> dict[str, Any]:
        """For programs: the headline's numbers, all tokens', and each domain's with what it rests on."""
        domains = {
            name: {**_numbers(score), "tokens": score.tokens, "documents": self.basis.documents.get(name, 0)}
            for name, score in self.scores.items()
        }
        mean = self.mixture
        mixture = {} if mean is None else {MIXTURE: _numbers(mean)}
        return {**_numbers(self.headline), **mixture, "all_tokens": _numbers(total_of(self.scores)), "domains": domains}


def scores_lines(scores: Mapping[str, Score]) -> list[str]:
    """A table: name, loss, perplexity, bits per byte, tokens."""
    width = max(map(len, scores), default=0)
    return [f"{name:<{width}}  {_figures(score)}  {score.tokens:,} tokens" for name, score in scores.items()]


def score_record(score: Score) -> dict[str, float]:
    """A score for programs."""
    return {**_numbers(score), "tokens": score.tokens}


def _documents(number: int) -> str:
    return f"{number:,} document{'' if number == 1 else 's'}"


def _figures(figure: Mean | Score) -> str:
    bits = "" if figure.bits_per_byte is None else f"  bits/byte {figure.bits_per_byte:.4f}"
    return f"loss {figure.loss:.4f}  perplexity {figure.perplexity:,.2f}{bits}"


def _numbers(figure: Mean | Score) -> dict[str, float]:
    bits = figure.bits_per_byte
    return {"loss": figure.loss, "perplexity": figure.perplexity} | ({} if bits is None else {"bits_per_byte": bits})
