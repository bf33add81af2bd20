"""`corpus remove`: records leave a run's output for good, and all that was made from them is made anew without them."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from corpus.data.dataset import Dataset, read_rows
from corpus.data.files import write_atomic
from corpus.data.manifest import MANIFEST
from corpus.data.provenance import DocumentList
from corpus.data.trail import dropped_files
from corpus.engine.publish import REMOVED
from corpus.engine.runner import RunOptions
from corpus.errors import DataError, UsageError
from corpus.ingest.removal import Removal, save_removal
from pipelines.recipes.growth import check_growth, list_raw
from pipelines.recipes.run import run_recipe
from pipelines.recipes.steps import REMOVAL, RecipeRun

FOLDER = "removals"
"""Where an output keeps the reports of removals."""


@dataclass(frozen=True)
class PackedUse:
    """Where records stood in a packed set: the digest of its manifest, and of each record its rows."""

    path: str
    digest: str
    rows: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class RemovalReport:
    """What a removal did. `unknown` are ids that no raw file has; `left` are records that a set still holds: none."""

    ids: tuple[str, ...]
    unknown: tuple[str, ...]
    former: tuple[PackedUse, ...]
    left: tuple[str, ...]
    documents: int
    """Documents of the new sets that were looked at."""

    def lines(self, path: Path) -> list[str]:
        """The report in words."""
        found = [f"{len(self.ids):,} records are removed"]
        if self.unknown:
            some = ", ".join(self.unknown[:3]) + (", …" if len(self.unknown) > 3 else "")
            found.append(f"{len(self.unknown):,} ids are in no raw file: {some}")
        for use in (use for use in self.former if use.rows):
            rows = {row for places in use.rows.values() for row in places}
            found.append(f"{use.path} had {len(use.rows):,} of them, in {len(rows):,} rows")
        found.append(f"none is among the {self.documents:,} documents of the sets that are there now")
        found.append(f"steps of a training run that saw them: trainer seen RUN {path}")
        return found


def remove(run: RecipeRun, named: Removal, options: RunOptions) -> tuple[RemovalReport, Path]:
    """Add `named` to what the output of `run` must not hold, make it anew without, and report.

    The list is on the disk before anything is done, so that a run that is killed goes on without these records, and so
    does every later one.
    """
    if not (run.output / "recipe.yaml").exists():
        raise UsageError(f"{run.output} is not the output of corpus run: nothing can be removed from it.")
    check_growth(run.output, run.raw, list_raw(run.raw, run.patterns(), run.folders()), overwrite=False)
    parts = _parts(run, named.ids)
    if parts:
        id, into = next(iter(sorted(parts.items())))
        raise UsageError(
            f"{len(parts):,} of the ids are of records that are parts of other documents, and nothing was removed: name "
            f"the documents instead, as {into} for {id}."
        )
    save_removal(run.output / REMOVAL, run.removal | named)
    run = dataclasses.replace(run)  # it reads the list again
    run_recipe(run, options, ingests_only=True)
    ids = _removed(run)
    former = tuple(_use(run, path, ids) for path in _packed(run.output))
    report = RemovalReport(tuple(sorted(ids)), tuple(sorted(named.ids - ids)), former, (), 0)
    path = _report_file(run.output)
    _save(report, path)
    run_recipe(run, options)
    documents, left = 0, []
    for packed in _packed(run.output):
        use = _use(run, packed, ids)
        left += list(use.rows)
        documents += len(DocumentList(Dataset.open(packed, "packed")))
    if left:
        raise DataError(f"{run.output} still holds {left[0]}: give corpus run --overwrite, and report this as a bug.")
    report = dataclasses.replace(report, left=tuple(left), documents=documents)
    _save(report, path)
    if not options.quiet:
        for line in report.lines(path):
            print(line, file=sys.stderr)
    return report, path


def _parts(run: RecipeRun, ids: Collection[str]) -> dict[str, str]:
    """Of these ids those of records that were merged, and into which."""
    found: dict[str, str] = {}
    for domain in run.domains():
        output = run.output / f"documents/{domain}/00-ingest"
        if (output / MANIFEST).exists():
            files = Dataset.open(output).files("_merged").values()
            found.update((row["id"], row["into"]) for row in read_rows(files) if row["id"] in ids)
    return found


def _removed(run: RecipeRun) -> set[str]:
    """The ids of all records that ingest left out because a removal names them."""
    found: set[str] = set()
    for domain in run.domains():
        output = run.output / f"documents/{domain}/00-ingest"
        found.update(row["id"] for row in read_rows(dropped_files(output)) if row["reason"] == REMOVED)
    return found


def _packed(output: Path) -> list[Path]:
    """The packed sets that are there, of training and of validation."""
    places = [output / "packed", *sorted((output / "validation").glob("*"))]
    return [path for path in places if (path / MANIFEST).exists()]


def _use(run: RecipeRun, path: Path, ids: Iterable[str]) -> PackedUse:
    dataset = Dataset.open(path, "packed")
    listed = DocumentList(dataset)
    rows = {}
    for id in sorted(ids):
        places = [place.row for document in listed.look(id) for place in document.occurrences]
        if places:
            rows[id] = tuple(places)
    return PackedUse(path.relative_to(run.output).as_posix(), dataset.digest, rows)


def _report_file(output: Path) -> Path:
    folder = output / FOLDER
    folder.mkdir(exist_ok=True)
    return folder / f"{len(list(folder.glob('*.json'))) + 1:04d}.json"


def _save(report: RemovalReport, path: Path) -> None:
    write_atomic(path, json.dumps(asdict(report), indent=1, ensure_ascii=False) + "\n")
