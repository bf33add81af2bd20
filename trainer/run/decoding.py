"""Tokens after prompts, a batch of them at a time, with a cache of keys and values.

Prompts of a batch need not be equally long and none is padded: the model reads what all have, and of the longer ones the
rest is read token by token while the others are continued. So every position is where it was in training, whatever kind
of positions the model has.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.models.attention import LayerCache
from trainer.models.model import Cache, LanguageModel
from trainer.models.precision import precision_context
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


@dataclass
class _Row:
    """A prompt on its way: its number, its ids so far, and how many of them are the prompt."""

    number: int
    ids: list[int]
    prompt: int
    generator: torch.Generator


@torch.no_grad()
def decode(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    sampling: SamplingConfig,
    ends: Collection[int],
    vocabulary: int | None = None,
    precision: str = "fp32",
    finished: Callable[[int, int], bool] = lambda number, token: False,
) -> Iterator[tuple[int, int]]:
    """The tokens that follow prompts (of at least one id each), as (number of the prompt, id), in the order in which they are
    chosen: until one of `ends`, which is not given, `max_tokens`, or `finished` of a token, which is asked after it was given.

    Only ids below `vocabulary` are chosen: the model's may be padded. When the model's sequence length is full, it goes
    on from the last half of it. Prompt k draws with a seed of its own, so that what it draws hangs on no other.
    """
    rows = [
        _Row(number, list(prompt), len(prompt), torch.Generator().manual_seed(sampling.seed + number))
        for number, prompt in enumerate(prompts)
    ]
    prompt = 0 if model.soft_prompt is None else model.soft_prompt.shape[0]
    capacity, device = model.shape.sequence_length - prompt, model.embedding.device
    read, longest = min(row.prompt for row in rows), max(row.prompt for row in rows)
    kept = prompt + min(capacity, longest + sampling.max_tokens)
    cache, pending = model.new_cache(len(rows), kept), [row.ids[max(0, read - capacity) : read] for row in rows]
    while rows:
        if max(0, cache.length - prompt) + len(pending[0]) > capacity:
            cache = model.new_cache(len(rows), kept)
            pending = [row.ids[read - max(1, capacity // 2) : read] for row in rows]
        with precision_context(precision, device):
            logits_BV = model.next_logits(torch.tensor(pending, device=device), cache)
        logits_BV = logits_BV[:, :vocabulary].cpu()
        going = []
        for place, row in enumerate(rows):
            if len(row.ids) == read:
                token = choose(logits_BV[place], sampling, row.generator)
                if token in ends:
                    continue
                row.ids.append(token)
                yield row.number, token
                if len(row.ids) - row.prompt >= sampling.max_tokens or finished(row.number, token):
                    continue
            going.append(place)
        if len(going) < len(rows):
            rows, cache = [rows[place] for place in going], _rows_of(cache, going)
        read += 1
        pending = [row.ids[read - 1 : read] for row in rows]


def _rows_of(cache: Cache, places: Sequence[int]) -> Cache:
    """What a cache holds of some of its sequences."""

    def of_them(held_BKTE: Tensor) -> Tensor:
        seen_BKTE = held_BKTE[:, :, : cache.length]
        rows_BKTE = held_BKTE.new_zeros(len(places), *held_BKTE.shape[1:])
        rows_BKTE[:, :, : cache.length] = seen_BKTE[list(places)]
        return rows_BKTE

    layers = [LayerCache(of_them(layer.keys), of_them(layer.values)) for layer in cache.layers]
    return Cache(layers, cache.capacity, cache.length)


def continue_ids(
    model: LanguageModel,
    prompt: Sequence[int],
    sampling: SamplingConfig,
    stop: int,
    vocabulary: int | None = None,
    precision: str = "fp32",
) -> list[int]:
    """The ids that follow one prompt; the arguments are those of `decode`."""
    return [token for _, token in decode(model, [prompt], sampling, (stop,), vocabulary, precision)]
