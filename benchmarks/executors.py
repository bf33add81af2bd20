"""What an executor costs: dedup and filter on two workers, local and Ray, in turns; the start of each apart.

`python -m benchmarks.executors [MB] [RUNS]`. Ray is one of this machine, started by the executor.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.measure import machine
from benchmarks.synth import sample_documents, shape_of, synthetic, write_documents
from corpus.dedup.config import DedupConfig
from corpus.dedup.levels import dedup_stage
from corpus.engine.document_stage import MapStage
from corpus.engine.executors.base import Executor
from corpus.engine.runner import RunOptions, open_executor, run_stage
from corpus.engine.stage import Stage
from corpus.quality.filter import FilterConfig

WORKERS = 2


def stages(source: Path) -> dict[str, Stage]:
    """One of three phases, and one of a pass."""
    rules = FilterConfig(rules=("gopher_quality", "gopher_repetition"))
    return {
        "dedup": dedup_stage((str(source),), DedupConfig()),
        "filter": MapStage((str(source),), "filter", maps=rules.maps()),
    }


def opened(name: str, tiny: Path, output: Path) -> tuple[Executor, RunOptions, float]:
    """An executor that has run a little of each stage, and the seconds that this took."""
    options = RunOptions(WORKERS, 1_000_000_000, executor=name, always_pool=True, quiet=True)
    began = time.perf_counter()
    executor = open_executor(options)
    options = replace(options, running=executor)
    for what, stage in stages(tiny).items():
        run_stage(stage, output / what, options)
    return executor, options, time.perf_counter() - began


def main() -> None:
    """Print a table."""
    size = int(sys.argv[1]) * 1_000_000 if len(sys.argv) > 1 else 1_000_000_000
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        shape = shape_of(sample_documents())
        for name, amount in (("tiny", 2_000_000), ("text", size)):
            write_documents(synthetic(shape, amount), place / name)
        print(f"{machine()}; {size / 1e6:,.0f} MB of text, {WORKERS} workers, median of {runs}")
        ready = {name: opened(name, place / "tiny", place / f"tiny-{name}") for name in ("local", "ray")}
        print("start and a little of each stage: " + ", ".join(f"{n} {r[2]:.1f} s" for n, r in ready.items()))
        found: dict[tuple[str, str], list[float]] = {}
        for _ in range(runs):
            for name, (_, options, _) in ready.items():
                for what, stage in stages(place / "text").items():
                    began = time.perf_counter()
                    run_stage(stage, place / "out", options)
                    found.setdefault((what, name), []).append(time.perf_counter() - began)
                    shutil.rmtree(place / "out")
        for executor, _, _ in ready.values():
            executor.close()
        for what in stages(place / "text"):
            local, ray = (statistics.median(found[what, name]) for name in ("local", "ray"))
            pairs = [b / a for a, b in zip(found[what, "local"], found[what, "ray"], strict=True)]
            print(
                f"{what:8} local {local:6.2f} s  ray {ray:6.2f} s  ratio {ray / local:.2f}, of pairs"
                f" {min(pairs):.2f} to {max(pairs):.2f}"
            )


if __name__ == "__main__":
    main()
