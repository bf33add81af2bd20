"""The slow, obvious twin of levels `book` and `near`: plain Python over strings and sets; and what their tests share."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from corpus.data.dataset import Dataset
from corpus.data.manifest import Manifest
from corpus.dedup.config import DedupConfig
from corpus.dedup.levels import dedup_stage
from corpus.dedup.lines.folding import folded
from corpus.dedup.similar.shingles import UNSPACED
from corpus.engine.alarms import Alarms
from corpus.engine.runner import RunOptions, run_stage

_ALONE = "".join(f"{chr(first)}-{chr(last)}" for first, last in UNSPACED)
_WORD = re.compile(f"[{_ALONE}]|[^ {_ALONE}]+")


def words(text: str) -> list[str]:
    """The words of a text."""
    return _WORD.findall(folded(text))


def shingles(text: str, width: int) -> set[tuple[str, ...]]:
    """The word n-grams of a text; a shorter text is one."""
    own = words(text)
    if not own:
        return set()
    return {tuple(own[at : at + width]) for at in range(max(1, len(own) - width + 1))}


def overlap(left: Set[Any], right: Set[Any]) -> float:
    """Of the 8-grams of two books."""
    return len(left & right) / min(len(left), len(right)) if left and right else 0.0


def jaccard(left: Set[Any], right: Set[Any]) -> float:
    """Of the 5-grams of two documents."""
    return len(left & right) / len(left | right) if left and right else 0.0


def greedy(order: Sequence[int], alike: Mapping[tuple[int, int], float]) -> dict[int, int]:
    """Who is removed because of whom. `order`: by preference; `alike[first, second]`: similarity of duplicates."""
    kept: list[int] = []
    removed: dict[int, int] = {}
    for second in order:
        found = [(-alike[first, second], place, first) for place, first in enumerate(kept) if (first, second) in alike]
        if found:
            removed[second] = min(found)[2]
        else:
            kept.append(second)
    return removed


def invented(rng: random.Random, count: int, vocabulary: int = 5000) -> list[str]:
    """That many words, drawn evenly."""
    return [f"w{''.join(chr(97 + int(d)) for d in str(rng.randrange(vocabulary)))}" for _ in range(count)]


def run(documents: Sequence[Path], output: Path, options: RunOptions | None = None, **settings: Any) -> Manifest:
    alarms = Alarms(max_drop=settings.pop("max_drop", None))
    stage = dedup_stage(tuple(map(str, documents)), DedupConfig(**settings))
    return run_stage(stage, output, options or RunOptions(quiet=True, alarms=alarms))


def kept_rows(path: Path) -> list[dict[str, Any]]:
    return [row for batch in Dataset.open(path).batches() for row in batch.to_pylist()]


def table(path: Path) -> list[dict[str, Any]]:
    """The cluster table."""
    return [row for part in sorted((path / "_clusters").glob("*.parquet")) for row in pq.read_table(part).to_pylist()]


def removed(path: Path) -> dict[int, int]:
    """The cluster table of a dataset of one input: number of the removed document -> of the kept one."""
    return {int(row["removed"].rpartition("#")[2]): int(row["kept"].rpartition("#")[2]) for row in table(path)}


def contents(path: Path) -> dict[str, bytes]:
    files = [p for p in path.rglob("*") if p.is_file() and p.relative_to(path).parts[0] not in ("_log", "_work")]
    return {str(p.relative_to(path)): p.read_bytes() for p in files}
