"""Trains a SentencePiece model on a weighted sample of documents, as a stage: survey, sample, train."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.ipc

from corpus.config import check_options
from corpus.data.dataset import read_batches
from corpus.data.files import sync_file
from corpus.data.stored import StoredFile
from corpus.engine.commit import Commit
from corpus.engine.executors.deaths import describe
from corpus.engine.piecewise import ReadingStage
from corpus.engine.stage import Estimate, Phase
from corpus.engine.task import Task
from corpus.errors import DataError, LostError
from corpus.option import option
from corpus.system import out_of_memory_kills
from tokenizer import huggingface
from tokenizer.model import MODEL_FILE, Tokenizer
from tokenizer.presets import PRESETS, preset_named
from tokenizer.report import NO_LANGUAGE, REPORT, Sampled, dump, measure, report
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
from tokenizer.training import TrainerDiedError, train

TRAINER_THREADS = 4
"""Threads of SentencePiece's trainer. The model's bytes depend on the number: it does not follow the workers."""
_SAMPLE = "sample.arrow"
_MEMORY_PER_BYTE = {"bpe": 12, "unigram": 28}
"""Bytes of memory per byte of sample while SentencePiece trains, with a little to spare (measured on 59 MB of books)."""


@dataclass(frozen=True)
class TrainTokenizerConfig:
    """Settings of train-tokenizer."""

    preset: str = option("llama", "The paper whose tokenizer settings to use.", choices=tuple(PRESETS))
    vocab_size: int | None = option(
        None, "Pieces in the vocabulary, special ones and bytes included (preset's own).", least=1
    )
    model_type: str | None = option(None, "Type of the model (preset's own).", choices=("bpe", "unigram"))
    symbols: tuple[str, ...] = option(
        (),
        "A symbol that a text can hold, matched before anything else and one id, such as <fim_prefix>.",
        flag="--symbol",
        metavar="SYMBOL",
    )
    sample_bytes: int = option(200_000_000, "About how many bytes of text to train on.", least=1)
    weights: tuple[str, ...] = option(
        (),
        "DOMAIN=SHARE of the sample's bytes, or the weights file or recipe that corpus mix takes.",
        metavar="DOMAIN=SHARE",
    )
    seed: int = option(0, "Seed of the choice of documents.", least=0, below=1 << 64)

    def __post_init__(self) -> None:
        preset_named(self.preset)
        # a file is read once: what it says now is the setting
        shares = parse_weights(self.weights)
        object.__setattr__(self, "weights", tuple(f"{name}={share!r}" for name, share in shares.items()))
        check_options(self)

    def resolved(self) -> dict[str, Any]:
        """All that decides the model's bytes, as JSON values."""
        preset = preset_named(self.preset)
        symbols = [*preset.user_symbols, *(symbol for symbol in self.symbols if symbol not in preset.user_symbols)]
        return {
            "preset": self.preset,
            "vocab_size": self.vocab_size or preset.vocab_size,
            "model_type": self.model_type or preset.model_type,
            "sample_bytes": self.sample_bytes,
            "weights": parse_weights(self.weights),
            "seed": self.seed,
            "trainer_threads": TRAINER_THREADS,
            **preset.to_json(),
            "user_symbols": symbols,
        }


