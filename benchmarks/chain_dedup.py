"""Line dedup against CCNet's, on natural pages and on short synthetic lines."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.ccnet import ccnet_python
from benchmarks.chain_stages import steps_of
from benchmarks.chain_text import Text
from benchmarks.dedup import CORE, Row, ours, write_lines
from benchmarks.environment import installed
from benchmarks.measure import measure
from benchmarks.synth import sample_documents, shape_of, synthetic, write_documents
from corpus.data.buffers import text_buffers
from corpus.data.dataset import Dataset
from corpus.engine.runner import RunOptions, run_stage

_PART = 10
"""CCNet gets one of so many parts of the text."""
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
    print(
        "| text | mean line, bytes | lines that go | tool | MB | seconds | MB/s | peak MB | times CCNet (15 wanted) |"
    )
    print("|---|---:|---:|---|---:|---:|---:|---:|---:|")
    for title, documents in sources.items():
        totals = Dataset.open(documents).manifest.totals
        row = ours(documents, totals["bytes"], runs, [])
        after = Dataset.open(documents.parent / "ours").manifest.totals
        peer = ccnet(documents, totals["bytes"] // _PART, python, place)
        line = f"{totals['bytes'] / totals['lines']:.0f} | {1 - after['lines'] / totals['lines']:.0%}"
        for each, times in ((row, f"{row.rate / peer.rate:.1f}"), (peer, "")):
            numbers = f"{each.size / 1e6:,.0f} | {each.inner:.2f} | {each.rate:.1f} | {each.whole.peak / 1e6:.0f}"
            print(f"| {title} | {line} | {each.name} | {numbers} | {times} |", flush=True)


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
    folder = place / "ccnet"
    shutil.rmtree(folder, ignore_errors=True)
    source = folder / "documents" / "part.json.gz"
    written, _ = write_lines(texts_of(documents, size), source, "raw_content")
    script = Path(__file__).with_name("dedup_ccnet.py")
    whole = measure([*CORE, python, "-P", script, source, folder])  # -P: our own names are not its own
    return Row("cc-net", written, float(whole.output.split()[-1]), whole)


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
