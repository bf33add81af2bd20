"""One update: the next rows, forward and backward by micro-batches over the ranks, clip, step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import torch

from corpus.errors import DataError
from trainer.data.rows import RowRange, deal, next_batch
from trainer.data.targets import Wanted, count_targets
from trainer.data.validation_sets import PackedRows
from trainer.loop.noise_scale import MicroGradients, Noise
from trainer.loop.state import TrainingState
from trainer.models.dropout import Dropout
from trainer.models.precision import precision_context
from trainer.optim.optimizers import clip_gradients, set_rate
from trainer.optim.schedules import factor


@dataclass(frozen=True)
class Measured:
    """What the gradient of a batch says before it is used: the same on all ranks.

    `loss` is the mean cross-entropy in nats, `log_z` the root mean square of log Z, `gradient_norm` that before
    clipping. The batch is `rows`; the one after it begins at `next_row`.
    """

    loss: float
    log_z: float
    gradient_norm: float
    rows: tuple[RowRange, ...]
    next_row: int
    data_seconds: float
    seconds: float
    noise: Noise | None = None

    @property
    def finite(self) -> bool:
        """Whether there is a loss and a gradient at all."""
        return math.isfinite(self.loss) and math.isfinite(self.gradient_norm)


def measure(state: TrainingState, data: PackedRows, noise_every: int = 0) -> Measured:
    """Put the clipped gradient of the next batch into the weights' `.grad`; nothing else of `state` changes.

    The gradient noise scale is measured at every `noise_every`-th step that has equal micro-batches (0: at none).
    """
    began = perf_counter()
    training, ranks, device = state.config.training, state.ranks, state.ranks.device
    rows, next_row = state.next_rows()
    targets = count_targets(data, rows)
    if not targets and data.trained:
        targets = 1  # a long question fills the batch: nothing is learned of it, and the next one is read
    if not targets:
        raise DataError(f"{_where(state.step + 1, rows)} hold no token of a document: make the packed set again.")
    sums = torch.zeros(2, dtype=torch.float64, device=device)
    data_seconds = 0.0
    state.optimizer.zero_grad()
    batches = deal(rows, training.micro_rows, ranks.rank, ranks.size)
    apart = None
    if noise_every and (state.step + 1) % noise_every == 0 and len(batches) > 1 and len({*map(len, batches)}) == 1:
        apart = MicroGradients(state.named.values())
    for number, batch in enumerate(batches, 1):
        waited = perf_counter()
        filled = batch or range(rows[0].start, rows[0].start + 1)
        where = f"micro-batch {number} of {len(batches)} of step {state.step + 1}"
        state.at(f"reading {where}")
        inputs = state.ahead.take(data, Wanted(filled, training.document_mask, bool(batch)), device)
        dropout = Dropout.of(training.dropout, training.seed, state.step, filled, str(device))
        data_seconds += perf_counter() - waited
        state.at(f"computing {where}")
        with state.parallel.micro_batch(last=number == len(batches)):
            with precision_context(training.precision, device):
                loss, part = state.parallel.call(
                    inputs.tokens_BT, inputs.targets_BT, inputs.mask, dropout, training.z_loss, targets
                )
            (loss if state.parallel.scale == 1.0 else loss * state.parallel.scale).backward()
        sums += part
        if apart is not None:
            apart.take()
    if apart is not None:
        apart.put_back()
    state.at(f"gathering the gradient of step {state.step + 1}")
    norm_1 = clip_gradients(state.named.values(), state.config.optimizer.clip).double().to(device)[None]
    # the norm of the first rank for all: decisions hang on it
    sums = torch.cat((sums, norm_1 if ranks.first else torch.zeros_like(norm_1)))
    if device.type == "cuda":
        # read while the GPU works, for the next step begins with them; the line below waits for it, as none before
        state.ahead.read(data, _first_of_next(state, next_row), device)
    loss_sum, square_sum, norm = ranks.all_reduce_sum(sums).tolist()
    return Measured(
        loss_sum / targets,
        math.sqrt(square_sum / targets) if math.isfinite(square_sum) else math.nan,
        norm,
        tuple(rows),
        next_row,
        data_seconds,
        perf_counter() - began,
        None if apart is None else apart.noise(norm, targets),
    )


def _first_of_next(state: TrainingState, next_row: int) -> Wanted | None:
    """What the step after this one reads first, should the run go straight on; None where there is none."""
    step = state.step + 2
    if step > state.steps:
        return None
    config, ranks = state.history.at(step), state.ranks
    rows, _ = next_batch(next_row, config.ramp.rows_at(step), state.skip_log.holes())
    batch = deal(rows, config.training.micro_rows, ranks.rank, ranks.size)[0]
    return Wanted(batch, config.training.document_mask, True) if batch else None


def update(state: TrainingState, measured: Measured) -> float:
    """Use the gradient and move `state` past its batch; gives the learning rate."""
    lr = state.config.optimizer.lr * factor(state.config.schedule, state.step + 1, state.steps)
    set_rate(state.optimizer, lr)
    state.optimizer.step()
    state.detector.accept(state.step + 1, measured.loss, measured.gradient_norm)
    skip_batch(state, measured)
    return lr


def skip_batch(state: TrainingState, measured: Measured) -> None:
    """Move `state` past a batch without using its gradient."""
    state.move_on(measured.next_row)


def not_finite(step: int, measured: Measured) -> DataError:
    """The error of a loss or gradient that is not finite."""
    what = "gradient" if math.isfinite(measured.loss) else "loss"
    return DataError(
        f"the {what} is not finite in step {step} ({_rows(measured.rows)} of the packed set), and the update was not "
        "made: lower optimizer.lr, or inspect these rows."
    )


def _where(step: int, rows: Sequence[RowRange]) -> str:
    return f"the {_rows(rows)} of step {step}"


def _rows(rows: Sequence[RowRange]) -> str:
    return f"rows {rows[0].start} to {rows[-1].stop - 1}"
