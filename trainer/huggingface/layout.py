"""What a class of transformers is to us: its `config.json` for a shape and back, and its tensors for our parameters and back.

All that happens to a tensor on the way is a permutation of its numbers (of nanochat's also a change of signs), so that
there and back gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from corpus.errors import DataError
from trainer.huggingface.kinds import checked_kinds
from trainer.models.shape import ModelShape

Config = Mapping[str, Any]
_Split = Callable[[Tensor, ModelShape], Sequence[Tensor]]
_Join = Callable[[Sequence[Tensor], ModelShape], Tensor]


class Arrangement(NamedTuple):
    """How one of our tensors is taken apart into theirs, and put together again."""

    split: _Split
    join: _Join


@dataclass(frozen=True)
class Part:
    """One of our parameters and the tensors that hold it."""

    ours: str
    theirs: tuple[str, ...]
    arrangement: Arrangement


@dataclass(frozen=True)
class Layout:
    """A class of transformers.

    `to_config` gives what `config.json` says of a shape, tokens aside; `to_shape` the shape of a complete one; `parts` the
    tensors of a shape. `required` are settings that change the function and have no counterpart here: they must be absent or
    have these values. Tensors whose names end in one of `ignored` hold nothing that is learned.
    """

    architecture: str
    model_type: str
    to_config: Callable[[ModelShape], dict[str, Any]]
    to_shape: Callable[[Config], ModelShape]
    parts: Callable[[ModelShape], Iterator[Part]]
    required: Mapping[str, Any] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    prefix: str = ""
    """What older files leave out before the names of all tensors but the head's."""
    head: str = "lm_head.weight"
    """The output layer's name; tied, a file may hold it too."""
    other_head: str = ""
    """Another name that it has in some files."""

    def computes(self, shape: ModelShape) -> bool:
        """Whether the class computes what a model of this shape does."""
        return not self.lost(shape)

    def lost(self, shape: ModelShape) -> list[str]:
        """The fields of the shape that the class cannot have."""
        wanted = what_is_computed(shape)
        try:
            back = what_is_computed(self.to_shape(self.to_config(shape)))
        except DataError:
            return ["heads"]
        return [entry.name for entry in fields(ModelShape) if getattr(wanted, entry.name) != getattr(back, entry.name)]

    def read_shape(self, config: Config, where: str) -> ModelShape:
        """The shape of a `config.json`; a DataError where it says what our models do not compute."""
        for key, value in self.required.items():
            if config.get(key, value) != value:
                raise DataError(
                    f"{where} has {key}: {config[key]}, which the trainer does not compute (only {key}: {value})."
                )
        try:
            return self.to_shape(checked_kinds(config, where))
        except KeyError as error:
            raise DataError(f"{where} does not say {error.args[0]}: give the config.json of the model.") from None


def what_is_computed(shape: ModelShape) -> ModelShape:
    """The shape with the fields that do not matter for its function at their defaults."""
    default: dict[str, Any] = {entry.name: entry.default for entry in fields(ModelShape)}
    idle = ["initialisation", "initial_deviation"]
    if shape.positions != "rope":
        idle += [name for name in default if name.startswith("rope_")]
    elif shape.rope_scaling != "llama3":
        idle += ["rope_original_length", "rope_low_factor", "rope_high_factor"]
        idle += ["rope_factor"] * (shape.rope_scaling == "none")
    if shape.positions != "learned":
        idle.append("position_offset")
    if shape.embedding_size == shape.d_model:
        idle.append("embedding_size")
    return replace(shape, **{name: default[name] for name in idle})


