"""Points at which a test can have a process killed, so that a kill lands exactly there and not about then."""

from __future__ import annotations

import os
import signal
from collections import Counter

VARIABLE = "CORPUSMILL_FAULT"
"""Names `point:count`, or `point:count:file`: then only the process that creates the file is killed."""
POINTS = (
    "task-begun",
    "shards-written",
    "before-publish",
    "after-publish",
    "phase-done",
    "shards-placed",
    "before-manifest",
    "after-manifest",
)
"""In the order in which a stage passes them: four in every task, one after every phase, three in the commit."""

_passed: Counter[str] = Counter()


def fault(point: str) -> None:
    """Do nothing, unless `CORPUSMILL_FAULT` names this point: then the process kills itself with SIGKILL when it passes
    the point for the count-th time."""
    wanted = os.environ.get(VARIABLE)
    if wanted is None:
        return
    assert point in POINTS, point
    _passed[point] += 1
    name, _, rest = wanted.partition(":")
    count, _, marker = rest.partition(":")
    if name == point and _passed[point] == int(count) and (not marker or _create(marker)):
        os.kill(os.getpid(), signal.SIGKILL)


def _create(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    return True
