"""The shape of a decoder-only language model: everything that decides its parameters and its function.

What a setting must fulfil beyond its type, and how many parameters come of it, the modules that use it know
(`LanguageModel.check` and `.count`): nothing here needs torch, so that shapes can be listed without it.
"""

from __future__ import annotations

from dataclasses import dataclass

from corpus.config import check_options
from corpus.option import option, option_required

VOCABULARY_MULTIPLE = 64
"""Vocabularies of models that adapt to their data are rounded up to this, which matrix kernels like."""


@dataclass(frozen=True)
class ModelShape:
    """A decoder-only transformer. The width of attention is `heads * head_size` and need not be `d_model`."""

    layers: int = option_required("number of transformer blocks", least=1)
    d_model: int = option_required("width of the residual stream", least=1)
    heads: int = option_required("query heads", least=1)
    n_kv_heads: int = option_required("key and value heads: equal to heads, or 1 for multi-query attention", least=1)
    head_size: int = option_required("size of one head, free of d_model / heads", least=1)
    feed_forward: int = option_required("inner size of the SwiGLU layer", least=1)
    vocabulary: int = option_required("rows of the embedding; at least the tokenizer's vocabulary", least=1)
    sequence_length: int = option_required("longest input, in tokens", least=1)
    block: str = option("pre-norm", "how attention and MLP are joined", choices=("pre-norm", "parallel"))
    norm: str = option("rms", "RMSNorm, or LayerNorm without bias", choices=("rms", "layer"))
    norm_epsilon: float = option(1e-6, "added to the variance in a norm")
    tied: bool = option(False, "share the input embedding with the output layer")
    scaled_logits: bool = option(False, "multiply the logits by 1/sqrt(d_model) (PaLM)")
    rope_base: float = option(10000.0, "base of the rotary position frequencies")
    initialisation: str = option("gpt", "law of the first weights", choices=("gpt", "palm"))

    def __post_init__(self) -> None:
        check_options(self, "model.")

    @property
    def query_width(self) -> int:
        """Width of all query heads together."""
        return self.heads * self.head_size

    @property
    def key_width(self) -> int:
        """Width of all key heads together (also of the values)."""
        return self.n_kv_heads * self.head_size

    @property
    def logit_scale(self) -> float:
        """Factor of the logits: 1, or 1/sqrt(d_model) (PaLM section 2)."""
        return float(self.d_model**-0.5) if self.scaled_logits else 1.0


def round_up(number: int, multiple: int = VOCABULARY_MULTIPLE) -> int:
    """The smallest multiple of `multiple` that is at least `number`."""
    return -(-number // multiple) * multiple
