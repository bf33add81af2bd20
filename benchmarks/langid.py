"""`python -m benchmarks.langid`: MB/s of the languages of documents, ours and fastText's own library in one run.

One core, processor time, median of five passes by turns over natural text: English prose (`--prose` names a folder with
`en/*.txt`, as the samples' bigtext.py makes it; without one it is the samples' books) in pages of 3,000 characters, and
NTREX's 128 languages in texts of twenty lines. Ours is the map of `corpus langid` from Arrow to Arrow, each pass with an
empty memory; the library gets each text as a string, without what the map does besides. Labels are compared.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fasttext_pybind
import pyarrow as pa

from benchmarks.measure import machine
from corpus.engine.document_map import DocumentBatch
from corpus.quality.fasttext.model import FastText, load_model
from corpus.quality.langid import Langid, shipped_model

PAGE, LINES, BATCH = 3000, 20, 300
"""Characters of a page, lines of a text, documents of a batch."""


def english(prose: Path | None, samples: Path, most: int) -> list[str]:
    """Pages of English, up to so many characters."""
    files = sorted((prose / "en").glob("*.txt")) if prose else sorted((samples / "books_clean_ref").glob("*.txt"))
    pages: list[str] = []
    for path in files:
        text = path.read_text(encoding="utf-8", errors="replace")
        pages += [text[at : at + PAGE] for at in range(0, len(text), PAGE)]
        if PAGE * len(pages) > most:
            break
    return pages


def languages(samples: Path, share: int) -> list[str]:
    """Lines of NTREX by twenty, of all languages in turn."""
    texts = []
    for path in sorted((samples / "multilingual" / "ntrex128").glob("*.txt")):
        lines = path.read_text(encoding="utf-8").split("\n")
        texts += [(at, "\n".join(lines[at : at + LINES])) for at in range(0, len(lines), LINES)]
    return [text for _, text in sorted(texts)][::share]


def processor_seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds of a call, and what it gives."""
    began = time.process_time()
    found = run()
    return time.process_time() - began, found


def compare(name: str, texts: list[str], runs: int) -> str:
    """A row of the table."""
    step, library = Langid(threshold=0.0), fasttext_pybind.fasttext()
    library.loadModel(str(shipped_model()))
    batches = [
        DocumentBatch(pa.RecordBatch.from_pydict({"text": pa.array(texts[at : at + BATCH], pa.large_string())}))
        for at in range(0, len(texts), BATCH)
    ]
    few = texts[:: max(1, sum(map(len, texts)) // 5_000_000)]
    size, of_few = (sum(len(text.encode()) for text in some) / 1e6 for some in (texts, few))
    ours, theirs = [], []
    model: FastText = load_model(shipped_model())
    for _ in range(runs):
        load_model.cache_clear()
        model = load_model(shipped_model())
        seconds, columns = processor_seconds(lambda: [step.apply(batch).columns["language"] for batch in batches])
        ours.append(size / seconds)
        seconds, pairs = processor_seconds(
            lambda: [library.predict(text.replace("\n", " ") + "\n", 1, 0.0, "strict") for text in few]
        )
        theirs.append(of_few / seconds)
    found = dict(zip(texts, pa.chunked_array(columns).to_pylist(), strict=True))
    same = sum(
        found[text] == pair[0][1].removeprefix("__label__") for text, pair in zip(few, pairs, strict=True) if pair
    )
    mine, others = statistics.median(ours), statistics.median(theirs)
    first = 100 * model.misses / model.words
    return f"| {name} | {size:.0f} | {first:.1f} % | {mine:.1f} | {others:.2f} | {mine / others:.1f}× | {same} of {len(few)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prose", type=Path)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    samples, share = Path(os.environ["CORPUSMILL_SAMPLES"]), 10 if given.quick else 1
    print(machine())
    print("| text | MB | words that were made | corpusmill, MB/s | fastText, MB/s | corpusmill is | same label |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    runs = 1 if given.quick else 5
    print(compare("English", english(given.prose, samples, 20_000_000 // share), runs), flush=True)
    print(compare("128 languages", languages(samples, share), runs), flush=True)


if __name__ == "__main__":
    main()
