"""Rows of a packed set as what the model takes, on its device.

Shape suffixes: B sequences, T positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from corpus.errors import DataError
from trainer.data.rows import RowRange
from trainer.data.validation_sets import PackedRows
from trainer.models.attention import document_mask
from trainer.models.loss import IGNORED

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Inputs:
    """Some sequences: tokens and targets, int64 [B, T], `IGNORED` where a target is padding, and the document mask."""

    tokens_BT: Tensor
    targets_BT: Tensor
    mask: Any


def read_inputs(
    data: PackedRows, rows: range, masked: bool, device: torch.device = _CPU, counted: bool = True
) -> Inputs:
    """The inputs of some rows; unless `counted` no target counts: the rows only keep a rank in step with the others."""
    taken = slice(rows.start, rows.stop)
    width = data.identity.sequence_length + 1
    both = np.empty((len(rows), width), np.int64)
    data.copy_into(taken, both)
    vocabulary = data.identity.vocabulary
    if both.max() >= vocabulary:
        wrong = int(both.max(1).argmax())
        raise DataError(
            f"row {rows.start + wrong} of {data.directory} holds the token {both[wrong].max()}, and its vocabulary ends "
            f"at {vocabulary - 1}: make the packed set again."
        )
    tokens = torch.from_numpy(both)
    targets_BT = tokens[:, 1:]
    real = target_mask(data, taken)
    if not counted:
        targets_BT = torch.full_like(targets_BT, IGNORED)
    elif real is not None:
        targets_BT = targets_BT.masked_fill(~torch.from_numpy(real), IGNORED)
    mask = None
    if masked:
        mask = document_mask(_sent(torch.from_numpy(data.documents(taken)[:, :-1]), device))
    return Inputs(_sent(tokens[:, :-1], device), _sent(targets_BT, device), mask)


def _sent(numbers_BT: Tensor, device: torch.device) -> Tensor:
    """A tensor on its way to the device: nobody waits for it, and a GPU takes it out of pinned memory by itself."""
    numbers_BT = numbers_BT.contiguous()
    return numbers_BT.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else numbers_BT


@dataclass(frozen=True)
class Wanted:
    """What `read_inputs` is asked for besides the packed set and the device."""

    rows: range
    masked: bool
    counted: bool


class InputsAhead:
    """The inputs that are read before they are asked for, at most those of one micro-batch."""

    def __init__(self) -> None:
        self._found: tuple[Wanted, Inputs] | None = None

    def read(self, data: PackedRows, wanted: Wanted | None, device: torch.device) -> None:
        """Read what will be asked for next, as far as is known."""
        self._found = None
        if wanted is not None:
            self._found = wanted, read_inputs(data, wanted.rows, wanted.masked, device, wanted.counted)

    def take(self, data: PackedRows, wanted: Wanted, device: torch.device) -> Inputs:
        """The inputs of some rows, read now where it was not these that were read."""
        found, self._found = self._found, None
        if found is not None and found[0] == wanted:
            return found[1]
        return read_inputs(data, wanted.rows, wanted.masked, device, wanted.counted)


def target_mask(data: PackedRows, rows: slice) -> npt.NDArray[np.bool_] | None:
    """Which targets (a row's tokens but its first) count in a loss: bool [b - a, sequence_length]; None where all do.

    It leaves out padding, and of conversations what is not trained on.
    """
    if data.trained:
        return np.ascontiguousarray(data.trained_tokens(rows)[:, 1:])
    if not data.padded:
        return None
    return np.asarray(np.arange(1, data.identity.sequence_length + 1) < data.filled(rows)[:, None])


def count_targets(data: PackedRows, ranges: Sequence[RowRange]) -> int:
    """Targets of some rows that are tokens of documents; all of them but where rows end with padding."""
    count = 0
    for part in ranges:
        real = target_mask(data, slice(part.start, part.stop))
        count += len(part) * data.identity.sequence_length if real is None else int(real.sum())
    return count
