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
from trainer.models.model import LanguageModel
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


# what the configurations of the released models say, where it is not what transformers writes today
RELEASED: dict[str, tuple[str, dict[str, object]]] = {
    "gpt2": (
        "gpt3-125m",
        {"model_type": "gpt2", "n_ctx": 2048, "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 2048,
         "activation_function": "gelu_new", "vocab_size": 50257, "layer_norm_epsilon": 1e-05},
    ),
    "pythia": (
        "pythia-160m",
        {"model_type": "gpt_neox", "hidden_act": "gelu", "hidden_size": 768, "intermediate_size": 3072,
         "layer_norm_eps": 1e-05, "max_position_embeddings": 2048, "num_attention_heads": 12, "num_hidden_layers": 12,
         "rotary_emb_base": 10000, "rotary_pct": 0.25, "use_parallel_residual": True, "vocab_size": 50304},
    ),
    "bloom": (
        "bloom-560m",
        {"model_type": "bloom", "n_embed": 1024, "n_layer": 24, "num_attention_heads": 16, "seq_length": 2048,
         "vocab_size": 250880, "apply_residual_connection_post_layernorm": False, "layer_norm_epsilon": 1e-05},
    ),
    "opt": (
        "opt-350m",
        {"model_type": "opt", "hidden_size": 1024, "ffn_dim": 4096, "num_attention_heads": 16, "num_hidden_layers": 24,
         "do_layer_norm_before": False, "word_embed_proj_dim": 512, "max_position_embeddings": 2048,
         "vocab_size": 50272, "activation_function": "relu", "_remove_final_layer_norm": False},
    ),
    "starcoder": (
        "starcoder-15b",
        {"model_type": "gpt_bigcode", "n_embd": 6144, "n_head": 48, "n_inner": 24576, "n_layer": 40,
         "n_positions": 8192, "multi_query": True, "vocab_size": 49152, "scale_attn_weights": True,
         "activation_function": "gelu_pytorch_tanh", "layer_norm_epsilon": 1e-05},
    ),
    "llama3.2": (
        "llama3.2-1b",
        {"model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192, "num_attention_heads": 32,
         "num_hidden_layers": 16, "num_key_value_heads": 8, "max_position_embeddings": 8192, "rms_norm_eps": 1e-05,
         "rope_theta": 500000.0, "tie_word_embeddings": True, "vocab_size": 128256, "attention_bias": False,
         "rope_scaling": {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "rope_type": "llama3",
                          "original_max_position_embeddings": 8192}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RELEASED)
def test_configurations_of_released_models_are_the_presets(name: str) -> None:
    preset, config = RELEASED[name]
    layout = next(layout for layout in LAYOUTS if layout.model_type == config["model_type"])
    shape = PRESETS[preset].shape
    if name == "pythia":  # transformers' files say the exact GELU
        shape = replace(shape, activation="gelu")
    assert what_is_computed(layout.read_shape(config, "config.json")) == what_is_computed(shape)


def test_falcon_and_mpt_of_the_hub() -> None:
    falcon = {"model_type": "falcon", "hidden_size": 4544, "n_head": 71, "n_layer": 32, "multi_query": True,
              "parallel_attn": True, "bias": False, "alibi": False, "vocab_size": 65024}  # fmt: skip
    mpt = {"model_type": "mpt", "d_model": 4096, "n_heads": 32, "n_layers": 32, "expansion_ratio": 4, "no_bias": True,
           "max_seq_len": 2048, "vocab_size": 50432, "logit_scale": None,
           "attn_config": {"alibi": True, "alibi_bias_max": 8, "clip_qkv": None, "attn_impl": "torch"}}  # fmt: skip
    counts = {"FalconForCausalLM": (falcon, 6_921_720_704), "MptForCausalLM": (mpt, 6_649_286_656)}
    for architecture, (config, wanted) in counts.items():
        shape = layout_named(architecture).read_shape(config, "config.json")
        assert LanguageModel.count(shape).total == wanted
    with pytest.raises(DataError, match=r"attn_config\.clip_qkv: 8"):
        layout_named("MptForCausalLM").read_shape(mpt | {"attn_config": {"clip_qkv": 8}}, "config.json")


def test_layouts_are_told_apart() -> None:
    assert len({layout.architecture for layout in LAYOUTS}) == len({layout.model_type for layout in LAYOUTS})
