"""Generation: the cache changes nothing, sampling draws what it says, long texts slide. Choosing is in `test_cli`."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch

from corpus.errors import UsageError
from tests.trainer.shapes import build, small
from trainer.models.model import LanguageModel
from trainer.run.generate import LoadedModel, choose, continue_ids
from trainer.run.sampling import SamplingConfig


def sharp(family: str) -> LanguageModel:
    """A model whose predictions are far from uniform."""
    model = build(small(family))
    with torch.no_grad():
        model.output_VD.mul_(1 if family == "palm" else 40)
    return model


@torch.no_grad()
def slow(model: LanguageModel, prompt: list[int], sampling: SamplingConfig) -> list[int]:
    """Without a cache: the whole text again for every token, the last half of a full one."""
    generator = torch.Generator().manual_seed(sampling.seed)
    ids, context = list(prompt), list(prompt)[-16:]
    for _ in range(sampling.max_tokens):
        if len(context) > 16:
            context = ids[-8:]
        token = choose(model.logits(torch.tensor([context]))[0, -1], sampling, generator)
        ids.append(token)
        context.append(token)
    return ids[len(prompt) :]


@pytest.mark.parametrize("family", ["llama", "palm"])
@pytest.mark.parametrize(
    "sampling",
    [
        SamplingConfig(max_tokens=40),
        SamplingConfig(temperature=1.0, seed=3, max_tokens=40),
        SamplingConfig(temperature=0.8, top_k=7, top_p=0.9, seed=4, max_tokens=40),
    ],
)
def test_the_cache_changes_nothing(family: str, sampling: SamplingConfig) -> None:
    model = sharp(family)
    for prompt in ([5, 6, 7], list(range(16)), list(range(30))):  # short, full, longer than the model's length
        assert continue_ids(model, prompt, sampling, stop=-1) == slow(model, prompt, sampling)


def test_the_seed_decides() -> None:
    model = sharp("llama")
    texts = {
        seed: continue_ids(model, [1], SamplingConfig(temperature=2.0, seed=seed, max_tokens=30), -1) for seed in (1, 2)
    }
    assert texts[1] != texts[2]
    torch.manual_seed(9)  # the global generator has no say
    assert continue_ids(model, [1], SamplingConfig(temperature=2.0, seed=1, max_tokens=30), -1) == texts[1]


def test_samples_follow_the_probabilities() -> None:
    logits = torch.log(torch.tensor([0.1, 0.5, 0.15, 0.25]))
    generator = torch.Generator().manual_seed(1)
    drawn = Counter(choose(logits, SamplingConfig(temperature=1.0), generator) for _ in range(4000))
    assert [drawn[token] / 4000 for token in range(4)] == pytest.approx([0.1, 0.5, 0.15, 0.25], abs=0.03)
    drawn = Counter(choose(logits, SamplingConfig(temperature=0.5), generator) for _ in range(4000))
    squares = [p * p / 0.345 for p in (0.1, 0.5, 0.15, 0.25)]
    assert [drawn[token] / 4000 for token in range(4)] == pytest.approx(squares, abs=0.03)


def test_extreme_numbers() -> None:
    logits = torch.tensor([3e4, -3e4, 2.9e4])
    generator = torch.Generator().manual_seed(1)
    assert choose(logits, SamplingConfig(temperature=1e-38, top_p=1e-9), generator) == 0
    assert choose(logits, SamplingConfig(temperature=1.0, top_k=99), generator) == 0
    for temperature in (math.nan, math.inf, -1.0):
        with pytest.raises(UsageError, match="--temperature"):
            SamplingConfig(temperature=temperature)


def test_ids_that_the_tokenizer_lacks_are_never_chosen() -> None:
    model = sharp("llama")
    free = continue_ids(model, [1], SamplingConfig(temperature=3.0, max_tokens=60), -1)
    bound = continue_ids(model, [1], SamplingConfig(temperature=3.0, max_tokens=60), -1, vocabulary=20)
    assert max(free) >= 20 > max(bound)


def test_bf16_generates_too() -> None:
    model = sharp("llama")
    text = continue_ids(model, [1, 2, 3], SamplingConfig(max_tokens=12), -1, precision="bf16")
    assert len(text) == 12
    assert text[0] == continue_ids(model, [1, 2, 3], SamplingConfig(max_tokens=1), -1)[0]


class Letters:
    """A codec of single letters."""

    def encode(self, text: str) -> list[int]:
        return [10 + ord(letter) - ord("a") for letter in text]

    def decode(self, ids: list[int]) -> str:
        return "".join(chr(number - 10 + ord("a")) for number in ids)


@pytest.mark.parametrize(
    ("bos", "alone", "prompt", "before"),
    [
        (None, False, "ab", [2]),
        (None, True, "ab", []),
        (None, True, "", [2]),
        (1, False, "ab", [1]),
        (1, True, "ab", [1]),
        (1, True, "", [1]),
    ],
)
def test_a_prompt_stands_behind_what_began_documents(
    monkeypatch: pytest.MonkeyPatch, bos: int | None, alone: bool, prompt: str, before: list[int]
) -> None:
    seen: list[list[int]] = []

    def continued(model: object, ids: list[int], *rest: object) -> list[int]:
        seen.append(list(ids))
        return [12]

    monkeypatch.setattr("trainer.run.generate.continue_ids", continued)
    monkeypatch.setattr(LoadedModel, "codec", Letters())
    loaded = LoadedModel(sharp("llama"), 1, None, 2, bos, 40, "fp32", alone)  # type: ignore[arg-type]  # no run is needed
    assert loaded.generate(prompt, SamplingConfig()) == prompt + "c"
    assert seen == [[*before, *Letters().encode(prompt)]]
