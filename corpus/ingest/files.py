"""Which files of the INPUT arguments a reader takes, in which order and under which names."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from corpus.errors import UsageError
from corpus.ingest.reader import RawFile


@dataclass(frozen=True)
class RawInput:
    """The files to read, by argument and then by name, and how many were ignored."""

    files: tuple[RawFile, ...]
    ignored: tuple[str, ...]


def find_files(inputs: Sequence[str], patterns: Sequence[str], prefix: str = "") -> RawInput:
    """The files below `inputs` that match one of `patterns`; a file given by name is always taken.

    Names are relative to the argument (for a file: its own name), so that they do not change when a dump moves.
    Two files of one name are a UsageError (`prefix` gives the names of one run another beginning).
    """
    files: list[RawFile] = []
    ignored: list[str] = []
    for argument in inputs:
        root = Path(argument)
        if root.is_dir():
            for path in _walk(root):
                name = path.relative_to(root).as_posix()
                if any(fnmatch.fnmatchcase(path.name.lower(), pattern.lower()) for pattern in patterns):
                    files.append(RawFile(path, prefix + name))
                else:
                    ignored.append(name)
        elif root.exists():
            files.append(RawFile(root, prefix + root.name))
        else:
            raise UsageError(f"input {argument} does not exist: check the path.")
    seen: dict[str, Path] = {}
    for file in files:
        if file.name in seen:
            raise UsageError(
                f"{seen[file.name]} and {file.path} would both be called {file.name}:"
                " ingest them separately with different --prefix."
            )
        seen[file.name] = file.path
    if not files:
        wanted = ", ".join(patterns)
        raise UsageError(f"no file below {', '.join(map(str, inputs))} matches {wanted}: check the input path.")
    return RawInput(tuple(files), tuple(ignored))


def _walk(root: Path) -> list[Path]:
    """All regular files below `root` (links are followed, hidden files are not), by their relative names."""
    found: list[Path] = []
    visited: set[tuple[int, int]] = set()
    for parent, folders, names in os.walk(root, followlinks=True):
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in visited:  # a link to a directory above itself
            folders[:] = []
            continue
        visited.add((status.st_dev, status.st_ino))
        folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
        found += [Path(parent, name) for name in names if not name.startswith(".") and Path(parent, name).is_file()]
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())
