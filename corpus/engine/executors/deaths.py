"""How a worker process died, and whether anything speaks for want of memory."""

from __future__ import annotations

import signal
from collections.abc import Sequence


def describe(codes: Sequence[int | None], kills: int) -> str:
    """What ended the workers with these exit codes, while the kernel killed `kills` processes for want of memory. Those
    that ended by SIGTERM did so because another one had died, unless there is no other."""
    ended = [code for code in codes if code]
    first = ([code for code in ended if code != -signal.SIGTERM] or ended or [0])[0]
    if first == -signal.SIGKILL and kills > 0:
        return "was killed by signal 9 while the system ran out of memory"
    if first < 0:
        return f"was killed by signal {-first}"
    return f"ended with exit code {first}" if first else "ended"


def remedy(codes: Sequence[int | None], kills: int) -> str:
    """What to do about it."""
    again = "run the same command again to go on"
    if -signal.SIGKILL in codes and kills > 0:
        return f"{again}, with a smaller --memory or fewer --workers"
    return again
