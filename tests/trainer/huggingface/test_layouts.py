"""Every family that transformers has: the same logits, loss and gradients, and the same bytes there and back."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from corpus.errors import DataError, UsageError
from trainer.config.families.registry import PRESETS
from trainer.huggingface.layout import what_is_computed
from trainer.huggingface.registry import LAYOUTS, layout_named, layout_of
from trainer.models.objective import TrainingModel

pytest.importorskip("transformers")
from tests.trainer.huggingface.families import (  # needs transformers
    SHAPES,
    back,
    named_layout,
    ours,
    their_weights,
    theirs,
)


@pytest.mark.parametrize("name", SHAPES)
def test_logits_loss_and_gradients_equal_those_of_transformers(name: str) -> None:
    shape = SHAPES[name]
    layout, other = theirs(name)
    weights = their_weights(other, layout, shape)
    model = ours(shape, layout, weights)
    tokens = torch.randint(shape.vocabulary, (3, 33), generator=torch.Generator().manual_seed(3))
    wanted = other(input_ids=tokens[:, :-1]).logits
    torch.testing.assert_close(model.logits(tokens[:, :-1]), wanted, atol=1e-5, rtol=1e-5)
    their_loss = functional.cross_entropy(wanted.flatten(0, 1), tokens[:, 1:].flatten())
    loss, _ = TrainingModel(model)(tokens[:, :-1], tokens[:, 1:], None, None, 0.0, 3 * 32)
    torch.testing.assert_close(loss, their_loss, atol=1e-5, rtol=1e-5)
    their_loss.backward()
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    gradients = ours(shape, layout, weights)
    gradients.load_state_dict({key: parameter.grad for key, parameter in model.named_parameters()})
    found = back(gradients, layout)
    theirs_by_name = dict(other.named_parameters())
    assert set(found) == set(weights)
    for key, gradient in found.items():
        their_key = key if key in theirs_by_name else layout.other_head
        assert gradient.any(), key
        torch.testing.assert_close(gradient, theirs_by_name[their_key].grad, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", SHAPES)
def test_weights_there_and_back_are_the_same_bytes(name: str) -> None:
    shape = SHAPES[name]
    layout, other = theirs(name)
    weights = their_weights(other, layout, shape)
    again = back(ours(shape, layout, weights), layout)
    assert set(again) == set(weights)
    for key, tensor in again.items():
        assert tensor.numpy().tobytes() == weights[key].numpy().tobytes(), key
    assert what_is_computed(layout.to_shape(other.config.to_dict() | layout.to_config(shape))) == what_is_computed(
        shape
    )


@pytest.mark.parametrize("name", SHAPES)
def test_the_shape_is_read_from_what_transformers_writes(name: str) -> None:
    """Its own `config.json` has the keys of its version, such as rope_parameters."""
    shape = SHAPES[name]
    layout, other = theirs(name)
    config = other.config.to_dict()
    # BLOOM says its length nowhere
    config["seq_length"] = shape.sequence_length
    assert what_is_computed(layout.read_shape(config, "config.json")) == what_is_computed(shape)


@pytest.mark.parametrize("name", SHAPES)
def test_a_cache_gives_the_logits_of_the_whole(name: str) -> None:
    shape = SHAPES[name]
    layout, other = theirs(name)
    model = ours(shape, layout, their_weights(other, layout, shape))
    tokens = torch.randint(shape.vocabulary, (1, 16), generator=torch.Generator().manual_seed(5))
    cache = model.new_cache(1)
    pieces = [model.logits(tokens[:, :6], cache=cache)]
    pieces += [model.logits(tokens[:, t : t + 1], cache=cache) for t in range(6, 16)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), model.logits(tokens), atol=1e-5, rtol=1e-5)


PRESETS_THERE = {
    "llama-7b": "LlamaForCausalLM",
    "llama2-70b": "LlamaForCausalLM",
    "llama3.2-1b": "LlamaForCausalLM",
    "gpt3-175b": "GPT2LMHeadModel",
    "pythia-12b": "GPTNeoXForCausalLM",
    "neox-20b": "GPTNeoXForCausalLM",
    "opt-350m": "OPTForCausalLM",
    "galactica-120b": "OPTForCausalLM",
    "bloom-176b": "BloomForCausalLM",
    "starcoder-15b": "GPTBigCodeForCausalLM",
}


@pytest.mark.parametrize("name", PRESETS_THERE)
def test_models_of_the_papers_have_their_class(name: str) -> None:
    shape = PRESETS[name].shape
    assert layout_of(shape).architecture == PRESETS_THERE[name]


@pytest.mark.parametrize("name", ["palm-8b", "gopher-280b", "lamda-137b", "glm-130b"])
def test_models_without_a_class_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"no class of transformers computes .* has no .*model\."):
        layout_of(PRESETS[name].shape)


def test_what_a_class_cannot_say_is_refused() -> None:
    shape = SHAPES["opt"]
    assert "norm_epsilon" in layout_named("OPTForCausalLM").lost(replace(shape, norm_epsilon=1e-3))
    with pytest.raises(UsageError, match="logit_cap"):
        layout_of(replace(SHAPES["llama"], logit_cap=3.0))
    with pytest.raises(UsageError, match="head_size"):
        layout_of(replace(SHAPES["gpt3"], head_size=16))


@pytest.mark.parametrize(
    ("architecture", "changes", "said"),
    [
        ("GPT2LMHeadModel", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx: True"),
        ("LlamaForCausalLM", {"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "rule yarn"),
        ("LlamaForCausalLM", {"hidden_act": "mish"}, "activation mish"),
        ("LlamaForCausalLM", {"hidden_size": None}, "does not say hidden_size"),
    ],
)
def test_settings_that_are_not_computed_are_errors(architecture: str, changes: dict[str, object], said: str) -> None:
    layout = layout_named(architecture)
    shape = next(shape for name, shape in SHAPES.items() if named_layout(name) == layout)
    config = layout.to_config(shape) | changes
    config = {key: value for key, value in config.items() if value is not None}
    with pytest.raises(DataError, match=said):
        layout.read_shape(config, "config.json")


def test_keys_of_earlier_versions_are_read() -> None:
    neox, llama = layout_named("GPTNeoXForCausalLM"), layout_named("LlamaForCausalLM")
    config = neox.to_config(SHAPES["neox"])
    assert config["rotary_pct"] == 0.5
    assert neox.to_shape(config).rope_share == 0.5
    old = llama.to_config(SHAPES["llama3"])
    new = {key: value for key, value in old.items() if key not in ("rope_theta", "rope_scaling")}
    new["rope_parameters"] = {"rope_theta": old["rope_theta"], **old["rope_scaling"]}
    assert llama.to_shape(new) == llama.to_shape(old)
    galactica = layout_named("OPTForCausalLM").to_config(SHAPES["galactica"])
    galactica["bias"] = galactica.pop("enable_bias")
    assert not layout_named("OPTForCausalLM").to_shape(galactica).bias


def test_layouts_are_told_apart() -> None:
    assert len({layout.architecture for layout in LAYOUTS}) == len({layout.model_type for layout in LAYOUTS})
