"""The language model: embedding, blocks, last norm, output layer.

Shape suffixes: B sequences, T positions, D width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.models.activation_checkpointing import MODES
from trainer.models.attention import (
    Attention,
    LayerCache,
    Mask,
    keep_out_of_blocks,
    positions_in_documents,
    with_scores,
)
from trainer.models.block import Block, block_class
from trainer.models.count import ENDS_NORMED, count_model, flops_per_token
from trainer.models.dropout import Dropout
from trainer.models.finetuning.soft_prompt import NAME as SOFT_PROMPT
from trainer.models.finetuning.soft_prompt import prompted, with_prompt
from trainer.models.loss import capped
from trainer.models.memory import make_room_for_gradient
from trainer.models.norm import build_norm, check_norm
from trainer.models.positions.learned import LearnedPositions
from trainer.models.positions.rope import check_rotary
from trainer.models.positions.t5 import RelativeScores
from trainer.models.positions.table import at_distances, position_table
from trainer.models.shape import ModelShape


@dataclass
class Cache:
    """What generation keeps of the positions it has seen: `length` of at most `capacity`."""

    layers: list[LayerCache]
    capacity: int
    length: int = 0


class LanguageModel(nn.Module):
    """A decoder-only transformer of a given shape. Weights are float32; `initialisation` has their first values."""

    table: Tensor
    soft_prompt: nn.Parameter | None

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.check(shape)
        self.shape = shape
        self.embedding = nn.Parameter(torch.empty(shape.vocabulary, shape.embedding_width))
        self.blocks = nn.ModuleList([block_class(shape)(shape) for _ in range(shape.layers)])
        self.norm = nn.Identity() if shape.block in ENDS_NORMED else build_norm(shape)
        self.head = None if shape.tied else nn.Parameter(torch.empty(shape.vocabulary, shape.embedding_width))
        self.positions = LearnedPositions(shape) if shape.positions == "learned" else None
        self.relative = RelativeScores(shape) if shape.positions == "t5" else None
        self.embedding_norm = build_norm(shape) if shape.embedding_norm else None
        narrow = shape.embedding_width != shape.d_model
        self.widen = nn.Linear(shape.embedding_width, shape.d_model, bias=False) if narrow else None
        self.narrow = nn.Linear(shape.d_model, shape.embedding_width, bias=False) if narrow else None
        self.register_parameter(SOFT_PROMPT, None)
        self.register_buffer("table", position_table(shape), persistent=False)

    @staticmethod
    def check(shape: ModelShape) -> None:
        """A UsageError where the settings of a module do not go together."""
        Attention.check(shape)
        if shape.positions == "rope":
            check_rotary(shape)
        check_norm(shape)

    count = staticmethod(count_model)
    flops_per_token = staticmethod(flops_per_token)

    def materialise(self, device: torch.device) -> None:
        """Give a model that was made on the meta device its memory, of sharded weights only this rank's part. The
        weights have no values yet."""
        self.to_empty(device=device)
        with torch.device("cpu"):
            self.table.copy_(position_table(self.shape))

    @property
    def output_VD(self) -> Tensor:
        """The output layer's matrix: [V, D], the embedding itself where they are tied."""
        return self.embedding if self.head is None else self.head

    def forward(
        self, tokens_BT: Tensor, mask: Mask = None, cache: Cache | None = None, dropout: Dropout | None = None
    ) -> Tensor:
        """The last hidden states [B, T, D], normed, before the output layer; tokens are int64 [B, T].

        The loss works on these chunk by chunk, so that the logits of a whole batch never exist at once. `mask` is that
        of `attention.document_mask`, None for the causal one; `dropout` is for training alone.
        """
        start = 0 if cache is None else cache.length
        x_BTD = self._embed(tokens_BT, start, mask)
        length = x_BTD.shape[1]
        prompt = length - tokens_BT.shape[1]
        if prompt:
            mask = prompted(mask, prompt)
        if dropout is not None:
            x_BTD = dropout.at(len(self.blocks))(x_BTD)
        table, mask = self._placed(mask, start, length)
        for index, block in enumerate(self.blocks):
            layer_cache = None if cache is None else cache.layers[index]
            x_BTD = block(x_BTD, table, mask, layer_cache, start, None if dropout is None else dropout.at(index))
        if cache is not None:
            cache.length += length
        normed: Tensor = self.norm(x_BTD[:, prompt:] if prompt else x_BTD)
        return normed if self.narrow is None else self.narrow(normed)

    def _embed(self, tokens_BT: Tensor, start: int, mask: Mask) -> Tensor:
        """What goes into the first block: [B, T, D], or with a soft prompt [B, P + T, D]. Learned positions begin anew with each
        document of a mask, which a prompt before the first does not go with."""
        x_BTD = functional.embedding(tokens_BT, self.embedding)
        make_room_for_gradient(x_BTD, self.embedding)
        if self.widen is not None:
            x_BTD = self.widen(x_BTD)
        if self.soft_prompt is not None and start == 0:
            x_BTD = with_prompt(self.soft_prompt, x_BTD)
        if self.positions is not None:
            position_BT = None if self.soft_prompt is not None else positions_in_documents(mask)
            x_BTD = x_BTD + self.positions(start, x_BTD.shape[1], position_BT)
        return x_BTD if self.embedding_norm is None else self.embedding_norm(x_BTD)

    def _placed(self, mask: Mask, start: int, length: int) -> tuple[Tensor, Mask]:
        """What the blocks get of the positions from `start` on: a table, and the mask with the scores of the distances."""
        seen = start + length
        kind = self.shape.positions
        if kind == "rope":
            return self.table[:, start:seen], mask
        if kind == "transformer-xl":
            return self.table[:seen], mask
        if kind in ("alibi", "t5"):
            scores_HL = self.table[:, :seen] if self.relative is None else self.relative(self.table[:seen])
            return self.table, with_scores(mask, at_distances(scores_HL, start, length), start)
        return self.table, mask

    def logits(self, tokens_BT: Tensor, mask: Mask = None, cache: Cache | None = None) -> Tensor:
        """Logits of the next token at every position: float32 [B, T, V]."""
        return self.head_logits(self(tokens_BT, mask, cache))

    def next_logits(self, tokens_BT: Tensor, cache: Cache) -> Tensor:
        """Logits of the token after the last: float32 [B, V]."""
        return self.head_logits(self(tokens_BT, None, cache)[:, -1])

    def head_logits(self, hidden: Tensor) -> Tensor:
        """Logits of last hidden states [..., D]: float32 [..., V]."""
        logits = functional.linear(hidden, self.output_VD).float() * self.shape.logit_scale
        return capped(logits, self.shape.logit_cap)

    def checkpoint_activations(self, mode: str) -> None:
        """Set what the blocks make again in the backward pass (see `trainer.models.activation_checkpointing`)."""
        assert mode in MODES
        for block in self.blocks:
            assert isinstance(block, Block)
            block.checkpointing = mode

    def compile_blocks(self) -> None:
        """Compile the blocks at their first use. On a CPU the bits are those of the next run only under
        `torch.use_deterministic_algorithms(True)`; they are never those of the blocks as they are."""
        keep_out_of_blocks()
        for block in self.blocks:
            block.compile()

    def new_cache(self, rows: int, capacity: int | None = None) -> Cache:
        """An empty cache for `rows` sequences of at most `capacity` positions, a soft prompt's among them; by default of the
        model's sequence length."""
        shape = self.shape
        capacity = shape.sequence_length if capacity is None else capacity
        size = (rows, shape.n_kv_heads, capacity, shape.head_size)
        new = self.embedding.new_zeros
        return Cache([LayerCache(new(size), new(size)) for _ in range(shape.layers)], capacity)


def fused_sizes(model: LanguageModel) -> dict[str, tuple[int, ...]]:
    """Rows of the matrices that are stored as one: parameter name -> their sizes. Others are not listed.

    PaLM's optimizer scales by the RMS of a matrix; query, key, value, gate and up are matrices of their own there.
    """
    sizes = {}
    for name, module in model.named_modules():
        widths = getattr(module, "widths", None)
        if widths is not None:
            sizes[f"{name}.project.weight"] = tuple(widths)
            if module.project.bias is not None:
                sizes[f"{name}.project.bias"] = tuple(widths)
    return sizes
