"""The phases of train-lm that go from words to the lines of a model: count, adjust, contexts, interpolate.

Nothing but the vocabulary has to fit into memory: n-grams go from phase to phase in sorted runs (`runs.py`), three times
over the disk.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from corpus.data.buffers import Array
from corpus.engine.task import Task
from corpus.quality.lm.arpa_writer import Vocabulary
from corpus.quality.lm.blocks import as_grams, by_context, no_rows, row_blocks, sentence_blocks
from corpus.quality.lm.counts import BEGIN, COUNTED, UNKNOWN, Adjustment, sentence_ngrams
from corpus.quality.lm.discounts import discount_table
from corpus.quality.lm.pieces import load_pieces, vocabulary
from corpus.quality.lm.probabilities import discounted, interpolated, unigrams
from corpus.quality.lm.runs import RowKind, Rows, RowWriter, Run, merged, runs_of

PIECES_MODEL = "sp.model"
WORDS, SURFACES, STARTS = "words", "surfaces.json", "starts"
"""What the phases before leave: the words of each task, what the pieces do not know, where partitions begin."""
_UNIGRAMS = "unigrams"
_BLOCK_BYTES = 1 << 18


def pieces_model(task: Task) -> Any:
    """The SentencePiece model that the phase `pieces` trained."""
    return load_pieces(task.results("pieces", 1)[0].directory / PIECES_MODEL)


@dataclass(frozen=True)
class Estimation:
    """N-grams up to `order` of words that `tasks` tasks encoded, worked on in `partitions` ranges of words."""

    order: int
    tasks: int
    partitions: int

    def _surfaces(self, task: Task) -> list[str]:
        found = json.loads((task.results("vocabulary", 1)[0].directory / SURFACES).read_text(encoding="utf-8"))
        return list(found)

    def _kind(self, task: Task, width: int, keys: int) -> RowKind:
        return RowKind(width, keys, task.results("vocabulary", 1)[0].notes["bits"])

    def _writer(self, task: Task, name: str, kind: RowKind, memory: int, add: bool = False) -> RowWriter:
        starts = np.fromfile(task.results("vocabulary", 1)[0].directory / STARTS, np.int64)
        return RowWriter(task.directory / name, kind, starts, memory, add)

    def _runs(self, task: Task, phase: str, tasks: int, name: str, partition: int) -> list[Run]:
        """The rows of a partition in the runs `name` of all tasks of a phase."""
        return [
            run
            for result in task.results(phase, tasks)
            for run in runs_of(result.directory / name, result.notes["runs"][name], partition, self.partitions)
        ]

    def count(self, index: int, task: Task) -> None:
        """The n-grams of the highest order, sorted by their words from the last on."""
        order = self.order
        encoded = task.results("encode", self.tasks)[index].directory
        own = json.loads((encoded / SURFACES).read_text(encoding="utf-8"))
        places = {surface: place for place, surface in enumerate(self._surfaces(task))} if own else {}
        first = np.fromfile(encoded / STARTS, np.int64).size
        numbers = np.array([*range(first), *(first + places[surface] for surface in own)], np.uint32)
        writer = self._writer(task, "ngrams", self._kind(task, order + 1, order), task.memory, add=True)
        for words in sentence_blocks(encoded / WORDS):
            writer.add(sentence_ngrams(numbers[words], order))
            task.progress()
        task.note("runs", {"ngrams": writer.close()})

    def adjust(self, index: int, task: Task) -> None:
        """Adjusted counts of the n-grams that end in a word of the partition, sorted by their contexts."""
        order = self.order
        kind = self._kind(task, order + 1, order)
        runs = self._runs(task, "count", self.tasks, "ngrams", index)
        writers = [
            self._writer(task, f"contexts-{n}", self._kind(task, n + 1, n), task.memory // order)
            for n in range(2, order + 1)
        ]
        adjustment = Adjustment(order)
        with (task.directory / _UNIGRAMS).open("wb") as file:

            def write(found: list[Rows]) -> None:
                file.write(np.ascontiguousarray(found[0]).data)
                for n, writer in enumerate(writers, 2):
                    writer.add(by_context(found[n - 1], n))

            if index == 0:
                write([np.array([[UNKNOWN, 0], [BEGIN, 0]], np.uint32), *(no_rows(n) for n in range(2, order + 1))])
            for rows in merged(runs, kind, task.memory // order, add=True):
                write(adjustment.add(rows))
                task.progress()
            write(adjustment.close())
        task.note("stats", adjustment.stats.tolist())
        task.note("runs", {f"contexts-{n}": writer.close() for n, writer in enumerate(writers, 2)})

    def _stats(self, task: Task) -> Array[np.int64]:
        """Of each order the counts of counts, see `Adjustment`."""
        total: Array[np.int64] = np.zeros((self.order, COUNTED + 2), np.int64)
        for result in task.results("adjust", self.partitions):
            total += np.array(result.notes["stats"], np.int64)
        return total

    def contexts(self, index: int, task: Task) -> None:
        """The n-grams whose context ends in a word of the partition, discounted; and the contexts with their weights."""
        table, _ = discount_table(self._stats(task)[:, :COUNTED].tolist())
        runs = {}
        for n in range(2, self.order + 1):
            kind = self._kind(task, n + 1, n)
            found = self._runs(task, "adjust", self.partitions, f"contexts-{n}", index)
            writer = self._writer(task, f"ngrams-{n}", self._kind(task, n + 2, n), task.memory // 2)
            with (task.directory / f"weights-{n - 1}").open("wb") as file:
                for grams, weights in discounted(merged(found, kind, task.memory // 4), table[n - 1]):
                    writer.add(grams)
                    file.write(np.ascontiguousarray(weights).data)
                    task.progress()
            runs[f"ngrams-{n}"] = writer.close()
        task.note("runs", runs)

    def interpolate(self, index: int, task: Task) -> None:
        """The lines of the model for the n-grams that end in a word of the partition."""
        order = self.order
        stats = self._stats(task)
        table, _ = discount_table(stats[:, :COUNTED].tolist())
        words = Vocabulary(vocabulary(pieces_model(task), self._surfaces(task)))
        adjusted = task.results("adjust", self.partitions)[index].directory
        contexts = task.results("contexts", self.partitions)[index].directory
        part = max(_BLOCK_BYTES, task.memory // 8)
        counts = []
        for n in range(1, order + 1):
            weights = row_blocks(contexts / f"weights-{n}", n + 1, part) if n < order else iter(())
            below: Iterator[Rows]
            if n == 1:
                read = row_blocks(adjusted / _UNIGRAMS, 2, part)
                below = (as_grams(unigrams(rows, table[0], stats[0])) for rows in read)
                lower = iter([np.zeros((1, 1), np.uint32)])
            else:
                runs = self._runs(task, "contexts", self.partitions, f"ngrams-{n}", index)
                below = merged(runs, self._kind(task, n + 2, n), task.memory // 4)
                lower = row_blocks(task.directory / f"probabilities-{n - 1}", n, part)
            counts.append(self._write_order(task, interpolated(below, lower, weights, n), n, words))
        for n in range(1, order):
            (task.directory / f"probabilities-{n}").unlink()
        task.note("ngrams", counts)

    def _write_order(
        self, task: Task, found: Iterator[tuple[Rows, Array[np.float32]]], n: int, words: Vocabulary
    ) -> int:
        highest = n == self.order
        number = 0
        path = task.directory / f"probabilities-{n}"
        with path.open("wb") as kept, (task.directory / f"arpa-{n}").open("wb") as file:
            for rows, backoffs in found:
                number += len(rows)
                file.write(words.lines(rows, backoffs, highest))
                if not highest:
                    kept.write(rows.data)
                task.progress()
        if highest:
            path.unlink()
        return number
