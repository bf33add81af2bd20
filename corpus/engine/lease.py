"""A lease: which host works on an output, told to other hosts by a file with a counter that its owner raises.

No clock is compared: who waits watches the counter, by his own clock alone. A courtesy, like the lock: that the bytes are right
follows from publishing by renames, so a lease that is taken wrongly wastes work and no more.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from corpus.engine.attempts import host
from corpus.engine.visible import look_again
from corpus.system import boot_identity, process_start

LEASE = "lease"
"""Its name, beside the lock."""
BEAT_SECONDS = 5.0
"""How often the owner raises the counter."""
STALE_SECONDS = 30.0
"""How long another host sees the same counter until it takes the lease."""
_SETTLE_SECONDS = 0.2
"""How long it takes at most from a last look at a lease that stands still until another one is in its place."""


@dataclass(frozen=True)
class Owner:
    """A process that works on an output."""

    token: str = ""
    host: str = ""
    """The host as its process numbers see it (`attempts.host`), so that it differs after a new start."""
    machine: str = ""
    boot: str = ""
    process: int = 0
    started: str = ""
    """When the process began, since numbers are given again."""
    beat: int = 0

    @classmethod
    def new(cls) -> Owner:
        """This process."""
        machine = f"{socket.gethostname()} {uuid.getnode():x}"
        return cls(uuid.uuid4().hex, host(), machine, boot_identity(), os.getpid(), _started(os.getpid()))

    @property
    def said(self) -> str:
        """In words."""
        return f"process {self.process} on {self.machine.partition(' ')[0]}" if self.token else "another process"

    @property
    def near(self) -> bool:
        """Whether it is a process that this one can look for."""
        return self.host == host()

    @property
    def gone(self) -> bool:
        """Whether it is known to have ended: a process of this host, or of this machine before it started anew."""
        if self.near:
            return _started(self.process) != self.started
        mine = Owner.new()
        return self.machine == mine.machine and bool(self.boot and mine.boot) and self.boot != mine.boot


@dataclass
class Watch:
    """A look at the lease of another host, again and again."""

    _last: tuple[str, int] | None = None
    _since: float = 0.0
    moved: bool = False
    """Whether the counter has risen meanwhile: its owner lives."""

    def still(self, owner: Owner) -> bool:
        """Whether it has stood still for `STALE_SECONDS`."""
        now = (owner.token, owner.beat)
        if now != self._last:
            self.moved = self._last is not None and self._last[0] == owner.token
            self._last, self._since = now, time.monotonic()
        return time.monotonic() - self._since >= STALE_SECONDS


@dataclass
class Lease:
    """The lease of this process in the folder `folder`."""

    folder: Path
    say: Callable[[str], None]
    owner: Owner = field(default_factory=Owner.new)
    _end: threading.Event = field(default_factory=threading.Event, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)

    @property
    def path(self) -> Path:
        """Its file."""
        return self.folder / LEASE

    def read(self) -> Owner | None:
        """Whose lease it is now; an owner without a token where the file is cut short."""
        look_again(self.folder)
        try:
            return Owner(**json.loads(self.path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            return Owner()

    def create(self) -> bool:
        """Begin it, where there is none; False where another process was faster."""
        try:
            descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return False
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(self.owner), file)
        return True

    def take(self) -> bool:
        """Put it in the place of one whose owner is gone; False where another process did so, too, and was later."""
        self._write()
        time.sleep(_SETTLE_SECONDS)
        found = self.read()
        return found is not None and found.token == self.owner.token

    def keep(self) -> None:
        """Raise the counter from now on, in a thread of its own."""
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """End it, where it is still that of this process."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()
        found = self.read()
        if found is not None and found.token == self.owner.token:
            self.path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._end.wait(BEAT_SECONDS):
            try:
                found = self.read()
                if found is not None and found.token not in ("", self.owner.token):
                    self.say(
                        f"{self.folder.parent} was taken over by {found.said}, who saw no sign of this process for"
                        f" {STALE_SECONDS:.0f} s: both go on, one of them for nothing"
                    )
                    return
                self.owner = replace(self.owner, beat=self.owner.beat + 1)
                self._write()
            except OSError:
                continue  # a full disk, a server that is away: the next beat may go through

    def _write(self) -> None:
        aside = self.folder / f".{LEASE}-{self.owner.token}"
        aside.write_text(json.dumps(asdict(self.owner)), encoding="utf-8")
        aside.replace(self.path)


def _started(process: int) -> str:
    """When a process of this host began, in the kernel's ticks; empty if there is none, `alive` where the system does
    not tell."""
    if started := process_start(process):
        return started
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "alive"
