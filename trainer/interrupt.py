"""SIGTERM and SIGINT as a request to save and stop."""

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


_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """A flag that the first SIGTERM or SIGINT raises; a second signal ends the process at once."""

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
