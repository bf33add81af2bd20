"""`make bench`: MB/s per stage and core, and peak memory, of the LLaMA recipe.

On the real samples where CORPUSMILL_SAMPLES names their folder (its `raw.sh` assembles the raw folder), else on the
demo's raw samples. Every stage runs in one fresh worker process, so that its peak memory is its own; the time is that
of its tasks, so that starting Python is not in it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
from pathlib import Path

from corpus.stage.commit import versions
from corpus.stage.runner import RunOptions, run_stage
from pipelines.recipe import load_recipe
from pipelines.run import RecipeRun


def raw_folder(place: Path) -> Path:
    """One folder per domain: the real samples or the demo's."""
    samples = os.environ.get("CORPUSMILL_SAMPLES")
    if samples:
        subprocess.run(
            ["bash", str(Path(samples, "raw.sh")), str(place / "raw")], check=True, stdout=subprocess.DEVNULL
        )
        return place / "raw"
    from demo.raw import main as write_demo

    write_demo([str(place / "raw")])
    return place / "raw"


def bench(raw: Path, output: Path, vocabulary: int) -> dict[str, dict[str, float]]:
    """Run every stage once; per stage the bytes in, the seconds of its tasks, and its memory."""
    recipe = load_recipe("llama")
    tokenizer = recipe.tokenizer.model_copy(update={"vocab_size": vocabulary})
    run = RecipeRun(recipe.model_copy(update={"tokenizer": tokenizer}), raw, output, allow_missing=True)
    found = {}
    for step in run.steps():
        run_stage(step.make(), output / step.output, RunOptions(workers=1, always_pool=True, quiet=True))
        log = json.loads((output / step.output / "_log" / "finished.json").read_text(encoding="utf-8"))
        found[step.output] = {key: log[key] for key in ("input_bytes", "task_seconds", "peak_memory", "fixed_memory")}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="runs, of which the median counts")
    parser.add_argument("--vocab-size", type=int, default=8000, help="pieces of the tokenizer")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        raw = raw_folder(Path(folder))
        runs = [bench(raw, Path(folder, f"out-{number}"), options.vocab_size) for number in range(options.runs)]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, one worker, ", end="")
    print(f"median of {options.runs} runs")
    print(", ".join(f"{name} {version}" for name, version in versions().items()))
    print(f"{'stage':40} {'MB in':>9} {'seconds':>9} {'MB/s':>9} {'peak MB':>9} {'fixed MB':>9}")
    for name in runs[0]:
        size = runs[0][name]["input_bytes"] / 1e6
        seconds = statistics.median(run[name]["task_seconds"] for run in runs)
        peak, fixed = (
            statistics.median(run[name][key] for run in runs) / 1e6 for key in ("peak_memory", "fixed_memory")
        )
        print(f"{name:40} {size:9.2f} {seconds:9.2f} {size / max(seconds, 1e-9):9.1f} {peak:9.0f} {fixed:9.0f}")


if __name__ == "__main__":
    main()
