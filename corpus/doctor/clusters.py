"""Ray and Slurm: whether they are installed, and whether they answer."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import urlsplit

from corpus.doctor.finding import Finding, note, ok, problem

TOPIC = "clusters"
_SECONDS = 10.0


def look() -> Iterator[Finding]:
    """What `--executor ray` and `--executor slurm` would find."""
    yield _ray(os.environ.get("RAY_ADDRESS", ""))
    yield _slurm()


def _ray(address: str) -> Finding:
    try:
        found = version("ray")
    except PackageNotFoundError:
        return note(TOPIC, "Ray", "is not installed: only --executor ray needs it", "pip install 'corpusmill[ray]'")
    if not address or address in ("auto", "local"):
        return ok(TOPIC, "Ray", f"{found}; RAY_ADDRESS names no cluster, so one of this machine is started")
    place = urlsplit(address if "://" in address else f"ray://{address}")
    try:
        with socket.create_connection((place.hostname or "", place.port or 10001), timeout=_SECONDS):
            return ok(TOPIC, "Ray", f"{found}; {address} answers")
    except (OSError, ValueError) as error:
        said = f"{found}; RAY_ADDRESS {address} does not answer ({error})"
        return problem(TOPIC, "Ray", said, "start it with ray start --head, or mend or unset RAY_ADDRESS")


def _slurm() -> Finding:
    if shutil.which("sbatch") is None:
        return note(TOPIC, "Slurm", "its programs are not here: only --executor slurm needs them")
    try:
        done = subprocess.run(
            ["sinfo", "--noheader", "--format=%P %a %D"], capture_output=True, text=True, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return problem(TOPIC, "Slurm", f"sinfo gives no answer ({error})", "see whether slurmctld runs: scontrol ping")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return problem(
            TOPIC, "Slurm", f"sinfo ends with an error ({last})", "see whether slurmctld runs: scontrol ping"
        )
    up = [fields for line in done.stdout.splitlines() if len(fields := line.split()) == 3 and fields[1] == "up"]
    if not up:
        return problem(TOPIC, "Slurm", "no partition is up", "sinfo -R says why")
    names = ", ".join(f"{name.rstrip('*')} ({nodes} nodes)" for name, _, nodes in up)
    return ok(TOPIC, "Slurm", f"answers; partitions that are up: {names}")
