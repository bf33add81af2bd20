"""`corpus run --dry-run`: the steps of a run, their raw files, and about how long they will take and what disk they need."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from corpus.data.manifest import MANIFEST
from corpus.engine.progress import duration, megabytes
from corpus.ingest.files import RawInput, find_files
from pipelines.recipes.graph import MODELS
from pipelines.recipes.recipe import lost_models, make_reader
from pipelines.recipes.steps import RecipeRun, Step

RATES = {
    "ingest": 20,
    "dedup": 80,
    "langid": 10,
    "filter": 9,
    "choice": 150,
    "settled": 150,
    "train": 110,
    "validation": 400,
    "tokens": 100,
    "packed": 300,
}
"""MB of text a second and process (docs/benchmarks.md, natural pages). Other steps count as `_OTHER`; readers that take
archives or markup apart are slower, and a first step of a kind spends some seconds on its start."""
_OTHER = 20
TOKENIZER = "tokenizer"
_TOKENIZER_BYTES = 200e6
"""The sample on which a tokenizer is trained by default."""
_TOKENIZER_RATE = 3
"""MB of its sample a second, with as many cores as it likes."""
_COMPRESSED = {".gz": 3.0, ".bz2": 4.0, ".xz": 4.0, ".zst": 3.5, ".7z": 4.0, ".zip": 3.0, ".tgz": 3.0}
"""Bytes of text for a byte of a compressed file, about."""
_START_SECONDS = 0.3
"""What any stage takes, about: its start and its commit."""
_STORED = 0.4
"""Bytes on disk for a byte of text, about (zstd)."""


@dataclass(frozen=True)
class DomainEstimate:
    """The raw files of a domain."""

    domain: str
    files: int
    bytes: int
    ignored: int
    """Files that no pattern of the reader matches."""
    text_bytes: float
    """About how much text they hold, of what is read of them."""


@dataclass(frozen=True)
class StepEstimate:
    """A step of the run."""

    output: str
    done: bool
    seconds: float | None
    """About how long it will take with all workers; None where that is not known."""


@dataclass(frozen=True)
class RunEstimate:
    """What a run will take."""

    domains: tuple[DomainEstimate, ...]
    steps: tuple[StepEstimate, ...]
    notes: tuple[str, ...]
    workers: int
    disk: float
    free: int
    """Bytes that will be written, about, and that are free there."""

    @property
    def seconds(self) -> float:
        """About how long all steps will take that can be estimated."""
        return sum(step.seconds or 0.0 for step in self.steps)

    def lines(self) -> list[str]:
        """The plan as text."""
        lines = []
        for one in self.domains:
            ignored = f", {one.ignored:,} others ignored" if one.ignored else ""
            lines.append(
                f"{one.domain}: {one.files:,} raw files, {megabytes(one.bytes)}{ignored}; about"
                f" {megabytes(one.text_bytes)} of text"
            )
        for step in self.steps:
            unknown = "not estimated" if step.seconds is None else f"about {duration(step.seconds)}"
            lines.append(f"  {step.output:48} {'done' if step.done else unknown}")
        return [
            *lines,
            *self.notes,
            f"about {duration(self.seconds)} with {self.workers} workers, {megabytes(self.disk)} of disk"
            f" ({megabytes(self.free)} free); rough: by the sizes of the files and rates of natural web pages",
        ]

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON values; sizes are bytes."""
        return asdict(self) | {"seconds": self.seconds}


def estimate(run: RecipeRun, workers: int) -> RunEstimate:
    """Raw files by domain, steps with what is done of them, time and disk. Nothing is written."""
    domains = []
    for domain, raw in _raw_inputs(run):
        sizes = [size for _, size in _sizes(raw)]
        text = _text_bytes(raw) * _share(run)
        domains.append(DomainEstimate(domain, len(sizes), sum(sizes), len(raw.ignored), text))
    texts = {one.domain: one.text_bytes for one in domains}
    disk, steps = 0.0, []
    for step in run.steps():
        done = (run.output / step.output / MANIFEST).exists()
        unknown = step.output.startswith(f"{MODELS}/")
        seconds = 0.0 if done else None if unknown else _seconds(step, texts) / workers
        steps.append(StepEstimate(step.output, done, seconds))
        disk += 0.0 if done else _text_of(step, texts) * _STORED * bool(list(_rates(step)))
    notes = list(lost_models(run.recipe, run.used()))
    if run.recipe.limit is not None:
        notes.append(f"times are for all records: of each raw file only the first {run.recipe.limit:,} are read")
    place = next(place for place in (run.output, *run.output.absolute().parents) if place.exists())
    return RunEstimate(tuple(domains), tuple(steps), tuple(notes), workers, disk, shutil.disk_usage(place).free)


def expected_seconds(run: RecipeRun, steps: Sequence[Step]) -> list[float]:
    """About how long each step takes with one worker: for how they compare, since how fast this machine is shows."""
    texts = {domain: _text_bytes(raw) * _share(run) for domain, raw in _raw_inputs(run)}
    return [_START_SECONDS + _seconds(step, texts) for step in steps]


def _raw_inputs(run: RecipeRun) -> Iterator[tuple[str, RawInput]]:
    """The raw files of each domain."""
    for domain, patterns in run.domains().items():
        reader = make_reader(domain, run.recipe.domains[domain])
        yield domain, find_files((str(run.folder(domain)),), patterns or reader.patterns)


def _sizes(raw: RawInput) -> list[tuple[str, int]]:
    """Ending and bytes of each raw file."""
    return [(file.path.suffix.lower(), file.path.stat().st_size) for file in raw.files if file.path.is_file()]


def _text_bytes(raw: RawInput) -> float:
    """About how much text is in raw files."""
    return sum(size * _COMPRESSED.get(suffix, 1.0) for suffix, size in _sizes(raw))


def _seconds(step: Step, texts: Mapping[str, float]) -> float:
    """About how long a step takes with one worker."""
    if step.output == TOKENIZER:
        return min(_text_of(step, texts), _TOKENIZER_BYTES) / 1e6 / _TOKENIZER_RATE
    return sum(_text_of(step, texts) / 1e6 / rate for rate in _rates(step))


def _text_of(step: Step, texts: Mapping[str, float]) -> float:
    """Bytes of text that a step goes through, about."""
    return texts.get(step.domain, sum(texts.values()))


def _share(run: RecipeRun) -> float:
    return float(run.recipe.ingest_config().share)


def _rates(step: Step) -> Iterator[float]:
    """The rates of the parts of a step; none where it hardly takes time."""
    kind, *rest = step.output.split("/")
    if kind == "documents":
        name = Path(rest[-1]).name.partition("-")[2]
        yield from (RATES.get(part.partition(".")[0], _OTHER) for part in name.split("+"))
    elif kind in RATES:
        yield RATES[kind]
