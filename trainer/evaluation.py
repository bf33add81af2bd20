"""Loss and perplexity per domain on validation sets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainer.data import PackedRows
from trainer.loss import position_losses
from trainer.models.attention import document_mask
from trainer.models.model import LanguageModel


@dataclass(frozen=True)
class Score:
    """Cross-entropy over some target tokens."""

    nats: float
    tokens: int

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats per token."""
        return self.nats / self.tokens

    @property
    def perplexity(self) -> float:
        """exp(loss); infinite where that overflows."""
        return math.exp(self.loss) if self.loss < 700 else math.inf

    def __add__(self, other: Score) -> Score:
        return Score(self.nats + other.nats, self.tokens + other.tokens)


def precision_context(precision: str) -> AbstractContextManager[object]:
    """The arithmetic that `training.precision` names."""
    return torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext()


def row_tensors(data: PackedRows, rows: slice, masked: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    """Inputs [B, T], targets [B, T] (both int64) and, if `masked`, the document mask [B, 1, T, T] of some rows."""
    tokens = torch.from_numpy(data[rows].astype(np.int64))
    mask = document_mask(torch.from_numpy(data.documents(rows)[:, :-1])) if masked else None
    return tokens[:, :-1], tokens[:, 1:], mask


@torch.no_grad()
def evaluate(
    model: LanguageModel,
    sets: Mapping[str, PackedRows],
    batch_size: int,
    masked: bool,
    precision: str,
    stopping: Callable[[], bool] = lambda: False,
) -> dict[str, Score] | None:
    """The score of each domain over all rows of all sets, by domain name; None where `stopping` became true.

    Every row is read once; targets are a row's last `sequence_length` tokens, all of them.
    """
    scores: dict[str, Score] = {}
    for data, rows in _batches(sets, batch_size):
        if stopping():
            return None
        inputs_BT, targets_BT, mask = row_tensors(data, rows, masked)
        with precision_context(precision):
            hidden_BTD = model(inputs_BT, mask)
            losses_N = position_losses(
                hidden_BTD.flatten(0, 1), model.output_VD, targets_BT.flatten(), model.shape.logit_scale
            )
        nats_B = losses_N.view(targets_BT.shape).sum(1, dtype=torch.float64).tolist()
        for domain, nats in zip(data.domains(rows), nats_B, strict=True):
            scores[domain] = scores.get(domain, Score(0.0, 0)) + Score(nats, targets_BT.shape[1])
    return dict(sorted(scores.items()))


def _batches(sets: Mapping[str, PackedRows], batch_size: int) -> Iterator[tuple[PackedRows, slice]]:
    for _, data in sorted(sets.items()):
        for start in range(0, len(data), batch_size):
            yield data, slice(start, min(start + batch_size, len(data)))


def score_lines(scores: Mapping[str, Score]) -> list[str]:
    """A table: domain, loss, perplexity, tokens; the last line is over all tokens."""
    total = sum(scores.values(), Score(0.0, 0))
    width = max(len(name) for name in (*scores, "all domains"))
    return [
        f"{name:<{width}}  loss {score.loss:.4f}  perplexity {score.perplexity:,.2f}  {score.tokens:,} tokens"
        for name, score in (*scores.items(), ("all domains", total))
    ]
