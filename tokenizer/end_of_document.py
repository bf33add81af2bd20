"""The end-of-document id: which control symbol it is, and that it ends every document and is nowhere else.

The encoder puts it after the ids of each text where `eod` is asked for (`Tokenizer.encode_batch`), as `corpus tokenize` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpus.errors import UsageError
from tokenizer import proto


def end_piece(file: Path, model: proto.Model, processor: Any, wanted: str | None) -> tuple[str, int]:
    """The piece that ends a document and its id; it must be a control symbol."""
    if wanted is None:
        number = int(processor.eos_id())
        if number < 0:
            raise UsageError(
                f"{file} has no control symbol for the end of a sentence: name the piece that ends a document with"
                " --eod-piece."
            )
        return model.pieces[number].text.decode(), number
    return wanted, control_piece(file, model, wanted, "end")


def control_piece(file: Path, model: proto.Model, wanted: str, what: str) -> int:
    """The id of a control symbol that shall `what` (begin or end) documents; another piece is a UsageError."""
    key = wanted.encode("utf-8", "surrogatepass")
    for number, piece in enumerate(model.pieces):
        if piece.text != key:
            continue
        if piece.type != proto.CONTROL:
            raise UsageError(
                f"'{wanted}' cannot {what} documents in {file}: it is no control symbol, so a page could write it; name a"
                f" control symbol ({_controls(model)})."
            )
        return number
    raise UsageError(f"{file} has no piece '{wanted}': name one of its control symbols ({_controls(model)}).")


def _controls(model: proto.Model) -> str:
    names = [piece.text.decode("utf-8", "replace") for piece in model.pieces if piece.type == proto.CONTROL]
    return ", ".join(names[:8]) or "it has none: train a tokenizer with one"


def check_ends(ids: pa.ListArray, eod_id: int) -> None:
    """Every list ends with the end-of-document id, and it is nowhere else."""
    values = ids.values.to_numpy(zero_copy_only=True)
    ends = ids.offsets.to_numpy(zero_copy_only=True)[1:].astype(np.int64) - 1
    assert np.array_equal(np.flatnonzero(values == eod_id), ends), "an end-of-document id inside a document"
