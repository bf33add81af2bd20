"""The way of a record through every stage of a run, from the datasets and their trails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpus.data.dataset import Dataset, read_rows
from corpus.data.packed import PackedRows
from corpus.data.trail import sample_files
from corpus.data.verify import PLAN, find_datasets, read_plan
from corpus.errors import UsageError
from corpus.explain.lookup import find_dropped, find_merged, find_row, find_unreadable, tasks_of
from corpus.ingest.files import shown
from corpus.mixture.trace import Trace

if TYPE_CHECKING:
    from corpus.explain.lines import RemovedLine

_WALKED = ("documents", "tokens", "packed")
KEPT, DROPPED, MERGED, UNREADABLE, OTHER_SIDE, UNUSED = (
    "kept",
    "dropped",
    "merged",
    "unreadable",
    "other side",
    "unused",
)
"""What becomes of a record at a stage. `other side`: the stage leaves it to another one that reads the same input."""


@dataclass(frozen=True)
class Stop:
    """What became of a record at one stage."""

    output: str
    """The dataset that the stage wrote, below the output of the run."""
    stage: str
    verdict: str
    reason: str = ""
    """Why it was dropped or set aside, or the document that it was merged into."""
    map: str = ""
    """The map of the stage that dropped it; empty for the stage itself."""
    row: Mapping[str, Any] | None = None
    """The document or its ids as the stage wrote them; None where it wrote none or they are gone."""
    gone: bool = False
    """Whether `corpus clean` removed the rows."""
    replayed: str = ""
    """Where the row comes from, if not from the dataset: a cleaned one has none."""
    removed: tuple[RemovedLine, ...] | None = ()
    """The lines that line dedup removed; None where that cannot be known any more."""
    sequences: tuple[Mapping[str, int], ...] = ()
    """Where it lies in packed sequences: row, epoch, position, start, length."""


def _domains(dataset: Dataset) -> list[str]:
    """The names of a dataset's domains; a packed set has a line of its table for each."""
    found = dataset.manifest.extra.get("domains") or []
    return [str(entry["domain"]) if isinstance(entry, dict) else str(entry) for entry in found]


