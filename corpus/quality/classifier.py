"""Step `train-classifier`: a fastText classifier that tells documents of one kind from those of another, such as pages that
an encyclopedia cites from random ones (LLaMA, arXiv 2302.13971, section 2.1; RedPajama v1's `data_prep/cc`).

Known faults of the model that RedPajama published are avoided: positives had 1,000 characters at least and negatives any
number, so that length gave the label away; negatives were the first documents of files; positives were not told apart.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc
import xxhash

from corpus.config import check_options
from corpus.data.buffers import Array, text_buffers
from corpus.data.files import sync_file
from corpus.engine.commit import Commit
from corpus.engine.inputs import open_inputs
from corpus.engine.piecewise import ReadingStage
from corpus.engine.stage import Estimate, Phase
from corpus.engine.task import Task
from corpus.errors import DataError
from corpus.option import option
from corpus.quality.heldout_scores import measure, summary_lines

MODEL_FILE = "model.bin"
REPORT = "_report.json"
LABELS = ("negative", "positive")
ALSO_POSITIVE, NOT_CHOSEN = "also positive", "not chosen"
_SURVEY, _SAMPLE = "survey.npy", "sample.arrow"
_SCHEMA = pa.schema([("key", pa.uint64()), ("text", pa.large_string())])
_HELD_OUT_BITS = np.uint64(0xFFFFFFFF)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_MEMORY_PER_BYTE = 6
"""Bytes of memory for a byte of text while the model is trained: the texts as strings, their words as numbers."""


@dataclass(frozen=True)
class TrainClassifierConfig:
    """Settings of train-classifier."""

    documents: int = option(300_000, "Documents of each side at most (RedPajama v1: about 300,000).", least=2)
    match_length: bool = option(
        True, "Whether both sides get the same number of documents of every length, so that length tells nothing."
    )
    holdout: float = option(0.1, "Share of them that the model is not trained on, but measured by.", above=0, most=0.5)
    word_ngrams: int = option(1, "Words of the longest n-grams (fastText: 1).", least=1, most=10)
    buckets: int = option(2_000_000, "Rows for n-grams of words, if there are any (fastText: 2,000,000).", least=1)
    dim: int = option(100, "Numbers in a row (fastText: 100).", least=1, most=10_000)
    rate: float = option(0.1, "Learning rate at the beginning; it falls to 0 (fastText: 0.1).", above=0, most=10)
    epochs: int = option(5, "How often the model sees a document (fastText: 5).", least=1)
    min_count: int = option(1, "Occurrences that a word needs at least (fastText: 1).", least=1)
    seed: int = option(0, "Seed of the choice of documents, their order and the first numbers.", least=0, below=1 << 63)

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class TrainClassifierStage(ReadingStage):
    """Documents in, the first `positives` paths of them positive; a model and a report out."""

    positives: int
    settings: TrainClassifierConfig

    name: ClassVar[str] = "train-classifier"
    kind: ClassVar[str] = "classifier"
    unit: ClassVar[str] = "documents"

    def config(self) -> Mapping[str, Any]:
        return {"positive_inputs": self._positive_inputs, **asdict(self.settings)}

    @property
    def _positive_inputs(self) -> int:
        return len(open_inputs(self.documents[: self.positives]))

    def _side(self, index: int) -> int:
        """1 for a piece of positive documents, else 0."""
        return int(self.pieces[index].dataset < self._positive_inputs)

    def phases(self) -> tuple[Phase, ...]:
        return Phase("survey", len(self.pieces)), Phase("sample", len(self.pieces)), Phase("train", 1)

    def may_be_empty(self) -> bool:
        """A model has no rows."""
        return True

    def estimate(self) -> Estimate:
        """All chosen texts are in memory at once."""
        share = min(1.0, 2 * self.settings.documents / max(1, self.input_rows))
        size = int(share * self.input_bytes())
        return Estimate(memory=max(64_000_000, _MEMORY_PER_BYTE * size), disk=size)

    def run(self, phase: str, index: int, task: Task) -> None:
        {"survey": self._survey, "sample": self._sample, "train": self._train}[phase](index, task)

    def _survey(self, index: int, task: Task) -> None:
        """Key and length of each document of a piece: uint64[2, n]."""
        found = [self._keys(batch) for batch in self.pieces[index].batches(["id", "text"])]
        table = np.concatenate(found, axis=1) if found else np.empty((2, 0), dtype=np.uint64)
        np.save(task.directory / _SURVEY, table)

    def _keys(self, batch: pa.RecordBatch) -> Array[np.uint64]:
        """Of each document the seeded hash of its id, and its length in half octaves of characters."""
        seed = self.settings.seed
        keys = [xxhash.xxh3_64_intdigest(key.encode(), seed) for key in batch.column("id").to_pylist()]
        characters = pc.utf8_length(batch.column("text")).to_numpy(zero_copy_only=False)
        lengths = np.floor(2 * np.log2(np.maximum(characters, 1))) if self.settings.match_length else 0 * characters
        return np.stack([np.array(keys, dtype=np.uint64), lengths.astype(np.uint64)])

    def _choose(self, task: Task) -> tuple[Array[np.uint64], dict[tuple[int, int], int]]:
        """The sorted keys of the positives, and up to which key documents are chosen, by side and length."""
        none = np.empty((2, 0), dtype=np.uint64)
        sides: tuple[list[Array[np.uint64]], list[Array[np.uint64]]] = ([none], [none])
        for index, result in enumerate(task.results("survey", len(self.pieces))):
            sides[self._side(index)].append(np.load(result.directory / _SURVEY))
        negative, positive = (np.concatenate(side, axis=1) for side in sides)
        positives = np.sort(positive[0])
        negative = negative[:, ~np.isin(negative[0], positives)]
        lengths = np.unique(positive[1]).tolist()
        sorted_keys = {
            (side, length): np.sort(table[0][table[1] == length])
            for side, table in enumerate((negative, positive))
            for length in lengths
        }
        both = {length: min(len(sorted_keys[side, length]) for side in (0, 1)) for length in lengths}
        share = min(1.0, self.settings.documents / max(1, sum(both.values())))
        limits = {}
        for (side, length), keys in sorted_keys.items():
            number = int(both[length] * share)
            limits[side, length] = int(keys[number - 1]) if number else -1
        return positives, limits

    def _sample(self, index: int, task: Task) -> None:
        positives, limits = self._choose(task)
        side = self._side(index)
        with pa.ipc.new_file(str(task.directory / _SAMPLE), _SCHEMA) as sink:
            for batch in self.pieces[index].batches(["id", "text"]):
                keys, lengths = self._keys(batch)
                also = np.isin(keys, positives) if side == 0 else np.zeros(len(keys), dtype=np.bool_)
                chosen = np.array(
                    [key <= limits.get((side, length), -1) for key, length in zip(keys.tolist(), lengths.tolist(), strict=True)],
                    dtype=np.bool_,
                ) & ~also  # fmt: skip
                rows = [pa.array(keys[chosen]), batch.column("text").filter(pa.array(chosen)).cast(pa.large_string())]
                sink.write_batch(pa.RecordBatch.from_arrays(rows, schema=_SCHEMA))
                dropped = {ALSO_POSITIVE: int(also.sum()), NOT_CHOSEN: int((~chosen & ~also).sum())}
                task.count(seen=batch.num_rows, kept=int(chosen.sum()), dropped=dropped)
                task.progress(documents=batch.num_rows, bytes=batch.column("text").nbytes)

    def _train(self, index: int, task: Task) -> None:
        from corpus.quality.fasttext.file import read_model
        from corpus.quality.fasttext.model import FastText
        from corpus.quality.fasttext.training import Training, train
        from corpus.quality.fasttext.writing import write_model

        settings = self.settings
        keys, texts, sides = self._chosen(task)
        held = (keys & _HELD_OUT_BITS).astype(np.float64) < settings.holdout * float(1 << 32)
        for rows, what in ((held, "held out"), (~held, "trained on")):
            if len(np.unique(sides[rows])) < 2:
                raise DataError(
                    f"only {int((sides & rows).sum())} positive and {int((~sides & rows).sum())} negative documents can be"
                    f" {what}: give more, or --no-match-length, with --overwrite."
                )
        training = Training(
            settings.dim, settings.rate, settings.epochs, settings.min_count, settings.word_ngrams, settings.buckets,
            settings.seed,
        )  # fmt: skip
        order = np.argsort(keys * _SPREAD, kind="stable")  # the keys themselves are low where few were chosen
        order = order[~held[order]]
        trained = train([texts[n].as_py() for n in order.tolist()], sides[order].astype(int).tolist(), 2, training)
        labels = [(name, int((sides[order] == side).sum())) for side, name in enumerate(LABELS)]
        write_model(task.directory / MODEL_FILE, trained, labels, training)
        model = FastText(read_model(task.directory / MODEL_FILE))
        report = {
            "documents": {
                name: {"trained": number, "held_out": int((sides[held] == side).sum())}
                for side, (name, number) in enumerate(labels)
            },
            "words": len(trained.words),
        }
        answered = texts.filter(pa.array(held))
        found = model.predict(*text_buffers(answered), k=2)
        positive = np.where(found.labels == LABELS.index("positive"), found.probabilities, 0).sum(axis=1)
        report |= measure(np.minimum(positive, 1.0), sides[held])
        (task.directory / REPORT).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        task.note("classifier", report)

    def _chosen(self, task: Task) -> tuple[Array[np.uint64], pa.LargeStringArray, Array[np.bool_]]:
        """Keys, texts and sides of the chosen documents."""
        keys, texts = [np.empty(0, dtype=np.uint64)], [pa.array([], pa.large_string())]
        sides = [np.empty(0, dtype=np.bool_)]
        for index, result in enumerate(task.results("sample", len(self.pieces))):
            with pa.memory_map(str(result.directory / _SAMPLE)) as file:
                batches = pa.ipc.open_file(file).read_all().to_batches()
            keys += [batch.column("key").to_numpy() for batch in batches]
            texts += [batch.column("text") for batch in batches]
            sides += [np.full(batch.num_rows, self._side(index), dtype=np.bool_) for batch in batches]
        return np.concatenate(keys), pa.concat_arrays(texts), np.concatenate(sides)

    def finish(self, commit: Commit) -> None:
        result = commit.results["train"][0]
        for name in (MODEL_FILE, REPORT):
            target = commit.output / name
            shutil.copyfile(result.directory / name, target)
            sync_file(target)
        commit.extra["classifier"] = result.notes["classifier"]


def summary(output: Path) -> list[str]:
    """What a trained classifier is worth, in a few lines."""
    report = json.loads((output / REPORT).read_text(encoding="utf-8"))
    numbers = [f"{number['trained']:,} {name}" for name, number in report["documents"].items()]
    held = sum(number["held_out"] for number in report["documents"].values())
    return [f"trained on {' and '.join(numbers)} documents, measured on {held:,} others", *summary_lines(report)]
