"""Loss, perplexity and bits per byte per domain on validation sets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from corpus.data.packed import placed
from trainer.data.targets import read_inputs
from trainer.data.validation_sets import PackedRows
from trainer.distributed.ranks import Ranks
from trainer.models.loss import IGNORED
from trainer.models.objective import Losses
from trainer.models.precision import precision_context

TokenBytes = npt.NDArray[np.int64]
"""Bytes of text that each token id stands for, inside a document and as its first: [2, vocabulary]."""


@dataclass(frozen=True)
class Score:
    """Cross-entropy over some target tokens, which stand for `bytes` bytes of text (0: not known)."""

    nats: float
    tokens: int
    bytes: int = 0

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats per token."""
        return self.nats / self.tokens

    @property
    def perplexity(self) -> float:
        """exp(loss); infinite where that overflows."""
        return math.exp(self.loss) if self.loss < 700 else math.inf

    @property
    def bits_per_byte(self) -> float | None:
        """Cross-entropy in bits per byte of the text, which compares models of different tokenizers."""
        return self.nats / math.log(2) / self.bytes if self.bytes else None

    def __add__(self, other: Score) -> Score:
        return Score(self.nats + other.nats, self.tokens + other.tokens, self.bytes + other.bytes)


def total_of(scores: Mapping[str, Score]) -> Score:
    """The score over all tokens."""
    return sum(scores.values(), Score(0.0, 0))


@dataclass(frozen=True)
class Validation:
    """What an evaluation needs besides the model. `token_bytes` is None where the tokenizer is not at hand."""

    sets: Mapping[str, PackedRows]
    batch_size: int
    masked: bool = False
    precision: str = "fp32"
    token_bytes: TokenBytes | None = None


def evaluate(
    losses: Losses, validation: Validation, ranks: Ranks, stopping: Callable[[], bool] = lambda: False
) -> dict[str, Score] | None:
    """The score of each domain over all sequences of all sets, by domain name; None where `stopping` became true.

    `losses` are those of a `ParallelModel`. Every sequence is read once, by one rank; targets are its last
    `sequence_length` tokens, but for padding. `stopping` must say the same on all ranks.
    """
    scores: dict[str, Score] = {}
    batches = list(_batches(validation))
    for start in range(0, len(batches), ranks.size):
        if stopping():
            return None
        # all ranks meet in each call: one without a batch computes the last one in vain
        index = min(start + ranks.rank, len(batches) - 1)
        data, rows = batches[index]
        inputs = read_inputs(data, rows, validation.masked, ranks.device)
        with precision_context(validation.precision, ranks.device):
            losses_BT = losses(inputs.tokens_BT, inputs.targets_BT, inputs.mask)
        if index != start + ranks.rank:
            continue
        nats_B = losses_BT.sum(1, dtype=torch.float64).tolist()
        targets_BT = inputs.targets_BT.cpu().numpy()
        real_BT = targets_BT != IGNORED
        taken = slice(rows.start, rows.stop)
        sizes_BT = np.zeros(targets_BT.shape, np.int64)
        if validation.token_bytes is not None:
            sizes_BT = real_BT * validation.token_bytes[_first_tokens(data, taken), targets_BT * real_BT]
        domains = data.domains(taken)
        for domain, nats, tokens, size in zip(domains, nats_B, real_BT.sum(1), sizes_BT.sum(1), strict=True):
            scores[domain] = scores.get(domain, Score(0.0, 0)) + Score(nats, int(tokens), int(size))
    parts = ranks.gather(scores)
    names = sorted({name for part in parts for name in part})
    return {name: total_of({str(k): part[name] for k, part in enumerate(parts) if name in part}) for name in names}


def _batches(validation: Validation) -> Iterator[tuple[PackedRows, range]]:
    for _, data in sorted(validation.sets.items()):
        for start in range(0, len(data), validation.batch_size):
            yield data, range(start, min(start + validation.batch_size, len(data)))


def _first_tokens(data: PackedRows, rows: slice) -> npt.NDArray[np.int64]:
    """1 where a target is the first token of a document, else 0: [B, T]."""
    rows_segments = data.segments(rows)
    first = np.zeros((len(rows_segments), data.identity.sequence_length + 1), np.int64)
    for row, segments in enumerate(rows_segments):
        for position, segment in placed(segments):
            if segment.start == 0 and segment.length:
                first[row, position] = 1
    return first[:, 1:]
