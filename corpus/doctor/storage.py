"""The place of outputs: room, speed, and what the engine needs of its file system, each tried out."""

from __future__ import annotations

import fcntl
import mmap
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from corpus.data.files import sync_file
from corpus.doctor.finding import Finding, note, ok, problem
from corpus.engine.progress import megabytes

TOPIC = "storage"
_TRIED_BYTES = 64_000_000
_SLOW = 50e6
"""Bytes a second below which a disk decides how long everything takes."""
_LITTLE_ROOM = 10e9
_LOCKED = "import fcntl, sys\nfile = open(sys.argv[1])\ntry:\n fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\nexcept OSError:\n sys.exit(3)\n"


def look(place: Path) -> Iterator[Finding]:
    """The nearest folder above `place` that is there, in a folder that is removed again."""
    folder = next(one for one in (place, *place.absolute().parents) if one.is_dir())
    free = shutil.disk_usage(folder).free
    if free < _LITTLE_ROOM:
        yield note(
            TOPIC, "room", f"{megabytes(free)} are free under {folder}", "corpus run --dry-run says what a run needs"
        )
    else:
        yield ok(TOPIC, "room", f"{megabytes(free)} are free under {folder}")
    try:
        scratch = tempfile.TemporaryDirectory(prefix=".corpus-doctor-", dir=folder)
    except OSError as error:
        yield problem(TOPIC, "writing", f"{folder} cannot be written ({error.strerror})", "give another --output")
        return
    with scratch as name:
        yield _speed(Path(name))
        for trait, try_out, lost, remedy, needed in _TRAITS:
            yield _tried(Path(name), trait, try_out, lost, remedy, needed)


def _speed(folder: Path) -> Finding:
    path, block = folder / "speed", os.urandom(1 << 20)
    started = time.monotonic()
    with path.open("wb") as file:
        for _ in range(_TRIED_BYTES >> 20):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    rate = path.stat().st_size / max(time.monotonic() - started, 1e-6)
    path.unlink()
    said = f"{megabytes(rate)} a second are written and synced"
    if rate < _SLOW:
        return note(TOPIC, "speed", said, "an output on a faster disk is made sooner")
    return ok(TOPIC, "speed", said)


def _tried(folder: Path, trait: str, try_out: Callable[[Path], bool], lost: str, remedy: str, needed: bool) -> Finding:
    try:
        works = try_out(folder)
    except OSError as error:
        works, lost = False, f"{lost} ({error.strerror})"
    if works:
        return ok(TOPIC, trait, "works")
    return problem(TOPIC, trait, lost, remedy) if needed else note(TOPIC, trait, lost, remedy)


def locks(folder: Path) -> bool:
    """Whether another process sees a lock (flock)."""
    path = folder / "lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        seen = subprocess.run([sys.executable, "-S", "-c", _LOCKED, str(path)]).returncode == 3
    return seen


def renames(folder: Path) -> bool:
    """Whether a folder gets its name in one step, and never in the place of one that is there."""
    for name in ("first", "second"):
        (folder / name).mkdir()
        (folder / name / "file").write_text(name, encoding="ascii")
    (folder / "first").rename(folder / "published")
    try:
        (folder / "second").rename(folder / "published")
    except OSError:
        return (folder / "published" / "file").read_text(encoding="ascii") == "first"
    return False


def syncs(folder: Path) -> bool:
    """Whether files and folders can be flushed to the disk."""
    path = folder / "synced"
    path.write_text("x", encoding="ascii")
    sync_file(path)
    sync_file(folder)
    return True


def replaces(folder: Path) -> bool:
    """Whether a file takes the place of another in one step."""
    new, old = folder / "new", folder / "old"
    old.write_text("old", encoding="ascii")
    new.write_text("new", encoding="ascii")
    new.replace(old)
    return old.read_text(encoding="ascii") == "new" and not new.exists()


def maps(folder: Path) -> bool:
    """Whether a file can be mapped into memory."""
    path = folder / "mapped"
    path.write_bytes(b"mapped")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        return view[:] == b"mapped"


def links(folder: Path) -> bool:
    """Whether a file can have a second name."""
    (folder / "one").write_text("x", encoding="ascii")
    os.link(folder / "one", folder / "two")
    return (folder / "two").stat().st_nlink == 2


def keeps_case(folder: Path) -> bool:
    """Whether names that differ in case alone are different."""
    (folder / "case").write_text("x", encoding="ascii")
    return not (folder / "CASE").exists()


def tells_time(folder: Path) -> bool:
    """Whether the time of change is finer than a second: by size and time raw files are recognised."""
    path = folder / "time"
    path.write_text("x", encoding="ascii")
    os.utime(path, ns=(0, 1_500_000_123))
    return path.stat().st_mtime_ns % 1_000_000_000 != 0


_ELSEWHERE = "give an --output on a local disk, or on NFS 4 or Lustre with locks"
_TRAITS = (
    ("locks", locks, "two runs on one output would not see each other", _ELSEWHERE, True),
    ("renaming folders", renames, "results could not be published in one step", _ELSEWHERE, True),
    ("replacing files", replaces, "manifests could not be written in one step", _ELSEWHERE, True),
    ("syncing", syncs, "a power cut could lose what was finished", _ELSEWHERE, True),
    ("mapping", maps, "packed sets could not be mapped by the trainer", _ELSEWHERE, True),
    ("second names", links, "kept results take room of their own, since files have no second names", "", False),
    (
        "case of names",
        keeps_case,
        "names that differ in case alone are the same here",
        "keep raw files apart by more",
        False,
    ),
    ("time of change", tells_time, "only whole seconds: a raw file that changes twice in one is not seen", "", False),
)
"""Name, how it is tried, what is lost without, the remedy, and whether it is needed."""
