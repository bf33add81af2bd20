"""Cores, memory, open files, and where compiled kernels are kept."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

from corpus.doctor.finding import Finding, note, ok, problem
from corpus.engine.progress import megabytes
from corpus.system import cores, is_linux, total_memory

TOPIC = "machine"
_LEAST_MEMORY = 4e9
_LEAST_FILES = 1024
_WORKER_BYTES = 700e6
"""What a worker takes beside its data, about."""


def look() -> Iterator[Finding]:
    """What the machine has."""
    usable, there = cores(), os.cpu_count() or 1
    said = f"{usable} of {there} may be used" if usable != there else f"{usable}"
    busy = os.getloadavg()[0]
    if busy > 2 * there:
        remedy = "times and the time that is left will be too long; --workers says how many are used"
        yield note(TOPIC, "cores", f"{said}; {busy:.0f} processes want them now", remedy)
    else:
        yield ok(TOPIC, "cores", said)
    yield from _memory(usable)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files != resource.RLIM_INFINITY and files < _LEAST_FILES:
        yield problem(TOPIC, "open files", f"at most {files} a process", f"ulimit -n {_LEAST_FILES * 4}")
    else:
        yield ok(TOPIC, "open files", "no limit" if files == resource.RLIM_INFINITY else f"up to {files:,} a process")
    yield _kernels()
    if not is_linux():
        yield note(
            TOPIC, "system", "this is not Linux: memory is measured less closely, killed parents are noticed later"
        )


def _memory(workers: int) -> Iterator[Finding]:
    memory = total_memory()
    if not memory:
        yield note(TOPIC, "memory", "the system does not tell how much there is")
    elif memory < _LEAST_MEMORY:
        yield problem(
            TOPIC, "memory", megabytes(memory), "give --memory 500MB and --workers 1, or use a larger machine"
        )
    elif memory < 4e9 + workers * _WORKER_BYTES:
        fit = max(int((memory - 2e9) / _WORKER_BYTES), 1)
        said = f"{megabytes(memory)}, little for {workers} workers and the 4 GB of data that they hold by default"
        yield note(TOPIC, "memory", said, f"give --memory 2GB or --workers {fit}")
    else:
        yield ok(TOPIC, "memory", megabytes(memory))


def _kernels() -> Finding:
    """Kernels are compiled when they are first used, and kept beside the code or in NUMBA_CACHE_DIR."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    place = Path(given) if given else Path(__file__).parents[1]
    near = next(folder for folder in (place, *place.absolute().parents) if folder.exists())
    if os.access(near, os.W_OK):
        return ok(TOPIC, "kernels", f"are kept in {place} once they are compiled")
    said = f"{place} cannot be written, so that compiled kernels are kept in the user's cache, if at all"
    return note(TOPIC, "kernels", said, "set NUMBA_CACHE_DIR to a folder of yours")


def has_compiler() -> bool:
    """Whether there is a C++ compiler, which torch.compile needs."""
    return any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "c++", "clang++"))
