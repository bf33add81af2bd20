"""Runs a stage: what is done is not redone, what is half done is, and a kill at any moment loses nothing."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from corpus.data.dataset import Dataset, is_cleaned
from corpus.data.files import digest_of, write_atomic
from corpus.data.manifest import CLEANED, MANIFEST, SIDE_FILES, SIDE_FOLDERS, Manifest, differences
from corpus.data.stored import DamagedFileError
from corpus.data.verify import PLAN
from corpus.engine.alarms import DEFAULT_ALARMS, Alarms, check_alarms
from corpus.engine.attempts import set_aside_source
from corpus.engine.execution import StageFields
from corpus.engine.executors.base import Executor, Settings
from corpus.engine.executors.registry import executor_class
from corpus.engine.executors.worker import check_not_imported_by_worker
from corpus.engine.failure import FAILED, noted_failure, nothing_left
from corpus.engine.faults import fault
from corpus.engine.lock import locked
from corpus.engine.log import read_log, write_log
from corpus.engine.messages import explanations, lines_after, warnings_before
from corpus.engine.phase import PhaseRun, published_results
from corpus.engine.progress import Progress
from corpus.engine.publish import commit_stage
from corpus.engine.result import TaskResult
from corpus.engine.reuse import keep_results, take_over
from corpus.engine.stage import InputRef, Stage
from corpus.errors import DataError, UsageError

_OWN = re.compile(
    r"\d{5,}\.(parquet|arrow)|\.?(manifest\.json|README\.md)(\.tmp)?|_work|_log|"
    + "|".join(map(re.escape, (*SIDE_FOLDERS, *SIDE_FILES)))
)
"""The names of a dataset's own files and folders; nothing else is ever removed."""
IN_PROCESS_BYTES = 8_000_000
"""A stage with less input than this runs in the calling process: starting workers would take longer."""


@dataclass(frozen=True)
class RunOptions:
    """How to run: decides no byte of the output."""

    workers: int = 1
    memory: int = 4_000_000_000
    overwrite: bool = False
    """Throw an output (or unfinished work) away that has other settings or inputs, or whose shards are damaged."""
    strict: bool = False
    quiet: bool = False
    executor: str = "local"
    """Where tasks run; a name of `EXECUTORS`."""
    executor_options: Any = None
    """The executor's own options; None takes their defaults."""
    cpus_per_task: int = 1
    memory_per_task: int | None = None
    """What is reserved for a task, where the executor has machines to choose from."""
    stages: StageFields = field(default_factory=StageFields)
    """Fields that differ for some stages."""
    running: Executor | None = None
    """An executor that its owner keeps for several stages and closes; None opens one for this stage."""
    progress: Progress | None = None
    """What shows how far a run of several stages is, kept by who runs them; None shows this stage alone."""
    always_pool: bool = False
    alarms: Alarms = DEFAULT_ALARMS

    def of_stage(self, name: str, domain: str = "") -> RunOptions:
        """Those of one stage."""
        return dataclasses.replace(self, **self.stages.of(name, domain), stages=StageFields())


def run_stage(stage: Stage, output: Path | str, options: RunOptions | None = None) -> Manifest:
    """Run `stage` into the directory `output`, or find it done, and return its manifest.

    The same command after a kill goes on where the finished tasks end. Another configuration or other inputs than
    those of an existing output are a UsageError that says what changed, unless `options.overwrite`.
    """
    options = (options or RunOptions()).of_stage(stage.name)
    output = Path(output)
    check_not_imported_by_worker(f"stage {stage.name}")
    try:
        stage.check()
        with nothing_left(output):
            check_output(output, stage.input_paths())
            with locked(output, _say(options)):
                return _run_locked(stage, output, options)
    except OSError as error:
        raise disk_error(output, error) from error


def _run_locked(stage: Stage, output: Path, options: RunOptions) -> Manifest:
    finished = (output / MANIFEST).exists()
    mismatch = mismatch_of(stage, output) if finished else ""
    if mismatch and not options.overwrite:
        raise UsageError(mismatch)
    if mismatch or (finished and (is_cleaned(output) or (options.overwrite and Dataset.open(output).damaged()))):
        clear_dataset(output)
    if (output / MANIFEST).exists():
        shutil.rmtree(output / "_work", ignore_errors=True)
        return _finished(stage, output, options)
    for path in filter(is_cleaned, stage.input_paths()):
        Dataset.open(path).shard_paths()  # says that its rows are gone
    key = stage_key(stage)
    unfinished = _other_work(stage, output, key)
    if unfinished and not options.overwrite:
        raise UsageError(unfinished)
    if unfinished:
        clear_dataset(output)
    if not (output / "_work" / key).exists():
        clear_dataset(output)  # what a removed manifest or a killed removal left behind is no data
    work = output / "_work" / key
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "config.json").exists():
        write_atomic(work / "config.json", json.dumps(stage.whole_config(), indent=1, sort_keys=True))
    progress = options.progress or Progress(options.quiet)
    with nullcontext() if options.progress else progress:
        if options.progress is None:
            progress.begin(stage.name)
        progress.work()
        for line in warnings_before(stage, output, options.memory, options.workers):
            _say(options)(f"{progress.heading(stage.name)}: {line}")
        taken = take_over(stage, output, work)
        if taken:
            tasks = sum(phase.tasks for phase in stage.phases())
            said = f"{taken} of {tasks} tasks are as they were and not done again"
            _say(options)(f"{progress.heading(stage.name)}: {said}")
        started = time.monotonic()
        stage.begin(work)
        with noted_failure(work):
            _run_phases(stage, work, options, progress)
            manifest = commit_output(stage, output, started, options.workers, options.alarms)
        for line in lines_after(stage, output, manifest, time.monotonic() - started):
            _say(options)(f"{progress.heading(stage.name)}: {line}")
        for line in explanations(stage, manifest):
            if progress.is_new(line):
                _say(options)(f"{progress.heading(stage.name)}: {line}")
    return manifest


