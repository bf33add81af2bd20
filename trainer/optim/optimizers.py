"""AdamW as LLaMA uses it, and PaLM's Adafactor without factorization."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from trainer.distributed.shards import local, rows_here, summed_over_shards
from trainer.optim.config import OptimizerConfig

MOMENTS = ("exp_avg", "exp_avg_sq")
"""What either optimizer keeps of each number of a parameter."""


class PalmAdafactor(torch.optim.Optimizer):
    """Adafactor without factorization: Adam whose rate is scaled by the RMS of each matrix (PaLM section 5).

    With step k from 1, rate α_k, and for each matrix p with gradient g:
      β2 = 1 - k^-0.8 (so that v needs no bias correction);  v ← β2·v + (1 - β2)·g²
      u = α_k · max(RMS(p), 1e-3) · g / sqrt(v);  m ← β1·m + (1 - β1)·u;  p ← p - m - α_k²·p
    The momentum averages updates, as Adafactor's does (Shazeer & Stern 2018, section 6); norm scales do not decay.
    """

    FLOOR = 1e-3
    """Least scale of a parameter, so that one of zeros can move (Adafactor's ε2)."""
    TINY = 1e-30
    """Added to g² (Adafactor's ε1)."""

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        lr: float,
        beta1: float,
        sizes: Mapping[nn.Parameter, tuple[int, ...]] | None = None,
    ) -> None:
        """`sizes` lists, for a parameter that holds several matrices, their numbers of rows."""
        super().__init__(list(parameters), {"lr": lr, "beta1": beta1})
        self.sizes = dict(sizes or {})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # we have no closures
        """One update from the gradients in `.grad`."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group["lr"], group["beta1"])

    def _update(self, parameter: nn.Parameter, lr: float, beta1: float) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        gradient = parameter.grad
        assert gradient is not None
        state["step"] += 1
        beta2 = 1.0 - float(state["step"]) ** -0.8
        decay = 1.0 - lr * lr if parameter.dim() > 1 else 1.0
        if parameter.is_cuda and not isinstance(parameter, DTensor):
            # filled there: a number that is copied to a GPU waits for it
            numbers = [torch.full((), number, device=parameter.device) for number in (beta2, lr, beta1, decay)]
            sizes = self.sizes.get(parameter, (parameter.shape[0],))
            _fused_update()(parameter, gradient, state["exp_avg"], state["exp_avg_sq"], *numbers, sizes)
            return
        second: Tensor = state["exp_avg_sq"]
        second.mul_(beta2).add_(gradient.square().add_(self.TINY), alpha=1.0 - beta2)
        update = gradient / second.sqrt()
        for rows, scale in self._scales(parameter):
            local(update)[rows].mul_(scale.clamp_(min=self.FLOOR).mul_(lr))
        first: Tensor = state["exp_avg"]
        first.mul_(beta1).add_(update, alpha=1.0 - beta1)
        if parameter.dim() > 1:
            parameter.mul_(decay)
        parameter.sub_(first)

    def _scales(self, parameter: nn.Parameter) -> list[tuple[slice, Tensor]]:
        """For each matrix of a parameter the rows of this rank's part that are its, and the RMS of the whole matrix."""
        parts = self.sizes.get(parameter, (parameter.shape[0],))
        here, mine = rows_here(parameter), local(parameter)
        bounds = [0, *accumulate(parts)]
        pieces = [
            slice(*(min(max(bound - here.start, 0), len(here)) for bound in (begin, end)))
            for begin, end in pairwise(bounds)
        ]
        if mine is parameter:
            return [(rows, mine[rows].square().mean().sqrt()) for rows in pieces]
        sums = summed_over_shards(parameter, torch.stack([mine[rows].square().sum() for rows in pieces]))
        columns = parameter.numel() // parameter.shape[0]
        return [
            (rows, (total / (size * columns)).sqrt()) for rows, total, size in zip(pieces, sums, parts, strict=True)
        ]