@dataclass(frozen=True)
class TrainTokenizerStage(ReadingStage):
    """Documents in; `tokenizer.model`, `tokenizer.json` for Hugging Face and `_report.json` out. Existing validation text should be split off before."""

    settings: TrainTokenizerConfig

    name: ClassVar[str] = "train-tokenizer"
    kind: ClassVar[str] = "tokenizer"
    unit: ClassVar[str] = "documents"

    def config(self) -> Mapping[str, Any]:
        """The settings with those of the preset."""
        return self.settings.resolved()

    def phases(self) -> tuple[Phase, ...]:
        """Bytes per domain, then the sample, both by pieces of the input, then the training in one task."""
        pieces = len(self.pieces)
        return Phase("survey", pieces), Phase("sample", pieces), Phase("train", 1)

    def may_be_empty(self) -> bool:
        """A tokenizer has no rows."""
        return True

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
        for name in (MODEL_FILE, REPORT, *huggingface.FILES):
            if name in result.files:
                target = commit.output / name
                target.write_bytes(result.file(name).read())
                sync_file(target)
        commit.extra["tokenizer"] = result.notes["tokenizer"]

    def _survey(self, index: int, task: Task) -> None:
        sizes: Counter[str] = Counter()
        for batch in self.pieces[index].batches(["text", "domain"]):
            sizes.update(domain_bytes(batch))
            task.progress(documents=batch.num_rows, bytes=batch.column("text").nbytes)
        task.note("bytes", dict(sorted(sizes.items())))

    def _sizes(self, task: Task) -> dict[str, int]:
        """Bytes there are per domain."""
        return _add(result.notes["bytes"] for result in task.results("survey", len(self.pieces)))

    def _sample(self, index: int, task: Task) -> None:
        settings = self.settings
        rates = sampling_rates(self._sizes(task), parse_weights(settings.weights), settings.sample_bytes)
        used: Counter[str] = Counter()
        skipped: Counter[str] = Counter()
        dummy_prefix = preset_named(settings.preset).dummy_prefix
        with pa.ipc.new_file(str(task.directory / _SAMPLE), CHUNK_SCHEMA) as sink:
            for batch in self.pieces[index].batches(["id", "text", "domain", "language"]):
                mask = choose(batch, rates, settings.seed)
                kept = int(mask.sum())
                task.count(seen=batch.num_rows, kept=kept, dropped={"not sampled": batch.num_rows - kept})
                rows = _chunk_rows(batch.filter(pa.array(mask)), dummy_prefix, used, skipped)
                if rows.num_rows:
                    sink.write_batch(rows)
                task.progress(documents=batch.num_rows, bytes=batch.column("text").nbytes)
        task.note("used", dict(sorted(used.items())))
        task.note("skipped", dict(sorted(skipped.items())))

    def _train(self, task: Task) -> None:
        results = task.results("sample", len(self.pieces))
        samples = [result.file(_SAMPLE) for result in results]
        config = self.settings.resolved()
        if not any(size for result in results for size in result.notes["used"].values()):
            raise DataError(
                f"a sample of {self.settings.sample_bytes} bytes has no document: ask for more --sample-bytes."
            )
        texts = (text for batch in _chunk_batches(samples) for text in batch.column("text").to_pylist())
        (task.directory / MODEL_FILE).write_bytes(train_model(texts, config, task))
        task.doing("comparing with Hugging Face")
        tokenizer = Tokenizer.load(task.directory / MODEL_FILE, config["eod_piece"])
        reason = huggingface.why_not(tokenizer.model) or huggingface.differences(tokenizer.model)
        if not reason:
            huggingface.write(tokenizer.path, task.directory, config["eod_piece"])
        task.doing("measuring")
        used, skipped = (_add(result.notes[name] for result in results) for name in ("used", "skipped"))
        sampled = {name: Sampled(size, used[name], skipped[name]) for name, size in self._sizes(task).items()}
        value = report(tokenizer, sampled, measure(tokenizer, _chunk_batches(samples)), reason)
        (task.directory / REPORT).write_text(dump(value), encoding="utf-8")
        described = {"digest": tokenizer.digest, "vocab_size": tokenizer.vocab_size, "eod_id": tokenizer.eod_id}
        task.note("tokenizer", described | {"eod_piece": tokenizer.eod_piece, "model_type": config["model_type"]})


