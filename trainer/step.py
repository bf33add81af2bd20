"""One update: the next rows, forward and backward by micro-batches, clip, step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

import torch

from corpus.errors import DataError
from trainer.data import PackedRows
from trainer.evaluation import precision_context, row_tensors
from trainer.loss import training_loss
from trainer.optimizers import set_rate
from trainer.order import RowRange, next_batch
from trainer.schedules import factor
from trainer.state import TrainingState


@dataclass(frozen=True)
class StepReport:
    """What a step measured. `loss` is the mean cross-entropy in nats; `log_z` the root mean square of log Z."""

    loss: float
    log_z: float
    gradient_norm: float
    lr: float
    seconds: float
    data_seconds: float


def train_step(state: TrainingState, data: PackedRows) -> StepReport:
    """Do the next update and move `state` behind it; a DataError where loss or gradient is not finite."""
    began = perf_counter()
    training = state.config.training
    ranges, next_row = next_batch(state.next_row, training.batch_size, state.skipped)
    targets = state.config.tokens_per_step
    sums = torch.zeros(2, dtype=torch.float64)
    data_seconds = 0.0
    state.optimizer.zero_grad()
    for rows in _micro_batches(ranges, training.micro_rows):
        waited = perf_counter()
        inputs_BT, targets_BT, mask = row_tensors(data, rows, training.document_mask)
        data_seconds += perf_counter() - waited
        with precision_context(training.precision):
            hidden_BTD = state.model(inputs_BT, mask)
            loss, part = training_loss(
                hidden_BTD.flatten(0, 1),
                state.model.output_VD,
                targets_BT.flatten(),
                state.model.shape.logit_scale,
                training.z_loss,
                targets,
            )
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        sums += part
    norm = float(torch.nn.utils.clip_grad_norm_(state.named.values(), state.config.optimizer.clip))
    mean = float(sums[0]) / targets
    _check_finite(state, mean, norm, ranges)
    lr = state.config.optimizer.lr * factor(state.config.schedule, state.step + 1, training.steps)
    set_rate(state.optimizer, lr)
    state.optimizer.step()
    state.step += 1
    state.next_row = next_row
    return StepReport(mean, math.sqrt(float(sums[1]) / targets), norm, lr, perf_counter() - began, data_seconds)


def _micro_batches(ranges: Sequence[RowRange], rows: int) -> Iterator[slice]:
    for part in ranges:
        for start in range(part.start, part.stop, rows):
            yield slice(start, min(start + rows, part.stop))


def _check_finite(state: TrainingState, loss: float, norm: float, ranges: Sequence[RowRange]) -> None:
    if math.isfinite(loss) and math.isfinite(norm):
        return
    what = "loss" if not math.isfinite(loss) else "gradient"
    raise DataError(
        f"the {what} is not finite in step {state.step + 1} (rows {ranges[0].start} to {ranges[-1].stop - 1} of the "
        "packed set), and the update was not made: lower optimizer.lr, or look at these rows."
    )
