"""The check of a resume: a loss that was computed at the save is computed again and must come out the same.

The rows are the first of the next batch, so that weights, data and arithmetic are all in it. Nothing is drawn and
nothing changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import xxhash

from corpus.errors import DataError
from trainer.data.rows import next_batch
from trainer.data.targets import read_inputs
from trainer.data.validation_sets import PackedRows
from trainer.loop.state import TrainingState
from trainer.models.precision import precision_context

_TOLERANCE = 1e-5
_NAMES = {
    "threads": "number of threads",
    "ranks": "number of ranks",
    "sharded": "sharding",
    "processor": "processor",
    "versions": "versions",
}


def check_record(state: TrainingState, data: PackedRows) -> dict[str, Any] | None:
    """What a checkpoint keeps for the check; None where no batch is left. All ranks call it, with the same rows.

    The rows are those after the checkpoint by its own skip log: that of the run may have an entry more when it is
    resumed, for a rewind that went back to this very step.
    """
    holes = state.skip_log.before(state.step).holes()
    if state.step >= state.config.steps_with(holes):
        return None
    training = state.config.training
    first = next_batch(state.next_row, state.batch_rows, holes)[0][0]
    rows = range(first.start, min(first.stop, first.start + training.micro_rows))
    inputs = read_inputs(data, rows, training.document_mask, state.ranks.device)
    with precision_context(training.precision, state.ranks.device):
        losses_BT = state.parallel.losses(inputs.tokens_BT, inputs.targets_BT, inputs.mask)
    digest = xxhash.xxh3_128(inputs.tokens_BT.cpu().numpy().tobytes()).hexdigest()
    loss = float(losses_BT.sum(dtype=torch.float64)) / losses_BT.numel()
    return {"rows": [rows.start, rows.stop], "tokens": digest, "loss": loss}


def changed_arithmetic(saved: Mapping[str, Any], state: TrainingState) -> list[str]:
    """What the last bit depends on and is not as it was at the save, as `name old, now new`."""
    now = state.arithmetic()
    return [
        f"{_NAMES[key]} {_show(saved.get(key))}, now {_show(value)}"
        for key, value in now.items()
        if saved.get(key) != value
    ]


def compare(saved: Mapping[str, Any], state: TrainingState, data: PackedRows) -> str | None:
    """Compute the check of a restored state again: a note where the last bits may differ, None where all is equal.

    Raises DataError, which names the culprit, where the difference is more than rounding.
    """
    before, after = saved.get("check"), check_record(state, data)
    changes = changed_arithmetic(saved, state)
    note = f"note: {'; '.join(changes)}: the result is not promised to be equal to the last bit" if changes else None
    if before is None or after is None:
        return note
    where = f"the self-check of step {state.step}"
    rows = f"rows {before['rows'][0]} to {before['rows'][1] - 1}"
    if after["rows"] != before["rows"] or after["tokens"] != before["tokens"]:
        raise DataError(f"{where} failed: {rows} of the packed set are not those of the save: restore the packed set.")
    relative = abs(after["loss"] - before["loss"]) / max(abs(before["loss"]), 1e-30)
    if relative == 0:
        return note
    if not relative <= _TOLERANCE:
        culprit = f"the cause may be the changed {'; '.join(changes)}" if changes else "the weights or the processor"
        raise DataError(
            f"{where} failed: the loss of {rows} was {before['loss']:.9g} and is {after['loss']:.9g} "
            f"({culprit}): resume on the machine and with the versions of the save."
        )
    if changes:
        return note
    return (
        f"note: the loss of {rows} was {before['loss']!r} at the save and is {after['loss']!r} now, although threads, "
        "ranks and versions are the same: this processor computes otherwise, and the last bits will differ"
    )


def _show(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name} {version}" for name, version in value.items())
    return str(value)