def train_model(texts: Iterable[str], config: Mapping[str, Any], task: Task | None = None) -> bytes:
    """The SentencePiece model (file bytes) of `texts` for the settings `TrainTokenizerConfig.resolved()`.

    Equal texts and settings give equal bytes. A vocabulary that does not fit the sample is a DataError. The `task` is told
    what is being done and what the process of the trainer took.
    """
    kills = out_of_memory_kills()
    try:
        trained = train(texts, _trainer_arguments(config), task.doing if task else lambda part, share: None)
    except TrainerDiedError as death:
        killed = out_of_memory_kills() - kills
        raise LostError(
            f"the process that trains the tokenizer {describe([death.code], killed)}: run the same command again to go on,"
            " with a smaller --sample-bytes where memory was short."
        ) from None
    if task:
        task.took_beside(trained.cpu_seconds, trained.memory)
    if trained.problem:
        raise _training_error(trained.problem, config["vocab_size"])
    return trained.model


def _trainer_arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    """SentencePiece's names for the settings."""
    has_bos = bool(config["bos_piece"])
    arguments: dict[str, Any] = {"bos_piece": config["bos_piece"]} if has_bos else {}
    if config["user_symbols"]:
        arguments["user_defined_symbols"] = list(config["user_symbols"])
    return arguments | {
        "model_type": config["model_type"],
        "vocab_size": config["vocab_size"],
        "character_coverage": config["character_coverage"],
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "add_dummy_prefix": config["dummy_prefix"],
        "allow_whitespace_only_pieces": True,
        "split_digits": config["split_digits"],
        "byte_fallback": True,
        "input_sentence_size": 0,
        "shuffle_input_sentence": False,
        "max_sentence_length": 8 * CHUNK_CHARACTERS,
        "train_extremely_large_corpus": config["sample_bytes"] > 1_000_000_000,
        "num_threads": config["trainer_threads"],
        "unk_id": 0,
        "bos_id": 1 if has_bos else -1,
        "eos_id": 2 if has_bos else 1,
        "eos_piece": config["eod_piece"],
        "pad_id": -1,
        "minloglevel": 0,
    }


def _training_error(message: str, vocab_size: int) -> DataError:
    """One sentence for what SentencePiece says of a vocabulary that does not fit the sample."""
    if found := re.search(r"value <= (\d+)", message):
        return DataError(
            f"the sample is too small for a vocabulary of {vocab_size}: it gives at most {found[1]} pieces, so give"
            " a --vocab-size of that or less, or more text."
        )
    if found := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return DataError(
            f"a vocabulary of {vocab_size} is too small: symbols, bytes and single characters alone take {found[1]}, so"
            " ask for a larger --vocab-size."
        )
    return DataError(
        f"SentencePiece could not train a vocabulary of {vocab_size} ({message}): try another --vocab-size."
    )


def _chunk_rows(batch: pa.RecordBatch, dummy_prefix: bool, used: Counter[str], skipped: Counter[str]) -> pa.RecordBatch:
    """The chunks of the chosen documents; adds their bytes to `used` and `skipped` per domain."""
    columns: tuple[list[str], list[str], list[str]] = ([], [], [])
    rows = (batch.column(name).to_pylist() for name in ("text", "domain", "language"))
    for text, domain, language in zip(*rows, strict=True):
        parts = [for_training(chunk.text, chunk.first, dummy_prefix) for chunk in chunks(text)]
        columns[0].extend(parts)
        columns[1].extend([domain] * len(parts))
        columns[2].extend([language or NO_LANGUAGE] * len(parts))
        lost = text.count(RESERVED) * len(RESERVED.encode())
        skipped[domain] += lost
        used[domain] += len(text.encode()) - lost
    arrays = [pa.array(column, field.type) for column, field in zip(columns, CHUNK_SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=CHUNK_SCHEMA)


def _add(entries: Iterable[Mapping[str, int]]) -> Counter[str]:
    """Numbers per domain, added up; domains in order."""
    total: Counter[str] = Counter()
    for entry in entries:
        total.update(entry)
    return Counter(dict(sorted(total.items())))


def _chunk_batches(samples: Iterable[StoredFile]) -> Iterator[pa.RecordBatch]:
    for sample in samples:
        yield from read_batches(sample)
