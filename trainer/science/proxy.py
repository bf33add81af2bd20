"""Small models that are trained to learn about data: a proxy is a model, its optimizer and its schedule, and a step is the
caller's loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from corpus.errors import UsageError
from trainer.config.config import RunConfig
from trainer.config.options import FitOptions
from trainer.config.resolve import resolve_config
from trainer.data.targets import target_mask
from trainer.data.validation_sets import DataIdentity, PackedRows
from trainer.models.initialisation import initialise
from trainer.models.loss import IGNORED, position_losses, training_loss
from trainer.models.model import LanguageModel, fused_sizes
from trainer.models.precision import precision_context
from trainer.optim.optimizers import build_optimizer, clip_gradients, set_rate
from trainer.optim.schedules import factor

Ints = npt.NDArray[np.int64]


def proxy_config(
    data: PackedRows, model: str, steps: int, batch_size: int, seed: int, settings: Sequence[str]
) -> RunConfig:
    """The configuration of a proxy: that of `trainer fit` for this model and data, whatever number of rows it takes."""
    options = FitOptions(
        str(data.directory), model, Path("proxy"), steps=1, batch_size=1, seed=seed, settings=tuple(settings)
    )
    config = resolve_config(options, data.identity, {})
    if config.training.document_mask:
        raise UsageError("training.document_mask is no setting of a proxy: leave it out.")
    training = replace(config.training, steps=steps, batch_size=batch_size)
    return replace(config, training=training)


class Proxy:
    """A model in training, on one device. Weights are a function of the configuration and of the batches."""

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        torch.manual_seed(config.training.seed)
        self.model = LanguageModel(config.model)
        initialise(self.model, config.training.seed)
        self.model = self.model.to(device)
        named = dict(self.model.named_parameters())
        self.optimizer = build_optimizer(config.optimizer, named, fused_sizes(self.model))
        self.step = 0

    def learn(self, tokens_BT: Tensor, targets_BT: Tensor) -> float:
        """One step on the mean loss of some rows; gives it."""
        return self.update(lambda: self.mean_loss(self.hidden(tokens_BT), targets_BT))

    def update(self, loss: Callable[[], Tensor]) -> float:
        """One step on the loss that `loss` makes, in the run's precision; gives its value."""
        config = self.config
        self.optimizer.zero_grad()
        with precision_context(config.training.precision, self.device):
            value = loss()
        value.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        clip_gradients(self.model.parameters(), config.optimizer.clip)
        self.step += 1
        set_rate(self.optimizer, config.optimizer.lr * factor(config.schedule, self.step, config.training.steps))
        self.optimizer.step()
        return float(value.detach())

    def hidden(self, tokens_BT: Tensor) -> Tensor:
        """The last hidden states: [B, T, D]."""
        states: Tensor = self.model(tokens_BT)
        return states

    def mean_loss(self, hidden_BTD: Tensor, targets_BT: Tensor) -> Tensor:
        """The mean cross-entropy (and z-loss) of some rows, to differentiate."""
        shape, count = self.config.model, int((targets_BT != IGNORED).sum())
        return training_loss(
            hidden_BTD.flatten(0, 1),
            self.model.output_VD,
            targets_BT.flatten(),
            shape.logit_scale,
            self.config.training.z_loss,
            max(1, count),
            shape.logit_cap,
        )[0]

    def losses(self, hidden_BTD: Tensor, targets_BT: Tensor) -> Tensor:
        """The cross-entropy of every target, 0 where there is none: float32 [B, T]. Nothing is learned."""
        shape = self.config.model
        flat = position_losses(
            hidden_BTD.detach().flatten(0, 1),
            self.model.output_VD,
            targets_BT.flatten(),
            shape.logit_scale,
            shape.logit_cap,
        )
        return flat.view(targets_BT.shape)

    def flops(self, rows: int) -> float:
        """Of training on some rows: forward and backward."""
        length = self.config.data.sequence_length
        return float(rows * length * LanguageModel.flops_per_token(self.config.model, length))


def read_rows(data: PackedRows, rows: Ints, device: torch.device) -> tuple[Tensor, Tensor]:
    """Tokens and targets of any rows, int64 [B, T]; padding is `IGNORED`."""
    width = data.identity.sequence_length + 1
    both = np.empty((len(rows), width), np.int64)
    real = np.ones((len(rows), width - 1), np.bool_)
    for index, row in enumerate(rows.tolist()):
        where = slice(row, row + 1)
        data.copy_into(where, both[index : index + 1])
        mask = target_mask(data, where)
        if mask is not None:
            real[index] = mask[0]
    tokens = torch.from_numpy(both).to(device)
    targets_BT = tokens[:, 1:].masked_fill(~torch.from_numpy(real).to(device), IGNORED)
    return tokens[:, :-1], targets_BT.contiguous()


def check_reference(reference: DataIdentity, data: DataIdentity, where: Path) -> None:
    """A UsageError where a reference model does not know the tokens of the data."""
    if reference.tokenizer != data.tokenizer or reference.vocabulary != data.vocabulary:
        raise UsageError(
            f"{where} was trained with another tokenizer or vocabulary than the data: give a reference of the same tokens."
        )
