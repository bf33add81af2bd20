"""`python -m benchmarks.chain`: WET files to packed rows on one core, the seconds of every stage, beside datatrove's.

Two kinds of pages in real WET framing: natural prose (`--prose` or CORPUSMILL_PROSE names a folder of it; else the books of
the samples), and synthetic ones whose words that no page before had come at the rate measured on real text
(`benchmarks.chain_text`). The parts, each by itself with `--only`: `chain`, the stages one by one and joined; `fused`, the
joined pass against its maps' own time, one read and one write; `models`, the chain without and with perplexity and a
classifier that it trains; `dedup`, line dedup against CCNet's; `workers`, two workers against one; `memory`, documents of
10 MB; `datatrove`, its nearest steps in an environment of its own. Workers have run a few pages before, which is the
start-up; nothing but packages from PyPI is fetched. Texts are kept in `--work`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmarks.chain_dedup import compare
from benchmarks.chain_fused import fused, huge
from benchmarks.chain_models import with_models
from benchmarks.chain_stages import (
    DOMAIN,
    first_met,
    make_tokenizer,
    one_core,
    run_chain,
    scaling,
    some_files,
    stage_table,
)
from benchmarks.chain_text import UNKNOWN, Text, build_text
from benchmarks.environment import environment, installed
from benchmarks.measure import machine, measure
from corpus.engine.publish import versions
from corpus.quality.langid import shipped_model
from tokenizer import huggingface

PARTS = ("chain", "fused", "models", "dedup", "workers", "memory", "datatrove")
KINDS = ("natural", "synthetic")
DATATROVE = [
    "datatrove>=0.10,<0.11", "orjson", "regex", "spacy", "tokenizers", "warcio", "xxhash<4", "fasttext-numpy2-wheel",
    "fasteners", "faust-cchardet", "python-magic",
]  # fmt: skip


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=PARTS, help="a part (repeatable); by default all of them")
    parser.add_argument("--text", action="append", choices=KINDS, help="a kind of pages (repeatable); by default both")
    parser.add_argument("--size", type=int, default=300, help="MB of pages")
    parser.add_argument("--runs", type=int, default=3, help="runs of a stage, of which the median counts")
    parser.add_argument("--workers-size", type=int, default=1000, help="MB of pages for one worker against two")
    parser.add_argument("--workers-runs", type=int, default=1, help="runs of a stage there")
    parser.add_argument("--peer-size", type=int, default=60, help="MB of pages for datatrove")
    parser.add_argument("--huge", type=int, default=40, help="documents of 10 MB")
    parser.add_argument("--memory", type=int, default=1000, help="MB of --memory for these")
    parser.add_argument("--work", type=Path, help="where texts and outputs are kept; by default a temporary folder")
    prose = os.environ.get("CORPUSMILL_PROSE")
    parser.add_argument("--prose", type=Path, default=prose, help="folder of natural prose, en/*.txt, other/*/*.txt")
    return parser.parse_args()


def kinds(options: argparse.Namespace) -> list[str]:
    """The kinds of pages that can be made here; says what they are made of."""
    wanted = options.text or list(KINDS)
    if options.prose is not None and not any(options.prose.glob("en/*.txt")):
        print(f"no prose (en/*.txt) in {options.prose.name}")
        options.prose = None
    if options.prose is None and "natural" in wanted:
        if "CORPUSMILL_SAMPLES" in os.environ:
            print("natural text: the samples' books and parallel sentences, since no --prose is given")
        else:
            print("no natural text: give --prose, or name the samples in CORPUSMILL_SAMPLES")
            return [kind for kind in wanted if kind != "natural"]
    return wanted


def describe(text: Text) -> None:
    """What the pages are."""
    note = f"; {text.note}" if text.note else ""
    print(
        f"\n## {text.kind} pages: {text.size / 1e6:,.1f} MB, {text.pages:,} pages, {text.lines:,} lines of"
        f" {text.line:.0f} bytes{note}"
    )
    if text.kind == "synthetic":
        rates = ", ".join(f"{kind} {rate:.1%}" for kind, rate in UNKNOWN.items())
        print(f"words made up: {rates}")


def measure_text(kind: str, parts: list[str], options: argparse.Namespace) -> None:
    """The parts that go through the whole chain, on one kind of pages."""
    text = build_text(kind, options.size * 1_000_000, options.work, options.prose)
    describe(text)
    tokenizer = make_tokenizer(text, options.work)
    if "chain" in parts:
        with one_core():
            for join, title in ((False, "one by one"), (True, "joined as corpus run does")):
                title = f"**{kind} pages, stages {title}**, one core, median of {options.runs}"
                rows = run_chain(text, options.work / "chain", tokenizer, join, options.runs)
                stage_table(title, text.size, rows)
        documents = next((options.work / "chain" / "main" / "documents" / DOMAIN).glob("*-train"))
        share, number = first_met(documents, tokenizer)
        print(f"\nof {number / 1e6:.1f} M chunks that are tokenized {share:.1%} are met for the first time", flush=True)
    if "fused" in parts:
        with one_core():
            fused(text, options.work, tokenizer, options.runs)
    if "models" in parts:
        with_models(text, options.work, tokenizer, options.runs)
    if "datatrove" in parts:
        datatrove(text, options.peer_size * 1_000_000, options.work, tokenizer)


def datatrove(text: Text, size: int, work: Path, tokenizer: Path) -> None:
    """datatrove's steps on a part of the pages."""
    try:
        python = environment("datatrove-chain", DATATROVE)
    except subprocess.CalledProcessError:
        print("\ndatatrove: its environment could not be made (no packages); left out", flush=True)
        return
    place = work / "datatrove"
    shutil.rmtree(place, ignore_errors=True)
    raw = some_files(text, size, place / "raw") / DOMAIN
    part = text.size * len(list(raw.iterdir())) / len(list((text.raw / DOMAIN).iterdir()))
    huggingface.write(tokenizer, place / "tokenizer", nearly=True)
    script = Path(__file__).with_name("chain_datatrove.py")
    files = [raw, place / "out", shipped_model(), place / "tokenizer" / huggingface.TOKENIZER_JSON]
    try:
        with one_core():
            done = measure([python, "-P", script, *files])
    except RuntimeError as error:
        print(f"\ndatatrove failed: {str(error).strip().splitlines()[-1][:200]}", flush=True)
        return
    found = json.loads(done.output.splitlines()[-1])
    seconds = sum(each["seconds"] for each in found.values())
    print(f"\n{installed(python, 'datatrove')}, {text.kind} pages, {part / 1e6:.1f} MB, one core, one run\n")
    print("| pass | seconds | MB/s of pages | its steps, seconds |\n|---|---:|---:|---|")
    for name, each in found.items():
        steps = ", ".join(f"{step} {spent:.1f}" for step, spent in each["steps"].items())
        print(f"| {name} | {each['seconds']:.1f} | {part / 1e6 / each['seconds']:.1f} | {steps} |")
    print(f"| all | {seconds:.1f} | {part / 1e6 / seconds:.2f} | with its start {done.wall:.1f} |", flush=True)


