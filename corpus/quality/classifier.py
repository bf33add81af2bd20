"""Step `train-classifier`: a fastText classifier that tells documents of one kind from those of another, such as pages that
an encyclopedia cites from random ones (LLaMA, arXiv 2302.13971, section 2.1; RedPajama v1's `data_prep/cc`).

Known faults of the model that RedPajama published are avoided: positives had 1,000 characters at least and negatives any
number, so that length gave the label away; negatives were the first documents of files; positives were not told apart.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc
import xxhash

from corpus.config import check_options
from corpus.data.buffers import Array, text_buffers
from corpus.data.dataset import check_listed
from corpus.data.files import checksum, sync_file
from corpus.engine.commit import Commit
from corpus.engine.inputs import open_inputs
from corpus.engine.piecewise import ReadingStage
from corpus.engine.stage import Estimate, InputRef, Phase
from corpus.engine.task import Task
from corpus.errors import DataError
from corpus.option import option
from corpus.quality.heldout_scores import measure, summary_lines
from corpus.quality.no_model import NO_MODEL
from corpus.quality.rules.cited import links_file, listed, load_links

MODEL_FILE = "model.bin"
REPORT = "_report.json"
LABELS = ("negative", "positive")
ALSO_POSITIVE, NOT_CHOSEN, OTHER_LANGUAGE = "also positive", "not chosen", "another language"
_SURVEY, _POSITIVES, _SAMPLE = "survey.npy", "positives.npy", "sample.arrow"
_SCHEMA = pa.schema([("key", pa.uint64()), ("text", pa.large_string()), ("positive", pa.bool_())])
_HELD_OUT_BITS = np.uint64(0xFFFFFFFF)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_LARGEST = (1 << 64) - (1 << 11)
"""The greatest key that a float reaches."""
_SURVEYED = 50
"""So many negative documents are surveyed for each that is wanted, since lengths have to be matched."""
_MEMORY_PER_BYTE = 6
"""Bytes of memory for a byte of text while the model is trained: the texts as strings, their words as numbers."""


@dataclass(frozen=True)
class TrainClassifierConfig:
    """Settings of train-classifier."""

    cited: str = option(
        "",
        "Links, as corpus references writes them: the negative documents that have one of these URLs are the positive ones.",
        metavar="PATH",
    )
    min_positives: int = option(
        1000, "With --cited: where fewer documents are cited, the positive documents count instead.", least=1
    )
    language: str = option("", "Only documents of this language, or without one; none: all.")
    min_documents: int = option(
        0,
        "With fewer chosen documents of a side no model is made, and a rule that names this output judges nothing; 0: too few"
        " to train and measure are an error.",
        least=0,
    )
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
class _Choice:
    """Which documents a model is trained on and measured by."""

    positives: Array[np.uint64]
    """The keys of all that are positive, ascending: none of them is negative."""
    limits: Mapping[tuple[int, int], int]
    """By side (1: positive) and length the greatest key that is chosen."""
    documents: int
    """How many of each side."""
    cited: int
    """How many of the negative documents are cited."""
    cited_count: bool
    """Whether these are the positive ones."""


@dataclass(frozen=True)
class TrainClassifierStage(ReadingStage):
    """Documents in, the first `positives` paths of them positive; a model and a report out."""

    positives: int
    settings: TrainClassifierConfig

    name: ClassVar[str] = "train-classifier"
    kind: ClassVar[str] = "classifier"
    unit: ClassVar[str] = "documents"

    def config(self) -> Mapping[str, Any]:
        return {"positive_inputs": self._positive_inputs, **asdict(self.settings)} | {"cited": bool(self._links)}

    def inputs(self) -> tuple[InputRef, ...]:
        digests = [checksum(check_listed(self._links))] if self._links else []
        return (*super().inputs(), *(InputRef("cited", digest, digest) for digest in digests))

    @property
    def _links(self) -> Path | None:
        return links_file(Path(self.settings.cited)) if self.settings.cited else None

    def input_paths(self) -> tuple[Path, ...]:
        return (*super().input_paths(), *((Path(self.settings.cited),) if self.settings.cited else ()))

    @cached_property
    def _positive_inputs(self) -> int:
        return len(open_inputs(self.documents[: self.positives])) if self.positives else 0

    def _is_positive(self, index: int) -> bool:
        """Whether a piece is of positive documents."""
        return self.pieces[index].dataset < self._positive_inputs

    def phases(self) -> tuple[Phase, ...]:
        pieces = len(self.pieces)
        return Phase("survey", pieces), Phase("choose", 1), Phase("sample", pieces), Phase("train", 1)

    def may_be_empty(self) -> bool:
        """A model has no rows."""
        return True

    def estimate(self) -> Estimate:
        """All chosen texts are in memory at once."""
        share = min(1.0, 2 * self.settings.documents / max(1, self.input_rows))
        size = int(share * self.input_bytes())
        return Estimate(memory=max(64_000_000, _MEMORY_PER_BYTE * size), disk=size)

    def run(self, phase: str, index: int, task: Task) -> None:
        {"survey": self._survey, "choose": self._choose, "sample": self._sample, "train": self._train}[phase](
            index, task
        )

    def _survey(self, index: int, task: Task) -> None:
        """Of each document of a piece its key, its length and whether it is cited: uint64[3, n]; not of other languages, and
        of negative ones only as many as can be needed."""
        found = [self._keys(batch) for batch in self._batches(index)]
        table = np.concatenate(found, axis=1) if found else np.empty((3, 0), dtype=np.uint64)
        if not self._is_positive(index):
            negative = sum(dataset.manifest.rows for dataset in self.datasets[self._positive_inputs :])
            share = _SURVEYED * self.settings.documents / max(1, negative)
            table = table[:, (table[0] <= np.uint64(min(1.0, share) * _LARGEST)) | (table[2] == 1)]
        np.save(task.directory / _SURVEY, table)

    def _batches(self, index: int) -> Iterator[pa.RecordBatch]:
        """The documents of a piece in the language."""
        columns = ["id", "text", *(["url"] if self._links else []), *(["language"] if self.settings.language else [])]
        for batch in self.pieces[index].batches(columns):
            if self.settings.language:
                own = pc.equal(batch.column("language"), self.settings.language)
                batch = batch.filter(pc.fill_null(own, True))
            yield batch

    def _keys(self, batch: pa.RecordBatch) -> Array[np.uint64]:
        """Of each document the seeded hash of its id, its length in half octaves of characters, and whether it is cited."""
        seed = self.settings.seed
        keys = [xxhash.xxh3_64_intdigest(key.encode(), seed) for key in batch.column("id").to_pylist()]
        characters = pc.utf8_length(batch.column("text")).to_numpy(zero_copy_only=False)
        lengths = np.floor(2 * np.log2(np.maximum(characters, 1))) if self.settings.match_length else 0 * characters
        links = self._links
        cited = listed(batch.column("url").to_pylist(), load_links(links)) if links else np.zeros(len(keys), np.bool_)
        return np.stack([np.array(keys, dtype=np.uint64), lengths.astype(np.uint64), cited.astype(np.uint64)])

    def _choose(self, index: int, task: Task) -> None:
        """Which documents are positive, and up to which key documents are chosen, by side and length."""
        none = np.empty((3, 0), dtype=np.uint64)
        sides: tuple[list[Array[np.uint64]], list[Array[np.uint64]]] = ([none], [none])
        for piece, result in enumerate(task.results("survey", len(self.pieces))):
            sides[self._is_positive(piece)].append(np.load(result.directory / _SURVEY))
        random, positive = (np.concatenate(side, axis=1) for side in sides)
        cited = random[:, random[2] == 1]
        enough = self._links is not None and cited.shape[1] >= self.settings.min_positives
        positive = cited if enough else positive
        positives = np.sort(np.concatenate([positive[0], cited[0]]))
        negative = random[:, ~np.isin(random[0], positives)]
        lengths = np.unique(positive[1]).tolist()
        sorted_keys = {
            (side, length): np.sort(table[0][table[1] == length])
            for side, table in enumerate((negative, positive))
            for length in lengths
        }
        both = {length: min(len(sorted_keys[side, length]) for side in (0, 1)) for length in lengths}
        share = min(1.0, self.settings.documents / max(1, sum(both.values())))
        limits = []
        for (side, length), keys in sorted_keys.items():
            number = int(both[length] * share)
            limits.append([side, length, int(keys[number - 1]) if number else -1])
        np.save(task.directory / _POSITIVES, positives)
        task.note("limits", limits)
        task.note("documents", sum(int(both[length] * share) for length in lengths))
        task.note("cited", cited.shape[1])
        task.note("cited_count", enough)

    def _choice(self, task: Task) -> _Choice:
        result = task.results("choose", 1)[0]
        notes = result.notes
        limits = {(side, length): limit for side, length, limit in notes["limits"]}
        positives = np.load(result.directory / _POSITIVES)
        return _Choice(positives, limits, notes["documents"], notes["cited"], notes["cited_count"])

    def _sample(self, index: int, task: Task) -> None:
        choice = self._choice(task)
        known, rows = self._is_positive(index), 0
        with pa.ipc.new_file(str(task.directory / _SAMPLE), _SCHEMA) as sink:
            for batch in self._batches(index):
                keys, lengths, cited = self._keys(batch)
                positive = np.full(len(keys), known) if not choice.cited_count else (cited == 1) & (not known)
                also = ~positive & np.isin(keys, choice.positives) & (not known)
                pairs = zip(positive.tolist(), keys.tolist(), lengths.tolist(), strict=True)
                low = [key <= choice.limits.get((int(side), length), -1) for side, key, length in pairs]
                # where the cited ones count, those of the positive inputs do not
                chosen = np.array(low, dtype=np.bool_) & ~also & (positive | (not known))
                picked = pa.array(chosen)
                texts = batch.column("text").filter(picked).cast(pa.large_string())
                columns = [pa.array(keys[chosen]), texts, pa.array(positive[chosen])]
                sink.write_batch(pa.RecordBatch.from_arrays(columns, schema=_SCHEMA))
                dropped = {ALSO_POSITIVE: int(also.sum()), NOT_CHOSEN: int((~chosen & ~also).sum())}
                task.count(seen=batch.num_rows, kept=int(chosen.sum()), dropped=dropped)
                task.progress(documents=batch.num_rows, bytes=batch.column("text").nbytes)
                rows += batch.num_rows
        others = self.pieces[index].rows - rows
        task.count(seen=others, dropped={OTHER_LANGUAGE: others})

    def _train(self, index: int, task: Task) -> None:
        from corpus.quality.fasttext.file import read_model
        from corpus.quality.fasttext.model import FastText
        from corpus.quality.fasttext.training import Training, train
        from corpus.quality.fasttext.writing import write_model

        settings, choice = self.settings, self._choice(task)
        positives = (
            {"cited": choice.cited, "positives": "cited" if choice.cited_count else "given"} if self._links else {}
        )
        if choice.documents < settings.min_documents:
            said = f"{choice.documents:,} documents of each side, fewer than {settings.min_documents:,}"
            self._report(task, {NO_MODEL: said} | positives)
            return
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
        self._report(task, report | positives)

    def _report(self, task: Task, report: dict[str, Any]) -> None:
        (task.directory / REPORT).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        task.note("classifier", report)

    def _chosen(self, task: Task) -> tuple[Array[np.uint64], pa.LargeStringArray, Array[np.bool_]]:
        """Keys, texts and sides of the chosen documents."""
        keys, texts = [np.empty(0, dtype=np.uint64)], [pa.array([], pa.large_string())]
        sides = [np.empty(0, dtype=np.bool_)]
        for result in task.results("sample", len(self.pieces)):
            with pa.memory_map(str(result.directory / _SAMPLE)) as file:
                batches = pa.ipc.open_file(file).read_all().to_batches()
            keys += [batch.column("key").to_numpy() for batch in batches]
            texts += [batch.column("text") for batch in batches]
            sides += [batch.column("positive").to_numpy(zero_copy_only=False) for batch in batches]
        return np.concatenate(keys), pa.concat_arrays(texts), np.concatenate(sides)

    def finish(self, commit: Commit) -> None:
        result = commit.results["train"][0]
        for name in (MODEL_FILE, REPORT):
            target = commit.output / name
            if not (result.directory / name).exists():  # no model
                continue
            shutil.copyfile(result.directory / name, target)
            sync_file(target)
        commit.extra["classifier"] = result.notes["classifier"]


def summary(report: Mapping[str, Any]) -> list[str]:
    """What a trained classifier is worth, in a few lines, or why there is none."""
    lines = []
    if "cited" in report:
        if report["positives"] == "cited":
            lines.append(f"positive: the {report['cited']:,} documents that are cited")
        else:
            lines.append(
                f"positive: the documents given as such, since of the others {report['cited']:,} are cited;"
                " their style tells them apart, too, so that a threshold drops more than with cited ones"
            )
    if NO_MODEL in report:
        return [*lines, f"no model ({report[NO_MODEL]}): rules that name it judge nothing"]
    numbers = [f"{number['trained']:,} {name}" for name, number in report["documents"].items()]
    held = sum(number["held_out"] for number in report["documents"].values())
    return [
        *lines,
        f"trained on {' and '.join(numbers)} documents, measured on {held:,} others",
        *summary_lines(report),
    ]
