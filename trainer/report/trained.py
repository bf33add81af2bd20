"""A run as its directory tells it: measurements, settings, spikes, checkpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import Any

from trainer.checkpoints.checkpoint import CheckpointStore
from trainer.config.config import RunConfig
from trainer.config.history import History
from trainer.run.directory import Run
from trainer.run.metrics import MetricsLog
from trainer.spikes.skip_log import SkipLog

Record = Mapping[str, Any]
_SMOOTHED = 10
"""Steps over which the last loss and the speed are averaged, as on the live line."""


@dataclass(frozen=True)
class TrainedRun:
    """What was measured so far; the run may still go on."""

    path: Path
    name: str = ""
    run: Run = field(init=False)
    history: History = field(init=False)
    skip_log: SkipLog = field(init=False)
    records: Sequence[Record] = field(init=False)

    def __post_init__(self) -> None:
        run = Run(self.path)
        made = {
            "run": run,
            "history": run.history(),
            "skip_log": SkipLog.load(run.skip_log) or SkipLog(),
            "records": MetricsLog(run.metrics).records(rewound=True),
            "name": self.name or self.path.resolve().name,
        }
        for key, value in made.items():
            object.__setattr__(self, key, value)

    @property
    def config(self) -> RunConfig:
        """After all changes."""
        return self.history.last

    @cached_property
    def train(self) -> list[Record]:
        """A record for each step, in order."""
        return [r for r in self.records if r["kind"] == "train" and not r.get("rewound")]

    @cached_property
    def undone(self) -> list[Record]:
        """The steps that rewinds undid."""
        return [r for r in self.records if r["kind"] == "train" and r.get("rewound")]

    @cached_property
    def validation(self) -> list[Record]:
        """The evaluations, in order."""
        return [r for r in self.records if r["kind"] == "validation" and not r.get("rewound")]

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self.train[-1]["step"]) if self.train else 0

    @property
    def steps(self) -> int:
        """Steps that the run makes, as it is planned now."""
        return self.config.steps_with(self.skip_log.holes())

    @property
    def finished(self) -> bool:
        """Whether all of its steps are done, and where it is evaluated the last of them was."""
        evaluated = not self.config.validation or any(r["step"] >= self.steps for r in self.validation)
        return self.step >= self.steps and evaluated

    @property
    def saved(self) -> bool:
        """Whether its last step is in a checkpoint; so too where checkpoints were removed since."""
        kept = CheckpointStore(self.run.checkpoints).steps()
        return not kept or kept[0] >= self.steps

    @property
    def seconds(self) -> float:
        """Of all steps, undone ones too."""
        return math.fsum(r["seconds"] for r in (*self.train, *self.undone))

    @property
    def last_loss(self) -> float | None:
        """The mean of the last steps."""
        found = [r["loss"] for r in self.train[-_SMOOTHED:] if math.isfinite(r["loss"])]
        return math.fsum(found) / len(found) if found else None

    def batch_tokens(self, step: int) -> int:
        """Target tokens of a step's batch."""
        config = self.history.at(step)
        return config.ramp.rows_at(step) * config.data.sequence_length

    @cached_property
    def speeds(self) -> list[tuple[int, float]]:
        """Of each step the tokens a second, over the last ten."""
        found: list[tuple[int, float]] = []
        window: list[tuple[int, float]] = []
        for record in self.train:
            window = [*window, (self.batch_tokens(record["step"]), record["seconds"])][-_SMOOTHED:]
            seconds = sum(second for _, second in window)
            if seconds > 0:
                found.append((record["step"], sum(tokens for tokens, _ in window) / seconds))
        return found

    def values(self, key: str) -> list[tuple[int, float]]:
        """A measurement by step, where it was made and is a number."""
        return [(r["step"], float(r[key])) for r in self.train if key in r and math.isfinite(r[key])]

    def checkpoints(self) -> list[tuple[int, int]]:
        """The checkpoints that are there, oldest first: step and bytes."""
        store = CheckpointStore(self.run.checkpoints)
        folders = {step: self.run.checkpoints / f"step-{step:06d}" for step in reversed(store.steps())}
        return [(step, _size(folder)) for step, folder in folders.items()]


def _size(folder: Path) -> int:
    """Bytes of its files; a checkpoint that is removed meanwhile counts what was met."""
    found = 0
    with suppress(FileNotFoundError):
        for path in folder.rglob("*"):
            with suppress(FileNotFoundError):
                found += path.stat().st_size if path.is_file() else 0
    return found


def thinned(points: Sequence[tuple[int, float]], most: int) -> list[tuple[int, float]]:
    """At most about so many points in order, of each stretch its least and its greatest, so that no spike is lost."""
    if len(points) <= most:
        return list(points)
    stretches = max(1, most // 2)
    kept: list[tuple[int, float]] = []
    for place in range(stretches):
        part = points[len(points) * place // stretches : len(points) * (place + 1) // stretches]
        kept += sorted({min(part, key=itemgetter(1)), max(part, key=itemgetter(1))})
    return kept
