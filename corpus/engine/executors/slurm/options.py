"""What `--slurm-…` takes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from corpus.option import option

_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<parts>\d+(?::\d+){0,2})")


@dataclass(frozen=True)
class SlurmOptions:
    """How jobs are sent to Slurm."""

    partition: str = option("", "Partition for all jobs.", metavar="NAME")
    time: str = option("", "Time limit of a job, as sbatch has it: 90 (minutes), 12:00:00, 2-00:00:00.", metavar="TIME")
    args: str = option("", 'More for sbatch, as "--account=lab --exclude=n7"; they win over what is given otherwise.')
    array_size: int | None = option(
        None, "Jobs in an array at most, besides --workers. Default: the cluster's MaxArraySize.", least=1
    )
    array_bytes: int = option(
        8_000_000, "A stage with less input needs no array: it runs where its phases begin. Default: 8MB."
    )


def seconds_of(time: str) -> int | None:
    """A time limit as Slurm writes it, in seconds; None if it is none. A number alone is minutes; after days, hours."""
    match = _TIME.fullmatch(time)
    if match is None:
        return None
    parts = [int(part) for part in match["parts"].split(":")]
    if match["days"] is not None:
        hours, minutes, seconds = (*parts, 0, 0)[:3]
        return int(match["days"]) * 86_400 + hours * 3600 + minutes * 60 + seconds
    if len(parts) == 3:
        return parts[0] * 3600 + parts[1] * 60 + parts[2]
    return parts[0] * 60 + (parts[1] if len(parts) == 2 else 0)
