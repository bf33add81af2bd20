"""How a worker process died, and whether anything speaks for want of memory."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from pathlib import Path


def out_of_memory_kills(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """How many processes the kernel has killed for want of memory, in this control group and in all; only its growth
    means something. 0 where the system does not tell."""
    places = [proc / "vmstat"]
    for line in _lines(proc / "self" / "cgroup"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number != "0" and "memory" not in controllers.split(","):
            continue
        mounted, name = (groups, "memory.events") if number == "0" else (groups / "memory", "memory.oom_control")
        own = mounted / path.lstrip("/") / name
        places.append(own if own.exists() else mounted / name)  # a container sees its own group as the uppermost
    found = (re.fullmatch(r"oom_kill (\d+)", line.strip()) for place in places for line in _lines(place))
    return sum(int(match[1]) for match in found if match)


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


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
