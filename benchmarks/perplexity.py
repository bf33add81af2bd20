"""`python -m benchmarks.perplexity`: perplexity by this project and by CCNet's chain, on one core, on the same pages.

Pages are cut out of natural text (`--prose` names a folder of it; without one it is the samples' books); the model is
trained on other text of the folder. Ours goes from Parquet to Parquet, and its start-up is that of a run on one page.
CCNet's functions (normalise, SentencePiece, KenLM) get a part of the pages as they come out of JSON, and only their own time
counts. Both give the same perplexities, which is looked at.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.environment import environment
from benchmarks.measure import Measured, machine, measure, median

CORE = ["taskset", "-c", "0"]
PAGE = 5000
"""Characters of a page, about."""
TARGET = 4.0
_HERE = Path(__file__).parent
# what is measured runs below a copy of this module, whose memory counts as its own: so nothing large is imported above


def pages(paths: list[Path]) -> list[str]:
    """The texts of some files in pages of whole lines, shuffled."""
    found: list[str] = []
    for path in paths:
        held: list[str] = []
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
            held.append(line)
            if sum(map(len, held)) > PAGE:
                found.append("\n".join(held))
                held = []
    random.Random(0).shuffle(found)
    return found


def write(folder: Path, name: str, texts: list[str]) -> Path:
    """Pages as documents, below `folder`."""
    raw = folder / f"{name}-raw"
    raw.mkdir()
    with (raw / "pages.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in texts)
    measure([*_corpus(), "ingest", "jsonl", raw, "--output", folder / name, "--workers", "1", "--quiet"])
    return folder / name


def _corpus() -> list[str | Path]:
    return [sys.executable, "-c", "from corpus.cli import main; main()"]


def score(folder: Path, documents: Path, models: Path) -> Measured:
    """One run of the rule over documents."""
    rule = ["--rules", "perplexity", "--set", f"perplexity.models={models}", "--set", "perplexity.language=en"]
    rule += ["--set", "perplexity.behaviour=faithful"]
    output = folder / "scored"
    shutil.rmtree(output, ignore_errors=True)
    return measure([*CORE, *_corpus(), "filter", documents, *rule, "--output", output, "--workers", "1", "--quiet"])


def ccnet(folder: Path, documents: Path, models: Path, part: int) -> tuple[int, float, list[float | None]]:
    """Bytes, seconds and perplexities of CCNet's chain on the first documents."""
    needed = ["pip==23.2.1", "numpy", "pandas", "requests", "psutil", "func_argparse", "beautifulsoup4"]
    python = environment("cc-net-perplexity", [*needed, "sentencepiece", "ufal-kenlm"], ["cc-net"])
    import corpus

    texts = [row["text"] for row in corpus.open(documents).to_table(["text"], part).to_pylist()]
    source = folder / "part.json"
    source.write_text("".join(json.dumps({"text": text, "language": "en"}) + "\n" for text in texts), encoding="utf-8")
    done = measure([*CORE, python, "-I", _HERE / "perplexity_ccnet.py", source, models / "en"])
    seconds, values = json.loads(done.output.strip().splitlines()[-1])
    return sum(len(text.encode()) for text in texts), seconds, values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prose", type=Path, help="folder of natural text, *.txt")
    parser.add_argument("--samples", type=Path, help="folder of real samples, for their books")
    parser.add_argument("--train-files", type=int, default=3, help="how many of the files the model is trained on")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="two files, one run")
    options = parser.parse_args()
    source = options.prose or (options.samples or Path("demo/raw")) / "books"
    paths = sorted(source.rglob("*.txt"))
    paths = paths[: options.train_files + 2] if options.quick else paths
    with tempfile.TemporaryDirectory(prefix="perplexity-") as name:
        folder = Path(name)
        training = write(folder, "training", pages(paths[: options.train_files]))
        measured = pages(paths[options.train_files :])
        documents, first = write(folder, "pages", measured), write(folder, "first", measured[:1])
        models = folder / "lm"
        trained = measure([*_corpus(), "train-lm", training, "--language", "en", "--output", models, "--quiet"])
        report = json.loads((models / "en" / "_report.json").read_text(encoding="utf-8"))
        runs = 1 if options.quick else options.runs
        start = median([score(folder, first, models) for _ in range(min(3, runs))])
        ours = median([score(folder, documents, models) for _ in range(runs)])
        size = sum(len(text.encode()) for text in measured)
        part, seconds, theirs = ccnet(folder, documents, models, 60 if options.quick else 1500)
        import corpus

        found = corpus.open(folder / "scored").to_table(["perplexity"], len(theirs)).column(0).to_pylist()
        own = ours.processor - start.processor
        rate, peer = size / 1e6 / own, part / 1e6 / seconds
        print(machine())
        print(f"model: {report['pieces']:,} pieces, {sum(report['ngrams']):,} n-grams ({trained.wall:.0f} s to train)")
        print(f"equal perplexities: {sum(a == b for a, b in zip(found, theirs, strict=True)):,} of {len(theirs):,}")
        print(
            "| tool | MB | MB/s | start-up s | peak MB | corpusmill is | wanted |\n|---|---:|---:|---:|---:|---:|---:|"
        )
        print(f"| corpusmill | {size / 1e6:.0f} | {rate:.1f} | {start.processor:.1f} | {ours.peak / 1e6:.0f} | | |")
        print(f"| cc-net | {part / 1e6:.1f} | {peer:.2f} | | | {rate / peer:.1f}× | {TARGET:.0f}× |")


if __name__ == "__main__":
    main()
