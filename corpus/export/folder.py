"""The folder that an export writes: hidden until all of it is on the disk, then renamed."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corpus.data.files import sync_file, sync_tree
from corpus.data.stored import Digests, HashingSink
from corpus.errors import DataError, UsageError


class Folder:
    """The files of an export, and the digests of what was written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.digests: dict[str, Digests] = {}

    @contextmanager
    def create(self, name: str) -> Iterator[HashingSink]:
        """A new file to write to; nothing of what was written waits in memory, so that it can be read meanwhile."""
        path = self.path / name
        path.parent.mkdir(exist_ok=True)
        with path.open("xb", buffering=0) as file:
            sink = HashingSink(file)
            yield sink
        self.digests[name] = sink.hasher.digests()


@contextmanager
def published(output: Path) -> Iterator[Folder]:
    """A folder that becomes `output`, which must not hold anything yet, at the end of the block; an error leaves nothing
    there. What a killed export left is removed; a DataError where another one is at work."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(f"{output} exists already: give another --output.")
    unfinished = output.parent / f".{output.name}.unfinished"
    unfinished.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(unfinished, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(descriptor, unfinished, output)
        try:
            for entry in unfinished.iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            yield Folder(unfinished)
            sync_tree(unfinished)
            unfinished.rename(output)
            sync_file(output.parent)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, unfinished: Path, output: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # whoever held it may have renamed or removed it since it was opened
        same = unfinished.stat().st_ino == os.fstat(descriptor).st_ino
    except (BlockingIOError, FileNotFoundError):
        same = False
    if not same:
        raise DataError(f"{output} is being written by another export: wait for it, or give another --output.")
