"""Why a job of Slurm was ended, with the setting to change."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from corpus.engine.executors.slurm.programs import Job

_AGAIN = "then run the same command again to go on"
_MEMORY = re.compile(r"exceeded (job )?memory limit|oom.?kill|out.of.memory", re.IGNORECASE)


@dataclass(frozen=True)
class Death:
    """A job that has ended without `what` it was to do."""

    what: str
    job: Job
    end: str
    """The end of what it has printed."""
    log: Path
    limit: str
    """Its limit of time."""
    begun: bool
    """Whether any job of its array has begun with its work."""
    progressed: bool
    """Whether it had done other tasks before."""

    def cause(self) -> str:
        """What to say of it; empty where the task was only lost, so that sending it again may help."""
        again = f"{self._place}: {{}}, {_AGAIN}."
        state = self.job.state
        if state == "OUT_OF_MEMORY" or (state in ("FAILED", "CANCELLED") and _MEMORY.search(self.end)):
            return f"{self.what} was killed for want of memory " + again.format(
                "give more --memory-per-task or less --memory"
            )
        if state in ("TIMEOUT", "DEADLINE"):
            remedy = again.format("give a longer --slurm-time")
            return "" if self.progressed else f"{self.what} was ended by the time limit of {self.limit} {remedy}"
        if state == "CANCELLED":
            return f"{self.what} was cancelled {self._place}: run the same command again to go on."
        if not self.begun and state in ("FAILED", "COMPLETED"):
            last = self.end.split("\n")[-1] or self.job.reason or "it has printed nothing"
            return (
                f"no job of {self.what.partition(' of ')[2]} could begin {self._place}: {last}. Jobs need this Python and"
                f" the working directory at the same paths as here (see {self.log}); mend that, {_AGAIN}."
            )
        return ""

    def loss(self) -> str:
        """How it was lost."""
        if self.job.state in ("NODE_FAIL", "BOOT_FAIL"):
            return f"was lost with its node {self._place}: see sinfo -R, and leave it out with --slurm-args --exclude=…"
        return f"ended without a result {self._place}, in state {self.job.state}: see {self.log}"

    @property
    def _place(self) -> str:
        return f"(job {self.job.id}_{self.job.element}" + (f" on {self.job.node})" if self.job.node else ")")