def to_theirs(layout: Layout, shape: ModelShape, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our weights (or their gradients) by transformers' names; views of ours where nothing is rearranged."""
    tensors: dict[str, Tensor] = {}
    for part in layout.parts(shape):
        tensors |= zip(part.theirs, part.arrangement.split(weights[part.ours], shape), strict=True)
    return tensors


def split_rows(tensor: Tensor, shape: ModelShape) -> Sequence[Tensor]:
    """Queries, keys and values of a fused matrix or vector: views of it."""
    query, key = shape.query_width, shape.query_width + shape.key_width
    return tensor[:query], tensor[query:key], tensor[key:]


def stack_rows(tensors: Sequence[Tensor], shape: ModelShape) -> Tensor:
    """The fused one again."""
    return torch.cat(list(tensors))


def _whole(tensor: Tensor, shape: ModelShape) -> Sequence[Tensor]:
    return (tensor,)


def _only(tensors: Sequence[Tensor], shape: ModelShape) -> Tensor:
    return tensors[0]


def _halves(tensor: Tensor, shape: ModelShape) -> Sequence[Tensor]:
    return tensor[: shape.feed_forward], tensor[shape.feed_forward :]


def _turned(tensor: Tensor, shape: ModelShape) -> Sequence[Tensor]:
    return (tensor.T.contiguous() if tensor.dim() > 1 else tensor,)


def _grouped(tensor: Tensor, shape: ModelShape) -> Sequence[Tensor]:
    query, key, value = split_rows(tensor, shape)
    rest = tensor.shape[1:]
    groups = [part.reshape(shape.n_kv_heads, -1, *rest) for part in (query, key, value)]
    return (torch.cat(groups, dim=1).reshape(tensor.shape),)


def _ungrouped(tensors: Sequence[Tensor], shape: ModelShape) -> Tensor:
    tensor = tensors[0]
    rest = tensor.shape[1:]
    group = shape.query_width // shape.n_kv_heads
    groups = tensor.reshape(shape.n_kv_heads, -1, *rest)
    parts = groups[:, :group], groups[:, group : -shape.head_size], groups[:, -shape.head_size :]
    return torch.cat([part.reshape(-1, *rest) for part in parts])


WHOLE = Arrangement(_whole, _only)
"""As it is."""
TURNED = Arrangement(_turned, lambda tensors, shape: _turned(tensors[0], shape)[0])
"""A matrix with inputs first (GPT-2's Conv1D)."""
QUERY_KEY_VALUE = Arrangement(split_rows, stack_rows)
"""Query, key and value apart."""
GATE_UP = Arrangement(_halves, stack_rows)
"""Gate and up projection apart."""
GROUPED = Arrangement(_grouped, _ungrouped)
"""One matrix, in which each key head has its query heads, its key and its value one after the other."""


def linear(
    ours: str, theirs: str | Sequence[str], shape: ModelShape, arrangement: Arrangement = WHOLE
) -> Iterator[Part]:
    """The weight of a linear layer, and its bias where the shape has biases."""
    names = (theirs,) if isinstance(theirs, str) else theirs
    for kind in ("weight", "bias") if shape.bias else ("weight",):
        yield Part(f"{ours}.{kind}", tuple(f"{name}.{kind}" for name in names), arrangement)


def norm(ours: str, theirs: str, shape: ModelShape) -> Iterator[Part]:
    """The scale and the bias of a norm, as far as it has them."""
    if not shape.norm.endswith("unscaled"):
        yield Part(f"{ours}.scale", (f"{theirs}.weight",), WHOLE)
    if shape.norm.endswith("bias"):
        yield Part(f"{ours}.bias", (f"{theirs}.bias",), WHOLE)


def head(shape: ModelShape, theirs: str = "lm_head.weight") -> Iterator[Part]:
    """The output layer where it is one of its own."""
    if not shape.tied:
        yield Part("head", (theirs,), WHOLE)


def whole(ours: str, theirs: str) -> Part:
    """A tensor that is the same there."""
    return Part(ours, (theirs,), WHOLE)


ACTIVATIONS = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_new": "gelu-tanh",
    "gelu_pytorch_tanh": "gelu-tanh",
    "gelu_fast": "gelu-tanh",
    "relu": "relu",
    "relu2": "relu-squared",
}
"""Our names of transformers' functions."""
FUNCTIONS = {
    "silu": "silu",
    "gelu": "gelu",
    "gelu-tanh": "gelu_pytorch_tanh",
    "relu": "relu",
    "relu-squared": "relu2",
}
"""Transformers' names of ours."""


def activation(name: str) -> str:
    """Our name of a function that a `config.json` names; a DataError where there is none."""
    if name not in ACTIVATIONS:
        raise DataError(f"config.json names the activation {name}, and the trainer has {', '.join(ACTIVATIONS)}.")
    return ACTIVATIONS[name]
