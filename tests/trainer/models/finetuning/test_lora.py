"""Low-rank adapters: what they compute, what is trained, how many there are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from corpus.errors import UsageError
from tests.trainer.shapes import build, small
from trainer.config.families.registry import find_preset
from trainer.models.finetuning.adapt import adapt
from trainer.models.finetuning.config import TARGETS, FineTuningConfig
from trainer.models.finetuning.lora import AdaptedLinear, adapter_weights, merged_tensors
from trainer.models.model import LanguageModel
from trainer.models.objective import TrainingModel


def adapted(family: str, config: FineTuningConfig) -> tuple[LanguageModel, LanguageModel]:
    """A model, and the same with adapters whose products are not zero."""
    plain, model = build(small(family)), build(small(family))
    adapt(model, config)
    with torch.no_grad():
        for parameter, whole in adapter_weights(model, 3):
            parameter.copy_(whole)
        for name, parameter in model.named_parameters():
            if name.endswith("lora_b"):
                parameter.normal_(0, 0.1)
    return plain, model


def tokens(seed: int = 0) -> Tensor:
    return torch.randint(50, (3, 16), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("family", ["llama", "palm"])
@pytest.mark.parametrize("targets", [("query", "value"), ("all",), ("key", "down", "gate"), ("output",)])
@pytest.mark.parametrize("stabilised", [False, True])
def test_merged_adapters_compute_what_applied_ones_do(family: str, targets: tuple[str, ...], stabilised: bool) -> None:
    config = FineTuningConfig("lora", rank=3, alpha=6, targets=targets, rank_stabilised=stabilised)
    plain, model = adapted(family, config)
    before = plain.logits(tokens()).detach()
    weights = merged_tensors(plain, config, dict(plain.state_dict()), dict(model.state_dict()))
    plain.load_state_dict({name: weights[name] for name in plain.state_dict()})
    applied, merged = model.logits(tokens()).detach(), plain.logits(tokens()).detach()
    assert (applied - merged).abs().max() <= 1e-6 * max(1.0, float(applied.abs().max()))
    assert (applied - before).abs().max() > 1e-3
    for module in model.modules():
        if isinstance(module, AdaptedLinear):
            x = torch.randn(5, module.in_features)
            torch.testing.assert_close(module(x).detach(), x @ module.merged().T, rtol=1e-5, atol=1e-6)


def test_new_adapters_change_nothing() -> None:
    plain, model = build(small("llama")), build(small("llama"))
    adapt(model, FineTuningConfig("lora", targets=("all",)))
    with torch.no_grad():
        for parameter, whole in adapter_weights(model, 3):
            parameter.copy_(whole)
    assert torch.equal(plain.logits(tokens()), model.logits(tokens()))
    first = next(p for name, p in model.named_parameters() if name.endswith("lora_a"))
    bound = first.shape[1] ** -0.5
    assert float(first.detach().abs().max()) <= bound
    assert float(first.detach().std()) == pytest.approx(bound / 3**0.5, rel=0.15)


@pytest.mark.parametrize("checkpointing", ["none", "selective", "full"])
def test_adapters_alone_have_gradients_and_they_are_those_of_the_product(checkpointing: str) -> None:
    config = FineTuningConfig("lora", rank=3, alpha=6, targets=("all",))
    plain, model = adapted("llama", config)
    model.checkpoint_activations(checkpointing)
    weights = merged_tensors(plain, config, dict(plain.state_dict()), dict(model.state_dict()))
    plain.load_state_dict({name: weights[name] for name in plain.state_dict()})
    for each in (plain, model):
        loss, _ = TrainingModel(each)(tokens(), tokens(1), None, None, 1e-4, 48)
        loss.backward()
    dense = dict(plain.named_parameters())
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == name.endswith(("lora_a", "lora_b")), name
    for name, module in model.named_modules():
        if isinstance(module, AdaptedLinear):
            gradient = dense[f"{name}.weight"].grad
            assert gradient is not None
            for part, rows in module.ranges.items():
                a, b = (getattr(module, f"{part}_lora_{side}") for side in "ab")
                own = gradient[rows.start : rows.stop]
                torch.testing.assert_close(a.grad, config.scale * b.T @ own, rtol=1e-3, atol=1e-7)
                torch.testing.assert_close(b.grad, config.scale * own @ a.T, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize(
    ("rank", "targets", "expected"),
    [
        (8, ("query", "value"), 4_194_304),
        (16, ("query", "key", "value", "output"), 16_777_216),
        (16, TARGETS, 39_976_960),
    ],
)
def test_numbers_of_parameters_of_llama_7b(rank: int, targets: tuple[str, ...], expected: int) -> None:
    with torch.device("meta"):
        model = LanguageModel(find_preset("llama-7b").shape)
        adapt(model, FineTuningConfig("lora", rank=rank, targets=targets))
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == expected


def test_targets_that_are_not_there_are_named() -> None:
    with pytest.raises(UsageError, match="did you mean 'query'"):
        FineTuningConfig("lora", targets=("querry",))
