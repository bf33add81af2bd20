"""What lies where the arguments of a command point, asked for once: by the process that the command is, which hands it on
to its workers in a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from corpus.data.files import write_atomic
from corpus.errors import DataError, UsageError
from corpus.remote.attempts import is_gone, retried
from corpus.remote.entry import RemoteEntry
from corpus.remote.transport import transport_of
from corpus.remote.url import path_name, shown_url, url_name

_MAGIC = frozenset("*?[")
_listed: dict[str, tuple[str, tuple[RemoteEntry, ...]]] = {}
"""By the shown URL of an argument: whether it is a file, folder or pattern, or nothing, and the files there."""
_derived: dict[Hashable, Any] = {}
T = TypeVar("T")
_FILE, _FOLDER, _PATTERN, _NOTHING = "file", "folder", "pattern", "nothing"


def forget_listings() -> None:
    """List anew what is asked for from now on: a new command."""
    _listed.clear()
    _derived.clear()


def derived(key: Hashable, make: Callable[[], T]) -> T:
    """What `make` makes of listings, once for as long as these are remembered: a worker has many tasks."""
    if key not in _derived:
        _derived[key] = make()
    found: T = _derived[key]
    return found


def files_at(url: str) -> list[tuple[str, RemoteEntry]]:
    """The files of an argument with their names relative to it, by name: a file, all below a folder, or those that a
    pattern matches, named below its first wildcard. A UsageError where there is nothing."""
    kind, entries = _list(url)
    if kind == _NOTHING:
        raise UsageError(f"input {shown_url(url)} does not exist: check the URL.")
    if kind == _FILE:
        return [(url_name(url), entries[0])]
    root = shown_url(_root(url) if kind == _PATTERN else url).rstrip("/") + "/"
    found = [(path_name(entry.url, len(root)), entry) for entry in entries]
    return sorted(((name, entry) for name, entry in found if name), key=lambda file: file[0])


def is_remote_file(url: str) -> bool:
    """Whether a URL is that of one file; also where a pattern, whose files are taken whatever they are called."""
    return _list(url)[0] in (_FILE, _PATTERN)


def entry_at(url: str) -> RemoteEntry | None:
    """The file at a URL; None for a folder. A FileNotFoundError where there is nothing."""
    kind, entries = _list(url)
    if kind == _NOTHING:
        raise FileNotFoundError(2, "does not exist", shown_url(url))
    return entries[0] if kind == _FILE else None


def folders_below(url: str) -> list[str]:
    """The names of the folders right below a folder."""
    names = [name for name, _ in files_at(url)]
    return sorted({name.partition("/")[0] for name in names if "/" in name})


def save_listings(path: Path, urls: Sequence[str]) -> None:
    """Write what lies at `urls`, for the workers. No secret of a URL is written."""
    value = {}
    for url in urls:
        kind, entries = _list(url)
        files = [[shown_url(entry.url), entry.size, entry.version, entry.ranges] for entry in entries]
        value[shown_url(url)] = [kind, files]
    write_atomic(path, json.dumps(value))


def load_listings(path: Path, urls: Sequence[str]) -> None:
    """Take over what another process listed at `urls`."""
    if all(shown_url(url) in _listed for url in urls):
        return
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        for url, (kind, files) in value.items():
            _listed[url] = (kind, tuple(RemoteEntry(*file) for file in files))
    except FileNotFoundError:
        return  # listed again
    except (ValueError, TypeError) as error:
        raise DataError(f"{path} cannot be read ({error}): remove it and run the same command again.") from None


def _list(url: str) -> tuple[str, tuple[RemoteEntry, ...]]:
    key = shown_url(url)
    found = _listed.get(key)
    if found is None:
        # what lies below a folder that was listed is known
        found = _of_folder_above(key) or retried(url, lambda: _ask(url))
        _listed[key] = found
    return found


def _of_folder_above(key: str) -> tuple[str, tuple[RemoteEntry, ...]] | None:
    above = key.rpartition("/")[0]
    while above.count("/") > 2:
        kind, entries = _listed.get(above) or _listed.get(above + "/") or ("", ())
        if kind == _FOLDER and not _MAGIC & set(key):
            exact = tuple(entry for entry in entries if shown_url(entry.url) == key)
            below = tuple(entry for entry in entries if shown_url(entry.url).startswith(key.rstrip("/") + "/"))
            return (_FILE, exact) if exact else (_FOLDER, below) if below else (_NOTHING, ())
        above = above.rpartition("/")[0]
    return None


def _ask(url: str) -> tuple[str, tuple[RemoteEntry, ...]]:
    transport = transport_of(url)
    if _MAGIC & set(shown_url(url)):
        matched = tuple(transport.matching(url))
        return (_PATTERN, matched) if matched else (_NOTHING, ())
    try:
        entry = transport.entry(url)
    except Exception as error:
        if not is_gone(error):
            raise
        return _NOTHING, ()
    if entry is not None:
        return _FILE, (entry,)
    entries = tuple(transport.below(url))
    return (_FOLDER, entries) if entries else (_NOTHING, ())


def _root(pattern: str) -> str:
    """The folder above the first wildcard."""
    plain: list[str] = []
    for part in pattern.split("/"):
        if _MAGIC & set(part):
            break
        plain.append(part)
    return "/".join(plain)
