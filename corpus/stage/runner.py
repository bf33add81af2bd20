"""Runs a stage: what is done is not redone, what is half done is, and a kill at any moment loses nothing."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.data.files import digest_of, write_atomic
from corpus.data.manifest import MANIFEST, Manifest, differences
from corpus.errors import DataError, UsageError
from corpus.stage.commit import commit_stage
from corpus.stage.local import LocalExecutor, TaskStep, WorkerPool
from corpus.stage.lock import locked
from corpus.stage.progress import Progress, duration, megabytes
from corpus.stage.stage import Phase, Stage, task_directory
from corpus.stage.task import RESULT, TaskResult

IN_PROCESS_BYTES = 8_000_000
"""A stage with less input than this runs in the calling process: starting workers would take longer."""


@dataclass(frozen=True)
class RunOptions:
    """How to run: decides no byte of the output."""

    workers: int = 1
    memory: int = 4_000_000_000
    overwrite: bool = False
    strict: bool = False
    quiet: bool = False
    pool: WorkerPool | None = None
    always_pool: bool = False


def run_stage(stage: Stage, output: Path | str, options: RunOptions | None = None) -> Manifest:
    """Run `stage` into the directory `output`, or find it done, and return its manifest.

    The same command after a kill goes on where the finished tasks end. Another configuration or other inputs than
    those of an existing output are a UsageError that says what changed, unless `options.overwrite`.
    """
    options = options or RunOptions()
    output = Path(output)
    try:
        _check_output(output)
        with locked(output, _say(options)):
            return _run_locked(stage, output, options)
    except OSError as error:
        raise _disk_error(output, error) from error


def _run_locked(stage: Stage, output: Path, options: RunOptions) -> Manifest:
    key = stage_key(stage)
    if options.overwrite:
        _clear(output)
    if (output / MANIFEST).exists():
        return _finished(stage, output, key)
    work = output / "_work" / key
    _check_other_work(stage, output, key)
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "config.json").exists():
        write_atomic(work / "config.json", json.dumps(dict(stage.config()), indent=1, sort_keys=True))
    _announce(stage, output, options)
    started = time.monotonic()
    results: dict[str, list[TaskResult]] = {}
    own_pool = None if options.pool else WorkerPool(options.workers)
    try:
        with Progress(stage.name, stage.input_bytes() * len(stage.phases()), options.quiet) as progress:
            for phase in stage.phases():
                _run_phase(stage, phase, work, options, options.pool or own_pool, progress, results)
                results[phase.name] = [
                    TaskResult.load(task_directory(work, phase.name, index)) for index in range(phase.tasks)
                ]
                _check_strict(stage, results[phase.name], options)
    finally:
        if own_pool is not None:
            own_pool.close(kill=True)
    manifest = commit_stage(stage, output, results)
    _write_log(stage, output, key, time.monotonic() - started, options, results)
    shutil.rmtree(output / "_work", ignore_errors=True)
    _report(stage, output, manifest, time.monotonic() - started, options)
    return manifest


def stage_key(stage: Stage) -> str:
    """The name of a stage's working folder: the digest of its configuration, its inputs and its phases."""
    return digest_of(
        {
            "stage": stage.name,
            "config": dict(stage.config()),
            "inputs": [[ref.name, ref.identity] for ref in stage.inputs()],
            "phases": [[phase.name, phase.tasks] for phase in stage.phases()],
        }
    )