@dataclass
class Run:
    """The datasets of a run, each after those it was made from."""

    path: Path
    reread: Callable[[str], str | None] | None = None
    """Gives the text of a raw record by its id, where its rows were cleaned; None: it is not to be had."""
    datasets: list[Dataset] = field(init=False)

    def __post_init__(self) -> None:
        planned = (self.path / PLAN).exists()
        paths = [self.path / name for name in read_plan(self.path)["outputs"]] if planned else find_datasets(self.path)
        opened = [Dataset.open(path) for path in paths if (path / "manifest.json").exists()]
        self.datasets = _ordered([dataset for dataset in opened if dataset.manifest.kind in _WALKED])
        self._by_digest = {dataset.digest: dataset for dataset in self.datasets}
        if not self.datasets:
            raise UsageError(f"{shown(self.path)} holds no finished dataset: give the output of corpus run.")

    @property
    def domains(self) -> list[str]:
        """The domains of the datasets that were read from raw files."""
        sources = (dataset for dataset in self.datasets if not self.inputs(dataset))
        return list(dict.fromkeys(name for dataset in sources for name in _domains(dataset)))

    def inputs(self, dataset: Dataset) -> list[Dataset]:
        """The datasets of the run that a dataset was made from, in order."""
        found = (self._by_digest.get(entry["digest"]) for entry in dataset.manifest.inputs)
        return [source for source in found if source is not None]

    def name(self, dataset: Dataset) -> str:
        """The path of a dataset below the run."""
        return dataset.path.relative_to(self.path).as_posix()

    def way(self, id: str) -> list[Stop]:
        """What became of the record at every stage that met it, in order; empty where the run never had it."""
        kept: dict[str, Mapping[str, Any] | None] = {}
        stops: list[Stop] = []
        befores: list[tuple[Dataset, Mapping[str, Any] | None]] = []
        for dataset in self.datasets:
            inputs = self.inputs(dataset)
            met = [source for source in inputs if source.digest in kept]
            if not met and (inputs or id.partition("/")[0] not in _domains(dataset)):
                continue
            before = kept[met[0].digest] if met else None
            stop = (
                self._packed(dataset, id)
                if dataset.manifest.kind == "packed"
                else self._stop(dataset, inputs, before, id)
            )
            if stop is None:
                continue
            if stop.gone and stop.row is None and not inputs and self.reread is not None:
                text = self.reread(id)
                if text is not None:
                    stop = replace(stop, row={"id": id, "text": text}, replayed="read again from the raw file")
            stops.append(stop)
            befores.append((dataset, before))
            if stop.verdict == KEPT:
                kept[dataset.digest] = stop.row
        stops = self._replayed(stops, befores)
        # a cleaned dataset alone does not say that the record was there
        met_it = any(stop.row is not None or stop.verdict not in (KEPT, OTHER_SIDE) for stop in stops)
        return stops if met_it else []

    def _stop(
        self, dataset: Dataset, inputs: Sequence[Dataset], before: Mapping[str, Any] | None, id: str
    ) -> Stop | None:
        name, stage = self.name(dataset), dataset.manifest.stage
        tasks = tasks_of(dataset, inputs, id)
        row = None if dataset.cleaned else find_row(dataset, id)
        unlisted = dataset.manifest.extra.get("unlisted", ())
        if row is None:
            entry = find_dropped(dataset, tasks, id)
            if entry is None and not unlisted and not dataset.cleaned:
                entry = find_dropped(dataset, None, id)  # a stage with tasks of its own
            if entry is not None:
                lines = self._removed(dataset, before, None, entry["map"])
                return Stop(name, stage, DROPPED, entry["reason"], entry["map"], removed=lines)
            if not inputs and (merged := find_merged(dataset, tasks, id)):
                return Stop(name, stage, MERGED, merged["into"])
            if not inputs and (unreadable := find_unreadable(dataset, tasks, id)):
                return Stop(name, stage, UNREADABLE, unreadable["reason"])
            if not dataset.cleaned:
                return Stop(name, stage, OTHER_SIDE) if unlisted else None
        return Stop(name, stage, KEPT, row=row, gone=dataset.cleaned, removed=self._removed(dataset, before, row, ""))

    def _replayed(self, stops: list[Stop], befores: Sequence[tuple[Dataset, Mapping[str, Any] | None]]) -> list[Stop]:
        """The stops, those at a cleaned line dedup with what it removed, where the text before it is there and a later row,
        which says what it kept, too; with the text after it, where that is what the later row has."""
        found = list(stops)
        for number, (stop, (dataset, before)) in enumerate(zip(stops, befores, strict=True)):
            later = next((s.row for s in stops[number + 1 :] if s.row is not None and "text" in s.row), None)
            if stop.removed is not None or stop.verdict != KEPT or before is None or later is None:
                continue
            lines = self._removed(dataset, before, later, "")
            if lines is None:
                continue
            gone = {line.number for line in lines}
            text = "\n".join(line for at, line in enumerate(before["text"].split("\n")) if at not in gone)
            row = {"id": before["id"], "text": text} if text == later["text"] else None
            found[number] = replace(
                stop, removed=lines, row=row, replayed="put together from what is left" if row else ""
            )
        return found

    def _removed(
        self, dataset: Dataset, before: Mapping[str, Any] | None, row: Mapping[str, Any] | None, map: str
    ) -> tuple[RemovedLine, ...] | None:
        """What line dedup removed of the text `before`; None where either text is gone."""
        config = dataset.manifest.config
        if not (config.get("level") == "line" and "normalize" in config):
            return ()
        from corpus.explain.lines import kept_lines, removed_lines  # kernels, which take a while to load

        if before is None or map or (row is None and dataset.cleaned):
            return None
        kept = kept_lines(before["text"], row)
        return None if kept is None else tuple(removed_lines(before["text"], kept, config))

    def _packed(self, dataset: Dataset, id: str) -> Stop:
        (entry,) = Trace(PackedRows(dataset.path)).document(id)
        name, stage = self.name(dataset), dataset.manifest.stage
        return Stop(name, stage, KEPT if entry["rows"] else UNUSED, sequences=tuple(entry["rows"]))

    def sample(self, stop: Stop, id: str) -> str | None:
        """The text of a dropped record, if it is among the samples of its stage."""
        for row in read_rows(sample_files(self.path / stop.output)):
            if row["id"] == id:
                return str(row["text"])
        return None

    def ids_of(self, query: str) -> Iterator[str]:
        """The ids that a query can mean: an id, or a raw file and record with or without the folders above."""
        domains = self.domains
        if query.partition("/")[0] in domains:
            yield query
        parts = query.split("/")
        for number, part in enumerate(parts[:-1]):
            if number and part in domains:
                yield "/".join(parts[number:])
        yield from (f"{domain}/{query}" for domain in domains)


def _ordered(datasets: Sequence[Dataset]) -> list[Dataset]:
    """The datasets, each after those of them that it was made from."""
    left, done, ordered = list(datasets), set[str](), list[Dataset]()
    digests = {dataset.digest for dataset in left}
    while left:
        ready = [d for d in left if all(e["digest"] not in digests or e["digest"] in done for e in d.manifest.inputs)]
        assert ready, "a dataset is made from itself"
        ordered += ready
        done.update(dataset.digest for dataset in ready)
        left = [dataset for dataset in left if dataset not in ready]
    return ordered
