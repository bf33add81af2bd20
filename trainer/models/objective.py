"""The language model with its loss, as a step and an evaluation call it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainer.models.attention import Mask
from trainer.models.dropout import Dropout
from trainer.models.loss import position_losses, training_loss
from trainer.models.model import LanguageModel

Losses = Callable[[Tensor, Tensor, Mask], Tensor]
"""Tokens and targets [B, T] and their mask -> the cross-entropy of every target in nats [B, T]."""


class TrainingModel(nn.Module):
    """The language model and its loss in one call, since sharded weights are whole only inside one."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        tokens_BT: Tensor,
        targets_BT: Tensor,
        mask: Mask,
        dropout: Dropout | None,
        z_weight: float,
        denominator: int,
    ) -> tuple[Tensor, Tensor]:
        """The loss of some rows to differentiate, and its sums: `trainer.models.loss.training_loss` of the hidden states."""
        hidden_ND = self.model(tokens_BT, mask, None, dropout).flatten(0, 1)
        output_VD, shape = self.model.output_VD, self.model.shape
        return training_loss(
            hidden_ND, output_VD, targets_BT.flatten(), shape.logit_scale, z_weight, denominator, shape.logit_cap
        )

    @torch.no_grad()
    def losses(self, tokens_BT: Tensor, targets_BT: Tensor, mask: Mask) -> Tensor:
        """The cross-entropy of every target in nats, 0 where it is ignored: float32 [B, T]. Nothing is learned."""
        hidden_ND = self.model(tokens_BT, mask).flatten(0, 1)
        output_VD, shape = self.model.output_VD, self.model.shape
        losses_N = position_losses(hidden_ND, output_VD, targets_BT.flatten(), shape.logit_scale, shape.logit_cap)
        return losses_N.view(targets_BT.shape)
