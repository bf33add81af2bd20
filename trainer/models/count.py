"""Numbers of parameters and operations of a shape, by arithmetic alone: nothing here needs torch, whose import is most of a
short command. The tests compare them with the modules' own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trainer.models.shape import ModelShape

T5_BUCKETS = 32
"""Buckets of distances (T5)."""
NORMS_OF_BLOCK: Mapping[str, int] = {
    "pre-norm": 2,
    "post-norm": 2,
    "deep-norm": 2,
    "sandwich": 4,
    "glm": 2,
    "parallel": 1,
    "parallel-two-norms": 2,
}
ENDS_NORMED = ("post-norm", "deep-norm")
"""Blocks whose output is normed already, so that no norm follows the last of them."""


@dataclass(frozen=True)
class Count:
    """Parameters of a module: `matrix` those that a token is multiplied by, `other` norms and an embedding that is
    only looked up."""

    matrix: int = 0
    other: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.matrix + self.other

    def __add__(self, more: Count) -> Count:
        return Count(self.matrix + more.matrix, self.other + more.other)

    def __rmul__(self, times: int) -> Count:
        return Count(times * self.matrix, times * self.other)


def count_model(shape: ModelShape) -> Count:
    """The parameters of a model of this shape."""
    embedding = shape.vocabulary * shape.embedding_width
    # the output layer multiplies, by the embedding itself where they are tied
    count = Count(matrix=embedding, other=0 if shape.tied else embedding)
    count += shape.layers * _count_block(shape)
    if shape.block not in ENDS_NORMED:
        count += _count_norm(shape)
    if shape.embedding_width != shape.d_model:
        count += Count(2 * shape.embedding_width * shape.d_model)
    if shape.positions == "learned":
        count += Count(other=(shape.position_offset + shape.sequence_length) * shape.d_model)
    if shape.positions == "t5":
        count += Count(other=T5_BUCKETS * shape.heads)
    return count + _count_norm(shape) if shape.embedding_norm else count


def flops_per_token(shape: ModelShape, length: int) -> int:
    """Floating point operations of one training token, forward and backward, at sequences of `length` tokens:
    6·N + 12·layers·heads·head_size·length (PaLM appendix B, which counts attention as if all positions were seen), N the
    matrix parameters."""
    return 6 * count_model(shape).matrix + 12 * shape.layers * shape.query_width * length


def _count_block(shape: ModelShape) -> Count:
    factors = Count(other=2 if shape.rezero else 0)
    norms = NORMS_OF_BLOCK[shape.block] * _count_norm(shape)
    return _count_attention(shape) + _count_mlp(shape) + norms + factors


def _count_attention(shape: ModelShape) -> Count:
    count = Count(2 * shape.d_model * (shape.query_width + shape.key_width))
    if shape.bias:
        count += Count(other=shape.query_width + 2 * shape.key_width + shape.d_model)
    if shape.positions == "transformer-xl":
        count += Count(shape.d_model * shape.query_width, 2 * shape.query_width)
    return count


def _count_mlp(shape: ModelShape) -> Count:
    matrices = 3 if shape.gated else 2
    biases = (matrices - 1) * shape.feed_forward + shape.d_model if shape.bias else 0
    return Count(matrices * shape.d_model * shape.feed_forward, biases)


def _count_norm(shape: ModelShape) -> Count:
    vectors = {"unscaled": 0, "bias": 2}.get(shape.norm.partition("-")[2], 1)
    return Count(other=vectors * shape.d_model)
