"""What one system has and others do not (prctl, /proc, processor affinity, malloc_trim), each with an answer for the rest.

This is the only file that asks which system it is on. With `CORPUSMILL_PORTABLE=1` it gives the answers for systems that
are not Linux, so that the tests can be run with them anywhere. Imports nothing heavy.
"""

from __future__ import annotations

import ctypes
import os
import re
import resource
import signal
import sys
import threading
import time
from functools import cache
from pathlib import Path

PORTABLE = "CORPUSMILL_PORTABLE"
_PR_SET_PDEATHSIG = 1
_LOOK_SECONDS = 0.2


def is_linux() -> bool:
    """Whether what only Linux has may be used."""
    return sys.platform == "linux" and not os.environ.get(PORTABLE)


def cores() -> int:
    """Processors that this process may use."""
    if is_linux():
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def die_with_parent(parent: int) -> None:
    """Have this process killed when `parent`, which started it, ends: by the kernel, or by looking for it."""
    if is_linux():
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    else:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)


def resident_bytes() -> int:
    """Resident memory of this process now; 0 where the system does not tell."""
    fields = _read("/proc/self/statm").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if fields else 0


def peak_bytes() -> int:
    """The most resident memory this process ever had. Where the system tells it, not `ru_maxrss`: a process begins
    with that of the one that started it."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", _read("/proc/self/status"), re.MULTILINE)
    if found:
        return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def total_memory() -> int:
    """Bytes of memory that this process may have: the machine's, or what its control group allows; 0 where the system
    does not tell."""
    try:
        physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0
    limits = [_read("/sys/fs/cgroup/memory.max"), _read("/sys/fs/cgroup/memory/memory.limit_in_bytes")]
    return min([physical, *(int(text) for text in limits if text.strip().isdigit())])


def boot_identity() -> str:
    """What this start of the machine is called; empty where the system does not tell."""
    return _read("/proc/sys/kernel/random/boot_id").strip()


def start_identity() -> str:
    """What tells this start of the machine, and this space of process numbers, from others; empty where nothing does."""
    return f"{boot_identity()} {_link('/proc/self/ns/pid')}".strip()


def process_start(process: int) -> str:
    """When a process of this machine began, in the kernel's ticks; empty where there is none or the system does not tell."""
    fields = _read(f"/proc/{process}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 else ""


def give_memory_back() -> bool:
    """Give freed memory back to the system where the C library can (glibc); whether it can."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)
    return trim is not None


def out_of_memory_kills(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """How many processes the kernel has killed for want of memory, in this control group and in all; only its growth
    means something. 0 where the system does not tell."""
    places = [proc / "vmstat"]
    for line in _read(proc / "self" / "cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number != "0" and "memory" not in controllers.split(","):
            continue
        mounted, name = (groups, "memory.events") if number == "0" else (groups / "memory", "memory.oom_control")
        own = mounted / path.lstrip("/") / name
        places.append(own if own.exists() else mounted / name)  # a container sees its own group as the uppermost
    lines = (line.strip() for place in places for line in _read(place).splitlines())
    return sum(int(match[1]) for line in lines if (match := re.fullmatch(r"oom_kill (\d+)", line)))


@cache
def _malloc_trim() -> ctypes._NamedFuncPointer | None:
    if not is_linux():
        return None
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library
        return None


def _read(path: str | Path) -> str:
    """A file of the kernel; empty where there is none."""
    if not is_linux():
        return ""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path) if is_linux() else ""
    except OSError:
        return ""
