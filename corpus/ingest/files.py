"""Which files of the INPUT arguments a reader takes, in which order and under which names."""

from __future__ import annotations

import fnmatch
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from corpus.errors import DataError, UsageError
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
        try:
            status = root.stat()
        except FileNotFoundError:
            raise UsageError(f"input {argument} does not exist: check the path.") from None
        except OSError as error:
            raise UsageError(f"input {argument[:100]} cannot be read ({error.strerror}): check the path.") from None
        if stat.S_ISDIR(status.st_mode):
            for path in _walk(root, ignored):
                name = path.relative_to(root).as_posix()
                if any(fnmatch.fnmatchcase(path.name.lower(), pattern.lower()) for pattern in patterns):
                    files.append(RawFile(path, _valid(path, prefix + name)))
                else:
                    ignored.append(ascii(name)[1:-1])
        elif stat.S_ISREG(status.st_mode):
            files.append(RawFile(root, _valid(root, prefix + root.name)))
        else:
            raise UsageError(f"input {argument} is no regular file: save it as one first.")
    _check_names(files)
    if not files:
        wanted = ", ".join(patterns)
        raise UsageError(f"no file below {', '.join(map(str, inputs))} matches {wanted}: check the input path.")
    return RawInput(tuple(files), tuple(ignored))


def _check_names(files: Sequence[RawFile]) -> None:
    seen: dict[str, Path] = {}
    for file in files:
        if file.name in seen:
            raise UsageError(
                f"{seen[file.name]} and {file.path} would both be called {file.name}:"
                " ingest them separately with different --prefix."
            )
        seen[file.name] = file.path


def _valid(path: Path, name: str) -> str:
    """The name, if it can stand in ids and manifests."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(f"the file name {str(path)!a} is not valid UTF-8: rename the file.") from None
    return name


def _walk(root: Path, ignored: list[str]) -> list[Path]:
    """All regular files below `root` (links are followed), by their relative names; hidden files and what is neither
    file nor folder are `ignored`. A file that is reachable twice keeps the name without a link."""
    found: list[Path] = []
    visited: set[tuple[int, int]] = set()
    linked: list[Path] = []
    folders = [root]
    while folders or linked:
        folder = folders.pop() if folders else linked.pop(0)
        status = folder.stat()
        if (status.st_dev, status.st_ino) in visited:  # reached before, or a link to a folder above
            continue
        visited.add((status.st_dev, status.st_ino))
        try:
            entries = sorted(folder.iterdir())
        except OSError as error:
            raise DataError(f"{folder} cannot be read ({error.strerror}): change its permissions.") from None
        for path in entries:
            if path.name.startswith("."):
                ignored.append(ascii(path.relative_to(root).as_posix())[1:-1])
            elif path.is_symlink() and not path.exists():
                raise DataError(f"{path} is a link to nothing: repair or remove it.")
            elif path.is_dir():
                (linked if path.is_symlink() else folders).append(path)
            elif path.is_file():
                found.append(path)
            else:
                ignored.append(ascii(path.relative_to(root).as_posix())[1:-1])
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())
