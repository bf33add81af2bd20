"""Cutoffs between head, middle and tail: percentiles of perplexities by language, in the form of CCNet's `cutoff.csv`.

The first row names the languages, each other one begins with a percentile.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.data.dataset import resolve
from corpus.errors import DataError, UsageError

HEAD, MIDDLE, TAIL, ALL = "head", "middle", "tail", "all"
BUCKETS = (HEAD, MIDDLE, TAIL, ALL)
"""The buckets of CCNet; `all` has what no model or no cutoff judges."""
PERPLEXITY = "perplexity"


def read_cutoffs(path: Path, head: int, middle: int) -> dict[str, tuple[float, float]]:
    """By language the perplexities at two percentiles. A DataError says what is wrong with the file."""
    try:
        rows = [row for row in csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no file of cutoffs ({error}): give one that lm-cutoffs wrote.") from None
    try:
        languages, levels = rows[0][1:], {int(float(row[0])): [float(value) for value in row[1:]] for row in rows[1:]}
        low, high = levels[head], levels[middle]
        return {name: (low[at], high[at]) for at, name in enumerate(languages)}
    except (ValueError, IndexError):
        why = "its first row names the languages, the others begin with a percentile"
    except KeyError as error:
        why = f"it has no row {error}"
    raise DataError(f"{path} is no file of cutoffs ({why}): give one that lm-cutoffs wrote, or CCNet's cutoff.csv.")


def bucket(perplexity: float | None, cutoffs: tuple[float, float] | None) -> str:
    """The bucket of a document: below the first cutoff is the head, below the second the middle."""
    if perplexity is None or cutoffs is None:
        return ALL
    return HEAD if perplexity < cutoffs[0] else MIDDLE if perplexity < cutoffs[1] else TAIL


def measure(documents: Sequence[str], language: str) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """The perplexities of documents that have been scored, by language; `language` is that of documents without one."""
    found: dict[str, list[pa.Array]] = {}
    for dataset in resolve(documents, "documents"):
        if PERPLEXITY not in [column.name for column in dataset.manifest.columns]:
            raise UsageError(
                f"{dataset.path} has no column perplexity: run corpus filter --rules perplexity over it first."
            )
        for batch in dataset.batches([PERPLEXITY, "language"]):
            names = batch.column("language").fill_null(language)
            for name in names.unique().to_pylist():
                values = batch.column(PERPLEXITY).filter(pc.equal(names, name)).drop_null()
                if name and len(values):
                    found.setdefault(name, []).append(values)
    if not found:
        raise DataError("no document has a language and a perplexity: check the models, or give --language.")
    return {name: pa.concat_arrays(parts).to_numpy() for name, parts in sorted(found.items())}


def table(values: Mapping[str, np.ndarray[tuple[int], np.dtype[np.float64]]]) -> str:
    """The percentiles 0 to 99 of perplexities by language, as a file of cutoffs has them."""
    levels = {name: np.percentile(numbers, range(100)) for name, numbers in values.items()}
    lines = ["," + ",".join(levels)]
    lines += [f"{level}," + ",".join(f"{numbers[level]:.1f}" for numbers in levels.values()) for level in range(100)]
    return "\n".join(lines) + "\n"
