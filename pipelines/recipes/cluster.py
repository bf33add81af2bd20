"""`corpus plan-cluster`: what a recipe will take on a corpus of any size, from what a run on a sample of it took.

Everything a stage does is linear in what comes in, but for models, which are trained on samples: their time is taken as it
was. Numbers of tasks follow from bytes as in the real run, and how long a phase takes from a simulation of its tasks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from corpus.data.manifest import MANIFEST, Manifest, differences
from corpus.data.verify import PLAN, read_plan
from corpus.engine.simulation import drawn, simulate
from corpus.errors import DataError, UsageError
from corpus.ingest.groups import group_count
from corpus.option import nearest
from pipelines.recipes.graph import INGEST
from pipelines.recipes.recipe import Recipe

_MODELS = ("tokenizer", "models")
"""First folders of outputs whose stages train on samples."""
_SERIAL = ("gather", "interleave")
"""Phases of one task whatever comes in. Of any other phase a small sample has one task, and the corpus has many."""
_FOR_SAMPLES = ("limit", "sample", "validation.", "tokenizer.vocab_size", "packing.sequence_length")
"""What a sample may need to be otherwise, and the time hardly depends on."""
_MOST_TASKS = 20_000
"""Tasks of a phase that are simulated: of more, each stands for several."""


@dataclass(frozen=True)
class StepPlan:
    """What one stage will take: core hours, hours until its end, bytes read and written, memory of a task."""

    output: str
    tasks: int
    core_hours: float
    hours: float
    ideal_hours: float
    reads: float
    writes: float
    memory: int
    kept: bool
    scaled: bool = True

    def to_json(self) -> dict[str, Any]:
        """The form of --json."""
        return vars(self)


@dataclass(frozen=True)
class ClusterPlan:
    """The stages of a recipe on so many cores."""

    steps: tuple[StepPlan, ...]
    cores: int
    price: float

    @property
    def core_hours(self) -> float:
        """Processor time of all stages."""
        return sum(step.core_hours for step in self.steps)

    @property
    def hours(self) -> float:
        """From the beginning to the end, stage after stage."""
        return sum(step.hours for step in self.steps)

    @property
    def disk(self) -> float:
        """Bytes of all outputs together, before `corpus clean`."""
        return sum(step.writes for step in self.steps)

    @property
    def kept(self) -> float:
        """Bytes that are left after it."""
        return sum(step.writes for step in self.steps if step.kept)

    @property
    def cost(self) -> float:
        """What the cores cost from the first to the last moment, busy or not."""
        return self.hours * self.cores * self.price

    def to_json(self) -> dict[str, Any]:
        """The form of --json."""
        numbers = {name: getattr(self, name) for name in ("core_hours", "hours", "disk", "kept", "cost")}
        return numbers | {"cores": self.cores, "steps": [step.to_json() for step in self.steps]}

    def lines(self) -> list[str]:
        """The plan in words."""
        found = [f"{'stage':44} {'tasks':>9} {'core h':>9} {'hours':>8} {'read GB':>9} {'write GB':>9} {'MB/task':>8}"]
        for step in self.steps:
            mark = "" if step.scaled else " *"
            found.append(
                f"{step.output + mark:44} {step.tasks:9,} {step.core_hours:9,.1f} {step.hours:8.2f} {step.reads / 1e9:9,.0f}"
                f" {step.writes / 1e9:9,.0f} {step.memory / 1e6:8,.0f}"
            )
        slowest = max(self.steps, key=lambda step: step.hours)
        read = sum(step.reads for step in self.steps)
        rate = (read + self.disk) / max(1.0, self.hours * 3600) / 1e9
        found += [
            f"in all {self.core_hours:,.0f} core hours, {self.hours:,.1f} hours on {self.cores:,} cores; the slowest stage is"
            f" {slowest.output} ({slowest.hours:,.1f} hours)",
            f"disk {self.disk / 1e12:,.2f} TB, {self.kept / 1e12:,.2f} TB after corpus clean; {read / 1e12:,.2f} TB read and"
            f" {self.disk / 1e12:,.2f} TB written, {rate:,.2f} GB/s on average",
        ]
        if self.price:
            found.append(f"about {self.cost:,.0f} at {self.price:g} a core hour")
        if any(not step.scaled for step in self.steps):
            found.append(
                "* trains on a sample: its time is that of the calibration, on more text at most that of its sample"
            )
        return found


@dataclass(frozen=True)
class Calibration:
    """A finished run of a recipe on a sample."""

    output: Path

    def check(self, recipe: Recipe) -> None:
        """A UsageError where the run is not there, not finished or of another recipe."""
        path = self.output / "recipe.yaml"
        if not path.exists() or not (self.output / PLAN).exists():
            raise UsageError(
                f"{self.output} is not the output of corpus run: run the recipe on a sample and give that."
            )
        changed = differences(yaml.safe_load(path.read_text(encoding="utf-8")), recipe.resolved())
        if changed := [change for change in changed if not change.startswith(_FOR_SAMPLES)]:
            raise UsageError(
                f"{self.output} was made with another recipe ({'; '.join(changed[:3])}): calibrate with this one."
            )

    def steps(self) -> list[str]:
        """The outputs in their order."""
        return [name for name in read_plan(self.output)["outputs"] if (self.output / name / MANIFEST).exists()]

    def kept(self) -> set[str]:
        """Those that stay."""
        return set(read_plan(self.output)["kept"])

    def log(self, name: str) -> dict[str, Any]:
        """What a stage took."""
        path = self.output / name / "_log" / "finished.json"
        try:
            value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            _ = value["tasks"], value["input_bytes"], value["peak_memory"]
            return value
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{path} does not say what the stage took ({error}): run the calibration again.") from None

    def written(self, name: str) -> int:
        """Bytes of a stage's shards and side files."""
        return sum(entry.bytes for entry in Manifest.load(self.output / name).entries)

    def raw(self) -> dict[str, int]:
        """Bytes of raw files of each domain."""
        found = {}
        for name in self.steps():
            if name.startswith("documents/") and name.endswith(f"/00-{INGEST}"):
                found[name.split("/")[1]] = int(self.log(name)["input_bytes"])
        return found


