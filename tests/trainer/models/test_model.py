"""Parameter counts, slow obvious twins of both families, masks, the cache, the first weights."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from corpus.errors import UsageError
from tests.trainer.shapes import build, small
from trainer.config.families.registry import PRESETS, find_preset
from trainer.export.hf import hf_config
from trainer.export.llama import llama_tensors
from trainer.models.attention import document_mask
from trainer.models.initialisation import initialise
from trainer.models.model import LanguageModel
from trainer.models.objective import TrainingModel
from trainer.models.shape import ModelShape

PAPER_COUNTS = {
    "llama-7b": 6_738_415_616,
    "llama-13b": 13_015_864_320,
    "llama-33b": 32_528_943_616,
    "llama-65b": 65_285_660_672,
    # from the shapes of the paper's Table 1, by hand; it prints 8.63, 62.50 and 540.35 billion
    "palm-8b": 8_632_012_800,
    "palm-62b": 62_495_662_080,
    "palm-540b": 540_356_474_880,
}
PRINTED = {
    "llama-7b": 6.738,
    "llama-13b": 13.016,
    "llama-33b": 32.529,
    "llama-65b": 65.286,
    "palm-8b": 8.63,
    "palm-62b": 62.50,
    "palm-540b": 540.35,
}


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_parameters_on_the_meta_device(name: str) -> None:
    with torch.device("meta"):
        model = LanguageModel(PRESETS[name].shape)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == LanguageModel.count(PRESETS[name].shape).total
    if name in PAPER_COUNTS:
        assert count == PAPER_COUNTS[name]
        assert count / 1e9 == pytest.approx(PRINTED[name], abs=0.0075)


def test_unknown_model_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="llama-7b"):
        find_preset("lama-7b")


def twin_rotate(vector: Tensor, position: int, base: float) -> Tensor:
    """Turn each pair (i, i + half) by position · base^(-2i / size), one number at a time."""
    size = len(vector)
    turned = vector.clone()
    for i in range(size // 2):
        angle = position * base ** (-2 * i / size)
        a, b = vector[i], vector[i + size // 2]
        turned[i] = a * math.cos(angle) - b * math.sin(angle)
        turned[i + size // 2] = a * math.sin(angle) + b * math.cos(angle)
    return turned


def twin_attention(shape: ModelShape, weight: Tensor, output: Tensor, x_TD: Tensor) -> Tensor:
    E, T = shape.head_size, len(x_TD)
    rows = [weight @ x for x in x_TD]
    mixed = torch.zeros(T, shape.heads * E, dtype=x_TD.dtype)
    for head in range(shape.heads):
        key_head = head * shape.n_kv_heads // shape.heads
        k0 = shape.query_width + key_head * E
        v0 = shape.query_width + shape.key_width + key_head * E
        for t in range(T):
            query = twin_rotate(rows[t][head * E : head * E + E], t, shape.rope_base)
            keys = [twin_rotate(rows[s][k0 : k0 + E], s, shape.rope_base) for s in range(t + 1)]
            scores = torch.stack([query @ key for key in keys]) / math.sqrt(E)
            weights = scores.exp() / scores.exp().sum()
            mixed[t, head * E : head * E + E] = sum(weights[s] * rows[s][v0 : v0 + E] for s in range(t + 1))
    return mixed @ output.T


def exact_weights(model: LanguageModel) -> dict[str, Tensor]:
    """The weights in float64, as leaves of their own."""
    return {name: value.detach().double().requires_grad_() for name, value in model.named_parameters()}


def twin_logits(shape: ModelShape, w: dict[str, Tensor], tokens: Tensor) -> Tensor:
    """The whole model in float64, a position and a head at a time: [T] -> [T, V]."""

    def norm(x: Tensor, scale: Tensor) -> Tensor:
        if shape.norm == "layer":
            x = x - x.mean(-1, keepdim=True)
        return x / torch.sqrt((x * x).mean(-1, keepdim=True) + shape.norm_epsilon) * scale

    def mlp(x: Tensor, prefix: str) -> Tensor:
        gate, up = (x @ w[f"{prefix}.project.weight"].T).chunk(2, dim=-1)
        return (gate / (1 + torch.exp(-gate)) * up) @ w[f"{prefix}.output.weight"].T

    def attention(x: Tensor, prefix: str) -> Tensor:
        return twin_attention(shape, w[f"{prefix}.project.weight"], w[f"{prefix}.output.weight"], x)

    x = w["embedding"][tokens]
    for layer in range(shape.layers):
        name = f"blocks.{layer}"
        if shape.block == "parallel":
            normed = norm(x, w[f"{name}.norm.scale"])
            x = x + mlp(normed, f"{name}.mlp") + attention(normed, f"{name}.attention")
        else:
            x = x + attention(norm(x, w[f"{name}.attention_norm.scale"]), f"{name}.attention")
            x = x + mlp(norm(x, w[f"{name}.mlp_norm.scale"]), f"{name}.mlp")
    logits = norm(x, w["norm.scale"]) @ w["embedding" if shape.tied else "head"].T
    return logits / math.sqrt(shape.d_model) if shape.scaled_logits else logits


@pytest.mark.parametrize("family", ["llama", "palm"])
def test_logits_equal_the_twin(family: str) -> None:
    model = build(small(family))
    tokens = torch.randint(50, (2, 11), generator=torch.Generator().manual_seed(3))
    logits = model.logits(tokens)
    for row in range(2):
        wanted = twin_logits(model.shape, exact_weights(model), tokens[row])
        torch.testing.assert_close(logits[row].double(), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["llama", "palm"])
def test_gradients_equal_the_twin(family: str) -> None:
    model = build(small(family))
    tokens = torch.randint(50, (12,), generator=torch.Generator().manual_seed(3))
    loss, _ = TrainingModel(model)(tokens[None, :-1], tokens[None, 1:], None, None, 0.01, 11)
    loss.backward()
    weights = exact_weights(model)
    logits = twin_logits(model.shape, weights, tokens[:-1])
    z = logits.exp().sum(1).log()
    (functional.cross_entropy(logits, tokens[1:]) + 0.01 * z.square().mean()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name
        torch.testing.assert_close(parameter.grad.double(), weights[name].grad, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("changes", [{}, {"n_kv_heads": 2, "head_size": 16, "rope_base": 500.0, "norm_epsilon": 1e-3}])
def test_llama_tiny_equals_transformers(changes: dict[str, float]) -> None:
    """Logits, loss and every gradient, in float32 to 1e-5."""
    transformers = pytest.importorskip("transformers")
    shape = replace(PRESETS["llama-tiny"].shape, vocabulary=512, sequence_length=96, **changes)  # type: ignore[arg-type]
    model, gradients = build(shape), LanguageModel(shape)
    theirs = transformers.LlamaForCausalLM(transformers.LlamaConfig(**hf_config(shape, 2)))
    theirs.load_state_dict(llama_tensors(model))
    tokens = torch.randint(512, (3, 97), generator=torch.Generator().manual_seed(3))
    output = theirs(input_ids=tokens[:, :-1])
    torch.testing.assert_close(model.logits(tokens[:, :-1]), output.logits, atol=1e-5, rtol=1e-5)
    wanted = functional.cross_entropy(output.logits.flatten(0, 1), tokens[:, 1:].flatten())
    loss, _ = TrainingModel(model)(tokens[:, :-1], tokens[:, 1:], None, None, 0.0, 3 * 96)
    torch.testing.assert_close(loss, wanted, atol=1e-5, rtol=1e-5)
    wanted.backward()
    loss.backward()
    gradients.load_state_dict({name: parameter.grad for name, parameter in model.named_parameters()})
    named = dict(theirs.named_parameters())
    assert set(llama_tensors(gradients)) == set(named)
    for name, gradient in llama_tensors(gradients).items():
        assert gradient.any(), name
        torch.testing.assert_close(gradient, named[name].grad, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["llama", "palm"])
def test_document_mask_lets_nothing_through(family: str) -> None:
    model = build(small(family))
    tokens = torch.randint(50, (2, 16), generator=torch.Generator().manual_seed(4))
    changed = tokens.clone()
    changed[:, :7] = (changed[:, :7] + 1) % 50
    documents = torch.tensor([[0] * 7 + [1] * 9] * 2)
    mask = document_mask(documents)
    before, after = model.logits(tokens, mask), model.logits(changed, mask)
    assert torch.equal(before[:, 7:], after[:, 7:])
    assert not torch.equal(before[:, :7], after[:, :7])
    # without the mask the change is seen
    assert not torch.equal(model.logits(tokens)[:, 7:], model.logits(changed)[:, 7:])


@pytest.mark.parametrize("family", ["llama", "palm"])
def test_documents_under_a_mask_are_what_they_are_alone(family: str) -> None:
    """Rotary positions count from the row's start, and only their differences are seen."""
    model = build(small(family))
    tokens = torch.randint(50, (1, 16), generator=torch.Generator().manual_seed(4))
    mask = document_mask(torch.tensor([[0] * 7 + [1] * 9]))
    torch.testing.assert_close(model.logits(tokens, mask)[:, 7:], model.logits(tokens[:, 7:]), atol=1e-5, rtol=1e-5)


