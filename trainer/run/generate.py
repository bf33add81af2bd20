"""`trainer generate`: text from a run's newest checkpoint, greedy or sampled, with a cache of keys and values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


def generate(
    path: Path, prompt: str, sampling: SamplingConfig, report: Callable[[str], None], device: str | None = None
) -> str:
    """Continue `prompt` as the beginning of a document; gives the prompt with its continuation."""
    run = Run(path)
    model, _ = load_model(run, report)
    codec = TextCodec(run.tokenizer)
    made = run.sections()
    data = made["data"]
    # a document begins where the one before it ends: there is no BOS in the stream
    ids = codec.encode(prompt)
    model = model.to(pick_device(device))
    added = continue_ids(model, [data.eod, *ids], sampling, data.eod, data.vocabulary, made["training"].precision)
    return codec.decode([*ids, *added])