def input_bytes(given: Mapping[str, int], total: int, recipe: Recipe, raw: Mapping[str, int]) -> dict[str, int]:
    """Bytes of raw files of each domain: those given, and `total` divided among the others by the shares of the mixture, where
    all have one, else as in the calibration. A UsageError where a domain has none or is not there."""
    for domain in given:
        if domain not in raw:
            raise UsageError(
                f"--input-bytes names domain {domain}, which the calibration has not: {nearest(domain, raw)}"
            )
    left = {domain: raw[domain] for domain in raw if domain not in given}
    if left and not total:
        raise UsageError(
            f"--input-bytes says nothing of {next(iter(left))}: give it for all domains, or a number for all."
        )
    shares = {weight.domain: weight.share for weight in recipe.weights().weights if weight.share}
    if left and all(shares.get(domain) for domain in left):
        left = {domain: float(shares[domain] or 0) for domain in left}  # type: ignore[misc]  # only parts of a whole count
    whole = sum(left.values())
    rest = max(0, total - sum(given.values()))
    return {domain: int(given.get(domain, 0) or rest * left[domain] / whole) for domain in raw}


def plan_cluster(
    recipe: Recipe, calibration: Calibration, wanted: Mapping[str, int], cores: int, failing: float, price: float
) -> ClusterPlan:
    """What the recipe takes on `wanted` bytes of raw files of each domain, on `cores`, where a part `failing` of the attempts
    of tasks fails."""
    calibration.check(recipe)
    raw = calibration.raw()
    factors = {domain: wanted[domain] / max(1, raw[domain]) for domain in raw}
    texts = {
        domain: Manifest.load(calibration.output / f"documents/{domain}/00-{INGEST}").totals.get("bytes", 0)
        for domain in raw
    }
    whole = sum(texts.values())
    overall = sum(texts[domain] * factors[domain] for domain in raw) / max(1, whole)
    kept = calibration.kept()
    steps = []
    for name in calibration.steps():
        parts = name.split("/")
        scaled = parts[0] not in _MODELS
        factor = factors.get(parts[1], overall) if len(parts) > 1 else overall
        size = wanted[parts[1]] if name.endswith(f"/00-{INGEST}") else 0
        steps.append(_step(calibration, name, factor if scaled else 1.0, size, cores, failing, name in kept, scaled))
    return ClusterPlan(tuple(steps), cores, price)


def _tasks(phase: str, number: int, factor: float, size: int, scaled: bool) -> int:
    """The tasks of a phase for `size` bytes of input, where a sample had `number`."""
    if not scaled or phase in _SERIAL or factor <= 1:
        return number
    return max(number, group_count(size))


def _step(
    calibration: Calibration, name: str, factor: float, raw: int, cores: int, failing: float, kept: bool, scaled: bool
) -> StepPlan:
    log = calibration.log(name)
    seconds = ideal = hours = 0.0
    tasks = 0
    for number, (title, phase) in enumerate(log["tasks"].items()):
        total = phase["cpu_seconds"] * factor
        count = _tasks(title, phase["number"], factor, raw or int(log["input_bytes"] * factor), scaled)
        drawn_tasks = drawn(phase["quantiles"], min(count, _MOST_TASKS), total, seed=number)
        group = max(1, round(count / _MOST_TASKS))
        result = simulate(drawn_tasks, max(1, cores // group), failing, seed=number)
        seconds += total
        ideal += total / cores
        hours += result.seconds
        tasks += count
    return StepPlan(
        name,
        tasks,
        seconds / 3600,
        hours / 3600,
        ideal / 3600,
        log["input_bytes"] * factor,
        calibration.written(name) * factor,
        int(log["peak_memory"]),
        kept,
        scaled,
    )
