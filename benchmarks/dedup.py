"""`python -m benchmarks.dedup`: line dedup by this project, CCNet, datatrove and dolma, on one core, on the same text.

Each reads its own format from the disk (Parquet here, gzipped JSON lines there) and leaves deduplicated documents on
the disk. The text is synthetic: distinct, with the words, lengths and repeats of real pages (CORPUSMILL_SAMPLES names
the samples; else the demo's). Ours runs on all of it, five times, peers once on a part of it, since their rate does not
depend on the size. Then the linearity: ten times the text, with so little memory that both runs spill.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.ccnet import ccnet_python
from benchmarks.environment import environment, installed
from benchmarks.measure import Measured, machine, measure, median

if TYPE_CHECKING:
    from benchmarks.synth import Shape

CORE = ["taskset", "-c", "0"]
TARGETS = {"cc-net": 15.0, "datatrove": 25.0, "dolma": 5.0}
"""How many times as fast ours is meant to be."""
_HERE = Path(__file__).parent
# what is measured runs below a copy of this module, whose memory counts as its own: so nothing large is imported above


def _synthetic(shape: Shape, size: int, seed: int = 0) -> Iterator[list[bytes]]:
    from benchmarks.synth import synthetic

    return synthetic(shape, size, seed)


def _write_documents(batches: Iterator[list[bytes]], directory: Path) -> int:
    from benchmarks.synth import write_documents

    return write_documents(batches, directory)


@dataclass(frozen=True)
class Row:
    """One line of the table: bytes of text, seconds without start-up, and the whole process."""

    name: str
    size: int
    inner: float
    whole: Measured

    @property
    def rate(self) -> float:
        """MB of text per second without start-up."""
        return self.size / 1e6 / self.inner


def ours(source: Path, size: int, runs: int, options: list[str]) -> Row:
    """`corpus dedup` as a user runs it; its start-up is what one document takes."""
    output = source.parent / "ours"
    program = str(Path(sys.executable).with_name("corpus"))
    tiny = source.parent / "tiny"
    if not tiny.exists():
        _write_documents(iter([[b"one line"]]), tiny)
    found: dict[Path, list[Measured]] = {tiny: [], source: []}
    for _ in range(runs):
        for documents, measured in found.items():
            shutil.rmtree(output, ignore_errors=True)
            command = [program, "dedup", str(documents), "--output", str(output), "--workers", "1", "--quiet"]
            measured.append(measure([*CORE, *command, *options]))
    whole = median(found[source])
    return Row("corpusmill", size, whole.wall - median(found[tiny]).wall, whole)


def write_lines(batches: Iterator[list[bytes]], path: Path, field: str) -> tuple[int, int]:
    """Gzipped JSON lines as the peers take them; bytes and lines of the text."""
    path.parent.mkdir(parents=True)
    size = lines = number = 0
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=6) as file:
        for batch in batches:
            for text in batch:
                record = {"id": str(number), field: text.decode(), "url": f"https://example.org/page/{number}"}
                record |= {"source": "synthetic", "added": "2020-01-01"}
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
                size += len(text)
                lines += text.count(b"\n") + 1
                number += 1
    return size, lines


def peer(name: str, shape: Shape, size: int, place: Path) -> tuple[str, Row]:
    """One peer's version and figures."""
    place.mkdir()
    field = "raw_content" if name == "cc-net" else "text"
    documents = place / "documents" / "part.json.gz"
    size, lines = write_lines(_synthetic(shape, size), documents, field)
    commands: dict[str, Callable[[], list[str]]] = {
        "cc-net": lambda: [str(_HERE / "dedup_ccnet.py"), str(documents), str(place)],
        "datatrove": lambda: [str(_HERE / "dedup_datatrove.py"), str(documents.parent), str(place)],
        "dolma": lambda: [str(_HERE / "dedup_dolma.py"), str(place), str(lines)],
    }
    if name == "cc-net":
        python = ccnet_python()
    elif name == "datatrove":
        python = environment(
            "datatrove", ["datatrove>=0.10,<0.11", "orjson", "regex", "spacy", "tokenizers", "xxhash<4"]
        )
    else:
        python = environment("dolma", [], ["dolma"])
    whole = measure([*CORE, str(python), "-P", *commands[name]()])  # -P: our own names are not theirs
    return installed(python, name), Row(name, size, float(whole.output.split()[-1]), whole)


def linearity(shape: Shape, small: int, factor: int, memory: str, place: Path) -> None:
    """Time and memory for `small` bytes and `factor` times as many."""
    rows = []
    for size in (small, small * factor):
        folder = place / str(size)
        made = _write_documents(_synthetic(shape, size, seed=1), folder / "in")
        rows.append(ours(folder / "in", made, 1, ["--memory", memory]))
        shutil.rmtree(folder)
    ratio = rows[1].inner / rows[0].inner * rows[0].size / rows[1].size
    print(f"\nlinearity, --memory {memory}")
    for row in rows:
        print(
            f"{row.size / 1e6:8.0f} MB {row.inner:8.2f} s {row.rate:8.1f} MB/s {row.whole.peak / 1e6:8.0f} MB of memory"
        )
    print(f"time grows {ratio:.3f} times as fast as the text")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the text and one run; no linearity")
    parser.add_argument("--without", action="append", default=[], help="leave a peer, or linearity, out (repeatable)")
    options = parser.parse_args()
    from benchmarks.synth import sample_documents, shape_of

    size = 40_000_000 if options.quick else 400_000_000
    parts = {"cc-net": size // 10, "datatrove": size // 20, "dolma": size // 4}
    print(f"{machine()}; one core")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        shape = shape_of(sample_documents())
        made = _write_documents(_synthetic(shape, size), place / "main" / "in")
        rows = [ours(place / "main" / "in", made, 1 if options.quick else 5, [])]
        shutil.rmtree(place / "main")
        for name, part in parts.items():
            if name not in options.without:
                version, row = peer(name, shape, part, place / name)
                print(version)
                rows.append(row)
        print(f"\n{'tool':12} {'MB':>6} {'MB/s':>7} {'with start-up':>14} {'peak MB':>8} {'ours is':>9} {'wanted':>7}")
        for row in rows:
            times = f"{rows[0].rate / row.rate:.1f} x"
            wanted = f"{TARGETS[row.name]:g} x" if row.name in TARGETS else ""
            print(
                f"{row.name:12} {row.size / 1e6:6.0f} {row.rate:7.1f} {row.size / 1e6 / row.whole.wall:14.1f}"
                f" {row.whole.peak / 1e6:8.0f} {times:>9} {wanted:>7}",
                flush=True,
            )
        if not options.quick and "linearity" not in options.without:
            linearity(shape, 400_000_000, 10, "32MB", place)


if __name__ == "__main__":
    main()
