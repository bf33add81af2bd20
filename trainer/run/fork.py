"""`trainer fit --from RUN@STEP`: a new run that is the other one up to a checkpoint of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from corpus.data.files import sync_file, sync_tree, write_atomic
from corpus.errors import DataError, UsageError
from trainer.checkpoints.checkpoint import Checkpoint, CheckpointStore
from trainer.run.directory import BASE, BASE_MARK, TOKENIZER, TOKENIZER_JSON, Run
from trainer.run.metrics import MetricsLog, metrics_line
from trainer.spikes.skip_log import SkipLog


def find_source(source: str, run: Run, overwrite: bool, say: Callable[[str], None]) -> tuple[Run, Checkpoint] | None:
    """The run and its checkpoint that `run` is to leave, given as RUN or RUN@STEP; None where it has done so already.

    Raises UsageError where there is no such run or checkpoint, or `run` is that run or another one.
    """
    path, step = split_source(source)
    other = Run(path)
    if path.resolve() == run.path.resolve():
        raise UsageError(f"--from {source} is the run of --output itself: give another --output.")
    if not overwrite and run.read_config() is not None:
        _check_made_of(run, other, step, source)
        return None
    other.first_config()  # says that there is no run
    return other, _checkpoint(other, step, say)


def fork(other: Run, checkpoint: Checkpoint, run: Run, say: Callable[[str], None]) -> None:
    """Make `run`, which is new, of the state of another one."""
    history = other.history()
    mark = {"run": history.first.digest, "step": checkpoint.step}
    try:
        write_atomic(run.fork, json.dumps(mark, indent=1, sort_keys=True) + "\n")
        _copy(other, run, checkpoint)
        history.until(checkpoint.step).save(run.changes)
        skip_log = SkipLog.from_json(checkpoint.state["skip_log"])
        if skip_log.entries:
            skip_log.save(run.skip_log)
        run.write_config(history.first)
    except OSError as error:
        raise DataError(f"{run.path} cannot be written ({error.strerror}): give another --output.") from None
    say(f"{run.path} leaves {other.path} at step {checkpoint.step:,}.")


def split_source(source: str) -> tuple[Path, int | None]:
    """RUN or RUN@STEP; a directory whose own name has an @ is one."""
    name, at, step = source.rpartition("@")
    if not at or Path(source).is_dir():
        return Path(source), None
    if not step.isdecimal():
        raise UsageError(f"--from {source} has no number of a step behind the @: write --from RUN@STEP.")
    return Path(name), int(step)


def read_fork(run: Run) -> Mapping[str, Any] | None:
    """Which run this one left, by the digest of its configuration, and at which step; None where it is no fork."""
    try:
        value = json.loads(run.fork.read_text(encoding="utf-8"))
        return {"run": str(value["run"]), "step": int(value["step"])}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{run.fork} cannot be read ({error}): put back the run's own.") from None


def _check_made_of(run: Run, other: Run, step: int | None, source: str) -> None:
    """A UsageError where `run` did not leave `other`, as far as that is still there, at this step."""
    mark = read_fork(run)
    there = other.read_config() is not None
    if mark is None or (there and mark["run"] != other.first_config().digest) or step not in (None, mark["step"]):
        was = "is no fork" if mark is None else f"left another run or another step ({mark['step']})"
        raise UsageError(f"{run.path} {was}, and not one of {source}: give another --output.")


def _checkpoint(other: Run, step: int | None, say: Callable[[str], None]) -> Checkpoint:
    store = CheckpointStore(other.checkpoints)
    found = store.newest(say, at_most=step)
    if found is None or step not in (None, found.step):
        steps = ", ".join(map(str, reversed(store.steps())))
        raise UsageError(f"{other.path} has no valid checkpoint of step {step}: give one of {steps or 'another run'}.")
    return found


def _copy(other: Run, run: Run, checkpoint: Checkpoint) -> None:
    """The checkpoint, the measurements up to it and the tokenizer."""
    shutil.rmtree(run.checkpoints, ignore_errors=True)
    shutil.copytree(checkpoint.path, run.checkpoints / checkpoint.path.name)
    sync_tree(run.checkpoints)
    rewinds = len(SkipLog.from_json(checkpoint.state["skip_log"]).went_back_to)
    records = [
        {**record, "rewinds": rewinds}
        for record in MetricsLog(other.metrics).records()
        if record["step"] <= checkpoint.step
    ]
    write_atomic(run.metrics, "".join(map(metrics_line, records)))
    for name in (TOKENIZER, TOKENIZER_JSON, BASE, BASE_MARK):
        if (other.path / name).exists():
            shutil.copyfile(other.path / name, run.path / name)
            sync_file(run.path / name)
