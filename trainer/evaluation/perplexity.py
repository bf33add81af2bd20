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
UNKNOWN = "not known"
"""The language of documents of which none is stated."""


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
    for batch in _measured(losses, validation, ranks, stopping):
        if batch is None:
            return None
        _add_domains(scores, batch)
    return _gathered(scores, ranks)


def evaluate_languages(
    losses: Losses, validation: Validation, ranks: Ranks, languages: Mapping[str, Mapping[int, str]]
) -> tuple[dict[str, Score], dict[str, Score]]:
    """The scores of `evaluate`, and in the same pass those of each language; `languages` are by set and by number of the
    document. A target counts for the document that it is a token of; of one that is not named, for `UNKNOWN`."""
    scores: dict[str, Score] = {}
    spoken: dict[str, Score] = {}
    for batch in _measured(losses, validation, ranks, lambda: False):
        assert batch is not None
        _add_domains(scores, batch)
        _add_languages(spoken, batch, languages[batch.name])
    return _gathered(scores, ranks), _gathered(spoken, ranks)


@dataclass(frozen=True)
class _Measured:
    """Some rows of a set with, for each target, its loss (0 where it is none), whether it is one, and its bytes: [B, T]."""

    name: str
    data: PackedRows
    rows: slice
    losses_BT: torch.Tensor
    real_BT: npt.NDArray[np.bool_]
    sizes_BT: npt.NDArray[np.int64]


def _measured(
    losses: Losses, validation: Validation, ranks: Ranks, stopping: Callable[[], bool]
) -> Iterator[_Measured | None]:
    """This rank's batches; None, and nothing more, where `stopping` became true."""
    batches = list(_batches(validation))
    for start in range(0, len(batches), ranks.size):
        if stopping():
            yield None
            return
        # all ranks meet in each call: one without a batch computes the last one in vain
        index = min(start + ranks.rank, len(batches) - 1)
        name, data, rows = batches[index]
        inputs = read_inputs(data, rows, validation.masked, ranks.device)
        with precision_context(validation.precision, ranks.device):
            losses_BT = losses(inputs.tokens_BT, inputs.targets_BT, inputs.mask)
        if index != start + ranks.rank:
            continue
        targets_BT = inputs.targets_BT.cpu().numpy()
        real_BT = targets_BT != IGNORED
        taken = slice(rows.start, rows.stop)
        sizes_BT = np.zeros(targets_BT.shape, np.int64)
        if validation.token_bytes is not None:
            sizes_BT = real_BT * validation.token_bytes[_first_tokens(data, taken), targets_BT * real_BT]
        yield _Measured(name, data, taken, losses_BT, real_BT, sizes_BT)


def _add_domains(scores: dict[str, Score], batch: _Measured) -> None:
    nats_B = batch.losses_BT.sum(1, dtype=torch.float64).tolist()
    domains = batch.data.domains(batch.rows)
    for domain, nats, tokens, size in zip(domains, nats_B, batch.real_BT.sum(1), batch.sizes_BT.sum(1), strict=True):
        scores[domain] = scores.get(domain, Score(0.0, 0)) + Score(nats, int(tokens), int(size))


def _add_languages(scores: dict[str, Score], batch: _Measured, languages: Mapping[int, str]) -> None:
    nats_BT = batch.losses_BT.double().cpu().numpy()
    for row, segments in enumerate(batch.data.segments(batch.rows)):
        for position, segment in placed(segments):
            # target k is token k + 1 of the row, whose first token is none
            part = slice(max(0, position - 1), position + segment.length - 1)
            tokens = int(batch.real_BT[row, part].sum())
            if tokens:
                language = languages.get(segment.document, UNKNOWN)
                score = Score(float(nats_BT[row, part].sum()), tokens, int(batch.sizes_BT[row, part].sum()))
                scores[language] = scores.get(language, Score(0.0, 0)) + score


def _gathered(scores: dict[str, Score], ranks: Ranks) -> dict[str, Score]:
    """The scores of all ranks together."""
    parts = ranks.gather(scores)
    names = sorted({name for part in parts for name in part})
    return {name: total_of({str(k): part[name] for k, part in enumerate(parts) if name in part}) for name in names}


def _batches(validation: Validation) -> Iterator[tuple[str, PackedRows, range]]:
    for name, data in sorted(validation.sets.items()):
        for start in range(0, len(data), validation.batch_size):
            yield name, data, range(start, min(start + validation.batch_size, len(data)))


def _first_tokens(data: PackedRows, rows: slice) -> npt.NDArray[np.int64]:
    """1 where a target is the first token of a document, else 0: [B, T]."""
    rows_segments = data.segments(rows)
    first = np.zeros((len(rows_segments), data.identity.sequence_length + 1), np.int64)
    for row, segments in enumerate(rows_segments):
        for position, segment in placed(segments):
            if segment.start == 0 and segment.length:
                first[row, position] = 1
    return first[:, 1:]
