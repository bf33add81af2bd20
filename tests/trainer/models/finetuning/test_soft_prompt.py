"""Soft prompts: what a sequence attends to, and what is trained."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from corpus.errors import UsageError
from tests.trainer.shapes import build, small
from trainer.models.attention import document_mask
from trainer.models.finetuning.adapt import adapt
from trainer.models.finetuning.config import FineTuningConfig, check_room
from trainer.models.model import LanguageModel
from trainer.models.objective import TrainingModel

P, T = 4, 12


def prompted_model(family: str) -> LanguageModel:
    model = build(small(family))
    adapt(model, FineTuningConfig("prompt", prompt_tokens=P))
    assert model.soft_prompt is not None
    with torch.no_grad():
        model.soft_prompt.normal_(0, 0.5, generator=torch.Generator().manual_seed(1))
    return model


def tokens(rows: int = 2) -> Tensor:
    return torch.randint(5, 50, (rows, T), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("family", ["llama", "palm"])
def test_a_prompt_of_embeddings_is_those_tokens(family: str) -> None:
    model, plain = prompted_model(family), build(small(family))
    assert model.soft_prompt is not None
    chosen = torch.tensor([7, 3, 9, 30])
    with torch.no_grad():
        model.soft_prompt.copy_(plain.embedding[chosen])
    whole = torch.cat((chosen.expand(2, -1), tokens()), 1)
    torch.testing.assert_close(model.logits(tokens()), plain.logits(whole)[:, P:])


@pytest.mark.parametrize("family", ["llama", "palm"])
def test_every_document_attends_to_the_prompt_and_to_no_other(family: str) -> None:
    model = prompted_model(family)
    documents = torch.tensor([[0] * 5 + [1] * 4 + [-1] * 3])
    mask = document_mask(documents)
    first = model.logits(tokens(1), mask)
    changed = tokens(1)
    changed[0, 2] = 49
    other = model.logits(changed, mask)
    assert torch.equal(first[:, 5:], other[:, 5:]) and not torch.equal(first[:, 2:5], other[:, 2:5])
    # the twin of the second document: positions are counted from the prompt, so the tokens between are only left out
    assert model.soft_prompt is not None
    with torch.no_grad():
        model.soft_prompt[0] += 1
    moved = model.logits(tokens(1), mask)
    assert (moved - first).abs().amax(-1).min() > 0


def test_the_prompt_alone_has_a_gradient() -> None:
    model = prompted_model("llama")
    loss, _ = TrainingModel(model)(tokens(), tokens(), None, None, 0.0, 24)
    loss.backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is not None] == ["soft_prompt"]


def test_generation_sees_the_prompt_once() -> None:
    model = prompted_model("llama")
    cache = model.new_cache(1)
    rows = tokens(1)
    parts = [model.next_logits(rows[:, :5], cache)] + [
        model.next_logits(rows[:, k : k + 1], cache) for k in range(5, T)
    ]
    torch.testing.assert_close(torch.cat(parts), model.logits(rows)[0, 4:], rtol=1e-4, atol=1e-5)


def test_there_must_be_room() -> None:
    with pytest.raises(UsageError, match="--sequence-length 12"):
        check_room(small("llama"), FineTuningConfig("prompt", prompt_tokens=P), 16)
    check_room(small("llama"), FineTuningConfig("prompt", prompt_tokens=P), T)