def _palm_update(
    parameter: Tensor,
    gradient: Tensor,
    first: Tensor,
    second: Tensor,
    beta2: Tensor,
    lr: Tensor,
    beta1: Tensor,
    decay: Tensor,
    sizes: tuple[int, ...],
) -> None:
    """`PalmAdafactor`'s update of one whole parameter in terms that a compiler fuses; the numbers are tensors, so that one
    program does for all steps."""
    second.copy_(beta2 * second + (1.0 - beta2) * (gradient.square() + PalmAdafactor.TINY))
    update = gradient / second.sqrt()
    scales = [
        part.square().mean().sqrt().clamp(min=PalmAdafactor.FLOOR) for part in torch.split(parameter, list(sizes))
    ]
    scaled = [part * (scale * lr) for part, scale in zip(torch.split(update, list(sizes)), scales, strict=True)]
    first.copy_(beta1 * first + (1.0 - beta1) * torch.cat(scaled))
    parameter.copy_(parameter * decay - first)


@cache
def _fused_update() -> Callable[..., None]:
    return torch.compile(_palm_update)


def build_optimizer(
    config: OptimizerConfig, named: Mapping[str, nn.Parameter], sizes: Mapping[str, tuple[int, ...]]
) -> torch.optim.Optimizer:
    """The optimizer that `config` names, over named parameters; `sizes` as for `PalmAdafactor`, by name."""
    if config.name == "palm-adafactor":
        by_parameter = {named[name]: rows for name, rows in sizes.items() if name in named}
        return PalmAdafactor(list(named.values()), config.lr, config.beta1, by_parameter)
    groups = [
        {"params": [p for p in named.values() if p.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in named.values() if p.dim() == 1], "weight_decay": 0.0},
    ]
    betas = (config.beta1, config.beta2)
    groups = [group for group in groups if group["params"]]  # a model may have no vectors
    return torch.optim.AdamW(groups, lr=config.lr, betas=betas, eps=config.epsilon, fused=True)


def set_hyperparameters(optimizer: torch.optim.Optimizer, config: OptimizerConfig) -> None:
    """Give an optimizer, made for `config.name`, the other numbers of `config`; its rate is set at each step."""
    for group in optimizer.param_groups:
        if config.name == "palm-adafactor":
            group["beta1"] = config.beta1
            continue
        group["betas"], group["eps"] = (config.beta1, config.beta2), config.epsilon
        if group["params"][0].dim() > 1:
            group["weight_decay"] = config.weight_decay


def clip_gradients(parameters: Iterable[nn.Parameter], largest: float) -> Tensor:
    """Scale the gradients so that their global norm is at most `largest` (0: as it is); gives the norm before, a number on
    the gradients' device, so that nobody waits for it here."""
    norm = torch.nn.utils.clip_grad_norm_(parameters, largest or math.inf)
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def set_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def optimizer_tensors(optimizer: torch.optim.Optimizer, named: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """The optimizer's state as named tensors (`<parameter>/<moment>`), in a fixed order."""
    return {
        f"{name}/{key}": value
        for name, parameter in named.items()
        for key, value in sorted(optimizer.state[parameter].items())
    }


def load_optimizer(
    optimizer: torch.optim.Optimizer, named: Mapping[str, nn.Parameter], tensors: Mapping[str, Tensor]
) -> None:
    """Put back what `optimizer_tensors` gave, and nothing else, also on another device or another number of ranks.

    Counts of steps stay where the optimizer keeps them: AdamW's next to its moments, for the fused kernel.
    """
    adam = isinstance(optimizer, torch.optim.AdamW)
    optimizer.state.clear()
    for key, value in tensors.items():
        name, _, moment = key.rpartition("/")
        parameter = named[name]
        if moment == "step":
            optimizer.state[parameter][moment] = value.to(parameter.device if adam else "cpu", copy=True)
        elif isinstance(value, DTensor):
            optimizer.state[parameter][moment] = value
        else:
            fresh = torch.zeros_like(parameter)
            rows = rows_here(parameter)
            local(fresh).copy_(value[rows.start : rows.stop])
            optimizer.state[parameter][moment] = fresh
