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

_SAME = 1e-5
"""Relative difference of the loss that rounding alone explains, where nothing has changed."""
_CHANGED = {"fp32": 1e-4, "tf32": 1e-3, "bf16": 5e-3}
"""The same where threads, ranks, processor or versions have changed: sums of bf16 products differ in their third digit."""
_NAMES = {
    "threads": "number of threads",
    "ranks": "number of ranks",
    "sharded": "sharding",
    "processor": "processor",
    "versions": "versions",
}


def check_record(
    state: TrainingState, data: PackedRows, before: Mapping[str, Any] | None = None
) -> dict[str, Any] | None:
    """What a checkpoint keeps for the check; None where no batch is left. All ranks call it, with the same rows.

    The rows are those after the checkpoint by its own skip log: that of the run may have an entry more when it is
    resumed, for a rewind that went back to this very step. With `before`, a record of the save, they are its rows, and
    the arithmetic is its own: settings may have changed since.
    """
    if before is not None:
        return _record(state, data, range(*before["rows"]), before["precision"], before["document_mask"])
    holes = state.skip_log.before(state.step).holes()
    if state.step >= state.config.steps_with(holes):
        return None
    training = state.config.training
    first = next_batch(state.next_row, state.batch_rows, holes)[0][0]
    rows = range(first.start, min(first.stop, first.start + training.micro_rows))
    return _record(state, data, rows, training.precision, training.document_mask)


def _record(state: TrainingState, data: PackedRows, rows: range, precision: str, document_mask: bool) -> dict[str, Any]:
    inputs = read_inputs(data, rows, document_mask, state.ranks.device)
    with precision_context(precision, state.ranks.device):
        losses_BT = state.parallel.losses(inputs.tokens_BT, inputs.targets_BT, inputs.mask)
    digest = xxhash.xxh3_128(inputs.tokens_BT.cpu().numpy().tobytes()).hexdigest()
    loss = float(losses_BT.sum(dtype=torch.float64)) / losses_BT.numel()
    return {
        "rows": [rows.start, rows.stop],
        "tokens": digest,
        "loss": loss,
        "precision": precision,
        "document_mask": document_mask,
    }


def changed_arithmetic(saved: Mapping[str, Any], state: TrainingState) -> list[str]:
    """What the last bit depends on and is not as it was at the save, as `name old, now new`."""
    now = state.arithmetic()
    return [
        f"{_NAMES[key]} {_show(saved.get(key))}, now {_show(value)}"
        for key, value in now.items()
        if saved.get(key) != value
    ]


def compare(saved: Mapping[str, Any], state: TrainingState, data: PackedRows, accept: bool = False) -> list[str]:
    """Compute the check of a restored state again: what may differ in the last bits, or does; nothing where all is equal.

    Raises DataError, which names the culprit, where the difference is more than rounding, but with `accept`.
    """
    changes = changed_arithmetic(saved, state)
    before = saved.get("check")
    notes = [*changes, "the result is not promised to be equal to the last bit"] if changes else []
    if before is None:
        return notes
    after = check_record(state, data, before)
    assert after is not None
    where, rows = f"the self-check of step {state.step}", f"rows {before['rows'][0]} to {before['rows'][1] - 1}"
    if after["tokens"] != before["tokens"]:
        raise DataError(f"{where} failed: {rows} of the packed set are not those of the save: restore the packed set.")
    relative = abs(after["loss"] - before["loss"]) / max(abs(before["loss"]), 1e-30)
    if relative == 0:
        return notes
    said = f"the loss of {rows} was {before['loss']:.9g} at the save and is {after['loss']:.9g}"
    allowed = _CHANGED[before["precision"]] if changes else _SAME
    if relative <= allowed:
        why = (
            "" if changes else ", although threads, ranks and versions are the same: this processor computes otherwise"
        )
        return [*notes, f"{said}{why}"]
    if accept:
        return [*notes, f"{where} failed and was accepted: {said}"]
    culprit = f"the cause may be the changed {'; '.join(changes)}" if changes else "the weights or the processor"
    raise DataError(
        f"{where} failed: {said}, a relative difference of {relative:.1e} where {allowed:.0e} is rounding in "
        f"{before['precision']} ({culprit}): resume on the machine and with the versions of the save, or give "
        "--accept-resume."
    )


def _show(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name} {version}" for name, version in value.items())
    return str(value)
