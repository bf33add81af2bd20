"""The whole model in float64, slowly and obviously: a position and a head at a time, every setting of a shape."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from trainer.models.model import LanguageModel
from trainer.models.shape import ModelShape

Weights = dict[str, Tensor]


def exact_weights(model: LanguageModel) -> Weights:
    """The weights in float64, as leaves of their own."""
    return {name: value.detach().double().requires_grad_() for name, value in model.named_parameters()}


def twin_logits(shape: ModelShape, w: Weights, tokens: Tensor) -> Tensor:
    """[T] -> [T, V]."""
    x = w["embedding"][tokens]
    if shape.embedding_size:
        x = x @ w["widen.weight"].T
    if shape.positions == "learned":
        x = x + torch.stack([w["positions.weight"][t + shape.position_offset] for t in range(len(tokens))])
    if shape.embedding_norm:
        x = _norm(shape, w, "embedding_norm", x)
    for layer in range(shape.layers):
        x = _block(shape, w, f"blocks.{layer}", x)
    if shape.block not in ("post-norm", "deep-norm"):
        x = _norm(shape, w, "norm", x)
    if shape.embedding_size:
        x = x @ w["narrow.weight"].T
    logits = x @ w["embedding" if shape.tied else "head"].T
    if shape.scaled_logits:
        logits = logits / math.sqrt(shape.d_model)
    return shape.logit_cap * torch.tanh(logits / shape.logit_cap) if shape.logit_cap else logits


def _block(shape: ModelShape, w: Weights, name: str, x: Tensor) -> Tensor:
    def norm(which: str, value: Tensor) -> Tensor:
        return _norm(shape, w, f"{name}.{which}", value)

    def attention(value: Tensor) -> Tensor:
        mixed = _linear(w, f"{name}.attention.output", _attention(shape, w, f"{name}.attention", value))
        return mixed * w[f"{name}.gains"][0] if shape.rezero and shape.block != "parallel" else mixed

    def mlp(value: Tensor) -> Tensor:
        fed = _mlp(shape, w, f"{name}.mlp", value)
        return fed * w[f"{name}.gains"][1] if shape.rezero and shape.block != "parallel" else fed

    if shape.block == "parallel":
        normed = norm("norm", x)
        return x + mlp(normed) + attention(normed)
    if shape.block == "parallel-two-norms":
        return x + mlp(norm("mlp_norm", x)) + attention(norm("attention_norm", x))
    if shape.block in ("post-norm", "deep-norm"):
        alpha = (2 * shape.layers) ** 0.25 if shape.block == "deep-norm" else 1
        x = norm("attention_norm", alpha * x + attention(x))
        return norm("mlp_norm", alpha * x + mlp(x))
    if shape.block == "glm":
        alpha = (2 * shape.layers) ** 0.5
        y = norm("attention_norm", x)
        h = alpha * y + attention(y)
        z = norm("mlp_norm", h)
        return alpha * z + mlp(z)
    if shape.block == "sandwich":
        x = x + norm("mixed_norm", attention(norm("attention_norm", x)))
        return x + norm("fed_norm", mlp(norm("mlp_norm", x)))
    x = x + attention(norm("attention_norm", x))
    return x + mlp(norm("mlp_norm", x))


def _linear(w: Weights, name: str, x: Tensor) -> Tensor:
    made = x @ w[f"{name}.weight"].T
    return made + w[f"{name}.bias"] if f"{name}.bias" in w else made


def _norm(shape: ModelShape, w: Weights, name: str, x: Tensor) -> Tensor:
    if shape.norm.startswith("layer"):
        x = x - x.mean(-1, keepdim=True)
    x = x / torch.sqrt((x * x).mean(-1, keepdim=True) + shape.norm_epsilon)
    x = x * w[f"{name}.scale"] if f"{name}.scale" in w else x
    return x + w[f"{name}.bias"] if f"{name}.bias" in w else x


def _activated(kind: str, x: Tensor) -> Tensor:
    if kind == "silu":
        return x / (1 + torch.exp(-x))
    if kind == "gelu":
        return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))
    if kind == "gelu-tanh":
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    positive = x * (x > 0)
    return positive * positive if kind == "relu-squared" else positive


def _mlp(shape: ModelShape, w: Weights, name: str, x: Tensor) -> Tensor:
    made = _linear(w, f"{name}.project", x)
    if shape.gated:
        gate, up = made.chunk(2, dim=-1)
        return _linear(w, f"{name}.output", _activated(shape.activation, gate) * up)
    return _linear(w, f"{name}.output", _activated(shape.activation, made))


def rotated(shape: ModelShape, vector: Tensor, position: int) -> Tensor:
    """Turn each pair (i, i + half) of the rotated part, one number at a time."""
    size = int(shape.head_size * shape.rope_share)
    turned = vector.clone()
    for i in range(size // 2):
        frequency = shape.rope_base ** (-2 * i / size)
        if shape.rope_scaling == "linear":
            frequency /= shape.rope_factor
        if shape.rope_scaling == "llama3":
            wave = 2 * math.pi / frequency
            ratio = shape.rope_original_length / wave
            if ratio < shape.rope_low_factor:
                frequency /= shape.rope_factor
            elif ratio <= shape.rope_high_factor:
                share = (ratio - shape.rope_low_factor) / (shape.rope_high_factor - shape.rope_low_factor)
                frequency = (1 - share) * frequency / shape.rope_factor + share * frequency
        angle = position * frequency
        a, b = vector[i], vector[i + size // 2]
        turned[i] = a * math.cos(angle) - b * math.sin(angle)
        turned[i + size // 2] = a * math.sin(angle) + b * math.cos(angle)
    return turned


def slope(heads: int, head: int) -> float:
    """ALiBi's slope of a head."""
    power = 2 ** int(math.log2(heads))
    if head < power:
        return float(2 ** (-8 * (head + 1) / power))
    return float(2 ** (-8 * (2 * (head - power) + 1) / (2 * power)))


