"""Conversations to ids, cut once at each turn's border, with the spans of ids that are trained on.

A turn's ids are the same whatever is trained on and whatever follows, so that a prompt for generation is encoded as it was
in training. A special token that the template wrote is the tokenizer's own where it has one of that text; what a message
says is never one. An end-of-document id ends the document, and each turn before that asks for one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpus.data.buffers import text_buffers
from corpus.data.schema import token_schema
from corpus.data.turns import Turn, read_turns, runs_of
from corpus.engine.task import Task
from corpus.errors import DataError
from tokenizer.library import LibraryTokenizer
from tokenizer.model import Tokenizer

Ids = npt.NDArray[Any]


_Pieces = list[tuple[int, bool, bool]]
"""What a document is made of, in order: the number of a run of text or an id, whether it is an id, whether it is trained on."""


def encode_conversations(
    batch: pa.RecordBatch, tokenizer: Tokenizer | LibraryTokenizer, task: Task, most: int | None, begin: int | None
) -> pa.RecordBatch:
    """A record batch of `token_schema` with the ids and trained spans of documents with text, cut to `most` ids at the end.
    The id `begin`, on which nothing is trained, stands before each.

    Dropped by name: documents without text, and those of which nothing that is trained on is left.
    """
    texts = _Texts(tokenizer, begin)
    data, bounds = text_buffers(batch.column("text"))
    keys, metadata = batch.column("id").to_pylist(), batch.column("metadata").to_pylist()
    task.count(seen=len(keys))
    documents = []
    for number, key in enumerate(keys):
        raw = data[bounds[number] : bounds[number + 1]].tobytes()
        if not raw:
            task.drop(key, "empty", "")
            continue
        documents.append((key, len(raw), texts.pieces(raw, read_turns(key, metadata[number], len(raw)))))
    encoded = texts.encode()
    rows: list[tuple[str, Ids, list[tuple[int, int]]]] = []
    for key, size, pieces in documents:
        ids, spans, cut = _assemble(pieces, encoded, tokenizer.eod_id, most)
        if not spans:
            task.drop(key, f"nothing trained on in {most:,} tokens" if cut else "nothing trained on", "")
            continue
        rows.append((key, ids, spans))
        task.total(documents=1, bytes=size, tokens=len(ids), trained=sum(length for _, length in spans))
        task.total(**({"cut": 1} if cut else {}))
    task.count(kept=len(rows))
    return _batch(rows, tokenizer.wide)


class _Texts:
    """The runs of text of all documents of a batch, which are encoded together."""

    def __init__(self, tokenizer: Tokenizer | LibraryTokenizer, begin: int | None) -> None:
        self._tokenizer = tokenizer
        self._begin: _Pieces = [] if begin is None else [(begin, True, False)]
        self._runs: list[bytes] = []
        self._first: list[bool] = []

    def pieces(self, raw: bytes, turns: tuple[Turn, ...]) -> _Pieces:
        """Take the runs of a document, which ends with an end-of-document id."""
        found: _Pieces = list(self._begin)
        turns = (*turns[:-1], replace(turns[-1], eod=True))
        for run, trained in runs_of(raw, turns, self._tokenizer.special_ids, self._tokenizer.eod_id):
            if isinstance(run, int):
                found.append((run, True, trained))
                continue
            self._first.append(len(found) == len(self._begin))
            found.append((len(self._runs), False, trained))
            self._runs.append(run)
        return found

    def encode(self) -> list[Ids]:
        """The ids of each run; those that do not begin a document have no blank put before them."""
        out: list[Ids] = [np.zeros(0, np.uint32)] * len(self._runs)
        for continued in (False, True):
            chosen = [number for number, first in enumerate(self._first) if first != continued]
            column = pa.array([self._runs[number] for number in chosen], pa.large_binary()).view(pa.large_string())
            try:
                column.validate(full=True)
            except pa.ArrowInvalid:
                raise DataError("turns begin or end inside a character: ingest the conversations again.") from None
            ids = self._tokenizer.encode_batch(column, continued=continued)
            values, offsets = ids.values.to_numpy(zero_copy_only=True), ids.offsets.to_pylist()
            for place, number in enumerate(chosen):
                out[number] = values[offsets[place] : offsets[place + 1]]
        return out


def _assemble(
    pieces: _Pieces, encoded: list[Ids], eod: int, most: int | None
) -> tuple[Ids, list[tuple[int, int]], bool]:
    """The ids of a document, its trained spans (start, length), and whether it was cut; the EOD of a cut one is not trained
    on, since nothing ends there."""
    runs: list[Ids] = []
    spans: list[tuple[int, int]] = []
    at = 0
    for number, single, trained in pieces:
        run = np.array([number], np.uint32) if single else encoded[number]
        if trained and len(run):
            if spans and sum(spans[-1]) == at:
                spans[-1] = spans[-1][0], spans[-1][1] + len(run)
            else:
                spans.append((at, len(run)))
        runs.append(run)
        at += len(run)
    ids = np.concatenate(runs)
    if most is None or len(ids) <= most:
        return ids, spans, False
    kept = [(start, min(length, most - 1 - start)) for start, length in spans if start < most - 1]
    return np.append(ids[: most - 1], np.uint32(eod)), kept, True


def _batch(rows: list[tuple[str, Ids, list[tuple[int, int]]]], wide: bool) -> pa.RecordBatch:
    schema = token_schema(wide, trained=True)
    kind = np.uint32 if wide else np.uint16
    ids = np.concatenate([np.zeros(0, kind), *(row[1] for row in rows)]).astype(kind)
    spans = np.array([span for row in rows for span in row[2]], np.uint32).reshape(-1, 2)
    structs = pa.StructArray.from_arrays(
        [pa.array(np.ascontiguousarray(spans[:, side])) for side in (0, 1)],
        fields=list(schema.field("trained").type.value_type),
    )
    columns = [
        pa.array([row[0] for row in rows], pa.string()),
        pa.ListArray.from_arrays(_offsets([len(row[1]) for row in rows]), pa.array(ids), type=schema.field("ids").type),
        pa.ListArray.from_arrays(_offsets([len(row[2]) for row in rows]), structs, type=schema.field("trained").type),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _offsets(lengths: list[int]) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int32))