def test_padding_under_a_mask_is_finite_and_leaks_nothing() -> None:
    model = build(small("llama"))
    tokens = torch.randint(50, (1, 16), generator=torch.Generator().manual_seed(4))
    mask = document_mask(torch.tensor([[0] * 7 + [1] * 4 + [-1] * 5]))
    loss, _ = TrainingModel(model)(tokens, tokens.masked_fill(torch.arange(16) > 9, -100), mask, None, 0.0, 10)
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_document_mask_of_one_document_is_the_causal_one() -> None:
    model = build(small("llama"))
    tokens = torch.randint(50, (1, 16), generator=torch.Generator().manual_seed(4))
    masked = model.logits(tokens, document_mask(torch.zeros(1, 16, dtype=torch.int64)))
    torch.testing.assert_close(masked, model.logits(tokens), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["llama", "palm"])
def test_cache_gives_the_logits_of_the_whole(family: str) -> None:
    model = build(small(family))
    tokens = torch.randint(50, (1, 16), generator=torch.Generator().manual_seed(5))
    cache = model.new_cache(1)
    pieces = [model.logits(tokens[:, :6], cache=cache)]
    pieces += [model.logits(tokens[:, t : t + 1], cache=cache) for t in range(6, 16)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), model.logits(tokens), atol=1e-5, rtol=1e-5)


