"""`corpus run --dry-run`: the steps of a run, their raw files, and about how long they will take and what disk they need."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from corpus.data.manifest import MANIFEST
from corpus.engine.progress import duration, megabytes
from corpus.ingest.files import find_files
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
_COMPRESSED = {".gz": 3.0, ".bz2": 4.0, ".xz": 4.0, ".zst": 3.5, ".7z": 4.0, ".zip": 3.0, ".tgz": 3.0}
"""Bytes of text for a byte of a compressed file, about."""
_STORED = 0.4
"""Bytes on disk for a byte of text, about (zstd)."""


def estimate(run: RecipeRun, workers: int) -> list[str]:
    """The lines of a dry run: raw files by domain, steps with what is done of them, time and disk. Nothing is written."""
    lines = []
    texts: dict[str, float] = {}
    for domain, patterns in run.domains().items():
        reader = make_reader(domain, run.recipe.domains[domain])
        raw = find_files((str(run.folder(domain)),), patterns or reader.patterns)
        sizes = [(file.path.suffix.lower(), file.path.stat().st_size) for file in raw.files if file.path.is_file()]
        size = sum(size for _, size in sizes)
        texts[domain] = sum(size * _COMPRESSED.get(suffix, 1.0) for suffix, size in sizes) * _share(run)
        ignored = f", {len(raw.ignored):,} others ignored" if raw.ignored else ""
        lines.append(
            f"{domain}: {len(sizes):,} raw files, {megabytes(size)}{ignored}; about {megabytes(texts[domain])} of text"
        )
    seconds = disk = 0.0
    for step in run.steps():
        done = (run.output / step.output / MANIFEST).exists()
        text = texts.get(step.domain, sum(texts.values()))
        took = 0.0 if done else sum(text / 1e6 / rate for rate in _rates(step)) / workers
        seconds += took
        disk += 0.0 if done else text * _STORED * bool(list(_rates(step)))
        said = (
            "done" if done else "not estimated" if step.output.startswith(f"{MODELS}/") else f"about {duration(took)}"
        )
        lines.append(f"  {step.output:48} {said}")
    lines += lost_models(run.recipe, run.used())
    if run.recipe.limit is not None:
        lines.append(f"times are for all records: of each raw file only the first {run.recipe.limit:,} are read")
    free = shutil.disk_usage(
        next(place for place in (run.output, *run.output.absolute().parents) if place.exists())
    ).free
    lines.append(
        f"about {duration(seconds)} with {workers} workers, {megabytes(disk)} of disk ({megabytes(free)} free); rough:"
        " by the sizes of the files and rates of natural web pages"
    )
    return lines


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
