"""Checkpoints that are whole or not there: a temporary directory, fsync, a COMMIT file with checksums, a rename.

`checkpoints/step-000123/` holds `model.safetensors`, `optimizer.safetensors`, `random.safetensors`, `state.json` and
`COMMIT.json`. Two equal runs write equal bytes: no time, no path, no count of restarts.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from corpus.data.files import canonical_json, checksum, digest_of, sync_file
from corpus.errors import DataError

COMMIT = "COMMIT.json"
STATE = "state.json"
_NAME = re.compile(r"step-(\d+)")
_RESERVE = 1 << 20
"""Bytes that must stay free beside a checkpoint's tensors."""

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

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The tensors of `<name>.safetensors`, on the CPU."""
        loaded: dict[str, Tensor] = load_file(self.path / f"{name}.safetensors")
        return loaded


class CheckpointStore:
    """The `checkpoints/` directory of a run; one process writes to it."""

    def __init__(self, directory: Path, keep: int = 0, fault: Fault = no_fault) -> None:
        """`keep`: how many of the newest valid checkpoints stay; 0 keeps all."""
        self.directory = directory
        self.keep = keep
        self.fault = fault

    def save(self, step: int, groups: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> Path:
        """Commit a checkpoint: each group of tensors a file, `state` as JSON. A valid one of this step stays.

        Raises DataError where the disk is full or cannot be written; what was written of it is removed.
        """
        final = self.directory / f"step-{step:06d}"
        if final.exists() and _fault_of(final) is None:
            return final
        temporary = self.directory / f".{final.name}.{os.getpid()}.tmp"
        try:
            self.directory.mkdir(exist_ok=True)
            self._check_space(groups)
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            self._write(temporary, step, groups, state)
            self._publish(temporary, final)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(temporary, ignore_errors=True)
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise DataError(
                f"the checkpoint of step {step} cannot be written to {self.directory} ({reason}): make room or mend the "
                "directory, then give the same command again."
            ) from None
        self._prune()
        return final

    def _check_space(self, groups: Mapping[str, Mapping[str, Tensor]]) -> None:
        need = _RESERVE + sum(tensor.nbytes for tensors in groups.values() for tensor in tensors.values())
        free = shutil.disk_usage(self.directory).free
        if free < need:
            raise OSError(0, f"{need / 1e6:,.1f} MB needed, {free / 1e6:,.1f} MB free")

    def _write(
        self, directory: Path, step: int, groups: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]
    ) -> None:
        self.fault("directory made")
        for name, tensors in groups.items():
            path = directory / f"{name}.safetensors"
            save_file({key: tensor.detach().contiguous() for key, tensor in tensors.items()}, path)
            self.fault(f"{name} written")
            sync_file(path)
            self.fault(f"{name} synced")
        _write_synced(directory / STATE, json.dumps(state, indent=1, sort_keys=True) + "\n")
        self.fault("state written")
        files = {
            path.name: {"bytes": path.stat().st_size, "checksum": checksum(path)}
            for path in sorted(directory.iterdir())
        }
        commit = {"format": 1, "step": step, "files": files}
        _write_synced(directory / COMMIT, canonical_json({**commit, "checksum": digest_of(commit)}) + "\n")
        self.fault("commit written")
        sync_file(directory)
        self.fault("directory synced")

    def _publish(self, temporary: Path, final: Path) -> None:
        if final.exists():  # a torn one: out of the way, and swept later
            final.rename(self.directory / f".{final.name}.torn.tmp")
        temporary.rename(final)
        self.fault("renamed")
        sync_file(self.directory)
        self.fault("parent synced")

    def _prune(self) -> None:
        """Remove the older valid checkpoints and what kills left behind; torn ones never count as kept."""
        self.sweep()
        valid = [path for path in self._steps() if _fault_of(path, thorough=False) is None]
        for path in valid[self.keep :] if self.keep else []:
            doomed = path.with_name(f".{path.name}.old.tmp")
            path.rename(doomed)
            self.fault("old one renamed")
            shutil.rmtree(doomed)
            self.fault("old one removed")

    def sweep(self) -> None:
        """Remove temporary directories of saves that were killed."""
        if self.directory.exists():
            for path in self.directory.glob(".step-*.tmp"):
                shutil.rmtree(path, ignore_errors=True)

    def newest(self, report: Callable[[str], None]) -> Checkpoint | None:
        """The newest checkpoint whose files are what its COMMIT says; `report` is told of each one passed over."""
        for path in self._steps():
            reason = _fault_of(path)
            if reason is None:
                state = json.loads((path / STATE).read_text(encoding="utf-8"))
                return Checkpoint(path, int(state["step"]), state)
            report(f"{path.name} is passed over: {reason}")
        return None

    def _steps(self) -> list[Path]:
        """Checkpoint directories, newest first."""
        if not self.directory.exists():
            return []
        found = [(int(match[1]), path) for path in self.directory.iterdir() if (match := _NAME.fullmatch(path.name))]
        return [path for _, path in sorted(found, reverse=True)]


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