def _run_phases(stage: Stage, work: Path, options: RunOptions, progress: Progress) -> None:
    results: dict[str, list[TaskResult]] = {}
    checked: set[str] = set()
    executor = options.running or open_executor(options)
    try:
        executor.configure(executor_settings(options))
        memory = executor.task_memory(options.memory)
        for number, phase in enumerate(stage.phases(), 1):
            run = PhaseRun(stage, phase, work, progress, number, results, checked)
            results[phase.name] = run.run(executor, memory, options.strict)
            _check_strict(stage, results[phase.name], options)
            fault("phase-done")
    finally:
        if executor is not options.running:
            executor.close()


def open_executor(options: RunOptions) -> Executor:
    """The executor that `options` name, for one stage or for several; whoever opens it closes it."""
    return executor_class(options.executor)(executor_settings(options))


def executor_settings(options: RunOptions) -> Settings:
    """How `options` want an executor to work."""
    own = executor_class(options.executor).options() if options.executor_options is None else options.executor_options
    return Settings(
        options.workers, options.cpus_per_task, options.memory_per_task, own, IN_PROCESS_BYTES, options.always_pool
    )


def commit_output(
    stage: Stage, output: Path, started: float | None = None, workers: int = 1, alarms: Alarms = DEFAULT_ALARMS
) -> Manifest:
    """Make the dataset from the published results of all tasks, which a DataError names if they are missing.

    Needs the stage and the folder alone, so that a process of its own can do it on any host that sees the folder; the
    caller holds the output's lock. It can be repeated: a finished output is only tidied. `started` (monotonic seconds)
    and `workers` go to the log.
    """
    if not (output / MANIFEST).exists():
        key = stage_key(stage)
        results = published_results(stage, output / "_work" / key)
        try:
            commit_stage(stage, output, results, alarms)
        except DamagedFileError as error:
            set_aside_source(output / "_work" / key, error.path)
            raise
        write_log(stage, output, key, time.monotonic() - started if started else 0.0, workers, results)
        keep_results(stage, output, output / "_work" / key, results)
    shutil.rmtree(output / "_work", ignore_errors=True)
    return Manifest.load(output)


def stage_key(stage: Stage) -> str:
    """The name of a stage's working folder: the digest of its configuration, its inputs and its phases."""
    return digest_of(
        {
            "stage": stage.name,
            "config": stage.whole_config(),
            "inputs": [[ref.name, ref.identity] for ref in stage.inputs()],
            "phases": [[phase.name, phase.tasks] for phase in stage.phases()],
        }
    )


def up_to_date(stage: Stage, output: Path) -> bool:
    """Whether `output` is what this stage makes of these inputs, with its shards or cleaned; no row is read."""
    return (output / MANIFEST).exists() and not mismatch_of(stage, output)


def outdated(stage: Stage, output: Path) -> Literal["", "settings", "inputs"]:
    """What a finished and whole output of this stage was made with that is not as it is now; empty for any other."""
    if not (output / MANIFEST).exists():
        return ""
    try:
        manifest = Manifest.load(output)
    except DataError:  # `mismatch_of` says so
        return ""
    if manifest.stage != stage.name or _damage(output, manifest) or not mismatch_of(stage, output):
        return ""
    return "settings" if differences(manifest.config, _plain(stage.whole_config())) else "inputs"


def mismatch_of(stage: Stage, output: Path) -> str:
    """Why a finished output is not that of this stage on these inputs, with the remedy; empty if it is. The inputs may
    be cleaned."""
    try:
        manifest = Manifest.load(output)
    except DataError as error:
        return f"{error.message.rstrip('.')}; give --overwrite to redo it."
    damage = _damage(output, manifest)
    references = stage.inputs()
    if damage or (any(not ref.digest for ref in references) and _logged_key(output) == stage_key(stage)):
        return damage  # raw files of the same size and time of change are not read
    if manifest.stage != stage.name:
        return f"{output} was made by stage {manifest.stage}: choose another --output, or give --overwrite."
    changed = differences(manifest.config, _plain(stage.whole_config()))
    if changed:
        return f"{output} was made with other settings ({'; '.join(changed[:3])}): give --overwrite to redo it."
    before = [(entry["name"], entry["digest"]) for entry in manifest.inputs]
    now = before if _same_names(manifest, references) else [(ref.name, ref.digest) for ref in references]
    if now == before:
        digests = {ref.name: ref.digest for ref in references if ref.digest} | _unchanged(output, manifest, references)
        digests |= stage.resolve_digests([ref.name for ref in references if ref.name not in digests])
        now = [(ref.name, digests.get(ref.name, "")) for ref in references]
    if before != now:
        names = ", ".join(sorted({name for name, _ in set(before) ^ set(now)})[:3]) or "their order"
        return f"{output} was made from other inputs ({names} changed): give --overwrite to redo it."
    return ""


