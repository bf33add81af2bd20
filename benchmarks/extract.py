"""`python -m benchmarks.extract`: the text of articles by each extractor, against what their benchmarks say it is.

The pages are those of three public benchmarks (`html_truth` and `commoncrawl/derived_pages.warc.gz` of the samples). Scores
are theirs: of Scrapinghub's and Readability's, precision and recall of 4-grams of words, averaged over pages; of trafilatura's,
the snippets that are to be there and those that are not. Our rules were chosen on one half of the pages (the checksum of
the name is even); the other half was not looked at. MB/s are of HTML and of processor time, charset and parsing included.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import json
import os
import re
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from resiliparse.extract.html2text import extract_plain_text

from benchmarks.measure import machine
from pipelines.formats.http import parse_response
from pipelines.formats.warc import WarcRecord, read_records
from pipelines.markup.html.encoding import decode_page
from pipelines.markup.html.extract import EXTRACTORS, extract_page

BENCHMARKS = ("scrapinghub", "readability", "trafilatura")
_WORD = re.compile(r"\w+")
_GRAM = 4


def pages(samples: Path) -> dict[str, tuple[bytes, str]]:
    """Body and declared charset of each page, by its URL."""
    found = {}
    for record in read_records(samples / "commoncrawl/derived_pages.warc.gz"):
        if isinstance(record, WarcRecord) and (response := parse_response(record.body)) is not None:
            found[record.headers["warc-target-uri"]] = (response.content(), response.charset)
    return found


def grams(text: str) -> Counter[tuple[str, ...]]:
    """How often each run of four words is in a text."""
    words = _WORD.findall(text)
    return (
        Counter(tuple(words[at : at + _GRAM]) for at in range(max(1, len(words) - _GRAM + 1))) if words else Counter()
    )


def gram_score(gold: str, found: str) -> tuple[float, float]:
    """Precision and recall of 4-grams."""
    wanted, given = grams(gold), grams(found)
    both = (wanted & given).total()
    return both / max(1, given.total()), both / max(1, wanted.total())


def f1(name: str, rows: list[Any]) -> float:
    """The benchmark's own F1 over the rows of its pages."""
    if name == "trafilatura":
        there, extra, missing = (sum(row[number] for row in rows) for number in range(3))
        precision, recall = there / (there + extra), there / (there + missing)
    else:
        precision, recall = (sum(row[number] for row in rows) / len(rows) for number in range(2))
    return 2 * precision * recall / (precision + recall)


def row(name: str, truth: Mapping[str, Any], text: str) -> Any:
    """What a page counts for."""
    if name == "scrapinghub":
        return gram_score(truth["articleBody"], text)
    if name == "readability":
        return gram_score(extract_plain_text(truth["expected_html"], alt_texts=False, list_bullets=False), text)
    plain = " ".join(text.split())
    there, extra = (
        [" ".join(snippet.split()) in plain for snippet in ast.literal_eval(str(truth[key])) if snippet]
        for key in ("with", "without")
    )
    return sum(there), sum(extra), len(there) - sum(there)


def scores(samples: Path, texts: Mapping[str, str]) -> dict[tuple[str, str], float]:
    """F1 by benchmark and half."""
    found = {}
    for name in BENCHMARKS:
        with gzip.open(samples / f"html_truth/{name}.truth.json.gz") as file:
            truths = json.load(file)
        for half, wanted in (("chosen on", (0,)), ("held out", (1,)), ("all", (0, 1))):
            rows = [
                row(name, truth, texts[truth["warc_uri"]])
                for page, truth in truths.items()
                if zlib.crc32(page.encode()) & 1 in wanted
            ]
            found[name, half] = f1(name, rows)
    return found


def measured(
    extract: Callable[[bytes, str], str], found: Mapping[str, tuple[bytes, str]]
) -> tuple[dict[str, str], float]:
    """The texts of all pages, and MB of HTML a second."""
    for body, charset in list(found.values())[:3]:
        extract(body, charset)
    begin = time.process_time()
    texts = {url: extract(body, charset) for url, (body, charset) in found.items()}
    seconds = time.process_time() - begin
    return texts, sum(len(body) for body, _ in found.values()) / seconds / 1e6


def main() -> None:
    """Print the table."""
    sys.setrecursionlimit(10_000)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--extractors", nargs="*", default=list(EXTRACTORS))
    chosen = parser.parse_args().extractors
    samples = Path(os.environ["CORPUSMILL_SAMPLES"])
    found = pages(samples)
    print(f"{machine()}; {len(found)} pages, {sum(len(body) for body, _ in found.values()) / 1e6:.1f} MB\n")
    print("| extractor | MB/s |" + "".join(f" {name}, held out (chosen on, all) |" for name in BENCHMARKS))
    print("|---|---:|" + "---:|" * len(BENCHMARKS))
    for name in chosen:
        texts, speed = measured(lambda body, charset: extract_page(decode_page(body, charset), name).text, found)  # noqa: B023  # it is called at once
        table = scores(samples, texts)
        cells = [
            f" {table[bench, 'held out']:.3f} ({table[bench, 'chosen on']:.3f}, {table[bench, 'all']:.3f}) |"
            for bench in BENCHMARKS
        ]
        print(f"| {name} | {speed:.1f} |" + "".join(cells))


if __name__ == "__main__":
    main()
