"""Stage `dedup`: lines that repeat across documents go (CCNet, arXiv 1911.00359, section 3.1), or whole documents do.

Three phases. `hash`: each task writes the key of each of its lines and sorted runs of the distinct keys per document.
`repeats`: for each range of keys, those that two or more documents of the scope have. `rewrite`: each task reads what
it has to remove and writes its documents from the lines that stay. Work and disk grow linearly with the input, memory
does not grow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from corpus.dedup.scope import ScopedTask, check_scope, scoped_tasks
from corpus.domains import inherited_domains
from corpus.errors import UsageError
from corpus.option import option
from corpus.stage.documents import dataset_inputs, group_batches, open_inputs, text_bytes
from corpus.stage.stage import Estimate, InputRef, Phase, Stage, task_directory

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from corpus.dedup.normalize import Array
    from corpus.stage.commit import Commit
    from corpus.stage.task import DocumentWriter, Task

DUPLICATE_LINES = "duplicate lines"
BLANK_TEXT = "blank"
_NO_IDS = '"line_ids":[]'
_KEYS_FILE = "keys"
_CHUNK = 1 << 20
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_LEVEL_DEFAULTS: Mapping[str, tuple[str, str]] = {"line": ("ccnet", "none"), "document": ("exact", "first")}

_CHOICES = {
    "level": ("line", "document"),
    "normalize": ("ccnet", "exact"),
    "keep": ("none", "first"),
    "blank_lines": ("collapse", "key"),
}


@dataclass(frozen=True)
class DedupConfig:
    """What counts as equal, where, and what becomes of it."""

    level: Literal["line", "document"] = option("line", "What is compared: each line, or a document's whole text.")
    normalize: Literal["ccnet", "exact"] | None = option(
        None, "What lines are compared by: ccnet (case, digits, some punctuation ignored), the default, or exact."
    )
    keep: Literal["none", "first"] | None = option(
        None, "Which of the lines that repeat across documents stay: none (default, as CCNet), or the first."
    )
    scope: str = option(
        "all", "Where repeats are looked for: all, document, shards:N or P% of the input.", metavar="SCOPE"
    )
    blank_lines: Literal["collapse", "key"] = option(
        "collapse", "Blank lines: runs collapse to one, or key: compared as any line, so that they vanish (as CCNet)."
    )
    shard_bytes: int = option(256_000_000, "Data bytes after which an output shard is closed.")

    def __post_init__(self) -> None:
        check_scope(self.scope)
        for name, known in _CHOICES.items():
            value = getattr(self, name)
            if value not in known and value is not None:
                raise UsageError(f"{name} is '{value}': give {' or '.join(known)}.")
        if self.level == "document":
            if self.normalize == "ccnet" or self.keep == "none":
                raise UsageError(
                    "level document compares exact texts and keeps the first: leave normalize and keep out."
                )
            if self.scope == "document":
                raise UsageError("level document with scope document compares nothing: give scope all.")

    @property
    def resolved(self) -> DedupConfig:
        """With the defaults that depend on the level filled in."""
        normalize, keep = _LEVEL_DEFAULTS[self.level]
        values = asdict(self) | {"normalize": self.normalize or normalize, "keep": self.keep or keep}
        return DedupConfig(**values)


@dataclass(frozen=True)
class DedupStage(Stage):
    """Removes repeated lines or documents. Order is that of datasets, shards and rows, whatever the workers."""

    documents: tuple[str, ...]
    settings: DedupConfig = DedupConfig()
    name: ClassVar[str] = "dedup"
    kind: ClassVar[str] = "documents"
    unit: ClassVar[str] = "documents"

    def config(self) -> Mapping[str, Any]:
        return asdict(self.settings.resolved)

    def inputs(self) -> tuple[InputRef, ...]:
        return dataset_inputs(open_inputs(self.documents))

    def phases(self) -> tuple[Phase, ...]:
        tasks = self._tasks()
        rewrite = Phase("rewrite", len(tasks))
        if self.settings.scope == "document":
            return (rewrite,)
        scopes = 1 + max((task.scope for task in tasks), default=-1)
        return Phase("hash", len(tasks)), Phase("repeats", scopes * self._partitions(scopes)), rewrite

    def run(self, phase: str, index: int, task: Task) -> None:
        if phase == "repeats":
            self._repeats(index, task)
        elif phase == "hash":
            self._hash(self._tasks()[index], task)
        else:
            self._rewrite(index, task)

    def finish(self, commit: Commit) -> None:
        commit.extra["domains"] = inherited_domains(open_inputs(self.documents))

    def input_bytes(self) -> int:
        return text_bytes(open_inputs(self.documents))

    def estimate(self) -> Estimate:
        return Estimate(memory=64_000_000, disk=self.input_bytes() + 24 * self._units())

    def _tasks(self) -> list[ScopedTask]:
        return scoped_tasks(open_inputs(self.documents), self.settings.scope, self.settings.shard_bytes)

    def _units(self) -> int:
        name = "lines" if self.settings.level == "line" else "documents"
        return sum(dataset.manifest.totals.get(name, 0) for dataset in open_inputs(self.documents))

    def _partitions(self, scopes: int) -> int:
        from corpus.dedup.runs import partitions_for

        return partitions_for(self._units() // max(1, scopes))

    def _keys(self, text: pa.Array) -> tuple[Array[np.uint64], Array[np.uint64]]:
        """The keys of a batch's units (lines or documents), and those to look for in other documents."""
        if self.settings.level == "document":
            from corpus.dedup.documents import document_keys

            keys = document_keys(text)
            return keys, keys
        from corpus.dedup.rewrite import line_keys

        settings = self.settings.resolved
        keys = line_keys(text, settings.normalize or "ccnet", settings.blank_lines == "key")
        return keys, keys[keys > 1]

    def _hash(self, part: ScopedTask, task: Task) -> None:
        from corpus.dedup.runs import KeyRuns

        scopes = 1 + max(other.scope for other in self._tasks())
        runs = KeyRuns(task.directory, self._partitions(scopes), task.memory, self._units())
        with (task.directory / _KEYS_FILE).open("wb") as file:
            for batch in group_batches(part.shards, ["text"]):
                keys, compared = self._keys(batch.column("text"))
                file.write(keys.data)
                runs.add(compared)
                task.progress(documents=batch.num_rows, bytes=batch.column("text").nbytes)
        task.note("runs", runs.close())

    def _repeats(self, index: int, task: Task) -> None:
        from corpus.dedup.runs import find_repeats, run_path

        tasks = self._tasks()
        partitions = self._partitions(1 + max(part.scope for part in tasks))
        scope, partition = divmod(index, partitions)
        results = task.results("hash", len(tasks))
        files = [
            [run_path(result.directory, run) for run in range(result.notes["runs"])]
            for part, result in zip(tasks, results, strict=True)
            if part.scope == scope
        ]
        keep_first = self.settings.resolved.keep == "first"
        task.note("sections", find_repeats(task.directory, files, partition, partitions, keep_first, task.memory))

    def _rewrite(self, index: int, task: Task) -> None:
        from corpus.dedup.documents import write_documents
        from corpus.dedup.rewrite import count_units

        part = self._tasks()[index]
        states = None if self.settings.scope == "document" else self._states(index, part, task)
        writer = task.documents(self.settings.shard_bytes)
        done = 0
        for batch in group_batches(part.shards):
            text = batch.column("text")
            if states is None:
                state = self._states_alone(text)
            else:
                units = count_units(text, self.settings.level == "line")
                state = states[done : done + units]
                assert len(state) == units, "the input changed since its lines were hashed"
                done += units
            if self.settings.level == "line":
                write_lines(task, writer, batch, state)
            else:
                write_documents(task, writer, batch, state)
            task.progress(documents=batch.num_rows, bytes=text.nbytes)

    def _states_alone(self, text: pa.Array) -> Array[np.uint8]:
        """The state of each line when only its own document counts."""
        import numpy as np

        from corpus.dedup.rewrite import KeySet, mark

        keys, _ = self._keys(text)
        state = np.zeros(keys.size, dtype=np.uint8)
        mark(keys, KeySet.of(keys[:0]), np.zeros(0, dtype=np.bool_), False, state)
        return state

    def _states(self, index: int, part: ScopedTask, task: Task) -> Array[np.uint8]:
        """The state of every unit of a task: a byte each, whatever the memory for the keys that go."""
        import numpy as np

        from corpus.dedup.rewrite import KeySet, mark
        from corpus.dedup.runs import removals, section_path

        tasks = self._tasks()
        partitions = self._partitions(1 + max(other.scope for other in tasks))
        peers = sum(other.scope == part.scope for other in tasks)
        sections = []
        for number in range(part.scope * partitions, (part.scope + 1) * partitions):
            directory = task_directory(task.work, "repeats", number)
            count = json.loads((directory / "result.json").read_text(encoding="utf-8"))["notes"]["sections"]
            sections += [section_path(directory, piece) for piece in range(count)]
        path = task_directory(task.work, "hash", index) / _KEYS_FILE
        size = path.stat().st_size // 8
        state = np.zeros(size, dtype=np.uint8)
        for gone, first in removals(sections, part.place, peers, task.memory // 4):
            for listed, keep_first in ((KeySet.of(gone), False), (KeySet.of(first), True)):
                met = np.zeros(listed.keys.size, dtype=np.bool_)
                for start in range(0, size, _CHUNK):
                    lines = np.fromfile(path, dtype=np.uint64, count=_CHUNK, offset=8 * start)
                    mark(lines, listed, met, keep_first, state[start : start + lines.size])
        return state


def write_lines(task: Task, writer: DocumentWriter, batch: pa.RecordBatch, state: Array[np.uint8]) -> None:
    """Write the documents of `batch` made of the lines that stay by `state` (uint8[lines]); drop those left empty."""
    import numpy as np
    import pyarrow as pa

    from corpus.dedup.buffers import text_buffers, text_column
    from corpus.dedup.rewrite import DUPLICATE, format_numbers, original_sizes, rewrite

    data, offsets = text_buffers(batch.column("text"))
    new = rewrite(data, offsets, state)
    originals = original_sizes(data, offsets, state).tolist()
    kept = int(new.lines.sum())
    duplicates = int((state == DUPLICATE).sum())
    task.count(
        "lines", seen=len(state), kept=kept, dropped={"duplicate": duplicates, "blank": len(state) - kept - duplicates}
    )
    metadata: list[str] = batch.column("metadata").to_pylist()
    numbers = format_numbers(new.line_ids, np.concatenate(([0], np.cumsum(new.lines))))
    for row, (nlines, length) in enumerate(zip(new.lines.tolist(), new.length.tolist(), strict=True)):
        original_nlines, original_length, repeated = originals[row]
        if nlines:
            sizes = LineSizes(nlines, length, original_nlines, original_length)
            metadata[row] = line_metadata(metadata[row], numbers[row], sizes)
        else:
            reason = DUPLICATE_LINES if repeated else BLANK_TEXT
            task.drop(batch.column("id")[row].as_py(), reason, batch.column("text")[row].as_py() or "")
    full = new.lines > 0
    task.count(seen=batch.num_rows, kept=int(full.sum()))
    columns = {name: batch.column(name) for name in batch.schema.names}
    columns["text"] = text_column(new.data, new.bounds)
    columns["metadata"] = pa.array(metadata, pa.string())
    result = pa.RecordBatch.from_arrays([columns[name] for name in batch.schema.names], schema=batch.schema)
    writer.write(result if full.all() else result.filter(pa.array(full)))


class LineSizes(NamedTuple):
    """Lines and characters of a document, now and before."""

    nlines: int
    length: int
    original_nlines: int
    original_length: int


def line_metadata(text: str, line_ids: str, sizes: LineSizes) -> str:
    """A document's metadata with CCNet's fields: line_ids (numbers of the kept lines in the original text, here given
    as `0,2,5`), nlines, length, original_nlines, original_length. A document that was deduplicated before keeps its
    originals, and its numbers still say where a line was at first."""
    value: dict[str, Any] = json.loads(text)
    earlier = value.get("line_ids")
    if isinstance(earlier, list) and len(earlier) == sizes.original_nlines:
        line_ids = ",".join(str(earlier[int(number)]) for number in line_ids.split(","))
    value.setdefault("original_nlines", sizes.original_nlines)
    value.setdefault("original_length", sizes.original_length)
    value.update(line_ids=[], nlines=sizes.nlines, length=sizes.length)
    # the list is put in as text, which is many times faster; inside strings quotes are escaped, so only a nested
    # object can look like the place where it belongs
    result = _ENCODER.encode(value)
    if result.count(_NO_IDS) > 1:
        value["line_ids"] = [int(number) for number in line_ids.split(",")]
        return _ENCODER.encode(value)
    return result.replace(_NO_IDS, f'"line_ids":[{line_ids}]')
