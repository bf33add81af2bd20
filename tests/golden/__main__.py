"""Golden digests: `python -m tests.golden DIR` makes the demo corpus, a short training run and its exports below DIR
and compares the digest of every output with `digests.json`; `--write` writes that file instead.

A change that should move no byte is checked with it after every commit. It goes by the commands alone, so that it
survives any move of the code. Digests hold for one set of package versions and one kind of processor.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from tests.trainer.packed import learnable_rows, write_packed

DIGESTS = Path(__file__).with_name("digests.json")
_STEPS, _BATCH, _LENGTH, _VOCABULARY = 60, 4, 16, 60


def main(arguments: list[str]) -> int:
    """Make everything, then write or compare; 1 if an output differs."""
    write = "--write" in arguments
    (directory,) = (Path(argument) for argument in arguments if argument != "--write")
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    make(directory)
    found = dict(digests(directory))
    if write:
        DIGESTS.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        print(f"{len(found)} digests written to {DIGESTS}")
        return 0
    wanted: dict[str, str] = json.loads(DIGESTS.read_text(encoding="utf-8"))
    wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    for name in wrong:
        print(f"differs: {name}" if name in wanted and name in found else f"only once: {name}")
    print(f"{len(wanted)} digests, {len(wrong)} differ")
    return 1 if wrong else 0


def make(directory: Path) -> None:
    """All outputs: the llama recipe on the demo's raw files, the stages it has not, a run with a spike, exports."""
    _call("demo.raw", str(directory / "raw"))
    corpus, stages = directory / "corpus", directory / "stages"
    _corpus(
        "run", "llama", "--input", directory / "raw", "--output", corpus, "--sequence-length", 256,
        "--vocab-size", 2048,
    )  # fmt: skip
    documents = corpus / "documents"
    pages = documents / "commoncrawl/00-ingest"
    for level in ("document", "near"):
        _corpus("dedup", pages, "--level", level, "--output", stages / f"dedup-{level}")
    _corpus("filter", pages, "--rules", "c4", "--output", stages / "filter-c4")
    (directory / "evaluation.jsonl").write_text(
        json.dumps({"text": _first_text(documents / "c4/00-ingest")}) + "\n", encoding="utf-8"
    )
    _corpus(
        "decontaminate", documents / "c4/00-ingest", "--against", directory / "evaluation.jsonl",
        "--output", stages / "decontaminate",
    )  # fmt: skip
    _corpus(
        "split", documents / "wikipedia/00-ingest", "--side", "validation", "--validation", "5%", "--overlap",
        "near", "--training", pages, "--output", stages / "split",
    )  # fmt: skip
    tokens = [corpus / "tokens" / name for name in ("books", "arxiv", "wikipedia")]
    _corpus(
        "mix", *tokens, "--weights", "llama", "--allow-missing", "--packing", "best-fit", "--sequence-length", 128,
        "--tokenizer", corpus / "tokenizer", "--output", stages / "best-fit",
    )  # fmt: skip
    _train(directory)


def _train(directory: Path) -> None:
    """A run on the demo's rows, and one on rows of which a batch is noise, so that it goes back and on."""
    _trainer(
        "fit", "--data", directory / "corpus/packed", "--validation", directory / "corpus/validation", "--model",
        "llama-tiny", "--output", directory / "model", "--steps", 20, "--batch-size", 2, "--threads", 1,
    )  # fmt: skip
    for form in ("hf", "gguf"):
        _trainer("export", directory / "model", "--format", form, "--output", directory / f"export-{form}")
    rows = learnable_rows(_STEPS * _BATCH + 120, _LENGTH, _VOCABULARY - 4)
    noise = np.random.default_rng(1).integers(_VOCABULARY - 4, _VOCABULARY, (12, _LENGTH + 1))
    rows[_STEPS * _BATCH // 2 : _STEPS * _BATCH // 2 + 12] = noise
    write_packed(directory / "poisoned", rows, _VOCABULARY)
    _trainer(
        "fit", "--data", directory / "poisoned", "--model", "llama-tiny", "--output", directory / "spike", "--steps",
        _STEPS, "--batch-size", _BATCH, "--save-every", 5, "--threads", 1, "--set", "optimizer.lr=1e-2", "--set",
        "spikes.skip=9",
    )  # fmt: skip


def digests(directory: Path) -> Iterator[tuple[str, str]]:
    """The name and digest of every file of the outputs but logs and raw files; of JSON without what the clock says."""
    for path in sorted(directory.rglob("*")):
        parts = path.relative_to(directory).parts
        if not path.is_file() or {"_log", "raw", "poisoned"} & set(parts) or "events" in path.name:
            continue
        yield "/".join(parts), xxhash.xxh3_128_hexdigest(_content(path))


def _content(path: Path) -> bytes:
    if path.name == "manifest.json":
        value = json.loads(path.read_bytes())
        return json.dumps({key: value[key] for key in value if key != "versions"}, sort_keys=True).encode()
    if path.name == "metrics.jsonl":
        records = [json.loads(line) for line in path.read_bytes().splitlines()]
        return json.dumps([_timeless(record) for record in records], sort_keys=True).encode()
    return path.read_bytes()


def _timeless(record: dict[str, Any]) -> dict[str, Any]:
    # what a line is checked by follows from its seconds, too
    return {key: value for key, value in record.items() if "second" not in key and key != "check"}


def _first_text(dataset: Path) -> str:
    import pyarrow.parquet as pq

    return str(pq.read_table(dataset / "00000.parquet", columns=["text"]).column("text")[0].as_py())


def _corpus(*arguments: object) -> None:
    _call("-c", "from corpus.cli import main; main()", *map(str, arguments), "--quiet")


def _trainer(*arguments: object) -> None:
    _call("trainer", *map(str, arguments))


def _call(module: str, *arguments: str) -> None:
    head = [module, *arguments] if module == "-c" else ["-m", module, *arguments]
    done = subprocess.run([sys.executable, *head], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}: {done.stderr[-2000:]}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
