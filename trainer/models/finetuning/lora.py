"""Low-rank adapters (LoRA, Hu et al. 2021): W x + scale · B (A x), W frozen.

Matrices that a model keeps as one (query, key and value; gate and up) have an adapter each, as they have in `peft`.
First values are peft's: A Kaiming-uniform with a = sqrt(5), which is U(±1/sqrt(in)), and B zero.

Shape suffixes: R rank, I inputs, O outputs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn import functional

from corpus.errors import UsageError
from trainer.models.finetuning.config import FineTuningConfig

A, B = "lora_a", "lora_b"
_SEED = 1 << 32
"""What tells the seeds of adapters from those of weights."""


class AdaptedLinear(nn.Linear):
    """A linear layer with adapters on ranges of its outputs."""

    def __init__(self, base: nn.Linear, ranges: Mapping[str, range], rank: int, scale: float) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = base.in_features, base.out_features
        self.weight, self.bias = base.weight, base.bias
        self.ranges, self.scale = dict(ranges), scale
        device = base.weight.device
        for name, rows in ranges.items():
            self.register_parameter(f"{name}_{A}", nn.Parameter(torch.empty(rank, self.in_features, device=device)))
            self.register_parameter(f"{name}_{B}", nn.Parameter(torch.empty(len(rows), rank, device=device)))

    def forward(self, input: Tensor) -> Tensor:
        """[…, I] -> […, O]."""
        output = functional.linear(input, self.weight, self.bias)
        parts, at = [], 0
        for name, rows in self.ranges.items():
            a_RI, b_OR = getattr(self, f"{name}_{A}"), getattr(self, f"{name}_{B}")
            # the scale on the thin side of both products
            added = functional.linear(functional.linear(input, a_RI) * self.scale, b_OR)
            parts += [output[..., at : rows.start], output[..., rows.start : rows.stop] + added]
            at = rows.stop
        # not in place: activation checkpointing keeps what the product gave
        parts = [part for part in (*parts, output[..., at:]) if part.shape[-1]]
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)

    def merged(self) -> Tensor:
        """The weight with the adapters in it: [O, I]."""
        return merge(
            self.weight, self.ranges, {name: getattr(self, name) for name, _ in self.named_parameters()}, self.scale
        )


def merge(weight_OI: Tensor, ranges: Mapping[str, range], tensors: Mapping[str, Tensor], scale: float) -> Tensor:
    """A weight with the products of its adapters, which `tensors` has by their names in the layer."""
    merged_OI = weight_OI.detach().clone()
    for name, rows in ranges.items():
        product = tensors[f"{name}_{B}"].detach().double() @ tensors[f"{name}_{A}"].detach().double()
        part = merged_OI[rows.start : rows.stop]
        part.copy_(part.double() + scale * product)
    return merged_OI


def layers_of(model: nn.Module, config: FineTuningConfig) -> dict[str, dict[str, range]]:
    """The linear layers of a model that get adapters, by name, with the outputs of each target. A UsageError where it has
    none of a target."""
    found: dict[str, dict[str, range]] = {}
    seen: set[str] = set()
    for name, module in model.named_modules():
        kind, _, layer = name.rpartition(".")
        if not isinstance(module, nn.Linear) or layer not in ("project", "output"):
            continue
        attends = kind.endswith("attention")
        if layer == "output":
            parts = {"output" if attends else "down": module.out_features}
        else:
            widths = tuple(getattr(model.get_submodule(kind), "widths", (module.out_features,)))
            names = ("query", "key", "value") if attends else ("gate", "up") if len(widths) == 2 else ("up",)
            parts = dict(zip(names, widths, strict=True))
        ends = list(accumulate(parts.values()))
        ranges = {part: range(end - size, end) for (part, size), end in zip(parts.items(), ends, strict=True)}
        chosen = {part: rows for part, rows in ranges.items() if part in config.chosen}
        seen |= chosen.keys()
        if chosen:
            found[name] = chosen
    missing = [part for part in config.chosen if part not in seen and "all" not in config.targets]
    if missing:
        raise UsageError(f"finetuning.targets names {missing[0]}, which this model has not: leave it out.")
    return found


def add_adapters(model: nn.Module, config: FineTuningConfig) -> None:
    """Freeze a model and give it adapters, without values yet."""
    model.requires_grad_(False)
    for name, ranges in layers_of(model, config).items():
        parent, _, child = name.rpartition(".")
        base = model.get_submodule(name)
        assert isinstance(base, nn.Linear)
        setattr(model.get_submodule(parent), child, AdaptedLinear(base, ranges, config.rank, config.scale))


def is_adapter(name: str) -> bool:
    """Whether a parameter of that name is part of an adapter."""
    return name.endswith((A, B))


def adapter_weights(model: nn.Module, seed: int) -> Iterator[tuple[nn.Parameter, Tensor]]:
    """Each parameter of the adapters and its first value, whole and on the CPU."""
    generator = torch.Generator().manual_seed(seed + _SEED)
    for name, parameter in model.named_parameters():
        if name.endswith(A):
            bound = 1 / math.sqrt(parameter.shape[1])
            whole = torch.empty(parameter.shape, device="cpu").uniform_(-bound, bound, generator=generator)
            yield parameter, whole
        elif name.endswith(B):
            yield parameter, torch.zeros(parameter.shape, device="cpu")


def merged_tensors(
    model: nn.Module, config: FineTuningConfig, base: Mapping[str, Tensor], adapters: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The weights of a model without adapters that computes what `base` and `adapters` compute together. `model` is one
    without adapters; of it only the names are taken."""
    merged = dict(base)
    for name, ranges in layers_of(model, config).items():
        own = {key.removeprefix(f"{name}."): value for key, value in adapters.items() if key.startswith(f"{name}.")}
        merged[f"{name}.weight"] = merge(base[f"{name}.weight"], ranges, own, config.scale)
    return merged
