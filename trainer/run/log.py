"""`trainer log`: what happened to a run, by its steps: where it began, changes of settings, spikes, checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainer.checkpoints.checkpoint import CheckpointStore
from trainer.config.history import History, change_lines, with_settings
from trainer.run.directory import Run
from trainer.run.fork import read_fork
from trainer.run.metrics import MetricsLog
from trainer.spikes.skip_log import SkipLog


def events(path: Path) -> list[dict[str, Any]]:
    """The events of a run in the order of their steps, each with `step` (of updates done), `event` and `said`."""
    run = Run(path)
    history = run.history()
    skip_log = SkipLog.load(run.skip_log) or SkipLog()
    mark = read_fork(run)
    first = history.first
    found: list[dict[str, Any]] = [
        _event(0, "began", f"{first.name}, {first.training.steps:,} steps, seed {first.training.seed}")
    ]
    if mark is not None:
        found.append(_event(mark["step"], "fork", f"left the run {mark['run']}"))
    found += _changes(history)
    for entry in skip_log.entries:
        rows = f", rows {entry.rows.start} to {entry.rows.stop - 1} skipped" if entry.action == "rewind" else ""
        back = f"back to {entry.back_to:,}{rows}: " if entry.action == "rewind" else ""
        found.append(_event(entry.step, entry.action, f"{back}{entry.reason}"))
    done = [record["step"] for record in MetricsLog(run.metrics).records() if record["kind"] == "train"]
    steps = ", ".join(f"{step:,}" for step in reversed(CheckpointStore(run.checkpoints).steps()))
    reached = max(done, default=0)
    planned = history.last.training.steps
    found.append(_event(reached, "now", f"step {reached:,} of {planned:,}; checkpoints of the steps {steps or 'none'}"))
    return sorted(found, key=lambda event: int(event["step"]))


def _changes(history: History) -> list[dict[str, Any]]:
    found = []
    before = history.first
    for change in history.in_force:
        after = with_settings(before, change.settings)
        said = [*change_lines(before, after), *change.notes]
        if said:
            found.append(_event(change.since, "change", "; ".join(said)))
        before = after
    return found


def _event(step: int, event: str, said: str) -> dict[str, Any]:
    return {"step": step, "event": event, "said": said}


def log_lines(path: Path) -> list[str]:
    """The events as lines."""
    return [f"{event['step']:>9,}  {event['event']:<11} {event['said']}" for event in events(path)]