def run(parts: list[str], options: argparse.Namespace) -> None:
    """All parts asked for."""
    print(f"{machine()}; load {os.getloadavg()[0]:.1f}")
    print(", ".join(f"{name} {version}" for name, version in versions().items()))
    wanted = kinds(options)
    if {"chain", "fused", "models", "datatrove"} & set(parts):
        for kind in wanted:
            measure_text(kind, parts, options)
    size = options.size * 1_000_000
    if "dedup" in parts:
        text = build_text("natural", size, options.work, options.prose) if "natural" in wanted else None
        if text is not None:
            describe(text)
        compare(text, size, options.work, options.runs)
    if "memory" in parts:
        huge(options.work, options.prose, "natural" in wanted, options.huge, options.memory * 1_000_000)
    if "workers" in parts:
        for kind in wanted:
            text = build_text(kind, options.workers_size * 1_000_000, options.work, options.prose)
            describe(text)
            scaling(text, options.work, make_tokenizer(text, options.work), options.workers_runs)
    print(f"\nload at the end {os.getloadavg()[0]:.1f}")


def main() -> None:
    options = arguments()
    parts = options.only or list(PARTS)
    if options.work is not None:
        options.work.mkdir(parents=True, exist_ok=True)
        run(parts, options)
        return
    with tempfile.TemporaryDirectory() as folder:
        options.work = Path(folder)
        run(parts, options)


if __name__ == "__main__":
    main()
