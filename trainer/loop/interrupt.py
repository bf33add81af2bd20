"""SIGTERM, SIGINT and SIGUSR1 as a request to save and stop."""

from __future__ import annotations

import os
import signal
from types import FrameType, TracebackType
from typing import Any

import click


class Interrupted(click.ClickException):
    """Ctrl-C: the run has saved and stopped."""

    exit_code = 130


class Terminated(click.ClickException):
    """SIGTERM: the run has saved and stopped."""

    exit_code = 143


class Preempted(click.ClickException):
    """SIGUSR1: the run has saved and wants to be started again (EX_TEMPFAIL)."""

    exit_code = 75


_SIGNALS = {signal.SIGTERM: Terminated, signal.SIGINT: Interrupted, signal.SIGUSR1: Preempted}


def stopped(number: int, message: str) -> click.ClickException:
    """The error that ends a run after a save on signal `number`."""
    return _SIGNALS[signal.Signals(number)](message)


class StopRequest:
    """A flag that the first signal raises; a second signal ends the process at once."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.signal = number

    def __bool__(self) -> bool:
        return self.signal is not None
