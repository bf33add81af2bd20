"""Results that a later run of a stage takes over: where inputs have grown, only what depends on what is new is done.

Some tasks have results that follow from a part of the input alone: what `ingest` makes of a group of raw files, a map or
`tokenize` of a shard. A finished output keeps what such tasks published in `_log/tasks/<key>/`, under the digest of all
that their results follow from; shards and records lie there under a second name and take no more room. A run with other
inputs publishes what it finds there as results of its own tasks, before these are begun; all else is as in any run, so
that the output is that of a fresh one. Nothing there is part of the dataset: without it all tasks are done.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from corpus.data.manifest import RESULTS
from corpus.data.stored import DamagedFileError
from corpus.engine.attempts import attempt_name
from corpus.engine.publish import final_names
from corpus.engine.result import TaskResult, task_directory, write_result
from corpus.engine.stage import Stage, Unit


def keep_results(stage: Stage, output: Path, work: Path, results: Mapping[str, Sequence[TaskResult]]) -> None:
    """Keep the results of a committed stage that can be taken over, and no others. Where a file cannot have two names
    nothing is kept."""
    folder = output / RESULTS
    units = stage.units(results)
    if not units:
        shutil.rmtree(folder, ignore_errors=True)
        return
    names = final_names(stage, results)
    folder.mkdir(parents=True, exist_ok=True)
    for unit in units:
        target = folder / unit.key
        if target.is_dir():
            continue
        new = folder / f".{unit.key}.tmp"
        shutil.rmtree(new, ignore_errors=True)
        try:
            for number, (phase, index) in enumerate(unit.tasks):
                _keep(work, phase, index, new / str(number), output, names)
            new.rename(target)
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            return
    wanted = {unit.key for unit in units}
    for path in folder.iterdir():
        if path.name not in wanted:
            shutil.rmtree(path, ignore_errors=True)


def _keep(work: Path, phase: str, index: int, target: Path, output: Path, names: Mapping[Path, str]) -> None:
    """Keep what one task published. Pieces that were joined to a shard are in that alone."""
    directory = task_directory(work, phase, index)
    result = TaskResult.load(directory)
    target.mkdir(parents=True)
    for name in result.files:
        place = names.get(directory / name)
        source = output / place if place is not None else directory / name
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        os.link(source, target / name)
    placed = [entry for entry in result.shards if directory / entry.name in names]
    for entry in placed:
        os.link(output / names[directory / entry.name], target / entry.name)
    write_result(target, replace(result, shards=tuple(placed)).to_json())


def take_over(stage: Stage, output: Path, work: Path) -> int:
    """Publish what is kept of earlier runs as results of this one; how many tasks need not be done."""
    folder = output / RESULTS
    if not folder.is_dir():
        return 0
    found = 0
    for unit in stage.units():
        source = folder / unit.key
        if source.is_dir():
            found += _publish(unit, source, work)
    return found


def _publish(unit: Unit, source: Path, work: Path) -> int:
    """Publish the tasks of a unit, the one that has its shard first: others have joined theirs to it."""
    places = [(source / str(number), task_directory(work, *task)) for number, task in enumerate(unit.tasks)]
    left = [(kept, place) for kept, place in places if not place.exists()]
    try:
        for kept, _ in left:
            _check(kept)
    except (OSError, ValueError, KeyError, TypeError, IndexError, DamagedFileError):
        shutil.rmtree(source, ignore_errors=True)  # it is made again
        return 0
    for kept, place in left:
        place.parent.mkdir(exist_ok=True)
        attempt = place.parent / attempt_name(int(place.name))
        try:
            shutil.copytree(kept, attempt, copy_function=os.link)
            attempt.rename(place)
        except OSError:  # no second names here, or another run was faster
            shutil.rmtree(attempt, ignore_errors=True)
            return 0
    return len(left)


def _check(directory: Path) -> None:
    """Raise what is wrong with a kept result; every byte of it is read."""
    result = TaskResult.parse(directory)
    for name in result.files:
        result.file(name).check()
    for entry in result.shards:
        result.shard(entry).check()
