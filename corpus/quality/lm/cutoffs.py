"""Cutoffs between head, middle and tail: percentiles of perplexities by language, in the form of CCNet's `cutoff.csv`.

The first row names the languages, each other one begins with a percentile.
"""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from corpus.config import check_options
from corpus.data.buffers import Array
from corpus.data.dataset import Dataset, check_listed
from corpus.data.files import checksum, sync_file
from corpus.data.manifest import MANIFEST
from corpus.engine.commit import Commit
from corpus.engine.piecewise import ReadingStage
from corpus.engine.stage import Phase
from corpus.engine.task import Task
from corpus.errors import DataError, UsageError
from corpus.option import option
from corpus.quality.lm.models import ModelFiles, find_models, score

HEAD, MIDDLE, TAIL, ALL = "head", "middle", "tail", "all"
BUCKETS = (HEAD, MIDDLE, TAIL, ALL)
"""The buckets of CCNet; `all` has what no model or no cutoff judges."""
PERPLEXITY = "perplexity"
CUTOFFS = "cutoffs.csv"
NOT_CHOSEN, NO_PERPLEXITY = "not chosen", "no perplexity"


def cutoffs_file(given: Path) -> Path | None:
    """The file of cutoffs that a path means: itself, or that in the output of lm-cutoffs, which has none where there were
    too few documents."""
    if not (given / MANIFEST).exists():
        return given
    file = Dataset.open(given, "cutoffs").path / CUTOFFS
    return file if file.exists() else None


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


@dataclass(frozen=True)
class CutoffsConfig:
    """Settings of lm-cutoffs."""

    models: str = option(
        "", "Score the documents by these language models; none: their column perplexity has it.", metavar="DIR"
    )
    behaviour: Literal["corrected", "faithful"] = option(
        "corrected", "As of the rule perplexity: a line is a sentence, or as CCNet a page is one."
    )
    sample_documents: int = option(0, "About how many documents to measure, by hashes of their ids; 0: all.", least=0)
    min_documents: int = option(
        1, "A language with fewer has no cutoffs, and its documents are in no bucket (all).", least=1
    )
    language: str = option("", "Language of documents without one.")
    seed: int = option(0, "Seed of the choice of documents.", least=0, below=1 << 64)

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class CutoffsStage(ReadingStage):
    """Documents in; the percentiles 0 to 99 of their perplexities by language out."""

    settings: CutoffsConfig

    name: ClassVar[str] = "lm-cutoffs"
    kind: ClassVar[str] = "cutoffs"
    unit: ClassVar[str] = "documents"

    def config(self) -> Mapping[str, Any]:
        files = (path for model in self._models().values() for path in (model.pieces, model.ngrams))
        return asdict(self.settings) | {"models": [checksum(check_listed(path)) for path in files]}

    def _models(self) -> dict[str, ModelFiles]:
        return find_models(Path(self.settings.models)) if self.settings.models else {}

    def check(self) -> None:
        super().check()
        for dataset in () if self.settings.models else self.datasets:
            if PERPLEXITY not in [column.name for column in dataset.manifest.columns]:
                raise UsageError(
                    f"{dataset.path} has no column perplexity: run corpus filter --rules perplexity over it first, or give"
                    " --models."
                )

    def input_paths(self) -> tuple[Path, ...]:
        models = (Path(self.settings.models),) if self.settings.models else ()
        return (*super().input_paths(), *models)

    def phases(self) -> tuple[Phase, ...]:
        return Phase("measure", len(self.pieces)), Phase("percentiles", 1)

    def may_be_empty(self) -> bool:
        """Cutoffs have no rows."""
        return True

    def run(self, phase: str, index: int, task: Task) -> None:
        {"measure": self._measure, "percentiles": self._percentiles}[phase](index, task)

    def _measure(self, index: int, task: Task) -> None:
        """The perplexities of the chosen documents of a piece: of each language a file of float64."""
        wanted = self.settings.sample_documents
        limit = int(min(1.0, wanted / max(1, self.input_rows)) * (1 << 64)) if wanted else 1 << 64
        found: dict[str, list[pa.Array]] = {}
        models = self._models()
        columns = ["text"] if self.settings.models else [PERPLEXITY]
        for batch in self.pieces[index].batches(["id", "language", *columns]):
            seed = self.settings.seed
            ranks = (xxhash.xxh3_64_intdigest(id.encode(), seed) for id in batch.column("id").to_pylist())
            chosen = batch.filter(pa.array([rank < limit for rank in ranks], pa.bool_()))
            names = chosen.column("language").fill_null(self.settings.language)
            if self.settings.models:
                by_line = self.settings.behaviour == "corrected"
                values = pa.array(score(models, chosen.column("text"), names, by_line), pa.float64())
            else:
                values = chosen.column(PERPLEXITY)
            kept = 0
            for name in filter(None, names.unique().to_pylist()):
                own = values.filter(pc.equal(names, name)).drop_null()
                found.setdefault(name, []).append(own)
                kept += len(own)
            dropped = {NOT_CHOSEN: batch.num_rows - chosen.num_rows, NO_PERPLEXITY: chosen.num_rows - kept}
            task.count(seen=batch.num_rows, kept=kept, dropped=dropped)
            task.progress(documents=batch.num_rows, bytes=batch.nbytes)
        names = sorted(name for name, parts in found.items() if any(map(len, parts)))
        for number, name in enumerate(names):
            np.save(task.directory / f"{number}.npy", pa.concat_arrays(found[name]).to_numpy())
        task.note("languages", names)

    def _percentiles(self, index: int, task: Task) -> None:
        found: dict[str, list[Array[np.float64]]] = {}
        for result in task.results("measure", len(self.pieces)):
            for number, name in enumerate(result.notes["languages"]):
                found.setdefault(name, []).append(np.load(result.directory / f"{number}.npy"))
        every = {name: np.concatenate(parts) for name, parts in sorted(found.items())}
        if not every and self.settings.min_documents == 1:
            raise DataError("no document has a language and a perplexity: check the models, or give --language.")
        enough = {name: values for name, values in every.items() if len(values) >= self.settings.min_documents}
        if enough:
            (task.directory / CUTOFFS).write_text(table(enough), encoding="utf-8")
        task.note("documents", {name: len(values) for name, values in every.items()})

    def finish(self, commit: Commit) -> None:
        result = commit.results["percentiles"][0]
        if (result.directory / CUTOFFS).exists():
            shutil.copyfile(result.directory / CUTOFFS, commit.output / CUTOFFS)
            sync_file(commit.output / CUTOFFS)
        commit.extra["cutoffs"] = result.notes["documents"]


def table(values: Mapping[str, Array[np.float64]]) -> str:
    """The percentiles 0 to 99 of perplexities by language, as a file of cutoffs has them."""
    levels = {name: np.percentile(numbers, range(100)) for name, numbers in values.items()}
    lines = ["," + ",".join(levels)]
    lines += [f"{level}," + ",".join(f"{numbers[level]:.1f}" for numbers in levels.values()) for level in range(100)]
    return "\n".join(lines) + "\n"


def summary(documents: Mapping[str, int], least: int) -> list[str]:
    """How many documents the cutoffs of each language rest on, and which languages have none."""
    found = [
        f"{name}: {number:,} documents" + ("" if number >= least else f", fewer than {least:,}: no cutoffs")
        for name, number in documents.items()
    ]
    return found or ["no document has a perplexity: no cutoffs"]
