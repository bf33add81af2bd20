"""Where time, memory and disk went, by the logs of the stages (which are no part of the datasets)."""

from __future__ import annotations

from typing import Any

from corpus.page.chart import bars
from corpus.page.figures import duration, size
from corpus.page.parts import Fold, Part, Section, Table, Text
from corpus.report.run import CorpusRun, logged

_CHARTED = 20


def resources_section(run: CorpusRun) -> Section:
    """A bar for each stage."""
    entries = []
    for dataset in run.datasets:
        log, disk = logged(dataset), sum(entry.bytes for entry in dataset.manifest.entries)
        entries.append((run.name(dataset), log, disk, dataset.cleaned))
    timed = [(name, log, disk, cleaned) for name, log, disk, cleaned in entries if "seconds" in log]
    whole = _table(entries)
    if not timed:
        return Section("resources", "Time, memory and disk", [Text("The logs of the stages are gone."), whole])
    longest = sorted(timed, key=lambda entry: (-entry[1]["seconds"], entry[0]))[:_CHARTED]
    parts: list[Part] = [
        Text(
            f"{duration(sum(log['seconds'] for _, log, _, _ in timed))} in {len(timed)} stages one after the other;"
            f" {duration(sum(log.get('cpu_seconds', 0) for _, log, _, _ in timed))} of processor time; the largest process"
            f" had {size(max(log.get('peak_memory', 0) for _, log, _, _ in timed))}; {size(sum(e[2] for e in entries))} were"
            " written."
        ),
        bars(
            "Time",
            f"Seconds of the stages that took longest, at most {_CHARTED}.",
            whole,
            [{"stage": name, "seconds": log["seconds"]} for name, log, _, _ in longest],
            name="stage",
            value="seconds",
        ),
        bars(
            "Memory",
            f"The most that a process of the stage had had so far: a worker keeps the peak of stages before. At most {_CHARTED}.",
            whole,
            [
                {"stage": name, "bytes": log["peak_memory"]}
                for name, log, _, _ in sorted(timed, key=lambda entry: (-entry[1].get("peak_memory", 0), entry[0]))
                if "peak_memory" in log
            ][:_CHARTED],
            name="stage",
            value="bytes",
        ),
        bars(
            "Disk",
            f"Bytes of the stages that wrote most, at most {_CHARTED}.",
            whole,
            [
                {"stage": name, "bytes": disk}
                for name, _, disk, _ in sorted(entries, key=lambda entry: (-entry[2], entry[0]))[:_CHARTED]
            ],
            name="stage",
            value="bytes",
        ),
        Fold("Phases of each stage", [_phases(timed)]),
    ]
    return Section("resources", "Time, memory and disk", parts)


def _table(entries: list[tuple[str, dict[str, Any], int, bool]]) -> Table:
    rows = [
        (
            name,
            duration(log["seconds"]) if "seconds" in log else None,
            duration(log["cpu_seconds"]) if "cpu_seconds" in log else None,
            size(log["peak_memory"]) if "peak_memory" in log else None,
            size(log["input_bytes"]) if "input_bytes" in log else None,
            size(disk),
            "yes" if cleaned else "no",
        )
        for name, log, disk, cleaned in entries
    ]
    head = ("stage", "time", "processor time", "peak so far", "read", "written", "cleaned since")
    return Table("Time, memory and disk of each stage", head, rows)


def _phases(timed: list[tuple[str, dict[str, object], int, bool]]) -> Table:
    rows = []
    for name, log, _, _ in timed:
        phases = log.get("phases")
        for phase, seconds in phases.items() if isinstance(phases, dict) else ():
            tasks = log.get("tasks")
            number = tasks.get(phase, {}).get("number") if isinstance(tasks, dict) else None
            rows.append((f"{name}: {phase}", duration(seconds), number))
    return Table("Seconds of tasks in each phase", ("phase", "time of its tasks", "tasks"), rows)
