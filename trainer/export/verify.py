"""An export is checked before it is published: what its reader computes from it against what we do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from corpus.errors import DataError
from trainer.data.validation_sets import PackedRows
from trainer.export.gguf import FILE
from trainer.export.gguf_read import read_model
from trainer.models.model import LanguageModel
from trainer.run.decoding import continue_ids
from trainer.run.sampling import GREEDY

TOLERANCE = 1e-4
"""Largest difference of two logits, as a share of the largest logit (of 1, where that is smaller), and of two losses."""
PROMPTS, PROMPT_TOKENS = 4, 48
GREEDY_TOKENS = 24
DOCUMENTS = 100
Logits = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Comparison:
    """With what the export was compared; the largest difference of the logits, as a share of the largest; the tokens whose
    greedy choice is the same; the documents whose mean loss was compared, and its relative difference."""

    other: str
    logits: float
    greedy: int
    documents: int = 0
    loss: float = 0.0

    def __str__(self) -> str:
        loss = f", the loss of {self.documents} documents within {self.loss:.1e}" if self.documents else ""
        return f"logits within {self.logits:.1e} of those of {self.other}, {self.greedy} greedy tokens the same{loss}"


def prompts(model: LanguageModel) -> Tensor:
    """Fixed prompts: int64 [4, T] of ids that walk over the whole vocabulary, T at most 48."""
    length = min(PROMPT_TOKENS, model.shape.sequence_length)
    # strides without a common factor: neighbours differ in every prompt
    position = torch.arange(PROMPTS)[:, None] * 104729 + torch.arange(length)[None] * torch.tensor(
        [[1], [7], [613], [7919]]
    )
    return position % model.shape.vocabulary


@torch.no_grad()
def compare(model: LanguageModel, directory: Path, kind: str, first: int, data: PackedRows | None) -> Comparison | None:
    """Logits on the fixed prompts, greedy tokens from `first` on, which begins a document, and the loss of the first documents of `data`; None where
    they would be compared with transformers and it is not installed.

    A difference above `TOLERANCE` is a DataError.
    """
    found = _load(directory, kind, model.shape.activation)
    if found is None:
        return None
    name, theirs = found
    ids = prompts(model)
    ours_BTV, theirs_BTV = model.logits(ids), theirs(ids)
    scale = ours_BTV.abs().max().clamp(min=1.0)
    difference = float((ours_BTV - theirs_BTV).abs().max() / scale)
    if not difference <= TOLERANCE:
        raise _refused(f"logits differ from the run's by {difference:.1e} of the largest")
    greedy = _same_choices(model, theirs, first, float(scale))
    documents = [] if data is None else list(islice(_documents(data, model.shape.sequence_length), DOCUMENTS))
    if not documents:
        return Comparison(name, difference, greedy)
    ours_loss, their_loss = _mean_loss(model.logits, documents), _mean_loss(theirs, documents)
    apart = abs(ours_loss - their_loss) / max(ours_loss, 1e-9)
    if not apart <= TOLERANCE:
        raise _refused(f"loss of {len(documents)} documents is {their_loss:.6f} and the run's {ours_loss:.6f}")
    return Comparison(name, difference, greedy, len(documents), apart)


def _load(directory: Path, kind: str, activation: str) -> tuple[str, Logits] | None:
    """Who reads the export, and the logits of what it makes of it, in float32: of ids int64 [B, T], [B, T, V]."""
    if kind == "gguf":
        # what the file says, not what was meant to be written
        return "the file as it is read", read_model(directory / FILE, activation).logits
    try:
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging
    except ImportError:
        return None
    logging.disable_progress_bar()
    theirs = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    return "transformers", lambda ids: theirs(ids).logits


def _refused(difference: str) -> DataError:
    return DataError(
        f"the exported model's {difference} (at most {TOLERANCE:.0e} is accepted), and nothing was written: try another "
        "version of its reader and report this."
    )


def _same_choices(model: LanguageModel, theirs: Logits, first: int, scale: float) -> int:
    """How many tokens our greedy choice was followed, each theirs too: their most likely one, or as likely to rounding."""
    tokens = min(GREEDY_TOKENS, model.shape.sequence_length - 1)
    chosen = continue_ids(model, [first], replace(GREEDY, max_tokens=tokens), stop=-1)
    logits_TV = theirs(torch.tensor([[first, *chosen]]))[0, :-1]
    behind = logits_TV.amax(1) - logits_TV.gather(1, torch.tensor(chosen)[:, None])[:, 0]
    if not float(behind.max()) <= TOLERANCE * scale:
        raise _refused(
            f"greedy choice differs from the run's by {float(behind.max()) / scale:.1e} of the largest logit"
        )
    return len(chosen)


def _documents(data: PackedRows, longest: int) -> Iterator[list[int]]:
    """Pieces of documents as the rows of a packed set hold them, of two tokens at least and `longest` at most."""
    for row in range(len(data)):
        tokens, start = data[row : row + 1][0], 0
        for segment in data.segments(slice(row, row + 1))[0]:
            piece = tokens[start : start + min(segment.length, longest)]
            start += segment.length
            if len(piece) > 1:
                yield [int(token) for token in piece]


def _mean_loss(logits: Logits, documents: Sequence[Sequence[int]]) -> float:
    """The mean cross-entropy of the tokens of all documents but their first."""
    total = 0.0
    for document in documents:
        ids = torch.tensor([document])
        total += float(functional.cross_entropy(logits(ids[:, :-1])[0], ids[0, 1:], reduction="sum"))
    return total / sum(len(document) - 1 for document in documents)
