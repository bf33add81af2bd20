"""Next-token cross-entropy and z-loss, by chunks of positions: the logits of a whole batch never exist at once.

Shape suffixes: N positions, C positions of a chunk, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

CHUNK_LOGITS = 1 << 24
"""Most logits of one chunk (64 MiB in float32). Smaller chunks make the products of the output matrix's gradient thin, and
read and write that matrix more often; larger ones are no faster."""
CHUNK_ROWS = 256
"""Positions that a chunk has at least, whatever the vocabulary: with fewer the products are too thin to be fast."""
GPU_CHUNK_LOGITS = 1 << 27
"""The same on a GPU, whose products need more positions to fill it."""
IGNORED = -100
"""The target of a position that has none (padding): it counts in no sum and has no gradient."""


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Loss and its gradient at once: with softmax p, log Z and the one-hot target y, for each position
    d/dlogits = p·(1 + 2·z·log Z) - y. The gradients are made in the forward pass, so nothing is computed twice."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_ND: Tensor,
        output_VD: Tensor,
        targets_N: Tensor,
        scale: float,
        z_weight: float,
        denominator: float,
        cap: float,
    ) -> tuple[Tensor, Tensor]:
        work = _Working(hidden_ND, output_VD, scale, cap)
        with torch.autocast(hidden_ND.device.type, enabled=False):
            grad_hidden_ND = torch.empty_like(hidden_ND)
            # an output layer that is frozen gets none
            grad_output_VD = torch.empty_like(output_VD) if ctx.needs_input_grad[1] else None
            sums_2 = torch.zeros(2, dtype=torch.float64, device=hidden_ND.device)
            for chunk in work.chunks:
                targets_C1 = targets_N[chunk, None]
                counted_C1 = targets_C1 != IGNORED
                gradient_CV, part_2 = work.gradient(work.logits(chunk), targets_C1, z_weight)
                sums_2 += part_2
                # the weights 1/denominator or 0 of the positions go on the thin side of both products
                weight_C1 = counted_C1 * (1.0 / denominator)
                grad_hidden_ND[chunk] = (gradient_CV @ work.output_VD).mul_(weight_C1 * scale)
                if grad_output_VD is not None:
                    weighted_CD = (work.hidden_ND[chunk] * weight_C1).to(work.dtype)
                    _add_product(grad_output_VD, gradient_CV.T, weighted_CD, first=chunk.start == 0)
        # not by save_for_backward: what is held by nobody else becomes `.grad` without a copy
        ctx.gradients = [grad_hidden_ND, grad_output_VD]
        ctx.mark_non_differentiable(sums_2)
        return ((sums_2[0] + z_weight * sums_2[1]) / denominator).float(), sums_2

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        gradients, ctx.gradients = ctx.gradients, None
        factor = upstream[0]
        # on a GPU reading the factor would wait for the whole forward pass
        if factor.device.type != "cpu" or float(factor) != 1.0:
            gradients = [None if gradient is None else gradient.mul_(factor) for gradient in gradients]
        return gradients.pop(0), gradients.pop(0), None, None, None, None, None


def chunk_rows(positions: int, vocabulary: int, device: str = "cpu") -> int:
    """Positions of a chunk: its logits are the largest tensor of the loss besides the gradients."""
    if device == "cpu":
        return min(positions, max(CHUNK_ROWS, CHUNK_LOGITS // vocabulary))
    # equally long, so that one compiled program does for all
    chunks = -(-positions // max(CHUNK_ROWS, GPU_CHUNK_LOGITS // vocabulary))
    return -(-positions // chunks)


class _Working:
    """Hidden states (times the logits' scale) and output matrix in the dtype of the products, and a chunk's logits."""

    def __init__(self, hidden_ND: Tensor, output_VD: Tensor, scale: float, cap: float) -> None:
        device = hidden_ND.device.type
        casting = torch.is_autocast_enabled(device)
        self.dtype = torch.get_autocast_dtype(device) if casting else hidden_ND.dtype
        hidden_ND = hidden_ND.to(self.dtype)
        self.hidden_ND = hidden_ND if scale == 1.0 else hidden_ND * scale
        self.output_VD, self.cap = output_VD.to(self.dtype), cap
        positions, vocabulary = hidden_ND.shape[0], output_VD.shape[0]
        size = chunk_rows(positions, vocabulary, device)
        self.chunks = [slice(start, min(start + size, positions)) for start in range(0, positions, size)]
        self._logits_CV = torch.empty((size, vocabulary), dtype=self.dtype, device=hidden_ND.device)

    def logits(self, chunk: slice) -> Tensor:
        """The logits of a chunk, [C, V] in the dtype of the products, in memory that the next chunk uses again."""
        logits_CV = self._logits_CV[: chunk.stop - chunk.start]
        return torch.mm(self.hidden_ND[chunk], self.output_VD.T, out=logits_CV)

    def gradient(self, logits_CV: Tensor, targets_C1: Tensor, z_weight: float) -> tuple[Tensor, Tensor]:
        """`_gradient` of a chunk; a GPU, to which its passes over the logits are dear, makes them in one or two."""
        whole = _fused_gradient() if logits_CV.is_cuda else _gradient
        return whole(logits_CV, targets_C1, z_weight, self.cap)


def capped(logits: Tensor, cap: float) -> Tensor:
    """cap · tanh(logits / cap), in the memory of the logits where they need no gradient; at 0 the logits (Gemma 2)."""
    if not cap:
        return logits
    return torch.tanh(logits / cap) * cap if logits.requires_grad else logits.div_(cap).tanh_().mul_(cap)


def _gradient(logits_CV: Tensor, targets_C1: Tensor, z_weight: float, cap: float) -> tuple[Tensor, Tensor]:
    """d/dlogits of each counted position's loss, [C, V] in the dtype of the logits, and the sums over these of the
    cross-entropy and of log²Z, float64 [2]."""
    counted_C1 = targets_C1 != IGNORED
    wide_CV = capped(logits_CV.float(), cap)
    slope_CV = 1.0 - (wide_CV / cap).square_() if cap else None
    target_logits_C1, log_z_C1, softmax_CV = _softmax(wide_CV, targets_C1)
    entropy = ((log_z_C1 - target_logits_C1) * counted_C1).sum(dtype=torch.float64)
    sums_2 = torch.stack((entropy, (log_z_C1 * counted_C1).square().sum(dtype=torch.float64)))
    gradient_CV = softmax_CV.mul_(1.0 + 2.0 * z_weight * log_z_C1) if z_weight else softmax_CV
    gradient_CV.scatter_add_(1, targets_C1.clamp(min=0), torch.full_like(log_z_C1, -1.0))
    if slope_CV is not None:
        gradient_CV.mul_(slope_CV)
    return gradient_CV.to(logits_CV.dtype), sums_2


def _formula(logits_CV: Tensor, targets_C1: Tensor, z_weight: float, cap: float) -> tuple[Tensor, Tensor]:
    """`_gradient` in terms that a compiler fuses: nothing is changed in place, nothing is scattered."""
    counted_C1 = targets_C1 != IGNORED
    wide_CV = logits_CV.float()
    if cap:
        wide_CV = torch.tanh(wide_CV / cap) * cap
    largest_C1 = wide_CV.amax(1, keepdim=True)
    log_z_C1 = largest_C1 + (wide_CV - largest_C1).exp().sum(1, keepdim=True).log()
    hit_CV = torch.arange(wide_CV.shape[1], device=wide_CV.device)[None, :] == targets_C1
    target_logits_C1 = wide_CV.gather(1, targets_C1.clamp(min=0))
    entropy = ((log_z_C1 - target_logits_C1) * counted_C1).sum(dtype=torch.float64)
    sums_2 = torch.stack((entropy, (log_z_C1 * counted_C1).square().sum(dtype=torch.float64)))
    gradient_CV = (wide_CV - log_z_C1).exp() * (1.0 + 2.0 * z_weight * log_z_C1) - hit_CV.float()
    if cap:
        gradient_CV = gradient_CV * (1.0 - (wide_CV / cap).square())
    return gradient_CV.to(logits_CV.dtype), sums_2


@cache
def _fused_gradient() -> Callable[[Tensor, Tensor, float, float], tuple[Tensor, Tensor]]:
    return torch.compile(_formula)


def _softmax(logits_CV: Tensor, targets_C1: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The target's logit, log Z (both [C, 1]) and the softmax [C, V], in the memory of the logits."""
    target_logits_C1 = logits_CV.gather(1, targets_C1.clamp(min=0))
    largest_C1 = logits_CV.amax(1, keepdim=True)
    exponential_CV = logits_CV.sub_(largest_C1).exp_()
    total_C1 = exponential_CV.sum(1, keepdim=True)
    return target_logits_C1, largest_C1 + total_C1.log(), exponential_CV.mul_(total_C1.reciprocal())


def _add_product(sum_VD: Tensor, left_VC: Tensor, right_CD: Tensor, first: bool) -> None:
    """sum += left @ right, or the product alone for the `first`."""
    if sum_VD.dtype == left_VC.dtype:
        sum_VD.addmm_(left_VC, right_CD, beta=0.0 if first else 1.0)
    elif first:
        sum_VD.copy_(left_VC @ right_CD)
    else:
        sum_VD.add_(left_VC @ right_CD)


def training_loss(
    hidden_ND: Tensor,
    output_VD: Tensor,
    targets_N: Tensor,
    scale: float,
    z_weight: float,
    denominator: int,
    cap: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """The loss to differentiate, and the sums it is made of.

    hidden: [N, D]; output: [V, D]; targets: int64 [N], `IGNORED` where there is none; logits = scale · hidden · outputᵀ,
    none larger than `cap` where that is not 0 (`capped`).
    Gives (Σ cross-entropy + z_weight · Σ log²Z) / denominator, and float64 [2]: both sums. `denominator` is the number
    of targets (without the ignored) of the *global* batch, so that micro-batches add up to the loss of the whole.
    PaLM's z_weight is 1e-4 (section 5).
    """
    apply: Callable[..., tuple[Tensor, Tensor]] = _ChunkedCrossEntropy.apply
    return apply(hidden_ND, output_VD, targets_N, scale, z_weight, float(denominator), cap)


@torch.no_grad()
def position_losses(hidden_ND: Tensor, output_VD: Tensor, targets_N: Tensor, scale: float, cap: float = 0.0) -> Tensor:
    """Cross-entropy of every position in nats, 0 where the target is `IGNORED`: float32 [N]; arguments as above."""
    losses_N = torch.empty(hidden_ND.shape[0], dtype=torch.float32, device=hidden_ND.device)
    work = _Working(hidden_ND, output_VD, scale, cap)
    with torch.autocast(hidden_ND.device.type, enabled=False):
        for chunk in work.chunks:
            target_logits_C1, log_z_C1, _ = _softmax(capped(work.logits(chunk).float(), cap), targets_N[chunk, None])
            losses_N[chunk] = (log_z_C1 - target_logits_C1)[:, 0]
    return losses_N.masked_fill_(targets_N == IGNORED, 0.0)