def _run_phase(
    stage: Stage,
    phase: Phase,
    work: Path,
    options: RunOptions,
    pool: WorkerPool | None,
    progress: Progress,
    earlier: Mapping[str, list[TaskResult]],
) -> None:
    folder = work / phase.name
    folder.mkdir(exist_ok=True)
    for leftover in folder.glob(".*"):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink(missing_ok=True)
    ranks = [i for i in range(phase.tasks) if not (task_directory(work, phase.name, i) / RESULT).exists()]
    base = [sum(r.progress[n] for results in earlier.values() for r in results) for n in (0, 1)]
    live: dict[int, tuple[int, int]] = {}

    def show() -> None:
        done = [p for p in folder.glob("[0-9]*") if (p / RESULT).exists()]
        live.update(_read_progress(folder.glob(".progress-*")))
        documents, size = (base[n] + sum(entry[n] for entry in live.values()) for n in (0, 1))
        progress.update(phase.name, len(done), phase.tasks, documents, size, None)

    def tick(rank: int, documents: int, size: int) -> None:
        live[rank] = (documents, size)
        if time.monotonic() >= show_after[0]:
            show_after[0] = time.monotonic() + 0.25
            show()

    show_after = [0.0]
    small = stage.input_bytes() < IN_PROCESS_BYTES and not options.always_pool
    parallel = options.workers > 1 and len(ranks) > 1 and not small
    step = TaskStep(stage, phase.name, str(work), options.memory // max(1, options.workers), options.strict)
    executor = LocalExecutor(step, phase.tasks, work / f".log-{phase.name}")
    executor.run_tasks(ranks, pool if parallel or options.always_pool else None, tick, show)
    missing = [i for i in range(phase.tasks) if not (task_directory(work, phase.name, i) / RESULT).exists()]
    assert not missing, f"tasks {missing} of {stage.name}/{phase.name} ended without a result"


def _read_progress(paths: Iterable[Path]) -> dict[int, tuple[int, int]]:
    found = {}
    for path in paths:
        try:
            documents, size = path.read_text(encoding="ascii").split()
        except (OSError, ValueError):
            continue  # being replaced at this moment; the next look will see it
        found[int(path.name.rsplit("-", 1)[1])] = (int(documents), int(size))
    return found


def _finished(stage: Stage, output: Path, key: str) -> Manifest:
    """The manifest of a finished output, if it is the output of this stage on these inputs."""
    manifest = Manifest.load(output)
    shutil.rmtree(output / "_work", ignore_errors=True)
    if manifest.stage != stage.name:
        raise UsageError(f"{output} was made by stage {manifest.stage}: choose another --output, or --overwrite.")
    if _logged_key(output) == key:
        return manifest
    changed = differences(manifest.config, _plain(stage.config()))
    if changed:
        raise UsageError(
            f"{output} was made with other settings ({'; '.join(changed[:3])}): give --overwrite to redo it."
        )
    before = [(entry["name"], entry["digest"]) for entry in manifest.inputs]
    digests = stage.resolve_digests()
    now = [(ref.name, ref.digest or digests.get(ref.name, "")) for ref in stage.inputs()]
    if before != now:
        names = sorted({name for name, _ in set(before) ^ set(now)})[:3]
        raise UsageError(
            f"{output} was made from other inputs ({', '.join(names)} changed): give --overwrite to redo it."
        )
    return manifest


def _check_other_work(stage: Stage, output: Path, key: str) -> None:
    folder = output / "_work"
    for other in sorted(folder.iterdir()) if folder.is_dir() else []:
        if other.name == key:
            continue
        try:
            config = json.loads((other / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            shutil.rmtree(other, ignore_errors=True)  # killed before it had begun
            continue
        changed = differences(config, _plain(stage.config())) or ["its inputs"]
        raise UsageError(
            f"{output} holds unfinished work with other settings ({'; '.join(changed[:3])}): run the former command"
            " again, or give --overwrite to throw it away."
        )


def _check_output(output: Path) -> None:
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file: give a directory as --output.")
    if output.is_dir():
        entries = {entry.name for entry in output.iterdir()}
        if entries and not entries & {MANIFEST, "_work", "_log"}:
            raise UsageError(f"{output} is not empty and not a dataset: give another --output.")
    output.mkdir(parents=True, exist_ok=True)
    if not os.access(output, os.W_OK):
        raise DataError(f"{output} is not writable: change its permissions or give another --output.")


def _clear(output: Path) -> None:
    """Remove a dataset, its manifest first; `_log` stays."""
    (output / MANIFEST).unlink(missing_ok=True)
    for entry in output.iterdir():
        if entry.name == "_log":
            (entry / "finished.json").unlink(missing_ok=True)
        elif entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _check_strict(stage: Stage, results: list[TaskResult], options: RunOptions) -> None:
    number = sum(result.counts[stage.unit].quarantined for result in results if stage.unit in result.counts)
    if options.strict and number:
        raise DataError(
            f"stage {stage.name} found {number} unreadable {stage.unit}: repair them, or leave --strict out."
        )


def _announce(stage: Stage, output: Path, options: RunOptions) -> None:
    estimate = stage.estimate()
    free = shutil.disk_usage(output).free
    memory = estimate.memory * options.workers
    note = "" if memory <= options.memory else f" (more than --memory {megabytes(options.memory)})"
    _say(options)(
        f"{stage.name}: about {megabytes(estimate.disk)} of disk ({megabytes(free)} free) and {megabytes(memory)} of"
        f" memory for data{note}"
    )
    if estimate.disk > free:
        _say(options)(f"{stage.name}: the disk under {output} is likely to fill up")


def _report(stage: Stage, output: Path, manifest: Manifest, seconds: float, options: RunOptions) -> None:
    counts = manifest.counts[stage.unit]
    parts = [f"{counts.seen:,} {stage.unit} in, {counts.kept:,} kept"]
    if counts.merged:
        parts.append(f"{counts.merged:,} merged")
    reasons = sorted(counts.dropped.items(), key=lambda item: (-item[1], item[0]))
    parts += [f"{number:,} {reason}" for reason, number in reasons[:4]]
    if len(reasons) > 4:
        parts.append(f"{sum(number for _, number in reasons[4:]):,} dropped for other reasons")
    say = _say(options)
    say(f"{stage.name}: {', '.join(parts)} ({duration(seconds)})")
    if counts.quarantined:
        say(
            f"{stage.name}: {counts.quarantined:,} {stage.unit} could not be read and were set aside;"
            f" see them with: corpus inspect {output} --quarantined"
        )


def _write_log(
    stage: Stage, output: Path, key: str, seconds: float, options: RunOptions, results: Mapping[str, list[TaskResult]]
) -> None:
    """Timings and memory go to `_log/`, which is no part of the dataset."""
    everything = [result for phase in results.values() for result in phase]
    entry = {
        "stage": stage.name,
        "key": key,
        "seconds": round(seconds, 3),
        "task_seconds": round(sum(result.seconds for result in everything), 3),
        "input_bytes": stage.input_bytes(),
        "workers": options.workers,
        "peak_memory": max((result.peak_memory for result in everything), default=0),
        "fixed_memory": max((result.fixed_memory for result in everything), default=0),
        "phases": {name: round(sum(r.seconds for r in phase), 3) for name, phase in results.items()},
    }
    write_atomic(output / "_log" / "finished.json", json.dumps(entry, indent=1) + "\n")


def _logged_key(output: Path) -> str:
    try:
        return str(json.loads((output / "_log" / "finished.json").read_text(encoding="utf-8"))["key"])
    except (OSError, ValueError, KeyError):
        return ""


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as it comes back from JSON, so that tuples equal lists."""
    value: dict[str, Any] = json.loads(json.dumps(dict(config)))
    return value


def _say(options: RunOptions) -> Any:
    def say(line: str) -> None:
        if not options.quiet:
            print(line, file=sys.stderr, flush=True)

    return say


def _disk_error(output: Path, error: OSError) -> DataError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DataError(f"the disk under {output} is full: free some space and run the same command again to go on.")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return DataError(
            f"{error.filename or output} cannot be written or read ({error.strerror}): change its permissions."
        )
    return DataError(f"{error.filename or output}: {error.strerror or error}; run the same command again to go on.")
