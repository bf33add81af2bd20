"""Trains a SentencePiece model on a weighted sample of documents, as a stage: survey, sample, train."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.ipc
import sentencepiece

from corpus.data.dataset import read_batches
from corpus.data.files import sync_file
from corpus.errors import DataError, UsageError
from corpus.option import option
from corpus.stage.commit import Commit
from corpus.stage.documents import ShardRef, dataset_inputs, group_batches, open_inputs, shard_groups, text_bytes
from corpus.stage.stage import Estimate, InputRef, Phase, Stage
from corpus.stage.task import Task
from tokenizer.model import MODEL_FILE, Tokenizer
from tokenizer.presets import PRESETS, preset_named
from tokenizer.sample import (
    CHUNK_CHARACTERS,
    CHUNK_SCHEMA,
    RESERVED,
    choose,
    chunks,
    domain_bytes,
    for_training,
    parse_weights,
    sampling_rates,
)

TRAINER_THREADS = 4
"""Threads of SentencePiece's trainer. The model's bytes depend on the number: it does not follow the workers."""
REPORT_BYTES = 1_000_000
"""Bytes of a domain's sample that are encoded for the report."""
_REPORT = "_report.json"
_SAMPLE = "sample.arrow"
_MEMORY_PER_BYTE = {"bpe": 12, "unigram": 28}
"""Bytes of memory per byte of sample while SentencePiece trains, with a little to spare (measured on 59 MB of books)."""


@dataclass(frozen=True)
class TrainTokenizerConfig:
    """Settings of train-tokenizer."""

    preset: str = option("llama", "the paper whose tokenizer settings to use", choices=tuple(PRESETS))
    vocab_size: int | None = option(None, "pieces in the vocabulary, special ones and bytes included (preset's own)")
    model_type: str | None = option(None, "bpe or unigram (preset's own)", choices=("bpe", "unigram"))
    sample_bytes: int = option(200_000_000, "about how many bytes of text to train on")
    weights: tuple[str, ...] = option((), "DOMAIN=SHARE of the sample, repeatable (by bytes)", metavar="DOMAIN=SHARE")
    seed: int = option(0, "seed of the choice of documents")

    def __post_init__(self) -> None:
        preset_named(self.preset)
        parse_weights(self.weights)
        if self.model_type not in (None, "bpe", "unigram"):
            raise UsageError(f"model type '{self.model_type}' is unknown: choose bpe or unigram.")
        if self.vocab_size is not None and self.vocab_size < 1:
            raise UsageError(f"a vocabulary of {self.vocab_size} is impossible: ask for at least a few hundred pieces.")
        if self.sample_bytes < 1:
            raise UsageError(f"a sample of {self.sample_bytes} bytes is impossible: ask for at least one.")
        if not 0 <= self.seed < 1 << 64:
            raise UsageError(f"seed {self.seed} is out of range: choose one from 0 to 2^64 - 1.")

    def resolved(self) -> dict[str, Any]:
        """All that decides the model's bytes, as JSON values."""
        preset = preset_named(self.preset)
        return {
            "preset": self.preset,
            "vocab_size": self.vocab_size or preset.vocab_size,
            "model_type": self.model_type or preset.model_type,
            "sample_bytes": self.sample_bytes,
            "weights": parse_weights(self.weights),
            "seed": self.seed,
            "trainer_threads": TRAINER_THREADS,
            **preset.to_json(),
        }


