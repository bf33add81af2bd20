"""`make bench`: MB/s per stage and core, and peak memory, of the LLaMA recipe.

On the real samples where CORPUSMILL_SAMPLES names their folder (its `raw.sh` assembles the raw folder), else on the
demo's raw samples. Every stage has a worker process of its own, so that its peak memory is its own. It runs once cold
and then warm; the time is that of its tasks when warm, what the cold run took more is the start-up (imports).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from corpus.engine.publish import versions
from corpus.engine.runner import RunOptions, open_executor, run_stage
from pipelines.recipes.recipe import load_recipe
from pipelines.recipes.steps import RecipeRun


def raw_folder(place: Path) -> Path:
    """One folder per domain: the real samples or the demo's."""
    samples = os.environ.get("CORPUSMILL_SAMPLES")
    if samples:
        subprocess.run(
            ["bash", str(Path(samples, "raw.sh")), str(place / "raw")], check=True, stdout=subprocess.DEVNULL
        )
        return place / "raw"
    from demo.raw import build

    build(place / "raw")
    return place / "raw"


def bench(raw: Path, output: Path, vocabulary: int, runs: int) -> Iterator[dict[str, Any]]:
    """Run every stage once cold and `runs` times warm; the bytes in, the seconds of its tasks, and its memory."""
    recipe = load_recipe("llama")
    tokenizer = recipe.tokenizer.model_copy(update={"vocab_size": vocabulary})
    run = RecipeRun(recipe.model_copy(update={"tokenizer": tokenizer}), raw, output, allow_missing=True)
    for step in run.steps():
        options = RunOptions(workers=1, always_pool=True, quiet=True)
        executor = open_executor(options)
        logs = []
        for _ in range(runs + 1):
            shutil.rmtree(output / step.output, ignore_errors=True)
            run_stage(step.make(), output / step.output, dataclasses.replace(options, running=executor))
            logs.append(json.loads((output / step.output / "_log" / "finished.json").read_text(encoding="utf-8")))
        executor.close()
        seconds = statistics.median(log["task_seconds"] for log in logs[1:])
        yield {
            "stage": step.output,
            "megabytes": logs[0]["input_bytes"] / 1e6,
            "seconds": seconds,
            "startup": logs[0]["task_seconds"] - seconds,
            "peak": max(log["peak_memory"] for log in logs) / 1e6,
            "fixed": logs[0]["fixed_memory"] / 1e6,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="warm runs of a stage, of which the median counts")
    parser.add_argument("--vocab-size", type=int, default=8000, help="pieces of the tokenizer")
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, one worker, ", end="")
    print(f"median of {options.runs} warm runs")
    print(", ".join(f"{name} {version}" for name, version in versions().items()))
    print(f"{'stage':40} {'MB in':>8} {'seconds':>8} {'MB/s':>8} {'start-up s':>11} {'peak MB':>8} {'before data':>12}")
    with tempfile.TemporaryDirectory() as folder:
        raw = raw_folder(Path(folder))
        for row in bench(raw, Path(folder, "out"), options.vocab_size, options.runs):
            rate = row["megabytes"] / max(row["seconds"], 1e-9)
            print(
                f"{row['stage']:40} {row['megabytes']:8.2f} {row['seconds']:8.2f} {rate:8.1f} {row['startup']:11.2f}"
                f" {row['peak']:8.0f} {row['fixed']:12.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
