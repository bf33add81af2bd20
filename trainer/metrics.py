"""`metrics.jsonl`, one JSON object per step or evaluation, and the live line."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from corpus.data.files import write_atomic
from corpus.errors import DataError


class MetricsLog:
    """The measurements of a run: records of kind "train" (one per step) and "validation"."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a record; it is in the file when this returns."""
        try:
            if self._file is None:
                self._file = self.path.open("a", encoding="utf-8")
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()
        except OSError as error:
            raise DataError(
                f"{self.path} cannot be written ({error.strerror}): make room, then give the same command again."
            ) from None

    def records(self) -> list[dict[str, Any]]:
        """All whole records, in order; a last line cut short by a kill is left out."""
        if not self.path.exists():
            return []
        found = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def rewind(self, step: int) -> None:
        """Forget what came after `step`: those steps are about to be done again."""
        records = self.records()
        kept = [record for record in records if record["step"] <= step]
        if self.path.exists():
            write_atomic(self.path, "".join(json.dumps(record) + "\n" for record in kept))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


class LiveLine:
    """Progress on stderr: one line that is rewritten, or about twenty plain lines where stderr is no terminal."""

    def __init__(self, steps: int, stream: TextIO | None = None) -> None:
        self.steps = steps
        self.stream = sys.stderr if stream is None else stream
        self.live = self.stream.isatty()
        self.every = max(1, steps // 20)

    def show(self, step: int, loss: float, tokens_per_second: float, seconds_left: float) -> None:
        """Show the state after `step`."""
        text = (
            f"step {step}/{self.steps}  loss {loss:.4f}  {tokens_per_second:,.0f} tokens/s  {clock(seconds_left)} left"
        )
        if self.live:
            self.stream.write(f"\r\x1b[K{text}")
            if step == self.steps:
                self.stream.write("\n")
        elif step % self.every == 0 or step in (1, self.steps):
            self.stream.write(text + "\n")
        self.stream.flush()

    def say(self, text: str) -> None:
        """A line of its own, without tearing the live one."""
        self.stream.write(f"\r\x1b[K{text}\n" if self.live else f"{text}\n")
        self.stream.flush()


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
