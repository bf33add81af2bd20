"""The base of stages from documents to documents, and the stage that does nothing but run document maps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.data.buffers import breaks_and_bytes
from corpus.data.columns import Column, conform, document_schema, merge_columns
from corpus.data.dataset import Dataset
from corpus.data.manifest import Counts
from corpus.engine.commit import Commit
from corpus.engine.document_map import DocumentBatch, DocumentMap, stays_of, titles
from corpus.engine.inputs import inherited_domains, inherited_sample
from corpus.engine.piecewise import PiecewiseStage
from corpus.engine.stage import InputRef, Phase
from corpus.engine.task import Task

_PART_BYTES = 1_000_000
BYTES_BEFORE = "bytes before maps"
MAP_UNIT = "documents of map "
"""The accounting of a map in a chain is kept in a unit of its own; the commit moves it to `extra.maps` of the manifest."""


class DocumentWriter:
    """Runs documents through the maps of a stage, writes those that stay, and adds them up.

    It counts what it writes as kept (in the stage's unit), and adds to the totals `documents`, `lines` and `bytes`.
    """

    def __init__(self, task: Task, schema: pa.Schema, maps: tuple[DocumentMap, ...] = (), **writer: Any) -> None:
        self._task = task
        self._schema = schema
        self._maps = tuple(zip(titles(maps), maps, strict=True))
        for step in maps:
            step.prepare()
        if maps:
            task.loaded()
        self._writer = task.writer(schema, **writer)

    def write(self, data: pa.RecordBatch) -> None:
        """Add documents; open columns that they lack are null."""
        if not self._maps:
            self._write(data)
            return
        data = conform(data, self._schema)
        self._task.total(**{BYTES_BEFORE: breaks_and_bytes(data.column("text"))[1]})
        for part in _parts(data):
            self._write(self._map(part))

    def _write(self, data: pa.RecordBatch) -> None:
        if not data.num_rows:
            return
        self._writer.write(conform(data, self._schema))
        breaks, size = breaks_and_bytes(data.column("text"))
        self._task.count(kept=data.num_rows)
        self._task.total(documents=data.num_rows, lines=breaks + data.num_rows, bytes=size)

    def _map(self, data: pa.RecordBatch) -> pa.RecordBatch:
        batch = DocumentBatch(data)
        for title, step in self._maps:
            seen = batch.num_rows
            out = step.apply(batch)
            stays, reasons = stays_of(out.reasons, seen)
            changed = batch.with_columns(out.columns)
            if stays is not None:
                self._drop(title, step.unlisted, batch, reasons)
                changed = changed.filter(stays)
            dropped: dict[str, int] = {}
            for reason in filter(None, reasons):
                dropped[reason] = dropped.get(reason, 0) + 1
            self._task.count(MAP_UNIT + title, seen=seen, kept=changed.num_rows, dropped=dropped)
            batch = changed
            if not batch.num_rows:
                break
        return batch.rows

    def _drop(self, title: str, unlisted: frozenset[str], batch: DocumentBatch, reasons: list[str | None]) -> None:
        self._task.count(dropped={reason: reasons.count(reason) for reason in unlisted})
        for row, reason in enumerate(reasons):
            if reason is not None and reason not in unlisted:
                id, text = batch.column("id")[row].as_py(), batch.column("text")[row].as_py()
                self._task.drop(id, reason, text, title)


def _parts(data: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Parts of a batch of about `_PART_BYTES` of text: what maps remember of a text is many times its size."""
    sizes = np.cumsum(pc.binary_length(data.column("text")).to_numpy(zero_copy_only=False).astype(np.int64))
    begin = 0
    while begin < data.num_rows:
        before = int(sizes[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(sizes, before + _PART_BYTES, side="right")))
        yield data.slice(begin, end - begin)
        begin = end


def _named(value: Any, names: Mapping[str, Any]) -> Any:
    """A configuration with the directories of other datasets replaced by what the recipe calls them: no path is in a
    manifest, and the dataset itself is among the inputs."""
    if isinstance(value, Mapping):
        return {key: _named(entry, names) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_named(entry, names) for entry in value]
    return names.get(value, value) if isinstance(value, str) else value


@dataclass(frozen=True)
class DocumentStage(PiecewiseStage):
    """Documents in, documents out. What is written runs through `maps`."""

    kind: ClassVar[str] = "documents"
    unit: ClassVar[str] = "documents"

    maps: tuple[DocumentMap, ...] = field(default=(), kw_only=True)
    reads: tuple[tuple[str, str], ...] = field(default=(), kw_only=True)
    """Other datasets that settings name: what the recipe calls each (`domain/step`), and its directory."""

    def check(self) -> None:
        super().check()
        schema = document_schema(self.columns)  # they have one type each
        for step in self.maps:
            step.check_columns(schema)

    def notice(self) -> str:
        return "; ".join(filter(None, (step.notice() for step in self.maps)))

    def inputs(self) -> tuple[InputRef, ...]:
        others = ((name, Dataset.open(path).digest) for name, path in self.reads)
        return (*super().inputs(), *(InputRef(name, digest, digest) for name, digest in others))

    def step_config(self) -> Mapping[str, Any]:
        """The configuration of the stage's own work: by default all fields of the stage but its inputs and maps."""
        names = [entry.name for entry in dataclasses.fields(self) if entry.name not in ("documents", "maps", "reads")]
        values: dict[str, Any] = {name: getattr(self, name) for name in names}
        return {
            name: asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
            for name, value in values.items()
        }

    def own_columns(self) -> tuple[Column, ...]:
        """The open columns that the stage's own work adds."""
        return ()

    def config(self) -> Mapping[str, Any]:
        names = titles(self.maps)
        maps = [{"map": name} | step.config() for name, step in zip(names, self.maps, strict=True)]
        config = dict(self.step_config()) | ({"maps": maps} if maps else {})
        named: dict[str, Any] = _named(config, {path: {"step": name} for name, path in self.reads})
        return named

    def input_paths(self) -> tuple[Path, ...]:
        others = (Path(path) for _, path in self.reads)
        return (*super().input_paths(), *others, *(path for step in self.maps for path in step.files().values()))

    @property
    def written(self) -> tuple[Dataset, ...]:
        """The input datasets whose documents are written; a stage may read others to compare with."""
        return self.datasets

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The open columns of the output: those of the inputs, of the stage and of its maps."""
        inherited = [dataset.manifest.columns for dataset in self.written]
        return merge_columns([*inherited, self.own_columns(), *(step.columns for step in self.maps)])

    def writer(self, task: Task) -> DocumentWriter:
        """The writer of a task of the last phase."""
        return DocumentWriter(task, document_schema(self.columns), self.maps, piece=True)

    def finish(self, commit: Commit) -> None:
        commit.extra |= {"domains": inherited_domains(self.written), **inherited_sample(self.written)}
        commit.columns = self.columns
        commit.own_counts = commit.counts
        commit.own_bytes = commit.totals.get("bytes", 0)
        if unlisted := {reason for step in self.maps for reason in step.unlisted}:
            commit.extra["unlisted"] = sorted(unlisted)
        if self.maps:
            self._account_maps(commit)

    def _account_maps(self, commit: Commit) -> None:
        """Move the accounting of the maps to the manifest's `maps`, and take it out of the stage's own."""
        parts = {name: commit.counts.pop(MAP_UNIT + name, Counts()) for name in titles(self.maps)}
        commit.extra["maps"] = [{"map": name, "counts": counts.to_json()} for name, counts in parts.items()]
        total = commit.counts[self.unit]
        dropped = dict(total.dropped)
        for reason, number in (pair for counts in parts.values() for pair in counts.dropped.items()):
            dropped[reason] -= number
        own = Counts(
            total.seen,
            next(iter(parts.values())).seen,
            total.merged,
            {reason: number for reason, number in dropped.items() if number},
            total.quarantined,
        )
        commit.own_counts = commit.counts | {self.unit: own}
        commit.own_bytes = commit.totals.pop(BYTES_BEFORE, 0)


@dataclass(frozen=True)
class StageKind:
    """What a recipe makes a stage from: its configuration, and how the stage is made from documents and settings."""

    config: type[Any]
    make: Callable[[tuple[str, ...], Any], DocumentStage]


@dataclass(frozen=True)
class MapStage(DocumentStage):
    """Documents through a chain of maps; `name` is that of the steps it stands for, as langid+filter."""

    name: str = "map"
    independent: ClassVar[bool] = True

    def step_config(self) -> Mapping[str, Any]:
        return {}

    def work_phases(self) -> tuple[Phase, ...]:
        return (Phase("map", len(self.pieces)),)

    def work(self, phase: str, index: int, task: Task) -> None:
        writer = self.writer(task)
        for batch in self.pieces[index].batches():
            task.count(seen=batch.num_rows)
            writer.write(batch)
            task.progress(documents=batch.num_rows, bytes=pc.sum(pc.binary_length(batch.column("text"))).as_py() or 0)
