"""The stages of the chain from WET files to packed rows: one by one and joined, with one worker and with two."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.chain_text import Text
from corpus.data.dataset import Dataset
from corpus.data.manifest import Manifest
from corpus.engine.executors.base import Executor, Settings
from corpus.engine.executors.local import LocalExecutor, WorkerPool
from corpus.engine.runner import RunOptions, run_stage
from corpus.engine.stage import Stage
from pipelines.recipes.recipe import Recipe, load_recipe
from pipelines.recipes.steps import RecipeRun, Step

DOMAIN = "commoncrawl"
_SAMPLE = 40_000_000
"""Bytes of pages that the tokenizer is trained on."""


@dataclass(frozen=True)
class StageTime:
    """One stage: bytes of text that go in, seconds of warmed workers (`processor`: of all processes together, so that
    it says something on a machine in use as well), and what start-up took."""

    name: str
    size: int
    seconds: float
    processor: float
    startup: float
    peak: int
    phases: dict[str, float]

    @property
    def rate(self) -> float:
        """MB of text a second."""
        return self.size / 1e6 / self.seconds


@dataclass(frozen=True)
class Models:
    """A language model and a classifier for the filter, as their commands write them."""

    lm: Path
    classifier: Path

    def rules(self) -> list[dict[str, Any]]:
        """The rules that score every page by them and drop none, so that what follows has as much to do as without."""
        perplexity = {"models": str(self.lm), "language": "en"}
        return [{"perplexity": perplexity}, {"reference": {"model": str(self.classifier), "threshold": 0.0}}]


def recipe_for(tokenizer: Path | None, join: bool, models: Models | None = None) -> Recipe:
    """The LLaMA recipe's web pages with Gopher's rules, with a tokenizer that is there, or the one that it trains, and with
    the models that are given instead of those of a whole run."""
    recipe = load_recipe("llama")
    trained = recipe.tokenizer.model_copy(update={"path": str(tokenizer) if tokenizer else None})
    domain = recipe.domains[DOMAIN]
    rules = ["min_chars:300", "gopher", *(models.rules() if models else ())]
    stages = (*domain.stages[:-1], {"filter": {"rules": rules}})
    domains = recipe.domains | {DOMAIN: domain.model_copy(update={"stages": stages})}
    return recipe.model_copy(update={"join": join, "tokenizer": trained, "domains": domains, "models": {}})


def steps_of(raw: Path, output: Path, tokenizer: Path | None, join: bool, models: Models | None = None) -> list[Step]:
    """The steps to the packed rows."""
    steps = []
    for step in RecipeRun(recipe_for(tokenizer, join, models), raw, output, allow_missing=True).steps():
        steps.append(step)
        if step.output == "packed":
            break
    return steps


def make_tokenizer(text: Text, work: Path) -> Path:
    """The recipe's tokenizer of 32,000 pieces, trained once on a part of the pages as the recipe does."""
    folder = work / "tokenizer" / f"{text.kind}-{text.size // 1_000_000}"
    part = some_files(text, _SAMPLE, folder / "raw")
    for step in steps_of(part, folder / "run", None, True):
        run_stage(step.make(), folder / "run" / step.output, RunOptions(quiet=True))
        if step.output == "tokenizer":
            break
    return folder / "run" / "tokenizer"


