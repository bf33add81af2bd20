"""`trainer seen`: in which steps a run saw records that were removed from its packed set since (`corpus remove`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from corpus.errors import DataError, UsageError
from trainer.data.rows import next_batch
from trainer.run.directory import Run
from trainer.run.metrics import MetricsLog
from trainer.spikes.skip_log import SkipLog


def seen_steps(path: Path, report: Path) -> dict[str, list[int]]:
    """The steps, of those that are in the run's weights, that saw each removed record; none for the others.

    `report` is what `corpus remove` wrote. Raises UsageError where the run was trained on another set than those it tells
    of.
    """
    run = Run(path)
    config = run.config()
    uses = [use for use in _read(report) if use["digest"] == config.data.digest]
    if not uses:
        raise UsageError(f"{path} was not trained on a set that {report} tells of: give the report of its own set.")
    done = [record["step"] for record in MetricsLog(run.metrics).records() if record["kind"] == "train"]
    skip_log = SkipLog.load(run.skip_log) or SkipLog()
    steps = _steps_of_rows(config.data.rows, config.ramp.rows_at, max(done, default=0), skip_log)
    found = {}
    for use in uses:
        for id, rows in use["rows"].items():
            found[id] = sorted({int(steps[row]) for row in rows if row < len(steps)} - {0})
    return found


def _steps_of_rows(rows: int, rows_at: Any, last: int, skip_log: SkipLog) -> np.ndarray[Any, np.dtype[np.int64]]:
    """For each row of the set the step that read it, 0 where none did."""
    steps = np.zeros(rows, np.int64)
    holes, row = skip_log.holes(), 0
    for step in range(1, last + 1):
        parts, row = next_batch(row, rows_at(step), holes)
        for part in parts:
            steps[part.start : part.stop] = step
    return steps


def _read(report: Path) -> list[Mapping[str, Any]]:
    try:
        value = json.loads(report.read_text(encoding="utf-8"))
        return [{"digest": str(use["digest"]), "rows": dict(use["rows"])} for use in value["former"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{report} is no report of corpus remove ({error}): give a file of OUT/removals.") from None


def seen_lines(path: Path, report: Path) -> list[str]:
    """The same in words."""
    found = seen_steps(path, report)
    lines = [f"{id}: {', '.join(f'{step:,}' for step in steps)}" for id, steps in found.items() if steps]
    steps = {step for each in found.values() for step in each}
    return [*lines, f"{path} saw {len(lines):,} of the {len(found):,} records of its set, in {len(steps):,} steps"]
