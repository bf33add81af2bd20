"""`corpus status` and `corpus clean`: what lies below an output, and what of it is an intermediate."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from corpus.data.dataset import is_cleaned
from corpus.data.files import write_atomic
from corpus.data.manifest import CLEANED, MANIFEST, RESULTS, Manifest
from corpus.data.verify import PLAN, find_datasets, read_plan, run_finished
from corpus.errors import DataError, UsageError


def short_name(name: str) -> str:
    """What a dataset of a run is called: `wikipedia/train` for `documents/wikipedia/02-train`."""
    return re.sub(r"(^|/)\d\d-", r"\1", name.removeprefix("documents/"))


@dataclass(frozen=True)
class StageState:
    """Where one stage's output stands: `done`, `unfinished` (with what is done of it),
    `failed` (with the error), `cleaned` (its shards were removed,
    its trail is kept) or `to do`."""

    path: Path
    state: str
    detail: str


def stage_states(output: Path) -> list[StageState]:
    """The state of a dataset, of every stage of a `corpus run` output, or of all datasets below a directory."""
    if not output.is_dir():
        raise UsageError(f"{output} does not exist: give the output of a stage or of corpus run.")
    if (output / PLAN).exists():
        return _run_states(output)
    unfinished = {path.parent for path in output.glob("**/_work")}
    paths = sorted({*find_datasets(output), *unfinished})
    if not paths:
        raise UsageError(f"{output} holds no dataset, finished or not: give the output of a stage or of corpus run.")
    return [_state(path) for path in paths]


def _run_states(output: Path) -> list[StageState]:
    """What a finished run need not keep and somebody removed counts as cleaned, too; once a kept output is lost, a rerun
    makes all of that again."""
    plan = read_plan(output)
    kept = {output / name for name in plan["kept"]}
    states = [_state(output / name) for name in plan["outputs"]]
    if not run_finished(output) or any(state.state != "done" for state in states if state.path in kept):
        return states
    return [StageState(s.path, "cleaned", "") if s.state == "to do" and s.path not in kept else s for s in states]


def _state(path: Path) -> StageState:
    if (path / MANIFEST).exists():
        try:
            manifest = Manifest.load(path)
        except DataError as error:
            return StageState(path, "broken", error.message)
        totals = ", ".join(f"{value:,} {name}" for name, value in manifest.totals.items())
        state = "cleaned" if is_cleaned(path) else "done"
        return StageState(path, state, f"{manifest.stage}: {totals or f'{manifest.rows:,} rows'}")
    work = path / "_work"
    if work.is_dir():
        phases = sorted(folder for run in work.iterdir() for folder in run.iterdir() if folder.is_dir())
        done = [f"{len(list(p.glob('[0-9]*')))} tasks of {p.name} done" for p in phases if not p.name.startswith(".")]
        failed = [file.read_text(encoding="utf-8").split("\n")[0] for file in sorted(work.glob("*/failed"))]
        if failed:
            return StageState(path, "failed", "; ".join(failed))
        return StageState(path, "unfinished", "; ".join(done) + "; the same command goes on from there")
    return StageState(path, "to do", "")


@dataclass(frozen=True)
class Freed:
    """A dataset whose shards were removed: their number and bytes, and the bytes of the trail that stays."""

    path: Path
    shards: int
    bytes: int
    kept: int


def clean(output: Path, dry_run: bool) -> list[Freed]:
    """Remove the shards that a finished `corpus run` no longer needs: documents of all stages but the last of each
    domain. The trail stays: manifests, drops, records set aside, samples, reports.

    An unfinished run is a UsageError: it still needs them.
    """
    plan = read_plan(output)
    kept = {output / name for name in plan["kept"]}
    lost = [f" ({state.path})" for state in stage_states(output) if state.state != "done" and state.path in kept]
    if lost or not run_finished(output):
        raise UsageError(f"{output} is not finished{''.join(lost[:1])}: run corpus run again before corpus clean.")
    freed = []
    for name in plan["outputs"]:
        path = output / name
        if path in kept or not (path / MANIFEST).exists():
            continue
        shards = [path / shard.name for shard in Manifest.load(path).shards]
        sizes = [shard.stat().st_size for shard in shards if shard.exists()]
        if not sizes:
            continue
        every = sum(
            file.stat().st_size
            for file in path.rglob("*")
            if file.is_file() and not file.is_relative_to(path / RESULTS)
        )
        freed.append(Freed(path, len(sizes), sum(sizes), every - sum(sizes)))
        if not dry_run:
            write_atomic(path / CLEANED, "")  # first, so that a kill leaves no dataset that looks damaged
            for shard in shards:
                shard.unlink(missing_ok=True)
            shutil.rmtree(path / RESULTS, ignore_errors=True)  # the shards have a second name there
    return freed
