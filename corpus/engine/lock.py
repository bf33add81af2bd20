"""One run at a time for an output directory; the lock falls with the process that holds it."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from corpus.errors import DataError

WAIT_SECONDS = 5.0
"""How long a second run waits: a killed run's last process may need a moment to go."""


@contextmanager
def locked(output: Path, say: Callable[[str], None], wait: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold `output/_log/lock`; if another process has it, wait `wait` seconds, then say who holds it."""
    path = output / "_log" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        deadline = time.monotonic() + wait
        told = False
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(descriptor, path):
                    break
                os.close(descriptor)  # a first attempt that failed took its folder away
                path.parent.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            except BlockingIOError:
                holder = os.pread(descriptor, 300, 0).decode("utf-8", "replace").strip() or "another process"
                if time.monotonic() >= deadline:
                    raise DataError(
                        f"{output} is being written by {holder}: wait for it or stop it, then run the command again."
                    ) from None
                if not told:
                    say(f"{output} is being written by {holder}; waiting up to {wait:.0f} s")
                    told = True
                time.sleep(0.05)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
