"""Which documents a training step held (`trainer trace`), and which steps a sequence was in, from the packed set and the
run's skip log alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from corpus.data.packed import placed
from corpus.data.provenance import DocumentList
from corpus.errors import UsageError
from trainer.data.rows import rows_left, step_rows
from trainer.data.validation_sets import PackedRows
from trainer.run.directory import Run
from trainer.spikes.skip_log import SkipLog

HEADER = ("row", "domain", "epoch", "position", "length", "document", "start")


def trace(path: Path, data: Path, step: int) -> Iterator[str]:
    """The entries of `step_documents` as tab-separated lines, a header first."""
    entries = step_documents(path, data, step)
    yield "\t".join(HEADER)
    for entry in entries:
        yield "\t".join(map(str, entry))


def step_documents(path: Path, data: Path, step: int) -> Iterator[tuple[int, str, int, int, int, str, int]]:
    """For each row of the step its documents' ids and where they lie, as `HEADER` names it.

    `position` and `length` are in tokens of the row, `start` is the first of these tokens in the document, `epoch`
    counts the readings of the document from 0. Raises UsageError where `data` is not what the run was trained on or the step is none of its
    steps.
    """
    run = Run(path)
    made = run.config()
    rows = PackedRows(data)
    if rows.identity.digest != made.data.digest:
        raise UsageError(f"{path} was not trained on {data} (another digest): give the packed set of its fit command.")
    steps, ramp = made.training.steps, made.ramp
    if not 1 <= step <= steps:
        raise UsageError(f"{path} has the steps 1 to {steps}: step {step} is none of them.")
    skip_log = SkipLog.load(run.skip_log) or SkipLog()
    ranges = step_rows(ramp.rows_before(step - 1), ramp.rows_at(step), skip_log.holes())
    if ranges[-1].stop > len(rows):
        raise UsageError(
            f"{path} ended before step {step}: {data} has no sequences left for it, since rewinds took some."
        )
    listed = DocumentList(rows.dataset)
    for part in ranges:
        taken = slice(part.start, part.stop)
        segments = rows.segments(taken)
        documents = listed.read({segment.document for row in segments for segment in row})
        for row, (domain, spans) in enumerate(zip(rows.domains(taken), segments, strict=True), part.start):
            for position, span in placed(spans):
                yield row, domain, span.epoch, position, span.length, documents[span.document].id, span.start


def steps_of_rows(path: Path, packed: str, rows: Iterable[int]) -> dict[int, int]:
    """The step of the run at `path`, from 1, that trains on each of some rows of the packed set of digest `packed`.

    Left out are rows that a rewind skips and rows after the last step; all of them where the run has another set.
    """
    run = Run(path)
    made = run.config()
    if made.data.digest != packed:
        return {}
    holes = (SkipLog.load(run.skip_log) or SkipLog()).holes()
    found = {}
    for row in rows:
        step = made.ramp.steps_in(rows_left(row, 0, holes)) + 1
        if step <= made.training.steps and not any(hole.start <= row < hole.stop for hole in holes):
            found[row] = step
    return found
