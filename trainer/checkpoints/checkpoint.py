"""Checkpoints that are whole or not there: a temporary directory, fsync, a COMMIT file with checksums, a rename.

`checkpoints/step-000123/` holds `model.safetensors`, `optimizer.safetensors`, `random.safetensors`, `state.json` and
`COMMIT.json`; where the weights are sharded over ranks, `sharded/` in torch's distributed format (DCP) instead of the
first two. Two equal runs write equal bytes: no time, no path, no count of restarts.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from corpus.data.files import canonical_json, checksum, digest_of, sync_file, sync_tree
from corpus.errors import DataError
from trainer.checkpoints.tensors import Groups
from trainer.distributed.ranks import Ranks

COMMIT = "COMMIT.json"
STATE = "state.json"
SHARDED = "sharded"
"""Where torch's distributed format lies in a checkpoint."""
_NAME = re.compile(r"step-(\d+)")
_RESERVE = 1 << 20
"""Bytes that must stay free besides a checkpoint's tensors."""

Fault = Callable[[str], None]
"""Called with a name between the system calls of a save; the tests stop the process there."""


def no_fault(point: str) -> None:
    """The hook of a normal run: nothing happens."""


@dataclass(frozen=True)
class Checkpoint:
    """A committed checkpoint."""

    path: Path
    step: int
    state: Mapping[str, Any]

    @property
    def sharded(self) -> bool:
        """Whether weights and optimizer lie in `sharded/`."""
        return self.sharded_path.is_dir()

    @property
    def sharded_path(self) -> Path:
        """Where torch's distributed format lies, if at all."""
        return self.path / SHARDED

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The tensors of one group ("model", "optimizer", "random"), whole, on the CPU."""
        file = self.path / f"{name}.safetensors"
        if not file.exists():
            from trainer.checkpoints.sharded import whole_tensors

            return whole_tensors(self.sharded_path, name)
        loaded: dict[str, Tensor] = load_file(file)
        return loaded

    def names(self, name: str) -> set[str]:
        """The names of the tensors of a sharded group."""
        from trainer.checkpoints.sharded import shard_names

        return shard_names(self.sharded_path, name)


@dataclass(frozen=True)
class Retention:
    """Which valid checkpoints stay: the newest `rolling` (0: all), every one of a multiple of `every` steps (0: none),
    and for rewinds always one that is at least `back` steps older than the newest, but not much older."""

    rolling: int = 0
    every: int = 0
    back: int = 0

    def kept(self, steps: Sequence[int]) -> set[int]:
        """Those of the steps (newest first) that stay."""
        if not self.rolling or not steps:
            return set(steps)
        kept = set(steps[: self.rolling])
        if self.every:
            kept |= {step for step in steps if step and step % self.every == 0}
        if self.back:
            # one old enough now, and after it one every half `back` steps, to be old enough later
            old = [step for step in steps if step <= steps[0] - self.back]
            last = old[0] if old else steps[-1]
            kept.add(last)
            for step in reversed(steps):
                if step >= last + self.back / 2:
                    kept.add(step)
                    last = step
        return kept


class CheckpointStore:
    """The `checkpoints/` directory of a run. One run writes to it: rank 0 alone, but for sharded tensors."""

    def __init__(
        self,
        directory: Path,
        keep: int | Retention = 0,
        fault: Fault = no_fault,
        ranks: Ranks | None = None,
    ) -> None:
        """`keep`: the rule, or how many of the newest valid checkpoints stay; 0 keeps all."""
        self.directory = directory
        self.retention = keep if isinstance(keep, Retention) else Retention(keep)
        self.fault = fault
        self.ranks = ranks or Ranks()

    def save(self, step: int, groups: Groups, state: Mapping[str, Any], sharded: bool = False) -> Path:
        """Commit a checkpoint: each group of tensors a file, `state` as JSON. A valid one of this step stays.

        All ranks call it. `sharded`: "model" and "optimizer" hold a part of each tensor on each rank.
        Raises DataError where the disk is full or cannot be written; what was written of it is removed.
        """
        final = self.directory / f"step-{step:06d}"
        temporary = self.directory / f".{final.name}.tmp"
        group = self.ranks.saving
        if self.ranks.from_rank_0(lambda: self._begin(final, temporary, step, groups), group):
            return final
        if sharded:
            failures = [reason for reason in self._save_shards(temporary, groups) if reason]
            if failures:
                self.ranks.from_rank_0(lambda: self._fail(temporary, step, failures[0]), group)
            groups = {name: tensors for name, tensors in groups.items() if name not in ("model", "optimizer")}
        self.ranks.from_rank_0(lambda: self._finish(final, temporary, step, groups, state), group)
        return final

    def _begin(self, final: Path, temporary: Path, step: int, groups: Groups) -> bool:
        """Whether the step is saved already; if not there is an empty temporary directory now."""
        if final.exists() and _fault_of(final) is None:
            return True
        try:
            self.directory.mkdir(exist_ok=True)
            self._check_space(groups)
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
        except OSError as error:
            self._fail(temporary, step, error.strerror or str(error))
        return False

    def _save_shards(self, temporary: Path, groups: Groups) -> list[str]:
        """What went wrong on each rank, empty where nothing did."""
        from torch.distributed.checkpoint.api import CheckpointException

        from trainer.checkpoints.sharded import save_shards

        reason = ""
        try:
            parts = {name: groups[name] for name in ("model", "optimizer")}
            save_shards(temporary / SHARDED, parts, self.ranks.saving)
        except (OSError, CheckpointException) as error:
            reason = str(error).strip().splitlines()[-1]
        return self.ranks.gather(reason, self.ranks.saving)

    def _finish(self, final: Path, temporary: Path, step: int, groups: Groups, state: Mapping[str, Any]) -> None:
        try:
            self._write(temporary, step, groups, state)
            self._publish(temporary, final)
        except (OSError, SafetensorError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self._fail(temporary, step, reason)
        self._prune(step)

    def _fail(self, temporary: Path, step: int, reason: str) -> None:
        shutil.rmtree(temporary, ignore_errors=True)
        raise DataError(
            f"the checkpoint of step {step} cannot be written to {self.directory} ({reason}): make room or repair the "
            "directory, then give the same command again."
        ) from None

    def _check_space(self, groups: Groups) -> None:
        need = _RESERVE + sum(tensor.nbytes for tensors in groups.values() for tensor in tensors.values())
        free = shutil.disk_usage(self.directory).free
        if free < need:
            raise OSError(0, f"{need / 1e6:,.1f} MB needed, {free / 1e6:,.1f} MB free")

    def _write(self, directory: Path, step: int, groups: Groups, state: Mapping[str, Any]) -> None:
        self.fault("directory made")
        for name, tensors in groups.items():
            path = directory / f"{name}.safetensors"
            save_file({key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}, path)
            self.fault(f"{name} written")
            sync_file(path)
            self.fault(f"{name} synced")
        _write_synced(directory / STATE, json.dumps(state, indent=1, sort_keys=True) + "\n")
        self.fault("state written")
        files = {
            path.relative_to(directory).as_posix(): {"bytes": path.stat().st_size, "checksum": checksum(path)}
            for path in sorted(directory.rglob("*"))
            if path.is_file()
        }
        commit = {"format": 1, "step": step, "files": files}
        _write_synced(directory / COMMIT, canonical_json({**commit, "checksum": digest_of(commit)}) + "\n")
        self.fault("commit written")
        sync_tree(directory)
        self.fault("directory synced")

    def _publish(self, temporary: Path, final: Path) -> None:
        if final.exists():  # a torn one: out of the way, and swept later
            final.rename(self.directory / f".{final.name}.torn.tmp")
        temporary.rename(final)
        self.fault("renamed")
        sync_file(self.directory)
        self.fault("parent synced")

    def _prune(self, saved: int) -> None:
        """Remove the older checkpoints and what killed saves left, once that of step `saved` is on the disk.

        That one stays: it alone is known to be whole. Newer ones neither go nor count, and torn ones do not count.
        """
        self.sweep()
        for path in self.directory.glob(".step-*.torn"):
            if _step_of(path.with_suffix("")) <= saved:  # a whole one has come up with it
                shutil.rmtree(path, ignore_errors=True)
        valid = {
            _step_of(path): path
            for path in self._paths()
            if _step_of(path) <= saved and _fault_of(path, thorough=False) is None
        }
        kept = self.retention.kept(list(valid))
        for step, path in valid.items():
            if step not in kept:
                self._remove(path)

    def _remove(self, path: Path) -> None:
        doomed = path.with_name(f".{path.name}.old.tmp")
        path.rename(doomed)
        self.fault("old one renamed")
        shutil.rmtree(doomed)
        self.fault("old one removed")

    def discard_after(self, step: int) -> None:
        """Remove the checkpoints of later steps: the run went back and goes another way."""
        for path in self._paths():
            if _step_of(path) > step:
                self._remove(path)

    def set_aside_after(self, step: int) -> None:
        """Rename the checkpoints of later steps that are not valid to `.step-….torn`, which is no checkpoint's name.

        They stay until a valid one of their step or a later one is there.
        """
        for path in self._paths():
            if _step_of(path) > step and _fault_of(path) is not None:
                aside = path.with_name(f".{path.name}.torn")
                shutil.rmtree(aside, ignore_errors=True)
                path.rename(aside)

    @property
    def empty(self) -> bool:
        """Whether there is no checkpoint, not even one that cannot be read."""
        return not self._paths()

    def steps(self) -> list[int]:
        """The steps of the checkpoints that are there, valid or not, newest first."""
        return [_step_of(path) for path in self._paths()]

    def sweep(self) -> None:
        """Remove temporary directories of saves that were killed."""
        if self.directory.exists():
            for path in self.directory.glob(".step-*.tmp"):
                shutil.rmtree(path, ignore_errors=True)

    def newest(
        self,
        report: Callable[[str], None],
        admits: Callable[[int, Mapping[str, Any]], bool] | None = None,
        at_most: int | None = None,
    ) -> Checkpoint | None:
        """The newest checkpoint whose files are what its COMMIT says; `report` is told of each one skipped.

        Those of later steps than `at_most` are left out; `admits` may refuse valid ones by step and state.
        """
        for path in self._paths():
            if at_most is not None and _step_of(path) > at_most:
                continue
            reason = _fault_of(path)
            if reason is not None:
                report(f"{path.name} is passed over: {reason}")
                continue
            state = json.loads((path / STATE).read_text(encoding="utf-8"))
            if admits is None or admits(int(state["step"]), state):
                return Checkpoint(path, int(state["step"]), state)
        return None

    def before(self, step: int, report: Callable[[str], None]) -> Checkpoint | None:
        """The newest valid checkpoint of at most `step`, else the oldest one; None where none is valid."""
        found = self.newest(report, at_most=step)
        if found is None:
            for path in reversed(self._paths()):
                if _fault_of(path) is None:
                    state = json.loads((path / STATE).read_text(encoding="utf-8"))
                    return Checkpoint(path, int(state["step"]), state)
        return found

    def _paths(self) -> list[Path]:
        """Checkpoint directories, newest first."""
        if not self.directory.exists():
            return []
        found = [path for path in self.directory.iterdir() if _NAME.fullmatch(path.name)]
        return sorted(found, key=_step_of, reverse=True)


def _step_of(path: Path) -> int:
    return int(path.name.rpartition("-")[2])


def _write_synced(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    sync_file(path)


def _fault_of(path: Path, thorough: bool = True) -> str | None:
    """Why a checkpoint is not valid; None where it is. Sizes always, checksums where `thorough`."""
    try:
        commit = json.loads((path / COMMIT).read_text(encoding="utf-8"))
        body = {key: value for key, value in commit.items() if key != "checksum"}
        if commit["checksum"] != digest_of(body):
            return f"{COMMIT} was changed"
        for name, entry in commit["files"].items():
            file = path / name
            if not file.exists():
                return f"{name} is missing"
            if file.stat().st_size != entry["bytes"]:
                return f"{name} has {file.stat().st_size} bytes instead of {entry['bytes']}"
            if thorough and checksum(file) != entry["checksum"]:
                return f"{name} was changed (checksum differs)"
    except FileNotFoundError:
        return f"no {COMMIT}, it was not finished"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{COMMIT} cannot be read ({error})"
    return None