def _same_names(manifest: Manifest, references: Sequence[InputRef]) -> bool:
    return [entry["name"] for entry in manifest.inputs] == [ref.name for ref in references]


def _unchanged(output: Path, manifest: Manifest, references: Sequence[InputRef]) -> dict[str, str]:
    """The digests in the manifest of raw files that are as they were when they were read: these are not read again."""
    before = read_log(output).get("inputs", {})
    digests = {str(entry["name"]): str(entry["digest"]) for entry in manifest.inputs}
    return {ref.name: digests[ref.name] for ref in references if before.get(ref.name) == ref.identity}


def _damage(output: Path, manifest: Manifest) -> str:
    for entry in manifest.files if is_cleaned(output) else manifest.entries:
        path = output / entry.name
        if not path.exists() or path.stat().st_size != entry.bytes:
            return f"{path} is missing or cut short: give --overwrite to make {output} again."
    return ""


def _other_work(stage: Stage, output: Path, key: str) -> str:
    folder = output / "_work"
    for other in sorted(folder.iterdir()) if folder.is_dir() else []:
        if other.name == key:
            continue
        if (other / FAILED).exists():
            shutil.rmtree(other, ignore_errors=True)
            continue
        try:
            config = json.loads((other / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            shutil.rmtree(other, ignore_errors=True)  # killed before it had begun
            continue
        changed = differences(config, _plain(stage.whole_config())) or ["its inputs"]
        return (
            f"{output} holds unfinished work with other settings ({'; '.join(changed[:3])}): run the former command"
            " again, or give --overwrite to throw it away."
        )
    return ""


def _finished(stage: Stage, output: Path, options: RunOptions) -> Manifest:
    manifest = Manifest.load(output)
    number = manifest.counts[stage.unit].quarantined
    if options.strict and number:
        raise DataError(f"{output} was made with {number} unreadable {stage.unit} set aside: leave --strict out.")
    check_alarms(stage, output, manifest.counts, manifest.extra, options.alarms)
    return manifest


def check_output(output: Path, inputs: Sequence[Path]) -> None:
    """Refuse an output that is or touches an input, that holds a run or a stranger's files, or cannot be written."""
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file: give a directory as --output.")
    place = output.resolve()
    for path in inputs:
        source = path.resolve()
        if place == source or place in source.parents or source in place.parents:
            raise UsageError(f"{output} is, holds or lies in the input {path}: give another --output.")
    if output.is_dir():
        names = {entry.name for entry in output.iterdir()}
        if "recipe.yaml" in names or (output / PLAN).exists():
            raise UsageError(f"{output} is the output of corpus run, not of one stage: give another --output.")
        strangers = sorted(name for name in names if not _OWN.fullmatch(name))
        if strangers:
            raise UsageError(f"{output} holds {strangers[0]}, which is no part of a dataset: give another --output.")
    output.mkdir(parents=True, exist_ok=True)
    if not os.access(output, os.W_OK):
        raise DataError(f"{output} is not writable: change its permissions or give another --output.")


def clear_dataset(output: Path) -> None:
    """Remove a dataset, its manifest first, and nothing that is no part of one; the lock stays."""
    (output / MANIFEST).unlink(missing_ok=True)
    for entry in output.iterdir():
        if not _OWN.fullmatch(entry.name):
            continue
        if entry.name == "_log":
            (entry / "finished.json").unlink(missing_ok=True)
            (output / CLEANED).unlink(missing_ok=True)
        elif entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _check_strict(stage: Stage, results: list[TaskResult], options: RunOptions) -> None:
    number = sum(result.counts[stage.unit].quarantined for result in results if stage.unit in result.counts)
    if options.strict and number:
        raise DataError(
            f"stage {stage.name} found {number} unreadable {stage.unit}: repair them, or leave --strict out."
        )


def _logged_key(output: Path) -> str:
    return str(read_log(output).get("key", ""))


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as it comes back from JSON, so that tuples equal lists."""
    value: dict[str, Any] = json.loads(json.dumps(dict(config)))
    return value


def _say(options: RunOptions) -> Any:
    def say(line: str) -> None:
        if not options.quiet:
            print(line, file=sys.stderr, flush=True)

    return say


def disk_error(output: Path, error: OSError) -> DataError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DataError(f"the disk under {output} is full: free some space and run the same command again to go on.")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return DataError(
            f"{error.filename or output} cannot be written or read ({error.strerror}): change its permissions."
        )
    return DataError(f"{error.filename or output}: {error.strerror or error}; run the same command again to go on.")
