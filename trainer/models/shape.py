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

BLOCKS = ("pre-norm", "post-norm", "sandwich", "deep-norm", "glm", "parallel", "parallel-two-norms")
NORMS = ("rms", "rms-unscaled", "layer", "layer-bias", "layer-unscaled")
ACTIVATIONS = ("silu", "gelu", "gelu-tanh", "relu", "relu-squared")
POSITIONS = ("rope", "learned", "alibi", "t5", "transformer-xl", "none")
ROPE_SCALINGS = ("none", "linear", "llama3")
INITIALISATIONS = ("gpt", "palm", "small", "deep-norm", "glm")


@dataclass(frozen=True)
class ModelShape:
    """A decoder-only transformer. The width of attention is `heads * head_size` and need not be `d_model`."""

    layers: int = option_required("number of transformer blocks", least=1)
    d_model: int = option_required("width of the residual stream", least=1)
    heads: int = option_required("query heads", least=1)
    n_kv_heads: int = option_required("key and value heads: a divisor of heads; 1 is multi-query attention", least=1)
    head_size: int = option_required("size of one head, free of d_model / heads", least=1)
    feed_forward: int = option_required("inner size of the MLP", least=1)
    vocabulary: int = option_required("rows of the embedding; at least the tokenizer's vocabulary", least=1)
    sequence_length: int = option_required("longest input, in tokens", least=1)
    block: str = option("pre-norm", "where the norms are, and how attention and MLP are joined", choices=BLOCKS)
    norm: str = option("rms", "RMSNorm or LayerNorm, with a scale, a bias too, or neither", choices=NORMS)
    norm_epsilon: float = option(1e-6, "added to the variance in a norm")
    activation: str = option("silu", "the MLP's function", choices=ACTIVATIONS)
    gated: bool = option(True, "the MLP multiplies an activated projection by a second one (SwiGLU, GEGLU)")
    bias: bool = option(False, "biases in the linear layers of the blocks")
    tied: bool = option(False, "share the input embedding with the output layer")
    embedding_size: int = option(0, "width of the embedding, projected to d_model (OPT-350M); 0: d_model", least=0)
    embedding_norm: bool = option(False, "a norm after the embedding (BLOOM)")
    scaled_logits: bool = option(False, "multiply the logits by 1/sqrt(d_model) (PaLM)")
    logit_cap: float = option(0.0, "largest logit c, by c·tanh(logit/c); 0: none", least=0)
    positions: str = option("rope", "how positions are known", choices=POSITIONS)
    position_offset: int = option(0, "learned: rows of the table before the first position's (OPT: 2)", least=0)
    rope_base: float = option(10000.0, "base of the rotary position frequencies")
    rope_share: float = option(1.0, "part of each head that is rotated, from its start (NeoX: 0.25)", above=0, most=1)
    rope_scaling: str = option("none", "how rotary frequencies are made lower for longer texts", choices=ROPE_SCALINGS)
    rope_factor: float = option(1.0, "linear, llama3: what frequencies are divided by", least=1)
    rope_original_length: int = option(8192, "llama3: sequence length before the scaling", least=1)
    rope_low_factor: float = option(1.0, "llama3: waves longer than original length / this are divided", above=0)
    rope_high_factor: float = option(4.0, "llama3: waves shorter than original length / this stay", above=0)
    qk_norm: bool = option(False, "divide each head's queries and keys by their RMS")
    rezero: bool = option(False, "a learned factor, at first 0, of what attention and MLP add (ReZero)")
    initialisation: str = option("gpt", "law of the first weights", choices=INITIALISATIONS)
    initial_deviation: float = option(0.02, "gpt: standard deviation of the first weights", above=0)

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
    def embedding_width(self) -> int:
        """Width of the rows of the embedding."""
        return self.embedding_size or self.d_model

    @property
    def rotary_size(self) -> int:
        """Features of a head that are rotated."""
        return int(self.head_size * self.rope_share)

    @property
    def logit_scale(self) -> float:
        """Factor of the logits: 1, or 1/sqrt(d_model) (PaLM section 2)."""
        return float(self.d_model**-0.5) if self.scaled_logits else 1.0


def round_up(number: int, multiple: int = VOCABULARY_MULTIPLE) -> int:
    """The smallest multiple of `multiple` that is at least `number`."""
    return -(-number // multiple) * multiple
