"""Trains a language model as CCNet's: SentencePiece pieces as words, n-grams with modified Kneser-Ney smoothing.

The result is what lmplz estimates of the same pieces, interpolated, without pruning. Nothing but the vocabulary has to
fit into memory: n-grams go from phase to phase in sorted runs (`runs.py`), three times over the disk. `count` sorts the
n-grams of the highest order by their last words, `adjust` finds the counts of the lower orders there and sorts all by
their contexts, `contexts` discounts and sorts by the last words again, `interpolate` goes up from words.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import xxhash

from corpus.config import check_options
from corpus.data.buffers import Array
from corpus.data.files import sync_file
from corpus.engine.commit import Commit
from corpus.engine.piecewise import ReadingStage
from corpus.engine.stage import Estimate, Phase
from corpus.engine.task import Task
from corpus.errors import DataError, UsageError
from corpus.option import option, option_required
from corpus.quality.lm.arpa import Vocabulary
from corpus.quality.lm.counts import BEGIN, COUNTED, END, MOST_ORDER, UNKNOWN, Adjustment, sentence_ngrams
from corpus.quality.lm.discounts import discount_table
from corpus.quality.lm.normalize import normalize
from corpus.quality.lm.pieces import SPECIAL, WordNumbers, load_pieces, parts, train_pieces, vocabulary
from corpus.quality.lm.probabilities import discounted, interpolated, unigrams
from corpus.quality.lm.runs import RowKind, Rows, RowWriter, Run, merged, runs_of

PIECES_MODEL = "sp.model"
LANGUAGE_MODEL = "lm.arpa"
REPORT = "_report.json"
OTHER_LANGUAGE = "another language"
NO_TEXT = "no text"
_SAMPLE, _WORDS, _SURFACES, _STARTS, _UNIGRAMS = "sample.txt", "words", "surfaces.json", "starts", "unigrams"
_MEMORY_PER_BYTE = 28
"""Bytes of memory per byte of sample while SentencePiece trains a unigram model."""
_PARTITION_BYTES = 1 << 25
_MOST_PARTITIONS = 1024
_MOST_WORDS = (1 << 32) - 1
_BLOCK_WORDS = 1 << 18


@dataclass(frozen=True)
class TrainLmConfig:
    """Settings of train-lm."""

    language: str = option_required("Language of the model, as langid names it; documents of another one do not count.")
    sentences: str = option(
        "line",
        "What a sentence is: a line, or a document with its line ends deleted, as CCNet scores pages.",
        choices=("line", "document"),
    )
    vocab_size: int = option(65_536, "Pieces at most (CCNet: 65,536); a small text gives fewer.", least=8)
    order: int = option(5, "Words of the longest n-grams (CCNet: 5).", least=2, most=MOST_ORDER)
    sample_bytes: int = option(100_000_000, "About how many bytes of text to train the pieces on.", least=1)
    seed: int = option(0, "Seed of the choice of these documents.", least=0, below=1 << 64)

    def __post_init__(self) -> None:
        check_options(self)
        if not self.language or Path(self.language).name != self.language or self.language.startswith((".", "_")):
            raise UsageError(f"language is {self.language!r}: give a code such as en, which names the model's folder.")


@dataclass(frozen=True)
class TrainLmStage(ReadingStage):
    """Documents in; `sp.model`, `lm.arpa` and a report out."""

    settings: TrainLmConfig

    name: ClassVar[str] = "train-lm"
    kind: ClassVar[str] = "lm"
    unit: ClassVar[str] = "documents"

    def config(self) -> Mapping[str, Any]:
        return asdict(self.settings)

    @property
    def partitions(self) -> int:
        """Ranges of words, in which the n-grams that end with them are worked on."""
        return min(_MOST_PARTITIONS, max(1, -(-self.input_bytes() // _PARTITION_BYTES)))

    def phases(self) -> tuple[Phase, ...]:
        pieces, ranges = len(self.pieces), self.partitions
        by_piece = (Phase("sample", pieces), Phase("pieces", 1), Phase("encode", pieces), Phase("vocabulary", 1))
        return (*by_piece, Phase("count", pieces), *(Phase(n, ranges) for n in ("adjust", "contexts", "interpolate")))

    def may_be_empty(self) -> bool:
        """A model has no rows."""
        return True

    def estimate(self) -> Estimate:
        """SentencePiece holds its whole sample; n-grams take about 30 times the text on the disk."""
        size = min(self.settings.sample_bytes, self.input_bytes())
        return Estimate(memory=max(64_000_000, _MEMORY_PER_BYTE * size), disk=30 * self.input_bytes())

    def run(self, phase: str, index: int, task: Task) -> None:
        {
            "sample": self._sample,
            "pieces": self._pieces,
            "encode": self._encode,
            "vocabulary": self._vocabulary,
            "count": self._count,
            "adjust": self._adjust,
            "contexts": self._contexts,
            "interpolate": self._interpolate,
        }[phase](index, task)

    # the text

    def _texts(self, index: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
        return self.pieces[index].batches([*columns, "text", "language"])

    def _is_other(self, language: str | None) -> bool:
        return language is not None and language != self.settings.language

    def _sentences(self, text: str) -> list[str]:
        lines = text.split("\n") if self.settings.sentences == "line" else [text]
        return [sentence for line in lines if (sentence := normalize(line))]

    def _sample(self, index: int, task: Task) -> None:
        """Sentences of the documents whose keyed hash is low."""
        rate = min(1.0, self.settings.sample_bytes / max(1, self.input_bytes()))
        limit = int(rate * (1 << 64))
        with (task.directory / _SAMPLE).open("w", encoding="utf-8") as file:
            for batch in self._texts(index, ["id"]):
                for row in batch.to_pylist():
                    chosen = xxhash.xxh3_64_intdigest(row["id"].encode(), seed=self.settings.seed) < limit
                    if chosen and not self._is_other(row["language"]):
                        for sentence in self._sentences(row["text"]):
                            file.writelines(part + "\n" for part in parts(sentence))
                task.progress(documents=batch.num_rows, bytes=batch.column("text").nbytes)

    def _pieces(self, index: int, task: Task) -> None:
        paths = [result.directory / _SAMPLE for result in task.results("sample", len(self.pieces))]
        if not any(path.stat().st_size for path in paths):
            raise DataError(
                f"the documents have no text in {self.settings.language} to train pieces on: check --language, or ask for"
                " more --sample-bytes, with --overwrite."
            )
        model = train_pieces(_lines(paths), self.settings.vocab_size)
        (task.directory / PIECES_MODEL).write_bytes(model)

    def _pieces_model(self, task: Task) -> Any:
        return load_pieces(task.results("pieces", 1)[0].directory / PIECES_MODEL)

    def _encode(self, index: int, task: Task) -> None:
        """The words of all sentences in numbers of this task, and how many of each there are."""
        numbers = WordNumbers(self._pieces_model(task))
        counts: Array[np.int64] = np.zeros(0, np.int64)
        sentences = 0
        with (task.directory / _WORDS).open("wb") as file:
            for batch in self._texts(index, []):
                dropped = {OTHER_LANGUAGE: 0, NO_TEXT: 0}
                for row in batch.to_pylist():
                    words = np.zeros(0, np.uint32)
                    if self._is_other(row["language"]):
                        dropped[OTHER_LANGUAGE] += 1
                    elif not len(words := numbers.words(found := self._sentences(row["text"]))):
                        dropped[NO_TEXT] += 1
                    else:
                        sentences += len(found)
                    file.write(words.data)
                    counts = _add(counts, np.bincount(words))
                kept = batch.num_rows - sum(dropped.values())
                task.count(seen=batch.num_rows, kept=kept, dropped=dropped)
                task.progress(documents=batch.num_rows, bytes=batch.column("text").nbytes)
        (task.directory / _SURFACES).write_text(json.dumps(numbers.surfaces), encoding="utf-8")
        known, total = len(SPECIAL) + numbers.pieces, int(counts.sum())
        with (task.directory / _STARTS).open("wb") as file:
            file.write(_add(np.zeros(known, np.int64), counts[:known]).data)
        task.note("words", total)
        task.note("sentences", sentences)

    def _vocabulary(self, index: int, task: Task) -> None:
        """All that the model does not know, in order, and the words at which partitions begin."""
        surfaces: set[str] = set()
        counts: Array[np.int64] = np.zeros(0, np.int64)
        total = 0
        for result in task.results("encode", len(self.pieces)):
            surfaces.update(json.loads((result.directory / _SURFACES).read_text(encoding="utf-8")))
            counts = _add(counts, np.fromfile(result.directory / _STARTS, np.int64))
            total += result.notes["words"]
        if not total:
            raise DataError(f"the documents have no text in {self.settings.language}: check --language.")
        if total > _MOST_WORDS:
            raise DataError(
                f"the text has {total:,} pieces, of which a model is made of 4.2 billion at most: give fewer."
            )
        (task.directory / _SURFACES).write_text(json.dumps(sorted(surfaces)), encoding="utf-8")
        shares = np.arange(1, self.partitions) * (total / self.partitions)
        starts = np.concatenate(([0], np.searchsorted(np.cumsum(counts), shares, side="right"))).astype(np.int64)
        (task.directory / _STARTS).write_bytes(starts.data)
        task.note("bits", int(len(counts) + len(surfaces)).bit_length())

    def _surfaces(self, task: Task) -> list[str]:
        found = json.loads((task.results("vocabulary", 1)[0].directory / _SURFACES).read_text(encoding="utf-8"))
        return list(found)

    # the n-grams

    def _kind(self, task: Task, width: int, keys: int) -> RowKind:
        return RowKind(width, keys, task.results("vocabulary", 1)[0].notes["bits"])

    def _writer(self, task: Task, name: str, kind: RowKind, memory: int, add: bool = False) -> RowWriter:
        starts = np.fromfile(task.results("vocabulary", 1)[0].directory / _STARTS, np.int64)
        return RowWriter(task.directory / name, kind, starts, memory, add)

    def _runs(self, task: Task, phase: str, tasks: int, name: str, partition: int) -> list[Run]:
        """The rows of a partition in the runs `name` of all tasks of a phase."""
        return [
            run
            for result in task.results(phase, tasks)
            for run in runs_of(result.directory / name, result.notes["runs"][name], partition, self.partitions)
        ]

    def _count(self, index: int, task: Task) -> None:
        """The n-grams of the highest order, sorted by their words from the last on."""
        order = self.settings.order
        encoded = task.results("encode", len(self.pieces))[index].directory
        own = json.loads((encoded / _SURFACES).read_text(encoding="utf-8"))
        places = {surface: place for place, surface in enumerate(self._surfaces(task))} if own else {}
        first = np.fromfile(encoded / _STARTS, np.int64).size
        numbers = np.array([*range(first), *(first + places[surface] for surface in own)], np.uint32)
        writer = self._writer(task, "ngrams", self._kind(task, order + 1, order), task.memory, add=True)
        for words in _sentence_blocks(encoded / _WORDS):
            writer.add(sentence_ngrams(numbers[words], order))
            task.progress()
        task.note("runs", {"ngrams": writer.close()})

    def _adjust(self, index: int, task: Task) -> None:
        """Adjusted counts of the n-grams that end in a word of the partition, sorted by their contexts."""
        order = self.settings.order
        kind = self._kind(task, order + 1, order)
        runs = self._runs(task, "count", len(self.pieces), "ngrams", index)
        writers = [
            self._writer(task, f"contexts-{n}", self._kind(task, n + 1, n), task.memory // order)
            for n in range(2, order + 1)
        ]
        adjustment = Adjustment(order)
        with (task.directory / _UNIGRAMS).open("wb") as file:

            def write(found: list[Rows]) -> None:
                file.write(np.ascontiguousarray(found[0]).data)
                for n, writer in enumerate(writers, 2):
                    writer.add(_by_context(found[n - 1], n))

            if index == 0:
                write([np.array([[UNKNOWN, 0], [BEGIN, 0]], np.uint32), *(_no_rows(n) for n in range(2, order + 1))])
            for rows in merged(runs, kind, task.memory // order, add=True):
                write(adjustment.add(rows))
                task.progress()
            write(adjustment.close())
        task.note("stats", adjustment.stats.tolist())
        task.note("runs", {f"contexts-{n}": writer.close() for n, writer in enumerate(writers, 2)})

    def _stats(self, task: Task) -> Array[np.int64]:
        """Of each order the counts of counts, see `Adjustment`."""
        total: Array[np.int64] = np.zeros((self.settings.order, COUNTED + 2), np.int64)
        for result in task.results("adjust", self.partitions):
            total += np.array(result.notes["stats"], np.int64)
        return total

    def _contexts(self, index: int, task: Task) -> None:
        """The n-grams whose context ends in a word of the partition, discounted; and the contexts with their weights."""
        table, _ = discount_table(self._stats(task)[:, :COUNTED].tolist())
        runs = {}
        for n in range(2, self.settings.order + 1):
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

    def _interpolate(self, index: int, task: Task) -> None:
        """The lines of the model for the n-grams that end in a word of the partition."""
        order = self.settings.order
        stats = self._stats(task)
        table, _ = discount_table(stats[:, :COUNTED].tolist())
        words = Vocabulary(vocabulary(self._pieces_model(task), self._surfaces(task)))
        adjusted = task.results("adjust", self.partitions)[index].directory
        contexts = task.results("contexts", self.partitions)[index].directory
        part = max(_BLOCK_WORDS, task.memory // 8)
        counts = []
        for n in range(1, order + 1):
            weights = _blocks(contexts / f"weights-{n}", n + 1, part) if n < order else iter(())
            below: Iterator[Rows]
            if n == 1:
                read = _blocks(adjusted / _UNIGRAMS, 2, part)
                below = (_as_grams(unigrams(rows, table[0], stats[0])) for rows in read)
                lower = iter([np.zeros((1, 1), np.uint32)])
            else:
                runs = self._runs(task, "contexts", self.partitions, f"ngrams-{n}", index)
                below = merged(runs, self._kind(task, n + 2, n), task.memory // 4)
                lower = _blocks(task.directory / f"probabilities-{n - 1}", n, part)
            counts.append(self._write_order(task, interpolated(below, lower, weights, n), n, words))
        for n in range(1, order):
            (task.directory / f"probabilities-{n}").unlink()
        task.note("ngrams", counts)

    def _write_order(
        self, task: Task, found: Iterator[tuple[Rows, Array[np.float32]]], n: int, words: Vocabulary
    ) -> int:
        highest = n == self.settings.order
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

    # the result

    def finish(self, commit: Commit) -> None:
        """Put the model together from the parts of its partitions, and say what it is."""
        order = self.settings.order
        pieces = commit.output / PIECES_MODEL
        shutil.copyfile(commit.results["pieces"][0].directory / PIECES_MODEL, pieces)
        sync_file(pieces)
        results = commit.results["interpolate"]
        numbers = [sum(result.notes["ngrams"][n] for result in results) for n in range(order)]
        target = commit.output / LANGUAGE_MODEL
        with target.open("wb") as file:
            file.write(b"\\data\\\n" + b"".join(b"ngram %d=%d\n" % (n, k) for n, k in enumerate(numbers, 1)))
            for n in range(1, order + 1):
                file.write(b"\n\\%d-grams:\n" % n)
                for result in results:
                    with (result.directory / f"arpa-{n}").open("rb") as part:
                        shutil.copyfileobj(part, file, 1 << 20)
            file.write(b"\n\\end\\\n")
        sync_file(target)
        stats = np.sum([np.array(result.notes["stats"]) for result in commit.results["adjust"]], axis=0)
        table, fallen = discount_table(stats[:, :COUNTED].tolist())
        report = {
            "language": self.settings.language,
            "sentences": sum(result.notes["sentences"] for result in commit.results["encode"]),
            "words": sum(result.notes["words"] for result in commit.results["encode"]),
            "pieces": load_pieces(pieces).get_piece_size(),
            "ngrams": numbers,
            "discounts": [[round(float(value), 6) for value in row[1:]] for row in table],
            "fallback_discounts": fallen,
        }
        (commit.output / REPORT).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        sync_file(commit.output / REPORT)
        commit.extra["lm"] = report


def summary(report: Mapping[str, Any]) -> str:
    """What a trained model is, in two lines."""
    numbers = ", ".join(f"{number:,} {n}-grams" for n, number in enumerate(report["ngrams"], 1))
    fallen = ", ".join(map(str, report["fallback_discounts"]))
    said = f"; too little text for discounts of order {fallen}: fixed ones are taken" if fallen else ""
    return (
        f"{report['words']:,} words of {report['sentences']:,} sentences, {report['pieces']:,} pieces\n{numbers}{said}"
    )


def _lines(paths: list[Path]) -> Iterator[str]:
    for path in paths:
        with path.open(encoding="utf-8", newline="\n") as file:
            for line in file:
                yield line.removesuffix("\n")


def _add(first: Array[np.int64], second: Array[np.int64]) -> Array[np.int64]:
    """Two counts of words, of which one may know more of them."""
    longer, shorter = (first, second) if len(first) >= len(second) else (second, first)
    total = longer.astype(np.int64)
    total[: len(shorter)] += shorter
    return total


def _sentence_blocks(path: Path) -> Iterator[Array[np.uint32]]:
    """The words of a file in blocks of whole sentences."""
    held: Array[np.uint32] = np.zeros(0, np.uint32)
    with path.open("rb") as file:
        while data := file.read(4 * _BLOCK_WORDS):
            held = np.concatenate([held, np.frombuffer(data, np.uint32)])
            ends = np.flatnonzero(held == END)
            if len(ends):
                yield held[: ends[-1] + 1]
                held = held[ends[-1] + 1 :]


def _blocks(path: Path, width: int, size: int) -> Iterator[Rows]:
    """The rows of a file, about `size` bytes at a time."""
    with path.open("rb") as file:
        while data := file.read(size // (4 * width) * 4 * width):
            yield np.frombuffer(data, np.uint32).reshape(-1, width)


def _by_context(rows: Rows, n: int) -> Rows:
    """N-grams with the last word after its context instead of before it."""
    return np.ascontiguousarray(rows[:, [*range(1, n), 0, n]])


def _no_rows(n: int) -> Rows:
    return np.zeros((0, n + 1), np.uint32)


def _as_grams(rows: Rows) -> Rows:
    """Words with their probabilities as n-grams that get nothing of a lower order."""
    found: Rows = np.zeros((len(rows), 3), np.uint32)
    found[:, :2] = rows
    return found
