"""What Slurm costs: line dedup of synthetic text with two workers, by the local executor and on a Slurm of this machine, and a
stage that does nothing. `python -m benchmarks.slurm [--quick]`, as root, with Debian's Slurm.

Processor seconds are those of everything that runs meanwhile, Slurm's daemons and interpreters that start included, by a
control group (`cpuacct`), so that they can be compared where the machine does other things too.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import machine
from benchmarks.synth import sample_documents, shape_of, synthetic, write_documents
from corpus.dedup.config import DedupConfig
from corpus.dedup.levels import dedup_stage
from corpus.engine.executors.slurm.options import SlurmOptions
from corpus.engine.runner import RunOptions, run_stage
from corpus.engine.stage import Stage
from tests.conformance.slurm_cluster import SlurmCluster, missing
from tests.toy import SlowStage

_GROUP = Path("/sys/fs/cgroup/cpuacct/corpusmill-slurm")
_RUNS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the text, and one run")
    parser.add_argument("--megabytes", type=int, default=1000, help="text; default 1000")
    given = parser.parse_args()
    runs = 1 if given.quick else _RUNS
    size = given.megabytes * (100_000 if given.quick else 1_000_000)
    if missing():
        sys.exit(missing())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        documents = folder / "documents"
        write_documents(synthetic(shape_of(sample_documents()), size), documents)
        few = folder / "few"
        write_documents(synthetic(shape_of(sample_documents()), 1_000_000), few)
        run_stage(dedup_stage((str(few),)), folder / "warm", RunOptions(quiet=True))  # kernels are compiled
        _enter_group()
        with SlurmCluster(folder / "slurm") as cluster:
            os.environ["SLURM_CONF"] = cluster.environment["SLURM_CONF"]
            print(f"{machine()}; two nodes of two cores on it\n\n", end="")
            print("| stage | executor | seconds | processor seconds | of tasks |\n|---|---|---:|---:|---:|")
            dedup = dedup_stage((str(documents),), DedupConfig())
            for stage, what in ((SlowStage(tasks=2), "three phases of nothing"), (dedup, "line dedup")):
                digests = set()
                for executor in ("local", "slurm"):
                    digests.add(_measure(stage, what, executor, folder / "out", runs))
                assert len(digests) == 1, digests
    _GROUP.parent.joinpath("cgroup.procs").write_text(str(os.getpid()))


def _measure(stage: Stage, what: str, executor: str, output: Path, runs: int) -> str:
    """Print the medians of some runs; the digest of the output."""
    own = SlurmOptions("work", "60", array_bytes=0) if executor == "slurm" else None
    options = RunOptions(workers=2, quiet=True, always_pool=True, executor=executor, executor_options=own)
    found = []
    for _ in range(runs):
        shutil.rmtree(output, ignore_errors=True)
        wall, used = time.perf_counter(), _processor_seconds()
        manifest = run_stage(stage, output, options)
        found.append((time.perf_counter() - wall, _processor_seconds() - used, _of_tasks(output)))
    seconds, used, of_tasks = (statistics.median(values) for values in zip(*found, strict=True))
    print(f"| {what} | {executor} | {seconds:.1f} | {used:.1f} | {of_tasks:.1f} |", flush=True)
    return manifest.digest


def _enter_group() -> None:
    _GROUP.mkdir(exist_ok=True)
    (_GROUP / "cgroup.procs").write_text(str(os.getpid()))


def _processor_seconds() -> float:
    return int((_GROUP / "cpuacct.usage").read_text()) / 1e9


def _of_tasks(output: Path) -> float:
    entry = json.loads((output / "_log" / "finished.json").read_text(encoding="utf-8"))
    return float(entry["cpu_seconds"])


if __name__ == "__main__":
    main()
