"""One run at a time for an output directory: `flock` on one host, a lease between hosts.

`flock` falls with the process that holds it, so that a run that was killed can be begun again at once. Not every network file
system has it, some only among the processes of one host, and some keep it for a host that is gone: there the lease speaks
(`lease.py`).
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from corpus.engine.attempts import host
from corpus.engine.lease import STALE_SECONDS, Lease, Owner, Watch
from corpus.errors import DataError

WAIT_SECONDS = 5.0
"""How long a second run waits: a killed run's last process may need a moment to go."""
LOCK = "lock"
"""Its file in `_log/`."""
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""What file systems say that have no `flock`, or whose lock server is away."""
_STEP_SECONDS = 0.1


@contextmanager
def locked(output: Path, say: Callable[[str], None], wait: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold the output; if another process has it, wait `wait` seconds, then say who holds it. A process of another host
    that gives no sign of life for `STALE_SECONDS` has it no more."""
    folder = output / "_log"
    folder.mkdir(parents=True, exist_ok=True)
    lock = _Flock(folder / LOCK)
    try:
        lease = Lease(folder, say)
        waiting = _Waiting(output, say, time.monotonic() + wait, wait)
        while (holder := _holder(lock, lease, waiting)) is not None:
            waiting.pause(holder)
        lease.keep()
        try:
            yield
        finally:
            lease.release()
    finally:
        lock.close()


def _holder(lock: _Flock, lease: Lease, waiting: _Waiting) -> str | None:
    """Who has the output, in words; None if this process has it now."""
    waiting.watched = False
    held_elsewhere = lock.take() is False
    if held_elsewhere and lock.near:
        return lock.holder()
    owner = lease.read()
    if owner is None and not held_elsewhere:
        return None if lease.create() else "another process"
    owner = owner or Owner()  # who has the lock has just begun, or is gone
    held_here = lock.held and owner.near  # its owner would have the lock if it lived
    still = waiting.watch.still(owner)
    if held_here or owner.gone or still:
        if still:
            waiting.say(
                f"{waiting.output}: {owner.said} has given no sign of life for {STALE_SECONDS:.0f} s, so this one goes on"
            )
        if not lease.take():
            return "another process"
        if held_elsewhere:
            lock.replace()
        return None
    waiting.watched = not owner.near and not waiting.watch.moved
    return owner.said


@dataclass
class _Waiting:
    """A second run that waits for the first."""

    output: Path
    say: Callable[[str], None]
    deadline: float
    seconds: float
    watch: Watch = field(default_factory=Watch)
    watched: bool = False
    """Whether the holder is one of another host that has not been seen to live yet."""
    told: bool = False

    def pause(self, holder: str) -> None:
        """Wait a moment; a DataError if that was long enough."""
        if time.monotonic() >= self.deadline and not self.watched:
            raise DataError(
                f"{self.output} is being written by {holder}: wait for it or stop it, then run the command again."
            )
        if not self.told:
            seconds = max(self.seconds, STALE_SECONDS) if self.watched else self.seconds
            self.say(f"{self.output} is being written by {holder}; waiting up to {seconds:.0f} s")
            self.told = True
        time.sleep(_STEP_SECONDS)


def _sign(descriptor: int) -> None:
    """Write who this process is, in words, and its host as `host` tells it."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n{host()}\n".encode(), 0)


class _Flock:
    """`flock` on a file that tells who holds it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.held = False
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)

    def take(self) -> bool | None:
        """Whether this process has it now; None where the file system has no such locks."""
        while not self.held:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                return None
            if self._is_at_path():
                self.held = True
                _sign(self._descriptor)
            else:
                os.close(self._descriptor)  # a first attempt that failed took its folder away
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        return True

    def replace(self) -> None:
        """Take it on a new file, in the place of the one that a host has that is gone: its server may keep that for ever,
        or give it to the next who asks."""
        aside = self.path.with_name(f".{self.path.name}-{host()}-{os.getpid()}")
        descriptor = os.open(aside, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _sign(descriptor)
        aside.replace(self.path)
        os.close(self._descriptor)
        self._descriptor, self.held = descriptor, True

    def holder(self) -> str:
        """Who holds it, in words."""
        return self._signed()[0] or "another process"

    @property
    def near(self) -> bool:
        """Whether its holder is a process of this host, which lives since it holds it, or has not said yet who it is."""
        return self._signed()[1] in ("", host())

    def _signed(self) -> tuple[str, str]:
        words, _, place = os.pread(self._descriptor, 300, 0).decode("utf-8", "replace").partition("\n")
        return words.strip(), place.strip()

    def close(self) -> None:
        """Let it go."""
        if self.held:
            os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)

    def _is_at_path(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.path.stat())
        except FileNotFoundError:
            return False
