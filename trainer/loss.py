"""Next-token cross-entropy and z-loss, by chunks of positions: the logits of a whole batch never exist at once.

Shape suffixes: N positions, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

CHUNK_LOGITS = 1 << 21
"""Most logits of one chunk (8 MiB in float32); larger ones are no faster."""


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Loss and its gradient in one pass: with softmax p, log Z and the one-hot target y, for each position
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
    ) -> tuple[Tensor, Tensor]:
        grad_hidden_ND = torch.empty_like(hidden_ND)
        grad_output_VD = torch.zeros_like(output_VD)
        sums_2 = torch.zeros(2, dtype=torch.float64, device=hidden_ND.device)
        for chunk in _chunks(hidden_ND.shape[0], output_VD.shape[0]):
            hidden_CD, targets_C = hidden_ND[chunk], targets_N[chunk, None]
            logits_CV = (hidden_CD @ output_VD.T).float().mul_(scale)
            log_z_C = torch.logsumexp(logits_CV, dim=1, keepdim=True)
            sums_2[0] += (log_z_C - logits_CV.gather(1, targets_C)).sum(dtype=torch.float64)
            sums_2[1] += log_z_C.square().sum(dtype=torch.float64)
            gradient_CV = logits_CV.sub_(log_z_C).exp_()
            if z_weight:
                gradient_CV.mul_(1.0 + 2.0 * z_weight * log_z_C)
            gradient_CV.scatter_add_(1, targets_C, torch.full_like(log_z_C, -1.0))
            gradient_CV.mul_(scale / denominator)
            gradient_CV = gradient_CV.to(hidden_CD.dtype)
            grad_hidden_ND[chunk] = gradient_CV @ output_VD.to(hidden_CD.dtype)
            grad_output_VD += gradient_CV.T @ hidden_CD
        ctx.save_for_backward(grad_hidden_ND, grad_output_VD)
        ctx.mark_non_differentiable(sums_2)
        return ((sums_2[0] + z_weight * sums_2[1]) / denominator).float(), sums_2

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        grad_hidden_ND, grad_output_VD = ctx.saved_tensors
        factor = upstream[0]
        if float(factor) != 1.0:
            grad_hidden_ND, grad_output_VD = grad_hidden_ND * factor, grad_output_VD * factor
        return grad_hidden_ND, grad_output_VD, None, None, None, None


def training_loss(
    hidden_ND: Tensor, output_VD: Tensor, targets_N: Tensor, scale: float, z_weight: float, denominator: int
) -> tuple[Tensor, Tensor]:
    """The loss to differentiate, and the sums it is made of.

    hidden: [N, D]; output: [V, D]; targets: int64 [N]; logits = scale · hidden · outputᵀ.
    Gives (Σ cross-entropy + z_weight · Σ log²Z) / denominator, and float64 [2]: both sums. `denominator` is the number
    of target tokens of the *global* batch, so that micro-batches add up to the loss of the whole. PaLM's z_weight is
    1e-4 (section 5).
    """
    apply: Callable[..., tuple[Tensor, Tensor]] = _ChunkedCrossEntropy.apply
    return apply(hidden_ND, output_VD, targets_N, scale, z_weight, float(denominator))


@torch.no_grad()
def position_losses(hidden_ND: Tensor, output_VD: Tensor, targets_N: Tensor, scale: float) -> Tensor:
    """Cross-entropy of every position in nats: float32 [N]; arguments as for `training_loss`."""
    losses = []
    for chunk in _chunks(hidden_ND.shape[0], output_VD.shape[0]):
        logits_CV = (hidden_ND[chunk] @ output_VD.T).float().mul_(scale)
        targets_C = targets_N[chunk, None]
        losses.append((torch.logsumexp(logits_CV, dim=1, keepdim=True) - logits_CV.gather(1, targets_C))[:, 0])
    return torch.cat(losses)


def _chunks(positions: int, vocabulary: int) -> list[slice]:
    size = max(1, CHUNK_LOGITS // vocabulary)
    return [slice(start, min(start + size, positions)) for start in range(0, positions, size)]
