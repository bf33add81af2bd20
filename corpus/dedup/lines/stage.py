"""Level `line`: lines that repeat across documents go (CCNet, arXiv 1911.00359, section 3.1).

Three phases. `hash`: each task writes the key of each of its lines and sorted runs of the distinct keys per document.
`repeats`: for each range of keys, those that two or more documents of the scope have. `rewrite`: each task reads what
it has to remove and writes its documents from the lines that stay. Work and disk grow linearly with the input, memory
does not grow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from corpus.dedup.comparing import ComparingStage
from corpus.dedup.config import LEAST_MEMORY, MAX_DROP
from corpus.dedup.kept import RUN
from corpus.dedup.scope import ScopedTask, scope_bounds, scoped_tasks
from corpus.engine.result import task_directory
from corpus.engine.stage import Estimate, Phase

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pyarrow as pa

    from corpus.data.buffers import Array
    from corpus.engine.commit import Commit
    from corpus.engine.document_stage import DocumentWriter
    from corpus.engine.task import Task

DUPLICATE_LINES = "duplicate lines"
BLANK_TEXT = "blank"
REASONS = {1: "in other documents", 2: "blank", 3: "before in the same document"}
"""Why lines go, by their state in `corpus.dedup.lines.rewrite`."""
_KEYS_FILE, _RANKS_FILE = "keys", "ranks"
_LINE_CHARACTERS = 1000
"""The most characters of a removed line in the report."""
_CHUNK = 1 << 20


@dataclass(frozen=True)
class LineDedupStage(ComparingStage):
    """Removes repeated lines. Order is that of datasets, shards and rows, whatever the workers."""

    name: ClassVar[str] = "dedup"
    default_max_drop: ClassVar[float] = MAX_DROP
    kept_files: ClassVar[tuple[str, ...]] = ()
    """The files of a range of kept keys besides the keys."""

    def work_phases(self) -> tuple[Phase, ...]:
        rewrite = Phase("rewrite", len(self._tasks))
        if self._scope == "document":
            return (rewrite,)
        return Phase("hash", len(self._tasks)), Phase("repeats", self._scopes * self.partitions), rewrite

    def work(self, phase: str, index: int, task: Task) -> None:
        if phase == "repeats":
            self._repeats(index, task)
        elif phase == "hash":
            self._hash(index, task)
        else:
            self._rewrite(index, task)

    def finish(self, commit: Commit) -> None:
        from corpus.dedup.report import write_report

        super().finish(commit)
        write_report(commit, self.settings, self.written_bytes(), self.findings(commit))

    def findings(self, commit: Commit) -> dict[str, Any]:
        """What the report says besides its counts: what was removed for what reason, and the most frequent lines."""
        from corpus.dedup.report import false_merges

        rewrites = commit.results["rewrite"]
        removed = {
            reason: {
                "lines": sum(result.notes["removed"][state][0] for result in rewrites),
                "bytes": sum(result.notes["removed"][state][1] for result in rewrites),
            }
            for state, reason in REASONS.items()
        }
        lines = frequent_lines(
            [result.notes["top"] for result in commit.results.get("repeats", ())],
            [result.notes["texts"] for result in rewrites],
            self.partitions,
        )
        merges = false_merges(self.total(), "lines", self.settings.key_bits)
        return {"removed": removed, "lines": lines} | merges

    def removed_share(self, output: Path) -> float:
        from corpus.dedup.report import removed_share

        return removed_share(output)

    def estimate(self) -> Estimate:
        return Estimate(
            memory=LEAST_MEMORY, disk=self.input_bytes() + (20 * self._words + 4 + 16 * self._ranked) * self.total()
        )

    def total(self) -> int:
        """How many lines are compared: those of the inputs by their manifests, and kept keys."""
        lines = sum(dataset.manifest.totals.get("lines", 0) for dataset in self.datasets)
        return lines + sum(sum(keys.rows) for keys in self.kept)

    @property
    def _words(self) -> int:
        return self.settings.key_bits // 64

    @cached_property
    def _tasks(self) -> list[ScopedTask]:
        return scoped_tasks(self.pieces, self.datasets, self._scope)

    @cached_property
    def _scope(self) -> str:
        return self.settings.resolved.scope or "all"

    @cached_property
    def _bounds(self) -> list[int]:
        return scope_bounds(self._tasks)

    @property
    def _scopes(self) -> int:
        return len(self._bounds) - 1

    @cached_property
    def partitions(self) -> int:
        """Into how many ranges keys are cut."""
        from corpus.dedup.lines.runs import KEYS_PER_PARTITION
        from corpus.dedup.spill import partitions_for

        return partitions_for(self.total() // max(1, self._scopes), KEYS_PER_PARTITION)

    @property
    def _ranked(self) -> bool:
        return self.settings.resolved.keep == "url"

    def _keys(self, text: pa.Array) -> Array[np.uint64]:
        from corpus.dedup.lines.rewrite import line_keys

        settings = self.settings.resolved
        return line_keys(text, settings.normalize or "ccnet", settings.blank_lines == "key", self._words)

    def _hash(self, index: int, task: Task) -> None:
        import numpy as np

        from corpus.dedup.lines.ranks import line_ranks
        from corpus.dedup.lines.runs import KeyRuns

        ranked = self._ranked
        runs = KeyRuns(task.directory, self.partitions, task.memory // 2, self.total(), self._words, ranked)
        ranks: list[Array[np.uint64]] = []
        with (task.directory / _KEYS_FILE).open("wb") as file:
            for batch in self._tasks[index].piece.batches(["id", "text", "url"] if ranked else ["text"]):
                keys = self._keys(batch.column("text"))
                file.write(keys.data)
                listed = keys[:, 0] > 1
                if ranked:
                    ranks.append(line_ranks(batch, old=index < self.old_pieces))
                    runs.add(keys[listed], ranks[-1][listed])
                else:
                    runs.add(keys[listed])
                task.progress(documents=batch.num_rows, bytes=batch.nbytes)
        if ranks:
            np.concatenate(ranks).tofile(task.directory / _RANKS_FILE)
        task.note("runs", runs.close())

    def _repeats(self, index: int, task: Task) -> None:
        from corpus.dedup.lines.runs import find_repeats
        from corpus.dedup.spill import run_paths

        scope, partition = divmod(index, self.partitions)
        results = task.results("hash", range(*self._bounds[scope : scope + 2]))
        files = [*self._kept_runs(), *(run_paths(result.directory, result.notes["runs"]) for result in results)]
        keep_first = self.settings.resolved.keep != "none"
        found = find_repeats(
            task.directory, files, partition, self.partitions, keep_first, task.memory, self._words, self._ranked
        )
        task.note("sections", found.sections)
        task.note("top", found.top)

    def _kept_runs(self) -> list[list[Path]]:
        """The run files of each of the kept keys, which are of one document before all others."""
        return [[folder / RUN for folder in keys.folders()] for keys in self.kept]

    def merge_keys(self, partition: int, task: Task) -> int:
        """Put the distinct keys of a range into one run file (`corpus.dedup.kept`); how many there are."""
        from corpus.dedup.lines.runs import merge_runs
        from corpus.dedup.spill import run_paths

        results = task.results("hash", range(len(self._tasks)))
        files = [path for result in results for path in run_paths(result.directory, result.notes["runs"])]
        return merge_runs(task.directory / RUN, files, partition, self.partitions, task.memory, self._words)

    def _rewrite(self, index: int, task: Task) -> None:
        import numpy as np

        from corpus.data.buffers import text_buffers
        from corpus.dedup.lines.normalize import count_lines

        part = self._tasks[index]
        if index < self.old_pieces:
            task.note("removed", np.zeros((4, 2), dtype=np.int64).tolist())
            task.note("texts", [])
            return
        states, places = (None, {}) if self._scope == "document" else self._states(index, part, task)
        writer = self.writer(task)
        removed = np.zeros((4, 2), dtype=np.int64)
        texts: list[tuple[list[int], str]] = []
        done = 0
        for batch in part.piece.batches():
            text = batch.column("text")
            if states is None:
                state = self._states_alone(text)
            else:
                lines = count_lines(*text_buffers(text))
                state = states[done : done + lines]
                assert len(state) == lines, "the input changed since its lines were hashed"
                met = [place for place in places if done <= place < done + lines]
                found = lines_at(text, [place - done for place in met]) if met else []
                texts += [(places[place], line[:_LINE_CHARACTERS]) for place, line in zip(met, found, strict=True)]
                done += lines
            removed += write_lines(task, writer, batch, state)
            task.progress(documents=batch.num_rows, bytes=text.nbytes)
        task.note("removed", removed.tolist())
        task.note("texts", texts)

    def _states_alone(self, text: pa.Array) -> Array[np.uint8]:
        """The state of each line when only its own document counts."""
        import numpy as np

        from corpus.dedup.lines.rewrite import KeySet, mark

        keys = self._keys(text)
        state = np.zeros(len(keys), dtype=np.uint8)
        mark(keys, KeySet.of(keys[:0]), np.zeros(0, dtype=np.bool_), False, state)
        return state

    def _states(self, index: int, part: ScopedTask, task: Task) -> tuple[Array[np.uint8], dict[int, list[int]]]:
        """The state of every line of a task, a byte each whatever the memory for the keys that go; and where the
        most frequent keys of the scope stand first."""
        import numpy as np

        from corpus.dedup.lines.rewrite import KeySet, first_places, mark
        from corpus.dedup.lines.runs import most_frequent, removals, section_path

        kept = len(self.kept)
        peers = kept + self._bounds[part.scope + 1] - self._bounds[part.scope]
        sections, top = [], []
        first_part = part.scope * self.partitions
        for result in task.results("repeats", range(first_part, first_part + self.partitions)):
            sections += [section_path(result.directory, piece) for piece in range(result.notes["sections"])]
            top += result.notes["top"]
        wanted = np.array(sorted(key for key, _ in most_frequent(top)), np.uint64).reshape(-1, self._words)
        path = task_directory(task.work, "hash", index) / _KEYS_FILE
        size = path.stat().st_size // (8 * self._words)
        state = np.zeros(size, dtype=np.uint8)
        places: dict[int, list[int]] = {}
        for keys, start in _chunks(path, size, self._words):
            for key, place in zip(wanted.tolist(), first_places(keys, wanted).tolist(), strict=True):
                if place >= 0 and key not in places.values():
                    places[start + place] = key
        order = None
        if self._ranked and size:
            order = np.argsort(np.fromfile(path.with_name(_RANKS_FILE), np.uint64), kind="stable")
        for number, pair in enumerate(removals(sections, kept + part.place, peers, task.memory // 4, self._words)):
            for listed, keep_first in zip(map(KeySet.of, pair), (False, True), strict=True):
                if not len(listed.keys) and (number or keep_first):
                    continue  # the first pass says which lines are blank or repeated, whatever is listed
                met = np.zeros(len(listed.keys), dtype=np.bool_)
                if keep_first and order is not None:
                    ranked = state[order]
                    keys = np.fromfile(path, np.uint64).reshape(-1, self._words)[order]
                    mark(keys, listed, met, keep_first, ranked)
                    state[order] = ranked
                    continue
                for keys, start in _chunks(path, size, self._words):
                    mark(keys, listed, met, keep_first, state[start : start + len(keys)])
        return state, places


def _chunks(path: Path, size: int, words: int) -> Iterator[tuple[Array[np.uint64], int]]:
    """The keys of a file of `size` ones, some at a time, and where they begin."""
    import numpy as np

    for start in range(0, size, _CHUNK):
        yield np.fromfile(path, np.uint64, _CHUNK * words, offset=8 * words * start).reshape(-1, words), start


def lines_at(text: pa.Array, numbers: Sequence[int]) -> list[str]:
    """Some lines of a batch by their number among the lines of all its texts."""
    import numpy as np

    from corpus.data.buffers import text_buffers

    data, offsets = text_buffers(text)
    breaks = np.flatnonzero(data[offsets[0] : offsets[-1]] == 10)
    first = np.arange(len(text)) + np.searchsorted(breaks, offsets[:-1] - offsets[0])
    rows = np.searchsorted(first, numbers, side="right") - 1
    return [
        (text[row].as_py() or "").split("\n")[number - int(first[row])]
        for row, number in zip(rows.tolist(), numbers, strict=True)
    ]


def frequent_lines(
    tops: Sequence[Sequence[tuple[list[int], int]]], texts: Sequence[Sequence[tuple[list[int], str]]], partitions: int
) -> list[dict[str, Any]]:
    """The repeated lines that most documents have, [{"line": text, "documents": n}], the most frequent first; the one
    that keeps it, where the first does, is one of the n.

    tops: the most frequent keys of each partition of each scope; texts: where each task first met some of them. With
    several scopes a line counts in those where it is among the most frequent.
    """
    from corpus.dedup.lines.runs import TOP, most_frequent

    counts: dict[tuple[int, ...], int] = {}
    for start in range(0, len(tops), max(1, partitions)):
        for key, number in most_frequent([entry for top in tops[start : start + partitions] for entry in top]):
            counts[tuple(key)] = counts.get(tuple(key), 0) + number
    first: dict[tuple[int, ...], str] = {}
    for met in texts:
        for key, text in met:
            first.setdefault(tuple(key), text)
    met_here = ((key, number) for key, number in counts.items() if key in first)  # not in what is only compared with
    best = sorted(met_here, key=lambda entry: (-entry[1], entry[0]))[:TOP]
    lines = [{"line": first[key], "documents": number} for key, number in best]
    return sorted(lines, key=lambda entry: (-int(entry["documents"]), entry["line"]))


def write_lines(task: Task, writer: DocumentWriter, batch: pa.RecordBatch, state: Array[np.uint8]) -> Array[np.int64]:
    """Write the documents of `batch` made of the lines that stay by `state` (uint8[lines]); drop those left empty.

    Returns `Rewritten.removed`: lines and bytes that are gone, by state.
    """
    import numpy as np
    import pyarrow as pa

    from corpus.data.buffers import text_buffers, text_column
    from corpus.dedup.lines.metadata import with_lines
    from corpus.dedup.lines.rewrite import DUPLICATE, EMPTY, REPEAT, rewrite

    data, offsets = text_buffers(batch.column("text"))
    new = rewrite(data, offsets, state)
    lines = new.kept.bounds[1:] - new.kept.bounds[:-1]
    duplicates = int(new.removed[DUPLICATE, 0] + new.removed[REPEAT, 0])
    reasons = {"duplicate": duplicates, "blank": int(new.removed[EMPTY, 0])}
    task.count("lines", seen=len(state), kept=int(lines.sum()), dropped=reasons)
    full = lines > 0
    task.count(seen=batch.num_rows)
    if not full.all():
        first = np.concatenate(([0], np.cumsum(new.kept.sizes[:, 4])))
        blank = np.add.reduceat(state != EMPTY, first[:-1]) == 0
        for row in np.flatnonzero(~full).tolist():
            reason = BLANK_TEXT if blank[row] else DUPLICATE_LINES
            task.drop(batch.column("id")[row].as_py(), reason, batch.column("text")[row].as_py() or "")
    made = {
        "text": text_column(new.data, np.append(new.bounds[:-1][full], new.bounds[-1])),
        "metadata": with_lines(batch.column("metadata"), new.kept),
    }
    others = batch.select([name for name in batch.schema.names if name not in made])
    others = others if full.all() else others.filter(pa.array(full))
    columns = [made[name] if name in made else others.column(name) for name in batch.schema.names]
    writer.write(pa.RecordBatch.from_arrays(columns, schema=batch.schema))
    return new.removed
