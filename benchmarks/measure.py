"""Whole processes measured from outside: wall seconds, processor seconds, peak memory; and what machine this is."""

from __future__ import annotations

import os
import platform
import resource
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Measured:
    """One run of a command: `wall` and `processor` in seconds (children counted), `peak` of one process in bytes."""

    wall: float
    processor: float
    peak: int
    output: str


def measure(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Measured:
    """Run a command to its end; raises RuntimeError with the last lines it printed where it fails.

    It runs below a fresh interpreter, so that its peak memory is its own and not that of an earlier command.
    """
    from multiprocessing import get_context

    parent, child = get_context("spawn").Pipe(duplex=False)
    process = get_context("spawn").Process(
        target=_run, args=(child, [str(part) for part in command], dict(environment or {}))
    )
    process.start()
    child.close()
    result = parent.recv()
    process.join()
    if isinstance(result, str):
        raise RuntimeError(f"{' '.join(map(str, command))[:300]} failed:\n{result}")
    assert isinstance(result, Measured)
    return result


def _run(pipe: Any, command: list[str], environment: dict[str, str]) -> None:
    began = time.perf_counter()
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)
    wall = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        answer: object = (done.stdout + done.stderr)[-2000:]
    else:
        answer = Measured(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, done.stdout)
    pipe.send(answer)


def median(runs: Sequence[Measured]) -> Measured:
    """Each figure's median, with the output of the last run."""
    return Measured(
        statistics.median(run.wall for run in runs),
        statistics.median(run.processor for run in runs),
        int(statistics.median(run.peak for run in runs)),
        runs[-1].output,
    )


def machine() -> str:
    """Processor, cores and Python, in one line."""
    name = platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        name = names[0] if names else name
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}"
