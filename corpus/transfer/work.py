"""Many files at once, with what was copied said on one line."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")
_SHOW_SECONDS = 1.0


@dataclass
class Tally:
    """How much was copied."""

    total: int
    quiet: bool = False
    copied: int = 0
    present: int = 0
    _started: float = field(default_factory=time.monotonic)
    _shown: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, size: int, present: bool = False) -> None:
        """Count bytes that were copied, or were there before."""
        with self._lock:
            if present:
                self.present += size
            else:
                self.copied += size
            now = time.monotonic()
            if not self.quiet and sys.stderr.isatty() and now - self._shown > _SHOW_SECONDS:
                self._shown = now
                print(f"\r{self._text()}\033[K", end="", file=sys.stderr, flush=True)

    def end(self) -> str:
        """What was done."""
        if not self.quiet and sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr)
        return self._text()

    def _text(self) -> str:
        there = f", {self.present / 1e6:,.1f} MB were there" if self.present else ""
        rate = self.copied / 1e6 / max(1e-3, time.monotonic() - self._started)
        return f"{self.copied / 1e6:,.1f} of {self.total / 1e6:,.1f} MB copied{there} ({rate:,.0f} MB/s)"


def in_parallel(do: Callable[[T], None], things: Iterable[T], threads: int) -> None:
    """Do something for each, `threads` at a time; the first error ends what has not begun."""
    with ThreadPoolExecutor(threads, thread_name_prefix="transfer") as pool:
        futures = [pool.submit(do, thing) for thing in things]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            for future in futures:
                future.cancel()
        for future in done:
            future.result()
