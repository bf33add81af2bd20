"""`python -m benchmarks.trainer [--quick]`: step time and peak memory of training, against transformers and litgpt.

The same shapes, batch, precision, threads and amount of data, by turns in one run. Ours is `trainer fit` as a user calls
it: the seconds are those of its `metrics.jsonl` (data included), the peak that of the whole process with its saves. The
peers are bare loops over random tokens, so that what they read and save is not counted. The median of the steps after the
first two counts, and the median of the runs.
A GPU is measured by `benchmarks/trainer_gpu.sh`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.environment import environment, installed
from benchmarks.measure import machine, measure
from trainer.config.families.registry import PRESETS
from trainer.models.shape import ModelShape

ROWS, LENGTH = 4, 512
WARM = 2
"""First steps that do not count: memory is touched for the first time and the optimizer makes its moments."""
PEERS = Path(__file__).with_name("trainer_peers.py")
HUGE_PAGES = {"THP_MEM_ALLOC_ENABLE": "1"}


@dataclass(frozen=True)
class Row:
    """One line of the table: seconds a step, peak bytes, share of the time that ours waited for data."""

    name: str
    seconds: float
    peak: int
    waiting: float | None = None

    def line(self, base: Row) -> str:
        """With the ratios to `base`."""
        waiting = "" if self.waiting is None else f"   waits for data {self.waiting:.3%}"
        return (
            f"  {self.name:34} {self.seconds:7.2f} s  {self.seconds / base.seconds:5.2f}×   "
            f"{self.peak / 1e6:8,.0f} MB  {self.peak / base.peak:5.2f}×{waiting}"
        )


def write_packed(directory: Path, rows: int, length: int, vocabulary: int = 32000) -> None:
    """A packed set of random ids."""
    from tests.trainer.packed import write_packed as write

    write(directory, np.random.default_rng(0).integers(3, vocabulary, (rows, length + 1)), vocabulary)


def ours(packed: Path, folder: Path, steps: int, options: list[str], rows: int = ROWS) -> Row:
    """`trainer fit` for some steps."""
    run = folder / "run"
    command = [sys.executable, "-m", "trainer", "fit", "--data", packed, "--output", run, "--overwrite"]
    command += ["--steps", str(steps), "--batch-size", str(rows), "--save-every", "1000", *options]
    result = measure(command)
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    train = [record for record in records if record["kind"] == "train"][WARM:]
    seconds = statistics.median(record["seconds"] for record in train)
    waiting = sum(record["data_seconds"] for record in train) / sum(record["seconds"] for record in train)
    return Row("ours", seconds, result.peak, waiting)


def peer(name: str, python: Path | str, shape: ModelShape, precision: str, steps: int, huge: bool = False) -> Row:
    """A peer's loop."""
    case = {
        "vocabulary": shape.vocabulary,
        "layers": shape.layers,
        "width": shape.d_model,
        "heads": shape.heads,
        "feed_forward": shape.feed_forward,
        "rows": ROWS,
        "length": LENGTH,
        "precision": precision,
        "steps": steps,
        "threads": len(os.sched_getaffinity(0)),
    }
    # -P: the folder of the script has modules with names of Python's own
    result = measure([python, "-P", PEERS, name, json.dumps(case)], HUGE_PAGES if huge else None)
    seconds = json.loads(result.output.splitlines()[-1])["seconds"][WARM:]
    return Row(name, statistics.median(seconds), result.peak)


def has_bf16() -> bool:
    """Whether this CPU multiplies bf16 matrices (else they are emulated, and slow)."""
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    return "avx512_bf16" in flags or "amx_bf16" in flags


def litgpt_python() -> Path | None:
    """An environment with litgpt and our version of torch, or None where it cannot be made."""
    import torch

    try:
        return environment("litgpt", [f"torch=={torch.__version__}", "litgpt"])
    except subprocess.CalledProcessError:
        return None


def show(title: str, cases: Mapping[str, Callable[[], Row]], runs: int) -> None:
    """Measure the cases one after the other, `runs` times over, and print the medians; the first is the base."""
    rounds = [[case() for case in cases.values()] for _ in range(runs)]
    rows = []
    for name, found in zip(cases, zip(*rounds, strict=True), strict=True):
        waiting = [row.waiting for row in found if row.waiting is not None]
        seconds, peak = (
            statistics.median(values) for values in zip(*((row.seconds, row.peak) for row in found), strict=True)
        )
        rows.append(Row(name, seconds, int(peak), statistics.median(waiting) if waiting else None))
    print(f"\n{title}, median of {runs}", flush=True)
    for row in rows:
        print(row.line(rows[0]), flush=True)


def cpu(folder: Path, steps: int, large: int, runs: int, litgpt: Path | None) -> None:
    """The tables of the 60 M model, with 32,000 and with 256,000 rows of vocabulary."""
    shape = PRESETS["llama-60m"].shape
    packed = folder / "packed"
    write_packed(packed, ROWS * (steps + large) * 2, LENGTH)
    base = ["--model", "llama-60m", "--set", "optimizer.lr=1e-3", "--set"]
    small = [*base, "model.vocabulary=32000"]
    hugging = partial(peer, "transformers", sys.executable)
    cases: dict[str, Callable[[], Row]] = {
        "transformers fp32": partial(hugging, shape, "fp32", steps),
        "ours fp32": partial(ours, packed, folder, steps, small),
        "transformers fp32, huge pages": partial(hugging, shape, "fp32", steps, huge=True),
        "ours fp32, selective recomputation": partial(
            ours, packed, folder, steps, [*small, "--set", "training.activation_checkpointing=selective"]
        ),
    }
    if litgpt is not None:
        cases["litgpt fp32"] = partial(peer, "litgpt", litgpt, shape, "fp32", steps)
    if has_bf16():
        cases["ours bf16"] = partial(ours, packed, folder, steps, [*small, "--precision", "bf16"])
        cases["transformers bf16"] = partial(hugging, shape, "bf16", steps)
    else:
        print("this CPU has no bf16 products: no bf16 rows")
    show(f"llama-60m, {ROWS} × {LENGTH} tokens, vocabulary 32,000", cases, runs)
    if large:
        wide = ModelShape(**(vars(shape) | {"vocabulary": 256000}))
        cases = {
            "transformers fp32": partial(hugging, wide, "fp32", large),
            "ours fp32": partial(ours, packed, folder, large, [*base, "model.vocabulary=256000"]),
        }
        show(f"llama-60m, {ROWS} × {LENGTH} tokens, vocabulary 256,000", cases, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="4 steps, without litgpt and the large vocabulary")
    parser.add_argument(
        "--runs", type=int, choices=range(1, 100), metavar="N", default=3, help="times that the table is measured"
    )
    options = parser.parse_args()
    litgpt = None if options.quick else litgpt_python()
    print(machine())
    names = ["torch", "transformers"]
    print(", ".join(installed(Path(sys.executable), name) for name in names), end="")
    print(f", {installed(litgpt, 'litgpt')}" if litgpt else ", litgpt not measured")
    with tempfile.TemporaryDirectory() as folder:
        steps, large, runs = (4, 0, 1) if options.quick else (8, 4, options.runs)
        cpu(Path(folder), steps, large, runs, litgpt)


if __name__ == "__main__":
    main()
