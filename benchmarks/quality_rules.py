"""Rule sets of `corpus filter` next to datatrove's filters: one core, processor time, in one run.

    python -m benchmarks.quality_rules --prose DIR [--megabytes 60] [--peer-megabytes 1]

DIR has `en/*.txt` of natural prose with blank lines between paragraphs. It is cut into documents of a few paragraphs, a line
each, mostly; ours run over batches of 1 MB as in a stage, the peer over the first documents. The peer wants
`pip install spacy regex` (its words and sentences are spaCy's); without them only ours are measured.
"""

from __future__ import annotations

import argparse
import random
import re
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.measure import machine
from corpus.engine.document_map import DocumentBatch, DocumentMap
from corpus.quality.filter import FilterConfig

_RUNS = 5
_SETS = {
    "gopher": ("gopher",),
    "gopher_quality": ("gopher_quality",),
    "gopher_repetition": ("gopher_repetition",),
    "fineweb": ("fineweb",),
    "c4": ("c4",),
    "c4_paper": ("c4_paper",),
    "code": ("code",),
    "pii": ("pii",),
    "all": ("gopher", "fineweb", "code", "pii", "c4"),
}


def main() -> None:
    """Print a table of MB/s."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prose", type=Path, required=True)
    parser.add_argument("--megabytes", type=float, default=60)
    parser.add_argument("--peer-megabytes", type=float, default=1)
    options = parser.parse_args()
    texts = documents(options.prose, int(options.megabytes * 1e6))
    size = sum(len(text.encode()) for text in texts)
    print(f"{machine()}; {len(texts):,} documents, {size / 1e6:.1f} MB, {new_words(texts):.1%} of the words first met")
    batches = list(parts(texts))
    ours = {name: size / 1e6 / measured(FilterConfig(rules=rules).maps(), batches) for name, rules in _SETS.items()}
    theirs = peers(texts, int(options.peer_megabytes * 1e6))
    for name, speed in ours.items():
        peer = theirs.get(name)
        print(f"{name:20}{speed:8.1f} MB/s" + (f"{peer:8.2f} datatrove{speed / peer:8.1f}x" if peer else ""))


def documents(prose: Path, size: int) -> list[str]:
    """About `size` bytes of documents: paragraphs of the files, as many as a log-normal number with a median of seven."""
    rng, found, taken = random.Random(1), [], 0
    for path in sorted(prose.glob("en/*.txt")):
        paragraphs = path.read_text(encoding="utf-8").split("\n\n")
        at = 0
        while at < len(paragraphs) and taken < size:
            number = max(1, int(rng.lognormvariate(2.0, 1.0)))
            joined = [
                re.sub(r"\s+", " ", part) if rng.random() < 0.9 else part for part in paragraphs[at : at + number]
            ]
            found.append("\n".join(joined))
            taken += len(found[-1].encode())
            at += number
    return found


def new_words(texts: Sequence[str]) -> float:
    """The share of words that no earlier document had."""
    seen: set[str] = set()
    new = total = 0
    for text in texts:
        words = text.split()
        total += len(words)
        new += len(set(words) - seen)
        seen.update(words)
    return new / total


def parts(texts: Sequence[str]) -> list[pa.RecordBatch]:
    """Batches of about 1 MB."""
    found, part, size = [], [], 0
    for text in [*texts, None]:
        if text is None or size > 1_000_000:
            columns = {"text": pa.array(part, pa.large_string()), "language": pa.array(["en"] * len(part))}
            found.append(pa.RecordBatch.from_pydict(columns))
            part, size = [], 0
        if text is not None:
            part.append(text)
            size += len(text)
    return found


def measured(maps: Sequence[DocumentMap], batches: Sequence[pa.RecordBatch]) -> float:
    """Processor seconds of maps over batches, all rules for every document; median."""

    def run() -> None:
        for rows in batches:
            batch = DocumentBatch(rows)
            for step in maps:
                step.apply(batch)

    return median(run, _RUNS)


def median(run: Callable[[], None], runs: int) -> float:
    """Processor seconds of a function, warmed once where it runs more than once."""
    if runs > 1:
        run()
    times = []
    for _ in range(runs):
        began = time.process_time()
        run()
        times.append(time.process_time() - began)
    return statistics.median(times)


def peers(texts: Sequence[str], size: int) -> dict[str, float]:
    """MB/s of datatrove's filters over the first documents, by the name of our rule set; none without its packages."""
    try:
        import spacy  # noqa: F401  # datatrove imports it late
        from datatrove.data import Document
        from datatrove.pipeline.filters import (
            C4QualityFilter,
            FineWebQualityFilter,
            GopherQualityFilter,
            GopherRepetitionFilter,
        )
        from datatrove.pipeline.formatters import PIIFormatter
    except ImportError as error:
        print(f"datatrove is not measured: {error}")
        return {}
    part, taken = [], 0
    for text in texts:
        if taken < size:
            part.append(text)
            taken += len(text.encode())
    filters: dict[str, Sequence[Any]] = {
        "gopher": (GopherQualityFilter().filter, GopherRepetitionFilter().filter),
        "fineweb": (FineWebQualityFilter().filter,),
        "c4": (C4QualityFilter(min_num_sentences=3, min_words_per_line=5).filter,),
        "c4_paper": (C4QualityFilter().filter,),
        "pii": (lambda document: PIIFormatter().format(document.text),),
    }
    speeds = {}
    for name, steps in filters.items():

        def run(steps: Sequence[Any] = steps) -> None:
            for text in part:
                for step in steps:
                    step(Document(text=text, id="x"))

        for step in steps:  # load models
            step(Document(text=texts[0], id="x"))
        speeds[name] = taken / 1e6 / median(run, 1)
    return speeds


if __name__ == "__main__":
    main()
