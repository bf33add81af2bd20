"""What tasks expect of the machine that they run on: the folders, and the packages, of the one that sent them."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from corpus.engine.publish import versions
from corpus.engine.visible import seen
from corpus.errors import DataError, UsageError


@dataclass(frozen=True)
class Place:
    """The working directory and package versions of the process that sends tasks to other machines."""

    folder: str
    versions: Mapping[str, str]

    @classmethod
    def of_this(cls) -> Place:
        """That of this process."""
        return cls(os.getcwd(), _own_versions())

    def enter(self, work: str) -> None:
        """Work in the same directory, which relative paths begin at. A DataError where this machine has not the folder
        `work` of the stage; a UsageError where it has other versions, which may write other bytes."""
        import pyarrow as pa

        here, own = socket.gethostname(), _own_versions()
        other = [
            f"{name} {own.get(name, 'none')}, not {version}"
            for name, version in self.versions.items()
            if own.get(name) != version
        ]
        if other:
            raise UsageError(f"{here} has other packages ({'; '.join(other[:3])}): install the same on each machine.")
        try:
            os.chdir(self.folder)
            seen(Path(work), Path(work, "config.json").stat)
        except OSError as error:
            raise DataError(
                f"{error.filename} is not on {here}: all machines must have the folders of the run under the same paths"
                " (docs/cluster.md)."
            ) from None
        pa.set_cpu_count(1)


@cache
def _own_versions() -> Mapping[str, str]:
    return versions()
