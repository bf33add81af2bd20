"""The shape of a decoder-only language model: everything that decides its parameters and its function."""

from __future__ import annotations

from dataclasses import dataclass

from corpus.errors import UsageError
from corpus.option import option, option_required

VOCABULARY_MULTIPLE = 64
"""Vocabularies of models that adapt to their data are rounded up to this, which matrix kernels like."""


@dataclass(frozen=True)
class ModelShape:
    """A decoder-only transformer. The width of attention is `heads * head_size` and need not be `width`."""

    layers: int = option_required("number of transformer blocks")
    width: int = option_required("size of the residual stream (d_model)")
    heads: int = option_required("query heads")
    key_heads: int = option_required("key and value heads: equal to heads, or 1 for multi-query attention")
    head_size: int = option_required("size of one head, free of width / heads")
    feed_forward: int = option_required("inner size of the SwiGLU layer")
    vocabulary: int = option_required("rows of the embedding; at least the tokenizer's vocabulary")
    sequence_length: int = option_required("longest input, in tokens")
    block: str = option("pre-norm", "how attention and MLP are joined", choices=("pre-norm", "parallel"))
    norm: str = option("rms", "RMSNorm, or LayerNorm without bias", choices=("rms", "layer"))
    norm_epsilon: float = option(1e-6, "added to the variance in a norm")
    tied: bool = option(False, "share the input embedding with the output layer")
    scaled_logits: bool = option(False, "multiply the logits by 1/sqrt(width) (PaLM)")
    rope_base: float = option(10000.0, "base of the rotary position frequencies")
    initialisation: str = option("gpt", "law of the first weights", choices=("gpt", "palm"))

    def __post_init__(self) -> None:
        sizes = ("layers", "width", "heads", "key_heads", "head_size", "feed_forward", "vocabulary", "sequence_length")
        for name in sizes:
            if getattr(self, name) < 1:
                raise UsageError(f"model.{name} is {getattr(self, name)}: give a number of at least 1.")
        if not self.norm_epsilon >= 0:
            raise UsageError(f"model.norm_epsilon is {self.norm_epsilon}: give a number of at least 0.")
        if not self.rope_base > 0:
            raise UsageError(f"model.rope_base is {self.rope_base}: give a number above 0.")
        if self.heads % self.key_heads:
            raise UsageError(
                f"model.heads ({self.heads}) is no multiple of model.key_heads ({self.key_heads}): give one that is."
            )
        if self.head_size % 2:
            raise UsageError(f"model.head_size is {self.head_size}: rotary positions need an even number.")

    @property
    def query_width(self) -> int:
        """Width of all query heads together."""
        return self.heads * self.head_size

    @property
    def key_width(self) -> int:
        """Width of all key heads together (also of the values)."""
        return self.key_heads * self.head_size

    @property
    def logit_scale(self) -> float:
        """Factor of the logits: 1, or 1/sqrt(width) (PaLM section 2)."""
        return float(self.width**-0.5) if self.scaled_logits else 1.0

    @property
    def parameters(self) -> int:
        """Number of parameters, by arithmetic; the test compares it with the modules' own."""
        attention = 2 * self.width * self.query_width + 2 * self.width * self.key_width
        norms = self.width * (2 if self.block == "pre-norm" else 1)
        block = attention + 3 * self.width * self.feed_forward + norms
        embeddings = self.vocabulary * self.width * (1 if self.tied else 2)
        return self.layers * block + embeddings + self.width

    @property
    def matrix_parameters(self) -> int:
        """Parameters that a token is multiplied by: all but the norms and an untied input embedding."""
        norms = self.layers * self.width * (2 if self.block == "pre-norm" else 1) + self.width
        return self.parameters - norms - (0 if self.tied else self.vocabulary * self.width)

    def flops_per_token(self, length: int) -> int:
        """Floating point operations of one training token, forward and backward, at rows of `length` tokens:
        6·N + 12·layers·heads·head_size·length (PaLM appendix B), N the matrix parameters."""
        return 6 * self.matrix_parameters + 12 * self.layers * self.query_width * length


def round_up(number: int, multiple: int = VOCABULARY_MULTIPLE) -> int:
    """The smallest multiple of `multiple` that is at least `number`."""
    return -(-number // multiple) * multiple
