"""`python -m benchmarks.mix`: tokens packed per second and core beside the disk's own speed, and memory as sets grow.

Two synthetic domains of random ids, web pages (log-normal lengths, 900 tokens on average, 80 % of the tokens) and books
(60,000 on average), are mixed in 1.1 and 2.2 epochs. Sets of three sizes are packed under the same small `--memory`, each
by a process of its own with one worker; the largest also under `--memory 2GB`, with one worker and with two, and
best-fit. In the same run the packed shards are copied file by file and flushed, as `cp` and `sync` do, which is as fast
as the disk lets a set be written.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.measure import machine, measure
from corpus.data.files import sync_file
from corpus.data.manifest import Counts, Manifest
from corpus.data.schema import token_schema
from corpus.data.writer import ShardWriter

EOD = 2
VOCABULARY = 32_000
DOMAINS = {"web": (0.8, 900), "books": (0.2, 60_000)}
"""Share of the tokens and mean length of the documents."""
WEIGHTS = {"web": 1.1, "books": 2.2}


def write_tokens(directory: Path, domain: str, tokens: int, seed: int) -> Path:
    """A token dataset of about `tokens` random ids; the same bytes for the same arguments."""
    directory.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    schema = token_schema(False)
    writer = ShardWriter(directory, schema, suffix=".arrow")
    mean = DOMAINS[domain][1]
    total = documents = 0
    while total < tokens:
        wanted = max(1, min(4_000_000, tokens - total) // mean)
        lengths = np.maximum(1, generator.lognormal(np.log(mean) - 0.5, 1.0, wanted)).astype(np.int64)
        ends = np.cumsum(lengths)
        values = generator.integers(3, VOCABULARY, int(ends[-1]), dtype=np.uint16)
        values[ends - 1] = EOD
        offsets = np.concatenate([[0], ends]).astype(np.int32)
        ids = pa.ListArray.from_arrays(pa.array(offsets), pa.array(values), type=schema.field("ids").type)
        names = pa.array([f"{domain}/synthetic#{documents + row}" for row in range(wanted)])
        writer.write(pa.RecordBatch.from_arrays([names, ids], schema=schema))
        total, documents = total + len(values), documents + wanted
    tokenizer = {"digest": "0" * 32, "vocab_size": VOCABULARY, "eod_id": EOD}
    Manifest(
        kind="tokens",
        stage="tokenize",
        config={},
        inputs=(),
        counts={"documents": Counts(seen=documents, kept=documents)},
        totals={"documents": documents, "tokens": total},
        shards=tuple(writer.close()),
        extra={"domain": domain, "tokenizer": tokenizer},
    ).save(directory)
    return directory


def mix(inputs: Sequence[Path], output: Path, memory: str, workers: int, packing: str = "concatenate") -> str:
    """Pack a set in a process of its own; the line to print."""
    shutil.rmtree(output, ignore_errors=True)
    weights = output.with_name("weights.json")
    weights.write_text(json.dumps({name: {"epochs": epochs} for name, epochs in WEIGHTS.items()}), encoding="utf-8")
    run = measure(
        [
            *[sys.executable, "-c", "from corpus.cli import main; main()", "mix", *inputs, "-o", output],
            *["--weights", weights, "--memory", memory, "--workers", str(workers), "--packing", packing, "--quiet"],
        ]
    )
    log = json.loads((output / "_log" / "finished.json").read_text(encoding="utf-8"))
    manifest = Manifest.load(output)
    tokens = manifest.totals["tokens"]
    phases = ", ".join(f"{name} {seconds:.1f}" for name, seconds in log["phases"].items())
    return (
        f"{tokens / 1e6:9,.0f} {memory:>7} {workers:7} {packing:>11} {run.wall:7.1f} {run.processor:7.1f}"
        f" {tokens / 1e6 / run.wall:9.0f} {tokens / 1e6 / run.processor:11.0f}"
        f" {log['fixed_memory'] / 1e6:6.0f} {(log['peak_memory'] - log['fixed_memory']) / 1e6:10.0f}  {phases}"
    )


def copied(source: Path, target: Path) -> float:
    """Bytes per second of a copy of all shards that is flushed file by file."""
    target.mkdir()
    began = time.perf_counter()
    size = 0
    for path in sorted(source.glob("*.arrow")):
        shutil.copyfile(path, target / path.name)
        sync_file(target / path.name)
        size += path.stat().st_size
    seconds = time.perf_counter() - began
    shutil.rmtree(target)
    return size / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=float, default=1e9, help="unique tokens of the largest set")
    parser.add_argument("--quick", action="store_true", help="a twentieth of that")
    parser.add_argument("--folder", help="where to work; by default the system's temporary folder")
    options = parser.parse_args()
    largest = int(options.tokens) // (20 if options.quick else 1)
    print(machine())
    print(
        f"{'M tokens':>9} {'memory':>7} {'workers':>7} {'packing':>11} {'seconds':>7} {'cpu s':>7} {'M tok/s':>9}"
        f" {'M tok/cpu s':>11} {'fixed':>6} {'peak above':>10}  seconds of phases"
    )
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        for size in (largest // 100, largest // 10, largest):
            inputs = [
                write_tokens(folder / f"{size}" / domain, domain, int(size * share), seed)
                for seed, (domain, (share, _)) in enumerate(DOMAINS.items())
            ]
            print(mix(inputs, folder / "out", "256MB", 1), flush=True)
        for workers, packing in ((1, "concatenate"), (2, "concatenate"), (1, "best-fit")):
            print(mix(inputs, folder / "out", "2GB", workers, packing), flush=True)
        rate = copied(folder / "out", folder / "copy")
        print(f"copying the shards and flushing them: {rate / 1e6:.0f} MB/s, {rate / 2e6:.0f} M tokens/s")


if __name__ == "__main__":
    main()
