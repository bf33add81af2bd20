"""The log of a finished stage, `_log/finished.json`: timings, memory, raw inputs; no part of the dataset."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corpus.data.files import write_atomic
from corpus.engine.result import TaskResult
from corpus.engine.simulation import quantiles
from corpus.engine.stage import Stage


def write_log(
    stage: Stage, output: Path, key: str, seconds: float, workers: int, results: Mapping[str, list[TaskResult]]
) -> None:
    """Timings and memory go to `_log/`, which is no part of the dataset."""
    everything = [result for phase in results.values() for result in phase]
    entry = {
        "stage": stage.name,
        "key": key,
        "seconds": round(seconds, 3),
        "task_seconds": round(sum(result.seconds for result in everything), 3),
        "cpu_seconds": round(sum(result.cpu_seconds for result in everything), 3),
        "input_bytes": stage.input_bytes(),
        "workers": workers,
        "peak_memory": max((result.peak_memory for result in everything), default=0),
        "fixed_memory": max((result.fixed_memory for result in everything), default=0),
        "phases": {name: round(sum(r.seconds for r in phase), 3) for name, phase in results.items()},
        "tasks": {
            name: {
                "number": len(phase),
                "cpu_seconds": round(sum(r.cpu_seconds for r in phase), 3),
                "quantiles": [round(value, 4) for value in quantiles([r.cpu_seconds for r in phase])],
            }
            for name, phase in results.items()
        },
    }
    if raw := {ref.name: ref.identity for ref in stage.inputs() if not ref.digest}:
        entry["inputs"] = raw
    (output / "_log").mkdir(exist_ok=True)
    write_atomic(output / "_log" / "finished.json", json.dumps(entry, indent=1) + "\n")


def read_log(output: Path) -> dict[str, Any]:
    """What the log says of the finished stage; nothing where it is not there or damaged."""
    try:
        value = json.loads((output / "_log" / "finished.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
