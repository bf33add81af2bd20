"""Trains a language model as CCNet's: SentencePiece pieces as words, n-grams with modified Kneser-Ney smoothing.

The result is what lmplz estimates of the same pieces, interpolated, without pruning. The phases from the text to words are
here, those from words to the model in `estimation.py`: `count` sorts the n-grams of the highest order by their last words,
`adjust` finds the counts of the lower orders there and sorts all by their contexts, `contexts` discounts and sorts by the
last words again, `interpolate` goes up from words.
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
import pyarrow.compute as pc
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
from corpus.quality.lm.blocks import add_counts, text_lines
from corpus.quality.lm.counts import COUNTED, MOST_ORDER
from corpus.quality.lm.discounts import discount_table
from corpus.quality.lm.estimation import PIECES_MODEL, STARTS, SURFACES, WORDS, Estimation, pieces_model
from corpus.quality.lm.normalize import normalize
from corpus.quality.lm.pieces import SPECIAL, WordNumbers, load_pieces, parts, train_pieces
from corpus.quality.no_model import NO_MODEL

LANGUAGE_MODEL = "lm.arpa"
REPORT = "_report.json"
OTHER_LANGUAGE = "another language"
NO_TEXT = "no text"
NOT_CHOSEN = "not chosen"
TOO_LITTLE = "too little text for a model"
_SAMPLE = "sample.txt"
_MEMORY_PER_BYTE = 28
"""Bytes of memory per byte of sample while SentencePiece trains a unigram model."""
_PARTITION_BYTES = 1 << 25
_MOST_PARTITIONS = 1024
_MOST_WORDS = (1 << 32) - 1


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
    sample_bytes: int = option(
        100_000_000, "About how many bytes of the language's text to train the pieces on.", least=1
    )
    text_bytes: int = option(
        0,
        "About how many bytes of the language's text to count n-grams in, of documents by their hashes; 0: all.",
        least=0,
    )
    min_text: int = option(
        0,
        "With less text in the language no model is made, and rules that name this output judge nothing; 0: without any"
        " text it is an error.",
        least=0,
        unit="bytes",
    )
    seed: int = option(0, "Seed of the choice of documents.", least=0, below=1 << 64)

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
        size = min(self.settings.text_bytes or self.input_bytes(), self.input_bytes())
        return min(_MOST_PARTITIONS, max(1, -(-size // _PARTITION_BYTES)))

    def phases(self) -> tuple[Phase, ...]:
        pieces, ranges = len(self.pieces), self.partitions
        first = (Phase("measure", pieces), Phase("sample", pieces), Phase("pieces", 1))
        return (
            *first,
            Phase("encode", pieces),
            Phase("vocabulary", 1),
            Phase("count", pieces),
            *(Phase(n, ranges) for n in ("adjust", "contexts", "interpolate")),
        )

    def may_be_empty(self) -> bool:
        """A model has no rows."""
        return True

    def estimate(self) -> Estimate:
        """SentencePiece holds its whole sample; n-grams take about 30 times the text on the disk."""
        text = min(self.settings.text_bytes or self.input_bytes(), self.input_bytes())
        size = min(self.settings.sample_bytes, text)
        return Estimate(memory=max(64_000_000, _MEMORY_PER_BYTE * size), disk=30 * text)

    def run(self, phase: str, index: int, task: Task) -> None:
        if phase not in ("measure", "sample", "pieces") and NO_MODEL in task.results("pieces", 1)[0].notes:
            if phase == "encode":
                rows = self.pieces[index].rows
                task.count(seen=rows, dropped={TOO_LITTLE: rows})
            return
        estimation = Estimation(self.settings.order, len(self.pieces), self.partitions)
        {
            "measure": self._measure,
            "sample": self._sample,
            "pieces": self._pieces,
            "encode": self._encode,
            "vocabulary": self._vocabulary,
            "count": estimation.count,
            "adjust": estimation.adjust,
            "contexts": estimation.contexts,
            "interpolate": estimation.interpolate,
        }[phase](index, task)

    def _texts(self, index: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
        return self.pieces[index].batches([*columns, "text", "language"])

    def _is_other(self, language: str | None) -> bool:
        return language is not None and language != self.settings.language

    def _sentences(self, text: str) -> list[str]:
        lines = text.split("\n") if self.settings.sentences == "line" else [text]
        return [sentence for line in lines if (sentence := normalize(line))]

    def _size(self, task: Task) -> int:
        """Bytes of text in the language."""
        return sum(result.notes["bytes"] for result in task.results("measure", len(self.pieces)))

    def _limit(self, size: int, task: Task) -> int:
        """The hashes of ids below it are of about `size` bytes of the language's text; 0: of all."""
        return int(min(1.0, size / max(1, self._size(task))) * (1 << 64)) if size else 1 << 64

    def _rank(self, id: str) -> int:
        return xxhash.xxh3_64_intdigest(id.encode(), seed=self.settings.seed)

    def _measure(self, index: int, task: Task) -> None:
        """How many bytes of text the language has: what the documents are drawn by."""
        size = 0
        for batch in self._texts(index, []):
            other = pc.fill_null(pc.not_equal(batch.column("language"), self.settings.language), False)
            sizes = pc.binary_length(batch.column("text").filter(pc.invert(other)))
            size += pc.sum(sizes, min_count=0).as_py()
            task.progress(documents=batch.num_rows, bytes=batch.column("text").nbytes)
        task.note("bytes", size)

    def _sample(self, index: int, task: Task) -> None:
        """Sentences of the documents whose keyed hash is low."""
        limit = min(self._limit(size, task) for size in (self.settings.sample_bytes, self.settings.text_bytes))
        with (task.directory / _SAMPLE).open("w", encoding="utf-8") as file:
            for batch in self._texts(index, ["id"]):
                for row in batch.to_pylist():
                    if self._is_other(row["language"]):
                        continue
                    if self._rank(row["id"]) < limit:
                        for sentence in self._sentences(row["text"]):
                            file.writelines(part + "\n" for part in parts(sentence))
                task.progress(documents=batch.num_rows, bytes=batch.column("text").nbytes)

    def _pieces(self, index: int, task: Task) -> None:
        results = task.results("sample", len(self.pieces))
        size, least = self._size(task), self.settings.min_text
        if size < least:
            task.note(NO_MODEL, f"{size:,} bytes of text in {self.settings.language}, fewer than {least:,}")
            return
        paths = [result.directory / _SAMPLE for result in results]
        if not any(path.stat().st_size for path in paths):
            raise DataError(
                f"the documents have no text in {self.settings.language} to train pieces on: check --language, or ask for"
                " more --sample-bytes."
            )
        model = train_pieces(text_lines(paths), self.settings.vocab_size)
        (task.directory / PIECES_MODEL).write_bytes(model)

    def _encode(self, index: int, task: Task) -> None:
        """The words of all sentences in numbers of this task, and how many of each there are."""
        numbers, limit = WordNumbers(pieces_model(task)), self._limit(self.settings.text_bytes, task)
        counts: Array[np.int64] = np.zeros(0, np.int64)
        sentences = 0
        with (task.directory / WORDS).open("wb") as file:
            for batch in self._texts(index, ["id"]):
                dropped = {OTHER_LANGUAGE: 0, NO_TEXT: 0, NOT_CHOSEN: 0}
                for row in batch.to_pylist():
                    words = np.zeros(0, np.uint32)
                    if self._is_other(row["language"]):
                        dropped[OTHER_LANGUAGE] += 1
                    elif self._rank(row["id"]) >= limit:
                        dropped[NOT_CHOSEN] += 1
                    elif not len(words := numbers.words(found := self._sentences(row["text"]))):
                        dropped[NO_TEXT] += 1
                    else:
                        sentences += len(found)
                    file.write(words.data)
                    counts = add_counts(counts, np.bincount(words))
                kept = batch.num_rows - sum(dropped.values())
                task.count(seen=batch.num_rows, kept=kept, dropped=dropped)
                task.progress(documents=batch.num_rows, bytes=batch.column("text").nbytes)
        (task.directory / SURFACES).write_text(json.dumps(numbers.surfaces), encoding="utf-8")
        known, total = len(SPECIAL) + numbers.pieces, int(counts.sum())
        with (task.directory / STARTS).open("wb") as file:
            file.write(add_counts(np.zeros(known, np.int64), counts[:known]).data)
        task.note("words", total)
        task.note("sentences", sentences)

    def _vocabulary(self, index: int, task: Task) -> None:
        """All that the model does not know, in order, and the words at which partitions begin."""
        surfaces: set[str] = set()
        counts: Array[np.int64] = np.zeros(0, np.int64)
        total = 0
        for result in task.results("encode", len(self.pieces)):
            surfaces.update(json.loads((result.directory / SURFACES).read_text(encoding="utf-8")))
            counts = add_counts(counts, np.fromfile(result.directory / STARTS, np.int64))
            total += result.notes["words"]
        if not total:
            raise DataError(f"the documents have no text in {self.settings.language}: check --language.")
        if total > _MOST_WORDS:
            raise DataError(
                f"the text has {total:,} pieces, of which a model is made of 4.2 billion at most: give fewer."
            )
        (task.directory / SURFACES).write_text(json.dumps(sorted(surfaces)), encoding="utf-8")
        shares = np.arange(1, self.partitions) * (total / self.partitions)
        starts = np.concatenate(([0], np.searchsorted(np.cumsum(counts), shares, side="right"))).astype(np.int64)
        (task.directory / STARTS).write_bytes(starts.data)
        task.note("bits", int(len(counts) + len(surfaces)).bit_length())

    def finish(self, commit: Commit) -> None:
        """Put the model together from the parts of its partitions, and say what it is."""
        if no_model := commit.results["pieces"][0].notes.get(NO_MODEL):
            self._report(commit, {"language": self.settings.language, NO_MODEL: no_model})
            return
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
        self._report(commit, report)

    def _report(self, commit: Commit, report: dict[str, Any]) -> None:
        (commit.output / REPORT).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        sync_file(commit.output / REPORT)
        commit.extra["lm"] = report


def summary(report: Mapping[str, Any]) -> str:
    """What a trained model is, in two lines, or why there is none."""
    if NO_MODEL in report:
        return f"no model ({report[NO_MODEL]}): rules that name it judge nothing"
    numbers = ", ".join(f"{number:,} {n}-grams" for n, number in enumerate(report["ngrams"], 1))
    fallen = ", ".join(map(str, report["fallback_discounts"]))
    said = f"; the counts of order {fallen} give no discounts: fixed ones are taken" if fallen else ""
    return (
        f"{report['words']:,} words of {report['sentences']:,} sentences, {report['pieces']:,} pieces\n{numbers}{said}"
    )