def some_files(text: Text, size: int, raw: Path) -> Path:
    """A raw folder with the first WET files, together at least about `size` bytes of text."""
    files = sorted((text.raw / DOMAIN).iterdir())
    number = min(len(files), max(1, -(-size * len(files) // text.size)))
    if not raw.exists():
        (raw / DOMAIN).mkdir(parents=True)
        for file in files[:number]:
            os.link(file, raw / DOMAIN / file.name)
    return raw


@contextmanager
def one_core() -> Iterator[None]:
    """This process and the ones it starts keep to one core, the last one."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def start_executor(workers: int) -> tuple[LocalExecutor, float]:
    """An executor whose workers have all answered, and the seconds that this took."""
    executor = LocalExecutor(Settings(workers, always_pool=True))
    began = time.perf_counter()
    seen: set[int] = set()
    while len(seen) < workers:
        seen |= {each.result() for each in [executor.pool.get().submit(os.getpid) for _ in range(workers)]}
    return executor, time.perf_counter() - began


def run_chain(
    text: Text, output: Path, tokenizer: Path, join: bool, runs: int, workers: int = 1, models: Models | None = None
) -> Iterator[StageTime]:
    """Run each stage `runs` times with workers of its own that did the same to a few pages before."""
    shutil.rmtree(output, ignore_errors=True)
    tiny = steps_of(text.tiny, output / "tiny", tokenizer, join, models)
    for step, small in zip(steps_of(text.raw, output / "main", tokenizer, join, models), tiny, strict=True):
        executor, seconds = start_executor(workers)
        options = RunOptions(workers=workers, always_pool=True, running=executor, quiet=True)
        startup = seconds + _warm(small.make(), output, small.output, executor.pool)
        found = [timed(step.make(), output / "main" / step.output, options) for _ in range(runs)]
        executor.close()
        yield StageTime(
            step.output.removeprefix(f"documents/{DOMAIN}/"),
            text_in(step, output / "main", text.size),
            statistics.median(spent[0] for spent, _ in found),
            statistics.median(spent[1] for spent, _ in found),
            startup,
            max(log["peak_memory"] for _, log in found),
            {name: statistics.median(log["phases"][name] for _, log in found) for name in found[0][1]["phases"]},
        )


def _warm(stage: Stage, output: Path, name: str, pool: WorkerPool) -> float:
    """Have every worker run a stage on a few pages by itself, and give the seconds that this took."""
    began = time.perf_counter()
    places = [output / ("tiny" if not number else f"tiny-{number}") / name for number in range(pool.workers)]
    for future in [pool.get().submit(run_stage, stage, place, RunOptions(quiet=True)) for place in places]:
        future.result()
    return time.perf_counter() - began


def timed(stage: Stage, output: Path, options: RunOptions) -> tuple[tuple[float, float], dict[str, Any]]:
    """Run a stage afresh on a pool: seconds from its first task to its manifest, by the wall and of the processor; and
    its log."""
    shutil.rmtree(output, ignore_errors=True)
    before = _processor_seconds(options.running)
    run_stage(stage, output, options)
    spent = _processor_seconds(options.running) - before
    log = json.loads((output / "_log" / "finished.json").read_text(encoding="utf-8"))
    return (log["seconds"], spent), log


def _processor_seconds(executor: Executor | None) -> float:
    """Of this process and of the workers so far."""
    seconds = time.process_time()
    for process in executor.pool.pids() if isinstance(executor, LocalExecutor) else ():
        fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds


def text_in(step: Step, output: Path, pages: int) -> int:
    """Bytes of text that a finished stage had to go through; those of the documents, where it reads their tokens."""
    if step.output.endswith("ingest"):
        return pages
    if step.output == "packed":
        train = next((output / "documents" / DOMAIN).glob("*-train"))
        return int(Manifest.load(train).totals["bytes"])
    log = json.loads((output / step.output / "_log" / "finished.json").read_text(encoding="utf-8"))
    return int(log["input_bytes"])


def first_met(documents: Path, tokenizer: Path) -> tuple[float, int]:
    """The share of chunks that the encoder meets for the first time in one pass, and how many chunks there are."""
    from tokenizer.model import Tokenizer

    model = Tokenizer.load(tokenizer)
    encoder = model._encoder
    assert encoder is not None
    for batch in Dataset.open(documents).batches(["text"]):
        model.encode_batch(batch.column("text"))
    return encoder.misses / encoder.chunks, encoder.chunks


def stage_table(title: str, pages: int, rows: Iterator[StageTime]) -> list[StageTime]:
    """Print a table as its rows come."""
    print(f"\n{title}\n\n| stage | MB in | seconds | MB/s | processor s | start-up s | peak MB | phases, s |")
    print("|---|---:|---:|---:|---:|---:|---:|---|", flush=True)
    found = []
    for row in rows:
        phases = ", ".join(f"{name} {seconds:.1f}" for name, seconds in row.phases.items())
        numbers = f"{row.size / 1e6:,.1f} | {row.seconds:.2f} | {row.rate:.1f} | {row.processor:.2f}"
        numbers += f" | {row.startup:.2f} | {row.peak / 1e6:.0f}"
        print(f"| {row.name} | {numbers} | {phases} |", flush=True)
        found.append(row)
    seconds = sum(row.seconds for row in found)
    processor, startup = sum(row.processor for row in found), sum(row.startup for row in found)
    rate = pages / 1e6 / seconds
    print(
        f"| all | {pages / 1e6:,.1f} | {seconds:.2f} | {rate:.1f} | {processor:.2f} | {startup:.2f} | | |", flush=True
    )
    return found


def scaling(text: Text, work: Path, tokenizer: Path, runs: int) -> None:
    """Each stage with one worker and with two."""
    tables = []
    for workers in (1, 2):
        executor, seconds = start_executor(workers)
        executor.close()
        print(f"\nStart of a pool of {workers}: {seconds:.2f} s (0.5 wanted)", flush=True)
        rows = run_chain(text, work / "scaling", tokenizer, True, runs, workers)
        tables.append(stage_table(f"{workers} worker(s)", text.size, rows))
    print("\n| stage | MB in | one worker, s | two, s | times as fast (1.8 wanted) |\n|---|---:|---:|---:|---:|")
    for one, two in zip(*tables, strict=True):
        times = one.seconds / two.seconds
        print(
            f"| {one.name} | {one.size / 1e6:,.1f} | {one.seconds:.2f} | {two.seconds:.2f} | {times:.2f} |", flush=True
        )