@dataclass(frozen=True)
class TrainTokenizerStage(Stage):
    """Documents in; `tokenizer.model` and `_report.json` out. Existing validation text should be split off before."""

    documents: tuple[str, ...]
    settings: TrainTokenizerConfig

    name: ClassVar[str] = "train-tokenizer"
    kind: ClassVar[str] = "tokenizer"
    unit: ClassVar[str] = "documents"

    def config(self) -> Mapping[str, Any]:
        """The settings with those of the preset."""
        return self.settings.resolved()

    def inputs(self) -> tuple[InputRef, ...]:
        """The document datasets."""
        return dataset_inputs(open_inputs(self.documents))

    def phases(self) -> tuple[Phase, ...]:
        """Bytes per domain, then the sample, both by groups of shards, then the training in one task."""
        groups = len(self._groups())
        return Phase("survey", groups), Phase("sample", groups), Phase("train", 1)

    def input_bytes(self) -> int:
        """Bytes of text by the manifests."""
        return text_bytes(open_inputs(self.documents))

    def estimate(self) -> Estimate:
        """SentencePiece holds the whole sample."""
        size = min(self.settings.sample_bytes, self.input_bytes())
        factor = _MEMORY_PER_BYTE[self.settings.resolved()["model_type"]]
        return Estimate(memory=max(64_000_000, factor * size), disk=size)

    def run(self, phase: str, index: int, task: Task) -> None:
        """One task of one of the three phases."""
        if phase == "survey":
            self._survey(index, task)
        elif phase == "sample":
            self._sample(index, task)
        else:
            self._train(task)

    def finish(self, commit: Commit) -> None:
        """Copy model and report out of the training task, and describe the model in the manifest."""
        result = commit.results["train"][0]
        for name in (MODEL_FILE, _REPORT):
            target = commit.output / name
            target.write_bytes((result.directory / name).read_bytes())
            sync_file(target)
        commit.extra["tokenizer"] = result.notes["tokenizer"]

    def _groups(self) -> list[list[ShardRef]]:
        return shard_groups(open_inputs(self.documents))

    def _survey(self, index: int, task: Task) -> None:
        sizes: dict[str, int] = {}
        for batch in group_batches(self._groups()[index], ["text", "domain"]):
            for name, size in domain_bytes(batch).items():
                sizes[name] = sizes.get(name, 0) + size
            task.progress(documents=batch.num_rows, bytes=batch.column("text").nbytes)
        task.note("bytes", dict(sorted(sizes.items())))

    def _sizes(self, task: Task) -> dict[str, int]:
        """Bytes there are per domain."""
        sizes: dict[str, int] = {}
        for result in task.results("survey", len(self._groups())):
            for name, size in result.notes["bytes"].items():
                sizes[name] = sizes.get(name, 0) + size
        return dict(sorted(sizes.items()))

    def _sample(self, index: int, task: Task) -> None:
        settings = self.settings
        rates = sampling_rates(self._sizes(task), parse_weights(settings.weights), settings.sample_bytes)
        used: dict[str, int] = {}
        with pa.ipc.new_file(str(task.directory / _SAMPLE), CHUNK_SCHEMA) as sink:
            for batch in group_batches(self._groups()[index], ["id", "text", "domain"]):
                mask = choose(batch, rates, settings.seed)
                kept = int(mask.sum())
                task.count(seen=batch.num_rows, kept=kept, dropped={"not sampled": batch.num_rows - kept})
                rows = _chunk_rows(batch.filter(pa.array(mask)), used)
                if rows.num_rows:
                    sink.write_batch(rows)
                task.progress(documents=batch.num_rows, bytes=batch.column("text").nbytes)
        task.note("used", dict(sorted(used.items())))

    def _train(self, task: Task) -> None:
        results = task.results("sample", len(self._groups()))
        paths = [result.directory / _SAMPLE for result in results]
        config = self.settings.resolved()
        if not any(size for result in results for size in result.notes["used"].values()):
            raise DataError(
                f"a sample of {self.settings.sample_bytes} bytes has no document: ask for more --sample-bytes."
            )
        model = train_model(_training_texts(paths, config["dummy_prefix"]), config)
        (task.directory / MODEL_FILE).write_bytes(model)
        tokenizer = Tokenizer.load(task.directory / MODEL_FILE, config["eod_piece"])
        report = _report(tokenizer, paths, self._sizes(task), [result.notes["used"] for result in results])
        text = json.dumps(report, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        (task.directory / _REPORT).write_text(text, encoding="utf-8")
        described = {"digest": tokenizer.digest, "vocab_size": tokenizer.vocab_size, "eod_id": tokenizer.eod_id}
        task.note("tokenizer", described | {"eod_piece": tokenizer.eod_piece, "model_type": config["model_type"]})


def train_model(texts: Iterable[str], config: Mapping[str, Any]) -> bytes:
    """The SentencePiece model (file bytes) of `texts` for the settings `TrainTokenizerConfig.resolved()`.

    Equal texts and settings give equal bytes. A vocabulary that does not fit the sample is a DataError.
    """
    out = io.BytesIO()
    has_bos = bool(config["bos_piece"])
    arguments: dict[str, Any] = {"bos_piece": config["bos_piece"]} if has_bos else {}
    if config["user_symbols"]:
        arguments["user_defined_symbols"] = list(config["user_symbols"])
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=out,
            model_type=config["model_type"],
            vocab_size=config["vocab_size"],
            character_coverage=config["character_coverage"],
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            add_dummy_prefix=config["dummy_prefix"],
            allow_whitespace_only_pieces=True,
            split_digits=config["split_digits"],
            byte_fallback=True,
            input_sentence_size=0,
            shuffle_input_sentence=False,
            max_sentence_length=8 * CHUNK_CHARACTERS,
            train_extremely_large_corpus=config["sample_bytes"] > 1_000_000_000,
            num_threads=config["trainer_threads"],
            unk_id=0,
            bos_id=1 if has_bos else -1,
            eos_id=2 if has_bos else 1,
            eos_piece=config["eod_piece"],
            pad_id=-1,
            minloglevel=2,
            **arguments,
        )
    except RuntimeError as error:
        raise _training_error(str(error), config["vocab_size"]) from None
    return out.getvalue()