def test_first_weights_of_palm() -> None:
    model = LanguageModel(small("palm", d_model=400, feed_forward=300, vocabulary=500))
    initialise(model, 7)
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1:
            assert torch.equal(parameter.detach(), torch.ones_like(parameter))
            continue
        wanted = 1.0 if name == "embedding" else parameter.shape[1] ** -0.5
        assert float(parameter.detach().std()) == pytest.approx(wanted, rel=0.05), name
    again = LanguageModel(model.shape)
    torch.manual_seed(123)  # the global generator has no say
    initialise(again, 7)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_logits_of_a_new_palm_are_of_order_one() -> None:
    model = LanguageModel(small("palm", d_model=256, vocabulary=400))
    initialise(model, 0)
    logits = model.logits(torch.arange(16)[None])
    assert 0.5 < float(logits.detach().std()) < 2.0


@pytest.mark.parametrize("changes", [{"head_size": 7}, {"n_kv_heads": 2}, {"layers": 0}])
def test_impossible_shapes_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        LanguageModel(small("llama", **changes))


def test_flops_of_palm_540b() -> None:
    """The paper's MFU formula: 6N + 12·L·H·Q·T per token."""
    shape = PRESETS["palm-540b"].shape
    flops = LanguageModel.flops_per_token(shape, 2048)
    assert flops == pytest.approx(6 * 540.35e9 + 12 * 118 * 48 * 256 * 2048, rel=1e-4)
