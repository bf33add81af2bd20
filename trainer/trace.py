"""`trainer trace`: which documents a training step held, from the packed set and the run's ledger alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.errors import DataError, UsageError
from trainer.checkpoint import CheckpointStore
from trainer.data import PackedRows
from trainer.order import RowRange, next_batch
from trainer.run import Run

HEADER = ("row", "domain", "epoch", "position", "length", "document", "start")


def step_rows(step: int, batch_size: int, skipped: tuple[RowRange, ...]) -> list[RowRange]:
    """The rows of step `step` (from 1), all steps having `batch_size` rows."""
    _, begin = next_batch(0, (step - 1) * batch_size, skipped)
    return next_batch(begin, batch_size, skipped)[0]


def trace(path: Path, data: Path, step: int, report: Callable[[str], None]) -> Iterator[str]:
    """Tab-separated lines, a header first: for each row of the step its documents' ids and where they lie.

    `position` and `length` are in tokens of the row, `start` is the first of these tokens in the document, `epoch` the
    document's pass. Raises UsageError where `data` is not what the run was trained on or the step is none of its steps.
    """
    run = Run(path)
    run.shape()
    config = run.read_config()
    assert config is not None
    rows = PackedRows(data)
    if rows.identity.digest != config["data"]["digest"]:
        raise UsageError(f"{path} was not trained on {data} (another digest): give the packed set of its fit command.")
    training = config["training"]
    if not 1 <= step <= training["steps"]:
        raise UsageError(f"{path} has the steps 1 to {training['steps']}: step {step} is none of them.")
    checkpoint = CheckpointStore(run.checkpoints).newest(report)
    holes = [] if checkpoint is None else checkpoint.state["skipped"]
    ranges = step_rows(step, training["batch_size"], tuple(RowRange(start, stop) for start, stop in holes))
    yield "\t".join(HEADER)
    for part in ranges:
        piece = slice(part.start, part.stop)
        segments = rows.segments(piece)
        ids = document_ids(data, {segment.document for row in segments for segment in row})
        for row, (domain, spans) in enumerate(zip(rows.domains(piece), segments, strict=True), part.start):
            position = 0
            for span in spans:
                fields = (row, domain, span.epoch, position, span.length, ids[span.document], span.start)
                yield "\t".join(map(str, fields))
                position += span.length


def document_ids(packed: Path, numbers: Iterable[int]) -> dict[int, str]:
    """The ids of documents by their numbers, which count the rows of `_documents/*.parquet` in the files' order.

    Only the row groups that hold one of them are read.
    """
    wanted = sorted(set(numbers), reverse=True)
    found: dict[int, str] = {}
    first = 0
    try:
        for file in sorted((packed / "_documents").glob("*.parquet")):
            with pq.ParquetFile(file) as table:
                for group in range(table.num_row_groups):
                    last = first + table.metadata.row_group(group).num_rows
                    if wanted and wanted[-1] < last:
                        ids = table.read_row_group(group, columns=["id"]).column("id")
                        while wanted and wanted[-1] < last:
                            number = wanted.pop()
                            found[number] = ids[number - first].as_py()
                    first = last
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"the documents of {packed} cannot be read ({error}): make the packed set again.") from None
    if wanted:
        raise DataError(f"{packed} does not list document {wanted[-1]} in _documents/: make the packed set again.")
    return found