def _training_error(message: str, vocab_size: int) -> DataError:
    """One sentence for what SentencePiece says of a vocabulary that does not fit the sample."""
    if found := re.search(r"value <= (\d+)", message):
        return DataError(
            f"the sample is too small for a vocabulary of {vocab_size}: it gives at most {found[1]} pieces, so ask for"
            " --vocab-size of that or less, or for more text."
        )
    if found := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return DataError(
            f"a vocabulary of {vocab_size} is too small: symbols, bytes and single characters alone take {found[1]}, so"
            " ask for a larger --vocab-size."
        )
    return DataError(
        f"SentencePiece could not train a vocabulary of {vocab_size} ({message}): try another --vocab-size."
    )


def _chunk_rows(batch: pa.RecordBatch, used: dict[str, int]) -> pa.RecordBatch:
    """The chunks of the chosen documents; adds their bytes to `used` per domain."""
    texts: list[str] = []
    domains: list[str] = []
    first: list[bool] = []
    for text, domain in zip(batch.column("text").to_pylist(), batch.column("domain").to_pylist(), strict=True):
        for chunk in chunks(text):
            texts.append(chunk.text)
            domains.append(domain)
            first.append(chunk.first)
        lost = text.count(RESERVED) * len(RESERVED.encode())
        used[domain] = used.get(domain, 0) + len(text.encode()) - lost
    return pa.RecordBatch.from_arrays(
        [pa.array(texts, pa.large_string()), pa.array(domains, pa.string()), pa.array(first, pa.bool_())],
        schema=CHUNK_SCHEMA,
    )


def _training_texts(paths: Iterable[Path], dummy_prefix: bool) -> Iterator[str]:
    for path in paths:
        for batch in read_batches(path):
            for text, first in zip(batch.column("text").to_pylist(), batch.column("first").to_pylist(), strict=True):
                yield for_training(text, first, dummy_prefix)


def _report(
    tokenizer: Tokenizer, paths: Iterable[Path], sizes: Mapping[str, int], used: Iterable[Mapping[str, int]]
) -> dict[str, Any]:
    """Bytes there are, used and skipped per domain, and bytes per token on the first megabyte of each one's sample."""
    total: dict[str, int] = {}
    for entry in used:
        for name, size in entry.items():
            total[name] = total.get(name, 0) + size
    measured: dict[str, list[int]] = {name: [0, 0] for name in sizes}
    for path in paths:
        for batch in read_batches(path, ["text", "domain"]):
            for text, domain in zip(batch.column("text").to_pylist(), batch.column("domain").to_pylist(), strict=True):
                if measured[domain][0] < REPORT_BYTES:
                    measured[domain][0] += len(text.encode())
                    measured[domain][1] += len(tokenizer.encode(text))
    domains = {
        name: {
            "bytes": size,
            "bytes_used": total.get(name, 0),
            "bytes_skipped": size - total.get(name, 0),
            "bytes_per_token": round(measured[name][0] / measured[name][1], 4) if measured[name][1] else None,
        }
        for name, size in sizes.items()
    }
    return {
        "vocab_size": tokenizer.vocab_size,
        "bytes_used": sum(total.values()),
        "bytes_skipped": sum(sizes.values()) - sum(total.values()),
        "domains": domains,
    }
