"""`trainer generate`: text from a run's newest checkpoint, greedy or sampled, with a cache of keys and values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from trainer.data.text import TextCodec
from trainer.distributed.ranks import pick_device
from trainer.models.model import LanguageModel
from trainer.models.precision import precision_context
from trainer.run.directory import Run
from trainer.run.load import load_model
from trainer.run.sampling import SamplingConfig


def choose(logits_V: Tensor, sampling: SamplingConfig, generator: torch.Generator) -> int:
    """The next token's id from its logits (float32 [V])."""
    if sampling.temperature == 0:
        return int(logits_V.argmax())
    # the difference first: a tiny temperature would make two logits infinite
    ranked_V, ids_V = ((logits_V - logits_V.max()) / sampling.temperature).sort(descending=True, stable=True)
    if sampling.top_k:
        ranked_V = ranked_V[: sampling.top_k]
    probabilities = ranked_V.softmax(0)
    before = probabilities.cumsum(0) - probabilities
    probabilities = torch.where(before < sampling.top_p, probabilities, 0.0)
    return int(ids_V[torch.multinomial(probabilities, 1, generator=generator)])


@torch.no_grad()
def continue_ids(
    model: LanguageModel,
    prompt: Sequence[int],
    sampling: SamplingConfig,
    stop: int,
    vocabulary: int | None = None,
    precision: str = "fp32",
) -> list[int]:
    """The ids that follow `prompt` (at least one id), until `stop` (not included) or `max_tokens`.

    Only ids below `vocabulary` are chosen: the model's may be padded. When the model's sequence length is full, it goes
    on from the last half of it.
    """
    generator = torch.Generator().manual_seed(sampling.seed)
    ids = list(prompt)
    capacity, device = model.shape.sequence_length, model.embedding.device
    cache = model.new_cache(1)
    pending = ids[-capacity:]
    while len(ids) - len(prompt) < sampling.max_tokens:
        if cache.length + len(pending) > capacity:
            cache, pending = model.new_cache(1), ids[-max(1, capacity // 2) :]
        with precision_context(precision, device):
            logits_V = model.next_logits(torch.tensor([pending], device=device), cache)[0]
        token = choose(logits_V[:vocabulary].cpu(), sampling, generator)
        if token == stop:
            break
        ids.append(token)
        pending = [token]
    return ids[len(prompt) :]


@dataclass(frozen=True)
class LoadedModel:
    """The model of a run's newest checkpoint or of another one, and what generation needs to know of the run."""

    model: LanguageModel
    step: int
    run: Run
    eod: int
    bos: int | None
    vocabulary: int
    precision: str
    alone: bool = False
    """Whether the model saw each document by itself (a document mask), and not after the EOD of the one before."""

    @classmethod
    def load(
        cls, path: Path, report: Callable[[str], None], device: str | None = None, step: int | None = None
    ) -> LoadedModel:
        """Load it onto `device`, by default a GPU if there is one."""
        run = Run(path)
        model, step = load_model(run, report, step)
        config = run.config()
        data, training = config.data, config.training
        model = model.to(pick_device(device))
        return cls(model, step, run, data.eod, data.bos, data.vocabulary, training.precision, training.document_mask)

    @cached_property
    def codec(self) -> TextCodec:
        """The tokenizer; a DataError where the run has none."""
        return TextCodec(self.run.checked_tokenizer() or self.run.tokenizer)

    def generate(self, prompt: str, sampling: SamplingConfig) -> str:
        """Continue `prompt` as the beginning of a document; gives the prompt with its continuation."""
        # without a BOS a document begins where the one before it ends
        ids = self.codec.encode(prompt)
        before = [self.bos] if self.bos is not None else [] if self.alone and ids else [self.eod]
        added = continue_ids(self.model, [*before, *ids], sampling, self.eod, self.vocabulary, self.precision)
        return self.codec.decode([*ids, *added])


def generate(
    path: Path,
    prompt: str,
    sampling: SamplingConfig,
    report: Callable[[str], None],
    device: str | None = None,
    step: int | None = None,
) -> str:
    """Continue `prompt` with the model of a run, that of its newest checkpoint or of `step`."""
    return LoadedModel.load(path, report, device, step).generate(prompt, sampling)
