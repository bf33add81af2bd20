"""`python -m benchmarks.tokenize`: MB/s of our encoder and of others on the same SentencePiece BPE model.

One pass over uncycled text of the real samples (CORPUSMILL_SAMPLES names their folder), with a model of 32,000 pieces
trained on the English text and one trained on English, 128 languages and code. Every tokenizer runs in a process and an
environment of its own, pinned to one core; its ids are compared with SentencePiece's. What `corpus tokenize` takes from
Parquet to Arrow is the time of its tasks in a worker that has done one short document before, files written and synced;
its start-up is the processor time of the command on that document. Texts, models and environments are kept in out/benchmarks.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import texts
from benchmarks.environment import environment, installed
from benchmarks.measure import machine, measure, median
from corpus.engine.runner import RunOptions, open_executor, run_stage
from tests.datasets import write_documents
from tokenizer import huggingface
from tokenizer.model import MODEL_FILE
from tokenizer.tokenize import TokenizeConfig, TokenizeStage
from tokenizer.train import TrainTokenizerConfig, TrainTokenizerStage

FOLDER = Path("out/benchmarks/tokenize")
PEERS = {
    "sentencepiece": "sentencepiece==0.2.3",
    "tokenizers": "tokenizers==0.23.3",
    "gigatoken": "gigatoken==0.10.0",
    "kitoken": "kitoken==0.11.1",
    "tokie": "tokie==0.1.4",
}
NEEDS = {"sentencepiece": ["numpy"], "tokie": ["numpy"]}
CASES = (
    ("english", "english"),
    ("english", "code"),
    ("english", "multilingual"),
    ("english", "unique"),
    ("mixed", "multilingual"),
    ("mixed", "code"),
)
"""Model and text of each table."""
TITLES = {
    "english": "English (books, plain text)",
    "code": "source distributions",
    "multilingual": "128 languages",
    "unique": "random words, hardly one of them twice",
}
PATIENCE = 180
"""Seconds after which a tokenizer is stopped."""


@dataclass(frozen=True)
class Texts:
    """A set of texts as the files that the tokenizers read."""

    name: str
    strings: Path
    documents: Path
    size: int
    """Bytes of UTF-8."""
    number: int


def prepare(name: str, samples: Path, share: int) -> Texts:
    """Write the texts (of `share` the first of every so many documents) as JSON and as a dataset, once."""
    folder = FOLDER / f"{name}-{share}"
    strings, documents = folder / "texts.json", folder / "documents"
    if not (documents / "manifest.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        found = _texts(name, samples)[::share]
        strings.write_text(json.dumps(found), encoding="utf-8")
        write_documents(documents, found, domain=name)
    totals = json.loads((documents / "manifest.json").read_text(encoding="utf-8"))["totals"]
    return Texts(name, strings, documents, totals["bytes"], totals["documents"])


def _texts(name: str, samples: Path) -> list[str]:
    if name == "unique":
        return texts.unique_words(8_000_000)
    if name == "code":
        raw = FOLDER / "raw"
        if not list(raw.glob("github/*.tar.gz")):
            subprocess.run(["bash", str(samples / "raw.sh"), str(raw)], check=True, stdout=subprocess.DEVNULL)
        return texts.code(raw)
    return texts.english(samples) if name == "english" else texts.multilingual(samples)


def train(name: str, samples: Path) -> Path:
    """The folder of a trained model and its tokenizer.json."""
    folder = FOLDER / f"model-{name}"
    chosen = ["english"] if name == "english" else ["english", "multilingual", "code"]
    documents = tuple(str(prepare(each, samples, 1).documents) for each in chosen)
    # a third each of the mixed sample
    settings = TrainTokenizerConfig(sample_bytes=40_000_000, weights=tuple(f"{each}=1" for each in chosen))
    run_stage(TrainTokenizerStage(documents, settings), folder, RunOptions(quiet=True))
    huggingface.write(folder, folder.with_name(folder.name + "-json"))
    return folder


def run(name: str, model: Path, data: Texts, ids: Path, cores: int, runs: int) -> dict[str, Any]:
    """The medians of one tokenizer over fresh processes, or `error`."""
    python = Path(sys.executable) if name == "corpusmill" else environment(name, [PEERS[name], *NEEDS.get(name, [])])
    pinned = [] if cores > 1 else ["taskset", "-c", _core()]
    limits = {"RAYON_NUM_THREADS": str(cores), "TOKENIZERS_PARALLELISM": "false" if cores == 1 else "true"}
    files = model / MODEL_FILE, model.with_name(model.name + "-json") / huggingface.TOKENIZER_JSON, data.strings, ids
    script = Path(__file__).with_name("tokenize_peer.py")
    command: list[object] = [*pinned, python, "-P", script, name, *files, str(cores)]
    found: list[dict[str, float]] = []
    for _ in range(runs):
        try:
            done = subprocess.run(
                [str(part) for part in command],
                env=os.environ | limits | {"PYTHONPATH": str(Path.cwd()) if name == "corpusmill" else ""},
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired:
            return {"error": f"stopped after {PATIENCE} s"}
        if done.returncode:
            return {"error": (done.stderr.strip().splitlines() or ["failed"])[-1][:100]}
        found.append(json.loads(done.stdout))
        if found[0]["first"] > 10:
            break
    return {key: statistics.median(each[key] for each in found) for key in found[0]}


def stage_seconds(model: Path, data: Texts, runs: int) -> tuple[float, float]:
    """Seconds of the tasks of `corpus tokenize` on one core, Parquet to Arrow, and of its start-up: the processor's for
    the command with one document. The worker is a fresh one for every run, and has seen that document alone."""
    one = FOLDER / "one" / "documents"
    if not (one / "manifest.json").exists():
        write_documents(one, ["One document."], domain="one")
    corpus = Path(sys.executable).with_name("corpus")
    startup, seconds = [], []
    allowed = os.sched_getaffinity(0)
    for _ in range(runs):
        output = FOLDER / "tokens"
        shutil.rmtree(output, ignore_errors=True)
        tokenize: list[str | Path] = [corpus, "tokenize", one, "--tokenizer", model, "--output", output]
        startup.append(measure(["taskset", "-c", _core(), *tokenize, "--workers", "1"]))
        os.sched_setaffinity(0, {int(_core())})  # of the worker, which inherits it
        options = RunOptions(workers=1, always_pool=True, quiet=True)
        executor = open_executor(options)
        for documents in (one, data.documents):
            shutil.rmtree(output, ignore_errors=True)
            stage = TokenizeStage((str(documents),), str(model), TokenizeConfig())
            run_stage(stage, output, dataclasses.replace(options, running=executor))
        executor.close()
        os.sched_setaffinity(0, allowed)
        log = json.loads((output / "_log" / "finished.json").read_text(encoding="utf-8"))
        seconds.append(log["task_seconds"])
    return statistics.median(seconds), median(startup).processor


def differing(ids: Path, expected: Path) -> str:
    """How many documents have other ids than SentencePiece gives."""
    pairs = []
    for path in (ids, expected):
        numbers = np.fromfile(path, dtype=np.uint32)
        ends = np.cumsum(np.fromfile(f"{path}.lengths", dtype=np.uint64)).astype(np.int64)
        pairs.append(np.split(numbers, ends[:-1]))
    other = sum(not np.array_equal(a, b) for a, b in zip(*pairs, strict=True))
    return f"{other} of {len(pairs[0])}" if other else "same"


def table(model_name: str, model: Path, data: Texts, runs: int) -> None:
    """Measure one text with one model and print the table."""
    folder = FOLDER / "ids"
    folder.mkdir(parents=True, exist_ok=True)
    cores = len(os.sched_getaffinity(0))
    expected = folder / "sentencepiece"
    base = run("sentencepiece", model, data, expected, 1, runs)
    ours = run("corpusmill", model, data, folder / "corpusmill", 1, runs)
    misses = f"{ours['misses'] / ours['chunks']:.1%} of {ours['chunks'] / 1e6:.1f} M chunks met first"
    print(
        f"\n**{TITLES[data.name]}**, {data.size / 1e6:.1f} MB in {data.number} documents, {model_name} model; {misses}\n"
    )
    print("| tokenizer | MB/s | × sentencepiece | second pass MB/s | × | ids |")
    print("|---|---:|---:|---:|---:|---|", flush=True)
    reference = data.size / base["first"]

    def line(title: str, found: Mapping[str, Any], ids: str) -> None:
        if "error" in found:
            print(f"| {title} | – | – | – | – | {found['error']} |", flush=True)
            return
        cells = [title]
        for key in ("first", "second"):
            rate = data.size / found[key] if key in found else None
            cells += [f"{rate / 1e6:.1f}", f"{rate / reference:.1f}"] if rate else ["–", "–"]
        print(f"| {' | '.join(cells)} | {ids} |", flush=True)

    line("corpusmill, strings to ids", ours, differing(folder / "corpusmill", expected))
    spent, startup = stage_seconds(model, data, runs)
    line(f"`corpus tokenize`, Parquet to Arrow (and {startup:.1f} s start)", {"first": spent}, "")
    line("sentencepiece", base, "")
    several = run("sentencepiece", model, data, folder / "several", cores, 1)
    line(
        f"sentencepiece, num_threads={cores} ({cores} of {os.cpu_count()} cores given)",
        several,
        "" if "error" in several else differing(folder / "several", expected),
    )
    for name in ("tokenizers", "gigatoken", "kitoken", "tokie"):
        try:
            found = run(name, model, data, folder / name, 1, runs)
        except subprocess.CalledProcessError:
            found = {"error": "could not be installed"}
        line(name, found, "" if "error" in found else differing(folder / name, expected))


def _core() -> str:
    """The core that measurements are pinned to: the last one."""
    return str(max(os.sched_getaffinity(0)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="every eighth document, one run")
    parser.add_argument("--runs", type=int, default=3, help="processes of a tokenizer, of which the median counts")
    options = parser.parse_args()
    if "CORPUSMILL_SAMPLES" not in os.environ:
        parser.error("set CORPUSMILL_SAMPLES to the folder of the real samples")
    samples = Path(os.environ["CORPUSMILL_SAMPLES"])
    share, runs = (8, 1) if options.quick else (1, options.runs)
    models = {name: train(name, samples) for name in ("english", "mixed")}
    peers = {name: environment(name, [package, *NEEDS.get(name, [])]) for name, package in PEERS.items()}
    print(f"{machine()}; one core; {', '.join(installed(python, name) for name, python in peers.items())};")
    print(
        f"median of {runs} processes (one for those over 10 s); times of the processor (of the wall for `corpus tokenize`), loading apart"
    )
    for model, name in CASES:
        table(model, models[model], prepare(name, samples, share), runs)


if __name__ == "__main__":
    main()
