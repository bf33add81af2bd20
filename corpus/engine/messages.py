"""What is said of a stage: what may go wrong, before it works, and what came of it, in words."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from corpus.data.manifest import Manifest
from corpus.engine.log import read_log
from corpus.engine.progress import duration, megabytes
from corpus.engine.stage import Stage

_REASONS = 4


def warnings_before(stage: Stage, output: Path, memory: int, workers: int) -> Iterator[str]:
    """What the user should know before the stage works: that disk or memory (`memory` bytes of data for all `workers`)
    may not be enough, and what the stage itself has to say. Nothing where all is well."""
    estimate = stage.estimate()
    free = shutil.disk_usage(output).free
    if estimate.disk > free:
        yield (
            f"the disk under {output} is likely to fill up: about {megabytes(estimate.disk)} are needed and"
            f" {megabytes(free)} are free"
        )
    if estimate.memory * workers > memory:
        yield (
            f"about {megabytes(estimate.memory * workers)} of data will be in memory at once, more than --memory"
            f" {megabytes(memory)}"
        )
    if notice := stage.notice():
        yield notice


def lines_after(stage: Stage, output: Path, manifest: Manifest, seconds: float) -> Iterator[str]:
    """What came in, what stayed, why the rest did not, how long it took and how much memory it needed."""
    counts = manifest.counts[stage.unit]
    parts = [f"{counts.seen:,} {stage.unit} in, {counts.kept:,} kept"]
    if counts.merged:
        parts.append(f"{counts.merged:,} merged")
    reasons = sorted(counts.dropped.items(), key=lambda item: (-item[1], item[0]))
    parts += [f"{number:,} {reason}" for reason, number in reasons[:_REASONS]]
    if len(reasons) > _REASONS:
        parts.append(f"{sum(number for _, number in reasons[_REASONS:]):,} dropped for other reasons")
    yield f"{', '.join(parts)} ({duration(seconds)}, {memory_words(output)})"
    if counts.quarantined:
        yield (
            f"{counts.quarantined:,} {stage.unit} could not be read and were set aside; see them with: corpus inspect"
            f" {output} --quarantined"
        )


def explanations(stage: Stage, manifest: Manifest) -> Iterator[str]:
    """What reasons mean that do not say it themselves."""
    dropped = manifest.counts[stage.unit].dropped
    yield from (f"{reason} is {meaning}" for reason, meaning in stage.explained.items() if dropped.get(reason))


def memory_words(output: Path) -> str:
    """The most memory that a process of a finished stage had had so far, in stages before too, from its log."""
    return f"peak of a process so far {megabytes(read_log(output)['peak_memory'])}"
