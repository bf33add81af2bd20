"""Slurm's programs: what is asked of them, and what their answers mean."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from corpus.errors import LostError, UsageError

ENDED = frozenset(
    "BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PREEMPTED REVOKED TIMEOUT".split()
)
"""States of jobs that run no more (squeue(1), JOB STATE CODES); all others wait, run or are being ended."""
MAX_ARRAY_SIZE = 1001
"""Slurm's own default."""
_SECONDS = 60.0
_WAITS = (1.0, 5.0, 20.0, 60.0)
"""Seconds before what Slurm could not do for the moment is tried again."""
_PASSING = ("socket timed out", "unable to contact", "temporarily", "zero bytes", "connection refused", "communication")
_FORMAT = "%F|%K|%T|%N|%r|%o"


class AnswerError(LostError):
    """A program of Slurm that failed."""


@dataclass(frozen=True)
class Job:
    """A job, or an element of an array (`element`, else -1), as Slurm tells it; `script` is what was submitted."""

    id: str
    element: int
    state: str
    node: str = ""
    reason: str = ""
    script: str = ""

    @property
    def active(self) -> bool:
        """Whether it waits or runs."""
        return self.state not in ENDED


def check_installed() -> None:
    """A UsageError if Slurm's programs are not on this machine."""
    absent = [name for name in ("sbatch", "squeue", "scancel") if shutil.which(name) is None]
    if absent:
        raise UsageError(
            f"executor slurm needs {absent[0]}, which is not on the PATH of this machine: run the command on a login node"
            " of the cluster (perhaps after module load slurm), or choose another --executor."
        )


def submit(script: Path, arguments: Sequence[str], own: str = "") -> str:
    """Submit a batch script with these arguments of sbatch and those of the user (`own`), which win; the job's id. What
    Slurm refuses is a UsageError in its words; what it could not do for the moment is tried again."""
    command = ["sbatch", "--parsable", *arguments, *shlex.split(own), str(script.resolve())]
    for wait in (*_WAITS, None):
        try:
            return _answer(command).strip().split("\n")[-1].partition(";")[0]
        except AnswerError as error:
            if wait is None:
                raise
            if not any(word in error.message.lower() for word in _PASSING):
                raise UsageError(f"Slurm refuses a job: {error.message}") from None
            time.sleep(wait)
    raise AssertionError("the last attempt returns or raises")


def jobs_of_user() -> list[Job]:
    """All jobs of this user that Slurm still knows, ended ones too (for MinJobAge, five minutes by default)."""
    lines = _answer(["squeue", "--noheader", "--array", "--states=all", f"--user={_user()}", f"--format={_FORMAT}"])
    found = []
    for line in lines.splitlines():
        id, element, state, node, reason, script = [*line.strip().split("|", 5), "", "", "", "", "", ""][:6]
        if id:
            found.append(Job(id, int(element) if element.isdigit() else -1, state, node, reason, script))
    return found


def jobs_below(folder: Path) -> list[Job]:
    """The jobs of this user that wait or run and whose script lies below a folder."""
    place = folder.resolve()
    return [job for job in jobs_of_user() if job.active and job.script and Path(job.script).is_relative_to(place)]


def accounted(job: str) -> dict[int, Job]:
    """The elements of an array that has ended, from Slurm's accounting, where the cluster keeps one."""
    command = ["sacct", "--noheader", "--parsable2", "--allocations", "--format=JobID,State,NodeList", f"--jobs={job}"]
    try:
        lines = _answer(command).splitlines()
    except (AnswerError, UsageError):
        return {}
    found = {}
    for line in lines:
        match = re.fullmatch(r"(\d+)_(\d+)\|(\w+)[^|]*\|(.*)", line.strip())
        if match:
            found[int(match[2])] = Job(match[1], int(match[2]), match[3], match[4])
    return found


def cancel(jobs: Iterable[str]) -> None:
    """End jobs; those that have ended already are no error."""
    ids = sorted(set(jobs))
    if ids:
        try:
            _answer(["scancel", *ids])
        except AnswerError as error:
            if "invalid job id" not in error.message.lower():
                raise


def cancel_waiting(array: str) -> None:
    """End the elements of an array that have not begun, if that can be done from here."""
    with suppress(AnswerError, UsageError):
        _answer(["scancel", "--state=PENDING", array])


def partitions() -> dict[str, str]:
    """The partitions and their time limits, as `2-00:00:00` or `infinite`."""
    lines = _answer(["sinfo", "--all", "--noheader", "--format=%R|%l"]).splitlines()
    return {name.strip(): limit.strip() for name, _, limit in (line.partition("|") for line in lines) if name.strip()}


@cache
def max_array_size() -> int:
    """How many elements an array of this cluster may have."""
    try:
        match = re.search(r"^MaxArraySize\s*=\s*(\d+)", _answer(["scontrol", "show", "config"]), re.MULTILINE)
    except (AnswerError, UsageError):
        return MAX_ARRAY_SIZE
    return max(1, int(match[1])) if match else MAX_ARRAY_SIZE


def _answer(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            command, env=_environment(), capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False
        )
    except FileNotFoundError:
        raise UsageError(
            f"{command[0]} is not on the PATH of this machine: give a login node of the cluster."
        ) from None
    except subprocess.TimeoutExpired:
        raise AnswerError(f"{command[0]}: socket timed out after {_SECONDS:.0f} s") from None
    if done.returncode != 0:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise AnswerError("; ".join(said[-2:]) or f"{command[0]} ended with exit code {done.returncode}")
    return done.stdout


def _environment() -> dict[str, str]:
    """That of this process, but for what Slurm set for the job in which it runs: a job that it submits has its own. Other
    SBATCH_* are the user's (SBATCH_ACCOUNT), for all jobs."""
    if "SLURM_JOB_ID" not in os.environ:
        return dict(os.environ)
    kept = ("SLURM_CONF", "SLURM_CLUSTERS")
    set_by_slurm = ("SLURM_", "SBATCH_MEM_BIND", "SBATCH_CPU_BIND")
    return {name: value for name, value in os.environ.items() if name in kept or not name.startswith(set_by_slurm)}


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