BUCKET_STARTS = [*range(16), 16, 19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113]
"""The first distance of each of T5's buckets, as its own code has them."""


def sinusoid(distance: int, width: int) -> Tensor:
    """Transformer-XL's vector of a distance."""
    half = width // 2
    angles = [distance / 10000 ** (2 * i / width) for i in range(half)]
    return torch.tensor([math.sin(a) for a in angles] + [math.cos(a) for a in angles], dtype=torch.float64)


def _attention(shape: ModelShape, w: Weights, name: str, x: Tensor) -> Tensor:
    E, T = shape.head_size, len(x)
    rows = _linear(w, f"{name}.project", x)
    mixed = []
    for head in range(shape.heads):
        key_head = head * shape.n_kv_heads // shape.heads
        k0 = shape.query_width + key_head * E
        v0 = k0 + shape.key_width
        placed = []
        for t in range(T):
            query, key = rows[t][head * E : head * E + E], rows[t][k0 : k0 + E]
            if shape.positions == "rope":
                query, key = rotated(shape, query, t), rotated(shape, key, t)
            if shape.qk_norm:
                query = query / torch.sqrt((query * query).mean() + shape.norm_epsilon)
                key = key / torch.sqrt((key * key).mean() + shape.norm_epsilon)
            placed.append((query, key))
        for t in range(T):
            scores = torch.stack(
                [_score(shape, w, name, head, placed[t][0], placed[s][1], t - s) for s in range(t + 1)]
            )
            weights = scores.exp() / scores.exp().sum()
            mixed.append(sum(weights[s] * rows[s][v0 : v0 + E] for s in range(t + 1)))
    return torch.stack(mixed).view(shape.heads, T, E).transpose(0, 1).reshape(T, -1)


def _score(shape: ModelShape, w: Weights, name: str, head: int, query: Tensor, key: Tensor, distance: int) -> Tensor:
    E = shape.head_size
    if shape.positions == "transformer-xl":
        part = slice(head * E, head * E + E)
        away = w[f"{name}.relative.project.weight"][part] @ sinusoid(distance, shape.d_model)
        met = (query + w[f"{name}.relative.content"][part]) @ key
        return (met + (query + w[f"{name}.relative.position"][part]) @ away) / math.sqrt(E)
    score = query @ key / math.sqrt(E)
    if shape.positions == "alibi":
        return score - slope(shape.heads, head) * distance
    if shape.positions == "t5":
        bucket = max(n for n, start in enumerate(BUCKET_STARTS) if start <= distance)
        return score + w["relative.weight"][bucket, head]
    return score
