"""Which files of the INPUT arguments a reader takes, in which order and under which names."""

from __future__ import annotations

import fnmatch
import glob
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from corpus.data.verify import is_output
from corpus.errors import DataError, UsageError
from corpus.ingest.reader import RawFile
from corpus.remote.listing import derived, files_at, is_remote_file
from corpus.remote.path import RemotePath
from corpus.remote.url import is_remote, shown_url, url_name

_NAME_SHOWN = 200
"""Longer paths are cut in messages."""


@dataclass(frozen=True)
class RawInput:
    """The files to read, by argument and then by name, and the names of what was ignored."""

    files: tuple[RawFile, ...]
    ignored: tuple[str, ...]


def find_files(inputs: Sequence[str], patterns: Sequence[str], prefix: str = "") -> RawInput:
    """The files below `inputs` that match one of `patterns`; a file given by name, or by a pattern, is always taken.

    Names are relative to the argument (for a file: its own name), so that they do not change when a dump moves.
    Two files of one name are a UsageError (`prefix` gives the names of one run another beginning), as are inputs that
    are neither file nor folder; what a folder holds and cannot be read is a DataError. What a stage or a run wrote is no
    raw input: below a folder it is ignored, as an argument it is a UsageError.
    """
    files: list[RawFile] = []
    ignored: list[str] = []
    for argument in inputs:
        root = Path(argument)
        if is_remote(argument):
            found = derived((argument, tuple(patterns), prefix), partial(_remote_files, argument, patterns, prefix))
            files += found.files
            ignored += found.ignored
        elif is_pattern(argument):
            files += _matching(argument, prefix)
        elif is_folder(root):
            if is_output(root):
                raise UsageError(f"input {shown(root)} is a dataset or a run, no raw files: give it to the next stage.")
            for path in _walk(root, ignored):
                name = path.relative_to(root).as_posix()
                if _matches(path.name, patterns):
                    files.append(RawFile(path, prefix + valid_name(name, path)))
                else:
                    ignored.append(shown(name))
        else:
            files.append(RawFile(root, prefix + valid_name(root.name, root)))
    check_names(files)
    if not files:
        wanted = ", ".join(patterns)
        raise UsageError(f"no file below {', '.join(map(shown, inputs))} matches {wanted}: check the input path.")
    return RawInput(tuple(files), tuple(sorted(ignored)))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)


def _remote_files(url: str, patterns: Sequence[str], prefix: str) -> RawInput:
    """The files at a URL: one that is named, or matches a pattern, always; of a folder those that match."""
    given = is_remote_file(url)
    files: list[RawFile] = []
    ignored: list[str] = []
    for name, entry in files_at(url):
        hidden = name.startswith(".") or "/." in name
        path = RemotePath.of(url if given and name == url_name(url) else entry.url, entry)
        if given or (not hidden and _matches(name.rpartition("/")[2], patterns)):
            files.append(RawFile(path, prefix + valid_name(name, path)))
        else:
            ignored.append(shown(name))
    return RawInput(tuple(files), tuple(ignored))


def is_pattern(argument: str) -> bool:
    """Whether an INPUT is a pattern of files (`dumps/*/part-?.json`): nothing has that name, and it has a wildcard."""
    return glob.has_magic(argument) and not is_remote(argument) and not os.path.lexists(argument)


def input_root(argument: str) -> Path:
    """The INPUT itself, or the folder above the first wildcard of a pattern."""
    path = Path(argument)
    while is_pattern(argument) and glob.has_magic(str(path)):
        path = path.parent
    return path


def _matching(pattern: str, prefix: str) -> list[RawFile]:
    """The files that a pattern matches (`**` any folders), by their names below its first wildcard."""
    root = input_root(pattern)
    paths = [Path(name) for name in sorted(glob.glob(pattern, recursive=True)) if os.path.isfile(name)]
    if not paths:
        raise UsageError(f"no file matches {shown(pattern)}: check the pattern.")
    return [RawFile(path, prefix + valid_name(path.relative_to(root).as_posix(), path)) for path in paths]


def is_folder(path: Path) -> bool:
    """Whether an INPUT is a folder, not a regular file; a UsageError where it is neither or cannot be looked at."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise DataError(_lost(path)) from None
        raise UsageError(f"input {shown(path)} does not exist: check the path.") from None
    except OSError as error:
        name = shown(path)
        name = name if len(name) <= _NAME_SHOWN else name[:_NAME_SHOWN] + "…"
        raise UsageError(f"input {name} cannot be read ({error.strerror}): check the path.") from None
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise UsageError(f"input {shown(path)} is neither a file nor a folder: save what it gives as a file first.")
    return stat.S_ISDIR(mode)


def check_names(files: Sequence[RawFile]) -> None:
    """A UsageError where two files have one name: their records would have the same ids."""
    seen: dict[str, Path] = {}
    for file in files:
        if file.name in seen:
            raise UsageError(
                f"{seen[file.name]} and {file.path} would both be called {file.name}:"
                " ingest them separately with different --prefix."
            )
        seen[file.name] = file.path


def valid_name(name: str, path: Path) -> str:
    """The name of the file `path`; a DataError where it is not valid UTF-8 and so cannot stand in ids and manifests."""
    if not is_unicode(name):
        raise DataError(f"the file name {shown(path)} is not valid UTF-8: rename the file.")
    return name


def is_unicode(text: str) -> bool:
    """Whether the text of an argument or a file name was valid UTF-8: it has no lone surrogates."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def shown(path: str | Path) -> str:
    """A path for messages: bytes that are not UTF-8 as `\\xff`, a URL without what may be secret."""
    if is_remote(text := str(path)):
        return shown_url(text)
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _lost(path: Path) -> str:
    return f"{shown(path)} is a link to nothing: repair or remove it."


def _walk(root: Path, ignored: list[str]) -> list[Path]:
    """All regular files below `root` (links are followed), by their relative names; hidden ones, folders of datasets and
    what is neither file nor folder go to `ignored`. Links wait until all real folders are done, so that a folder reached twice has its
    real name."""
    found: list[Path] = []
    visited: set[tuple[int, int]] = set()
    linked: list[Path] = []
    folders = [root]
    while folders or linked:
        folder = folders.pop() if folders else linked.pop(0)
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in visited:  # reached before, or a link to a folder above
                continue
            visited.add((status.st_dev, status.st_ino))
            if folder != root and is_output(folder):
                ignored.append(shown(folder.relative_to(root).as_posix()) + "/")
                continue
            for path in sorted(folder.iterdir()):
                kind = 0 if path.name.startswith(".") else _kind(path)
                if stat.S_ISDIR(kind):
                    (linked if path.is_symlink() else folders).append(path)
                elif stat.S_ISREG(kind):
                    found.append(path)
                else:
                    ignored.append(shown(path.relative_to(root).as_posix()))
        except OSError as error:
            where = shown(error.filename or folder)
            raise DataError(
                f"{where} cannot be read ({error.strerror}): change its permissions or remove it."
            ) from None
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def _kind(path: Path) -> int:
    """The mode of what is at `path`, links followed."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        raise DataError(_lost(path)) from None
