"""`metrics.jsonl`, one JSON object per step or evaluation; the live line."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import xxhash

from corpus.data.files import write_atomic
from corpus.errors import DataError


class MetricsLog:
    """The measurements of a run: records of kind "train" (one per step) and "validation"; of steps done twice both."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a record; it is in the file when this returns."""
        try:
            if self._file is None:
                self._file = self.path.open("a", encoding="utf-8")
            self._file.write(metrics_line(record))
            self._file.flush()
        except OSError as error:
            with suppress(OSError):  # it would try once more to write what is left
                self.close()
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> DataError:
        return DataError(
            f"{self.path} cannot be written ({error.strerror}): make room, then give the same command again."
        )

    def records(self, rewound: bool = False) -> list[dict[str, Any]]:
        """The whole records, in order; with `rewound` also those of steps that a rewind undid.

        A last line cut short by a kill or a full disk is left out; a DataError names another one that is damaged.
        """
        return [record for record in self._all() if rewound or not record.get("rewound")]

    def _all(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        found = []
        *lines, _ = self.path.read_bytes().split(b"\n")
        for number, line in enumerate(lines, start=1):
            record = _read(line)
            if record is None:
                raise DataError(f"{self.path} is damaged in line {number:,}: take that line out to go on without it.")
            found.append(record)
        return found

    def rewind(self, step: int, rewinds: Sequence[int] = ()) -> None:
        """Forget what came after `step`: those steps are about to be done again.

        `rewinds`: the steps that the rewinds of the run went back to. What one of them undid stays, marked "rewound"; a
        record says in "rewinds" how many there were before it.
        """
        self.close()
        kept = []
        for record in self._all():
            if any(record["step"] > back for back in rewinds[record["rewinds"] :]):
                kept.append({**record, "rewound": True})
            elif record["step"] <= step:
                kept.append(record)
        try:
            if self.path.exists():
                write_atomic(self.path, "".join(map(metrics_line, kept)))
        except OSError as error:
            raise self._unwritable(error) from None

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            file.close()


_CHECK = b', "check": "'


def metrics_line(record: Mapping[str, Any]) -> str:
    """A record as its line: JSON, with the digest of all else as its last key."""
    text = json.dumps(record)
    return f'{text[:-1]}, "check": "{xxhash.xxh32_hexdigest(text.encode())}"}}\n'


def _read(line: bytes) -> dict[str, Any] | None:
    """The record of a line; None where it is not as it was written."""
    text, check, digest = line.rpartition(_CHECK)
    if not check or digest != xxhash.xxh32_hexdigest(text + b"}").encode() + b'"}':
        return None
    value: dict[str, Any] = json.loads(text + b"}")
    return value


@dataclass(frozen=True)
class Progress:
    """What the live line shows after a step."""

    step: int
    steps: int
    loss: float
    tokens_per_second: float
    utilisation: str
    data_share: float
    seconds_left: float

    def __str__(self) -> str:
        return (
            f"step {self.step}/{self.steps}  loss {self.loss:.4f}  {self.tokens_per_second:,.0f} tokens/s  "
            f"{self.utilisation}  data {self.data_share:.1%}  {clock(self.seconds_left)} left"
        )


class LiveLine:
    """Progress on stderr: one line that is rewritten, or about twenty plain lines where stderr is no terminal."""

    def __init__(self, steps: int, stream: TextIO | None = None, silent: bool = False) -> None:
        """`silent`: nothing is shown (a quiet run, a rank that is not the first)."""
        self.stream = sys.stderr if stream is None else stream
        self.live = self.stream.isatty()
        self.every = max(1, steps // 20)
        self.silent = silent

    def show(self, progress: Progress) -> None:
        """Show the state after a step."""
        if self.silent:
            return
        last = progress.step == progress.steps
        if self.live:
            self.stream.write(f"\r\x1b[K{progress}" + "\n" * last)
        elif progress.step % self.every == 0 or progress.step == 1 or last:
            self.stream.write(f"{progress}\n")
        self.stream.flush()

    def say(self, text: str) -> None:
        """A line of its own, without tearing the live one."""
        if not self.silent:
            self.stream.write(f"\r\x1b[K{text}\n" if self.live else f"{text}\n")
            self.stream.flush()


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
