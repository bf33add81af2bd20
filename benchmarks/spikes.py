"""`python -m benchmarks.spikes RUN…`: what the spike detector finds and how often it is wrong, on the curves of real runs.

Loss and gradient norm of the runs are taken apart into a running median and what is left, pairs of a step kept together;
long curves are put together again from stretches of what is left, drawn with a seed. On these every alarm is a false one.
Jumps are then put in at random steps: of 8 robust deviations for one step, of 5 for two, and slow divergences.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainer.run.metrics import MetricsLog
from trainer.spikes.detector import SpikeConfig, SpikeDetector, robust

Curve = npt.NDArray[np.float64]  # [steps, 2]: log loss, log gradient norm
STRETCH = 50
"""Steps that stay neighbours, so that what follows on what stays as it was."""
_MEDIAN = 101


def residuals(run: Path) -> Curve:
    """What a run's curves leave over their running medians, after the first tenth."""
    records = [record for record in MetricsLog(run / "metrics.jsonl").records() if record["kind"] == "train"]
    logs = np.log([[record["loss"], record["gradient_norm"]] for record in records])
    half = _MEDIAN // 2
    middle = [np.median(logs[max(0, at - half) : at + half + 1], axis=0) for at in range(len(logs))]
    return (logs - middle)[len(logs) // 10 :]


def curve(left: Curve, steps: int, generator: np.random.Generator) -> Curve:
    """A curve that falls as losses do, with the noise of stretches of `left`."""
    starts = generator.integers(0, len(left) - STRETCH, -(-steps // STRETCH))
    noise = np.concatenate([left[start : start + STRETCH] for start in starts])[:steps]
    at = np.arange(1, steps + 1)
    return noise + np.stack([math.log(2.0) + 1.2 * (at + 200.0) ** -0.2, np.zeros(steps)], axis=1)


def alarms(logs: Curve, size: int = 128) -> list[int]:
    """The steps (from 1) of a curve at which the detector gives alarm; it goes on as if each were let pass."""
    detector, found = SpikeDetector(SpikeConfig(), size), []
    for step, (loss, norm) in enumerate(np.exp(logs).tolist(), 1):
        if detector.judge(step, loss, norm, False) is not None:
            found.append(step)
            detector.forget_best()
        detector.accept(step, loss, norm)
    return found


def found_jumps(left: Curve, size: float, length: int, trials: int, generator: np.random.Generator) -> float:
    """The share of jumps of `size` deviations over `length` steps that are noticed at their last step at the latest."""
    hits = 0
    for _ in range(trials):
        logs = curve(left, 200 + length, generator)
        logs[200:, 0] += size * robust(logs[72:200, 0].tolist())[1]
        hits += any(step > 200 for step in alarms(logs))
    return hits / trials


def divergence(left: Curve, slope: float, generator: np.random.Generator) -> int:
    """Steps from the beginning of a rise of `slope` nats a step until it is noticed; 2,000 where it is not."""
    logs = curve(left, 3000, generator)
    lost = np.exp(logs[999, 0]) + slope * np.arange(1, 2001)
    logs[1000:, 0] += np.log(lost) - logs[999, 0]
    return next((step - 1000 for step in alarms(logs) if step > 1000), 2000)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="directories of trainer fit")
    parser.add_argument("--steps", type=int, default=100_000, help="steps without jumps, for each run")
    parser.add_argument("--trials", type=int, default=1000, help="jumps of each kind, for each run")
    arguments = parser.parse_args()
    print(
        "| run | deviation of log loss | false alarms in 20,000 steps | jump of 8, one step | jump of 5, two steps | steps until 0.002 / 0.01 nats a step |"
    )
    print("|---|---:|---:|---:|---:|---:|")
    for run in arguments.runs:
        left, generator = residuals(run), np.random.default_rng(0)
        false = len(alarms(curve(left, arguments.steps, generator))) * 20_000 / arguments.steps
        one = found_jumps(left, 8.0, 1, arguments.trials, generator)
        two = found_jumps(left, 5.0, 2, arguments.trials, generator)
        slow = [sorted(divergence(left, slope, generator) for _ in range(9))[4] for slope in (0.002, 0.01)]
        deviation = robust(left[:, 0].tolist())[1]
        print(
            f"| {run.name} | {deviation:.4f} | {false:.2f} | {one:.1%} | {two:.1%} | {slow[0]} / {slow[1]} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
