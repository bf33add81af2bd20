"""Rows of a packed set as what the model takes, on its device.

Shape suffixes: B sequences, T positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
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
    real = data.target_mask(taken)
    if not counted:
        targets_BT = torch.full_like(targets_BT, IGNORED)
    elif real is not None:
        targets_BT = targets_BT.masked_fill(~torch.from_numpy(real), IGNORED)
    targets_BT = targets_BT.contiguous()
    if device.type == "cuda":
        tokens, targets_BT = tokens.pin_memory(), targets_BT.pin_memory()
    mask = None
    if masked:
        mask = document_mask(torch.from_numpy(data.documents(taken)[:, :-1]).to(device))
    return Inputs(tokens[:, :-1].to(device, non_blocking=True), targets_BT.to(device, non_blocking=True), mask)


def count_targets(data: PackedRows, ranges: Sequence[RowRange]) -> int:
    """Targets of some rows that are tokens of documents; all of them but where rows end with padding."""
    count = 0
    for part in ranges:
        real = data.target_mask(slice(part.start, part.stop))
        count += len(part) * data.identity.sequence_length if real is None else int(real.sum())
    return count
