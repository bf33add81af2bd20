"""What is known of this user's jobs. Slurm is asked rarely: its controller serves a whole cluster."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field

from corpus.engine.executors.slurm.programs import AnswerError, Job, accounted, jobs_of_user

UNTOLD = "COMPLETED"
"""The state of jobs of which Slurm tells nothing any more: that they run no longer."""
_LEAST, _MOST = 1.0, 30.0
"""Seconds from one question to the next: at first, and when nothing was submitted for long."""


@dataclass
class Queue:
    """Remembers Slurm's last answer, and how arrays ended that it has forgotten since."""

    _jobs: dict[tuple[str, int], Job] = field(default_factory=dict, init=False)
    _ended: dict[str, dict[int, Job]] = field(default_factory=dict, init=False)
    _asked: float | None = field(default=None, init=False)
    _since: float = field(default_factory=time.monotonic, init=False)
    _silent: bool = field(default=False, init=False)

    def forget(self) -> None:
        """Ask anew at the next look: something was submitted."""
        self._asked = None
        self._since = time.monotonic()

    def job(self, id: str, element: int) -> Job:
        """An element of an array. While Slurm gives no answer it is as it was, or believed to wait."""
        self._ask()
        found = self._jobs.get((id, element))
        if found is not None:
            return found
        if self._silent:
            return Job(id, element, "UNKNOWN")
        if id not in self._ended:
            self._ended[id] = accounted(id)
        known = self._ended[id].get(element)
        return known if known is not None and not known.active else Job(id, element, UNTOLD)

    def _ask(self) -> None:
        now = time.monotonic()
        if self._asked is not None and now - self._asked < min(_MOST, _LEAST + (now - self._since) / 20):
            return
        self._asked = now
        try:
            self._jobs = {(job.id, job.element): job for job in jobs_of_user()}
            self._ended.clear()
            self._silent = False
        except AnswerError as error:
            if not self._silent:
                print(f"Slurm gives no answer ({error.message}); going on by the published results", file=sys.stderr)
            self._silent = True
