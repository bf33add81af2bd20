"""Generation: the cache changes nothing, sampling draws what it says, long texts slide. Choosing is in `test_cli`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from corpus.errors import UsageError
from tests.trainer.shapes import build, small
from trainer.models.model import Cache, LanguageModel
from trainer.run.decoding import _rows_of, choose, continue_ids, decode
from trainer.run.generate import TextModel
from trainer.run.sampling import GREEDY, SamplingConfig
from trainer.run.stream import TextStream


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
        SamplingConfig(temperature=0, max_tokens=40),
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
    drawn = Counter(choose(logits, SamplingConfig(temperature=1.0, top_p=1.0), generator) for _ in range(4000))
    assert [drawn[token] / 4000 for token in range(4)] == pytest.approx([0.1, 0.5, 0.15, 0.25], abs=0.03)
    drawn = Counter(choose(logits, SamplingConfig(temperature=0.5, top_p=1.0), generator) for _ in range(4000))
    squares = [p * p / 0.345 for p in (0.1, 0.5, 0.15, 0.25)]
    assert [drawn[token] / 4000 for token in range(4)] == pytest.approx(squares, abs=0.03)


def test_extreme_numbers() -> None:
    logits = torch.tensor([3e4, -3e4, 2.9e4])
    generator = torch.Generator().manual_seed(1)
    assert choose(logits, SamplingConfig(temperature=1e-38, top_p=1e-9), generator) == 0
    assert choose(logits, SamplingConfig(temperature=1.0, top_p=1.0, top_k=99), generator) == 0
    for temperature in (math.nan, math.inf, -1.0):
        with pytest.raises(UsageError, match="--temperature"):
            SamplingConfig(temperature=temperature)


def test_ids_that_the_tokenizer_lacks_are_never_chosen() -> None:
    model = sharp("llama")
    free = continue_ids(model, [1], SamplingConfig(temperature=3.0, top_p=1.0, max_tokens=60), -1)
    bound = continue_ids(model, [1], SamplingConfig(temperature=3.0, top_p=1.0, max_tokens=60), -1, vocabulary=20)
    assert max(free) >= 20 > max(bound)


def test_bf16_generates_too() -> None:
    model = sharp("llama")
    text = continue_ids(model, [1, 2, 3], SamplingConfig(temperature=0, max_tokens=12), -1, precision="bf16")
    assert len(text) == 12
    assert text[0] == continue_ids(model, [1, 2, 3], SamplingConfig(temperature=0, max_tokens=1), -1)[0]


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

    def continued(model: object, prompts: list[list[int]], *rest: object) -> Iterator[tuple[int, int]]:
        seen.extend(prompts)
        yield 0, 12

    monkeypatch.setattr("trainer.run.generate.decode", continued)
    monkeypatch.setattr(TextModel, "codec", Letters())
    loaded = TextModel(sharp("llama"), Path("letters"), 2, bos, 40, "fp32", alone)
    assert loaded.generate(prompt, SamplingConfig()) == prompt + "c"
    assert seen == [[*before, *Letters().encode(prompt)]]


PROMPTS = [[5, 6, 7], [9], [1, 2, 3, 4, 5, 6, 7, 8], list(range(20)), [5, 6, 7]]


@pytest.mark.parametrize("family", ["llama", "palm"])
@pytest.mark.parametrize("sampling", [GREEDY, SamplingConfig(seed=5, top_p=0.9)])
def test_prompts_of_a_batch_are_continued_as_alone(family: str, sampling: SamplingConfig) -> None:
    """Whatever their lengths: a row draws by its own seed, and is at the positions where it would be by itself."""
    model = sharp(family)
    sampling = replace(sampling, max_tokens=12)
    for prompts in (PROMPTS[:3], PROMPTS):
        found: dict[int, list[int]] = {number: [] for number in range(len(prompts))}
        for number, token in decode(model, prompts, sampling, ends=()):
            found[number].append(token)
        for number, prompt in enumerate(prompts):
            if len(prompt) + 12 <= 16:  # before the window slides
                assert found[number] == continue_ids(model, prompt, replace(sampling, seed=sampling.seed + number), -1)
            assert len(found[number]) == 12


def test_rows_end_one_by_one() -> None:
    model = sharp("llama")
    ends = {0: 2, 1: 5, 2: 1}
    counts: Counter[int] = Counter()

    def finished(number: int, token: int) -> bool:
        return counts[number] == ends[number]

    found: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for number, token in decode(model, PROMPTS[:3], replace(GREEDY, max_tokens=8), (), finished=finished):
        counts[number] += 1
        found[number].append(token)
    assert {number: len(ids) for number, ids in found.items()} == ends
    for number, ids in found.items():
        assert ids == continue_ids(model, PROMPTS[number], replace(GREEDY, max_tokens=8), -1)[: ends[number]]


@pytest.mark.parametrize("family", ["llama", "palm"])
@pytest.mark.parametrize(
    ("prompts", "tokens", "most"), [([[5, 6, 7], [9]], 4, 7), (PROMPTS[:3], 8, 16), (PROMPTS, 3, 16)]
)
def test_a_cache_has_room_for_what_is_asked_and_no_more(
    monkeypatch: pytest.MonkeyPatch, family: str, prompts: list[list[int]], tokens: int, most: int
) -> None:
    model, sampling = sharp(family), replace(GREEDY, max_tokens=tokens)
    rooms: set[int] = set()
    next_logits = model.next_logits

    def watched(tokens_BT: Tensor, cache: Cache) -> Tensor:
        rooms.update(held.shape[2] for layer in cache.layers for held in (layer.keys, layer.values))
        return next_logits(tokens_BT, cache)

    monkeypatch.setattr(model, "next_logits", watched)
    found: dict[int, list[int]] = {number: [] for number in range(len(prompts))}
    for number, token in decode(model, prompts, sampling, ends=()):
        found[number].append(token)
    assert rooms == {most}
    for number, prompt in enumerate(prompts):
        if len(prompt) + tokens <= 16:
            assert found[number] == slow(model, prompt, sampling)


def test_rows_that_go_on_take_along_what_they_have_seen_alone() -> None:
    model = sharp("llama")
    cache = model.new_cache(3, 10)
    model.next_logits(torch.tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), cache)
    for layer in cache.layers:
        layer.keys[:, :, 3:] = layer.values[:, :, 3:] = math.nan
    rest = _rows_of(cache, [2, 0])
    assert (rest.length, rest.capacity) == (3, 10)
    for layer, before in zip(rest.layers, cache.layers, strict=True):
        for held, all_rows in ((layer.keys, before.keys), (layer.values, before.values)):
            assert held.shape[2] == 10 and not held.isnan().any()
            assert torch.equal(held[:, :, :3], all_rows[[2, 0], :, :3])


def _characters(ids: Sequence[int]) -> str:
    return bytes(ids).decode("utf-8", "replace")


@given(st.text(max_size=20), st.text(max_size=40), st.lists(st.text(min_size=1, max_size=4), max_size=3))
def test_a_stream_gives_the_text_up_to_its_stop(prompt: str, added: str, stops: list[str]) -> None:
    stream = TextStream(_characters, list(prompt.encode()), stops)
    pieces = []
    for byte in added.encode():
        pieces.append(stream.add(byte))
        if stream.stopped:
            break
    pieces.append(stream.end())
    ends = [place for place in (added.find(stop) for stop in stops) if place >= 0]
    assert "".join(pieces) == stream.text
    # the first stop that is seen whole, which another may begin before
    assert added.startswith(stream.text)
    assert stream.stopped == bool(ends)
    if not ends:
        assert stream.text == added
    else:
        assert not any(stop in stream.text for stop in stops)


def test_what_could_become_a_stop_is_held_back() -> None:
    stream = TextStream(_characters, list(b"a"), ["###", "## end"])
    assert [stream.add(byte) for byte in b"b ## c ##"] == ["b", " ", "", "", "", "## c", " ", "", ""]
    assert stream.add(ord("#")) == "" and stream.stopped and stream.text == "b ## c "


def test_a_character_of_several_tokens_comes_whole() -> None:
    stream = TextStream(_characters, [], [])
    assert [stream.add(byte) for byte in "é☺".encode()] == ["", "é", "", "", "☺"]
