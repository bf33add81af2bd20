"""All looks, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from corpus.doctor import clusters, devices, machine, models, packages, storage
from corpus.doctor.finding import Finding


def look_at(output: Path) -> Iterator[Finding]:
    """What is found, topic by topic; `output` is where outputs will be written."""
    yield from packages.look()
    yield from models.look()
    yield from machine.look()
    yield from storage.look(output)
    yield from devices.look()
    yield from clusters.look()
