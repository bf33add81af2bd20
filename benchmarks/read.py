"""`python -m benchmarks.read`: reading packed rows, against mosaicml-streaming, litdata, datasets and numpy.memmap.

The same random uint16 tokens, in rows of 2,049, are written in each one's own format. A fresh process opens a set and
reads all of it in batches of 32 rows: each is copied into an int64 tensor and summed, so that every byte is really read.
Rates are of all batches but the first; `first batch` is the time from opening the set (imports done) to its sum.
The sets are in the page cache. Peers run in environments of their own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environment import environment, installed
from benchmarks.measure import machine, measure

ROW = 2049
BATCH = 32
SCRIPTS = Path(__file__).with_name("readers")


@dataclass(frozen=True)
class Reader:
    """One way to read: its script's `write` and `read` run in the environment that `python` makes; `package` names its
    version, `target` is how many times as fast we want to be."""

    name: str
    package: str
    python: Callable[[], Path]
    target: float


def _own() -> Path:
    return Path(sys.executable)


def _peer(package: str) -> Callable[[], Path]:
    def make() -> Path:
        import torch

        return environment(package, [f"torch=={torch.__version__}", package])

    return make


READERS = (
    Reader("corpusmill", "corpusmill", _own, 1.0),
    Reader("numpy.memmap", "numpy", _own, 0.8),
    Reader("datasets", "datasets", _own, 2.5),
    Reader("litdata", "litdata", _peer("litdata"), 5.0),
    Reader("mosaicml-streaming", "mosaicml-streaming", _peer("mosaicml-streaming"), 50.0),
)


def run(reader: Reader, step: str, folder: Path, tokens: Path) -> dict[str, float]:
    """One fresh process; what it printed last."""
    script = SCRIPTS / f"{reader.name.replace('-', '_').replace('.', '_')}.py"
    environment = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path.cwd()) if reader.name == "corpusmill" else ""}
    done = measure([reader.python(), script, step, folder / reader.name, tokens], environment)
    return dict(json.loads(done.output.splitlines()[-1])) if step == "read" else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the tokens, one run each")
    parser.add_argument("--tokens", type=int, default=200_000_000, help="tokens of the set")
    parser.add_argument("--runs", type=int, default=3, help="processes per reader, of which the median counts")
    parser.add_argument("--without", nargs="*", default=[], help="readers to leave out")
    options = parser.parse_args()
    tokens = options.tokens // 10 if options.quick else options.tokens
    runs = 1 if options.quick else options.runs
    chosen = [reader for reader in READERS if reader.name not in options.without]
    with tempfile.TemporaryDirectory(dir="out") as place:
        folder = Path(place).resolve()
        file = folder / "tokens.npy"
        write_tokens(file, tokens // ROW)
        for reader in chosen:
            run(reader, "write", folder, file)
        found: dict[str, list[dict[str, float]]] = {reader.name: [] for reader in chosen}
        for _ in range(runs):  # in turns, so that a busy moment hits all of them
            for reader in chosen:
                found[reader.name].append(run(reader, "read", folder, file))
    sums = {entry["sum"] for entries in found.values() for entry in entries}
    assert len(sums) == 1, f"the readers read different tokens: {sums}"
    report(chosen, found, tokens // ROW, runs)


def write_tokens(path: Path, rows: int) -> None:
    """Random rows as a NumPy file."""
    import numpy as np

    generator = np.random.default_rng(0)
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint16, shape=(rows, ROW))
    for first in range(0, rows, 4096):
        out[first : first + 4096] = generator.integers(0, 32_000, out[first : first + 4096].shape, np.uint16)
    out.flush()


def report(chosen: list[Reader], found: dict[str, list[dict[str, float]]], rows: int, runs: int) -> None:
    """A Markdown table."""
    middle = {
        name: {key: statistics.median(entry[key] for entry in entries) for key in ("rate", "first")}
        for name, entries in found.items()
    }
    print(
        f"{machine()}; {rows:,} rows of {ROW:,} uint16 tokens, batches of {BATCH}, one process and one thread, page cache"
    )
    print(
        f"warm, median of {runs}; " + ", ".join(installed(reader.python(), reader.package) for reader in chosen) + "\n"
    )
    print("| reader | million tokens/s | first batch, ms | corpusmill is | target |")
    print("|---|---:|---:|---:|---:|")
    own = middle["corpusmill"]["rate"]
    for reader in chosen:
        entry = middle[reader.name]
        target = f"{reader.target:g}×" if reader.name != "corpusmill" else "first batch < 100 ms"
        print(
            f"| {reader.name} | {entry['rate'] / 1e6:,.0f} | {entry['first'] * 1e3:,.1f} | {own / entry['rate']:.2f}× "
            f"| {target} |"
        )


if __name__ == "__main__":
    main()
