"""Line dedup against CCNet's, on natural pages and on short synthetic lines."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.ccnet import ccnet_python
from benchmarks.chain_stages import steps_of
from benchmarks.chain_text import Text
from benchmarks.dedup import CORE, Row, ours, write_lines
from benchmarks.environment import installed
from benchmarks.measure import Measured, measure
from benchmarks.synth import sample_documents, shape_of, synthetic, write_documents
from corpus.data.buffers import text_buffers
from corpus.data.dataset import Dataset
from corpus.engine.runner import RunOptions, run_stage

_PART = 10
"""CCNet gets one of so many parts of the text."""
_FEW = 100_000
"""Bytes of text that are nothing beside CCNet's start."""
_WANTED = 15.0


def compare(text: Text | None, size: int, work: Path, runs: int) -> None:
    """Print the table for natural pages (`text`) and for about `size` bytes of short synthetic lines."""
    place = work / "against-ccnet"
    shutil.rmtree(place, ignore_errors=True)
    sources = {"short synthetic lines": synthetic_documents(size, place / "synthetic" / "in")}
    if text is not None:
        sources = {f"{text.kind} text": ingested(text, place / text.kind)} | sources
    python = ccnet_python()
    print(f"\nLine dedup against {installed(python, 'cc-net')} on one core, median of {runs} (CCNet: of one)\n")
    print("| text | mean line, bytes | lines that go | tool | MB | seconds | MB/s | processor s | MB/s | peak MB |")
    print("|---|---:|---:|---|---:|---:|---:|---:|---:|---:|")
    times = []
    for title, documents in sources.items():
        totals = Dataset.open(documents).manifest.totals
        row = ours(documents, totals["bytes"], runs, [])
        after = Dataset.open(documents.parent / "ours").manifest.totals
        peer = ccnet(documents, totals["bytes"] // _PART, python, place)
        starts = {row.name: our_start(documents.parent), peer.name: ccnet(documents, _FEW, python, place).whole}
        line = f"{totals['bytes'] / totals['lines']:.0f} | {1 - after['lines'] / totals['lines']:.0%}"
        rates = {}
        for each in (row, peer):
            spent = each.whole.processor - starts[each.name].processor
            rates[each.name] = each.size / 1e6 / spent
            numbers = (
                f"{each.size / 1e6:,.0f} | {each.inner:.2f} | {each.rate:.1f} | {spent:.2f} | {rates[each.name]:.1f}"
            )
            print(f"| {title} | {line} | {each.name} | {numbers} | {each.whole.peak / 1e6:.0f} |", flush=True)
        ratio = f"{row.rate / peer.rate:.1f}×, by processor seconds {rates[row.name] / rates[peer.name]:.1f}×"
        times.append(f"{title}: {ratio}")
    print(f"\nTimes CCNet ({_WANTED:g} wanted): {'; '.join(times)}", flush=True)


def our_start(place: Path) -> Measured:
    """`corpus dedup` on the one document that `ours` left."""
    shutil.rmtree(place / "ours", ignore_errors=True)
    program = Path(sys.executable).with_name("corpus")
    files = [place / "tiny", "--output", place / "ours"]
    return measure([*CORE, program, "dedup", *files, "--workers", "1", "--quiet"])


def ingested(text: Text, place: Path) -> Path:
    """The documents of the WET files."""
    step = steps_of(text.raw, place, None, True)[0]
    run_stage(step.make(), place / step.output, RunOptions(quiet=True))
    return place / step.output


def synthetic_documents(size: int, directory: Path) -> Path:
    """The text of `benchmarks.dedup`: no unknown words beside the sample's, lines as short as real ones."""
    write_documents(synthetic(shape_of(sample_documents()), size), directory)
    return directory


def ccnet(documents: Path, size: int, python: Path, place: Path) -> Row:
    """CCNet on the first `size` bytes of the same documents."""
    written, whole = run_ccnet(texts_of(documents, size), python, place)
    return Row("cc-net", written, float(whole.output.split()[-1]), whole)


def run_ccnet(batches: Iterator[list[bytes]], python: Path, place: Path) -> tuple[int, Measured]:
    """Bytes of text, and CCNet's whole process."""
    folder = place / "ccnet"
    shutil.rmtree(folder, ignore_errors=True)
    source = folder / "documents" / "part.json.gz"
    written, _ = write_lines(batches, source, "raw_content")
    script = Path(__file__).with_name("dedup_ccnet.py")
    return written, measure([*CORE, python, "-P", script, source, folder])  # -P: our own names are not its own


def texts_of(documents: Path, size: int) -> Iterator[list[bytes]]:
    """Documents of together at least `size` bytes, in batches."""
    for batch in Dataset.open(documents).batches(["text"]):
        data, offsets = text_buffers(batch.column("text"))
        view = data.tobytes()
        number = int(np.searchsorted(offsets - offsets[0], size)) + 1
        yield [view[a:b] for a, b in zip(offsets[:number].tolist(), offsets[1 : number + 1].tolist(), strict=False)]
        size -= int(offsets[-1] - offsets[0])
        if size <= 0:
            return
