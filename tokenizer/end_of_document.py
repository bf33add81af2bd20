"""The end-of-document id: which control symbol it is, how it is put after the ids of each text, and that it is nowhere else.

`Tokenizer.encode_batch` puts it there where `eod` is asked for, as `corpus tokenize` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
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


def put_ends(ids: npt.NDArray[Any], ends: npt.NDArray[np.int64], eod_id: int) -> None:
    """Put the end-of-document id into the last place of each text, which an encoder has left free for it; `ends` are where
    the texts end."""
    ids[ends - 1] = eod_id


def in_a_row(
    encoded: Sequence[npt.NDArray[Any]], eod_id: int | None, kind: type[np.generic]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """The ids of texts in a row, of `kind`, each text's with the end-of-document id after them where one is given, and the
    offsets of the texts: one more than texts."""
    end = np.array([] if eod_id is None else [eod_id], kind)
    offsets = np.cumsum([0, *(len(ids) + len(end) for ids in encoded)], dtype=np.int64)
    parts = [part for ids in encoded for part in (ids.astype(kind, copy=False), end)]
    return np.concatenate(parts) if parts else np.zeros(0, kind), offsets


def check_ends(ids: pa.ListArray, eod_id: int) -> None:
    """Every list ends with the end-of-document id, and it is nowhere else."""
    values = ids.values.to_numpy(zero_copy_only=True)
    ends = ids.offsets.to_numpy(zero_copy_only=True)[1:].astype(np.int64) - 1
    assert np.array_equal(np.flatnonzero(values == eod_id), ends), "an end-of-document id inside a document"
