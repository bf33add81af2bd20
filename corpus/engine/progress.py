"""One live line for a stage: documents, MB/s, share done, time left; plain lines when no terminal watches."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import IO, Any

_PLAIN_SECONDS = 30.0


def megabytes(size: float) -> str:
    """A size for people: 12 MB, 3.4 GB."""
    if size >= 1e12:
        return f"{size / 1e12:.1f} TB"
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    if size >= 1e6:
        return f"{size / 1e6:.0f} MB"
    return f"{size / 1e3:.0f} kB"


def duration(seconds: float) -> str:
    """A time for people: 12 s, 3 min 20 s, 5 h 10 min."""
    total = round(seconds)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60} s"
    return f"{total // 3600} h {total % 3600 // 60} min"


@dataclass
class Progress:
    """Shows how far a stage is, on standard error."""

    title: str
    total_bytes: int
    quiet: bool
    stream: IO[str] = field(default_factory=lambda: sys.stderr)
    _started: float = field(default_factory=time.monotonic, init=False)
    _shown: float = field(default=0.0, init=False)
    _live: Any = field(default=None, init=False)
    _kept: tuple[int, int] = field(default=(0, 0), init=False)

    def __enter__(self) -> Progress:
        if self.stream.isatty() and not self.quiet:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(file=self.stream), refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def update(self, phase: str, done: int, tasks: int, documents: int, size: int, kept: float | None) -> None:
        """Show that `done` of `tasks` tasks of the phase are finished, with so many documents and bytes gone through."""
        if self.quiet:
            return
        now = time.monotonic()
        if self._live is None and now - max(self._shown, self._started) < _PLAIN_SECONDS:
            return
        self._shown = now
        seconds = max(now - self._started, 1e-6)
        parts = [f"{self.title} {phase} {done}/{tasks}", f"{documents:,} documents", f"{size / 1e6 / seconds:.1f} MB/s"]
        if kept is not None:
            parts.append(f"kept {kept:.0%}")
        if 0 < size < self.total_bytes:
            parts.append(f"ETA {duration(seconds * (self.total_bytes - size) / size)}")
        line = " · ".join(parts)
        if self._live is not None:
            self._live.update(line)
        else:
            print(line, file=self.stream, flush=True)
