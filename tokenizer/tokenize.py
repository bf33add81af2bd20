"""Documents to token datasets: one row is a document's ids, with the end-of-document id last and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from corpus.config import check_options
from corpus.data.schema import token_schema
from corpus.data.turns import TEMPLATE
from corpus.data.writer import GROUP_BYTES
from corpus.engine.commit import Commit
from corpus.engine.inputs import inherited_sample
from corpus.engine.piecewise import PiecewiseStage
from corpus.engine.stage import Estimate, InputRef, Phase
from corpus.engine.task import Task
from corpus.errors import UsageError
from corpus.mixture.pack.carried import carried_files, carry
from corpus.option import SHARDS_ARE_INHERITED, option
from tokenizer.begin_of_document import with_begin
from tokenizer.conversations import encode_conversations
from tokenizer.end_of_document import check_ends
from tokenizer.library import LibraryTokenizer, vocabulary_file
from tokenizer.model import Tokenizer

_GROUP_COPIES = 8
"""How often a row group is held at most: as it is read, as text twice, as ids of four bytes and of two, as written."""
_TABLE_BYTES = 25_000_000
_LOADING_BYTES = 150
"""Bytes for every piece that are free again once a model is loaded (measured with 256,000 pieces)."""


@dataclass(frozen=True)
class TokenizeConfig:
    """Settings of tokenize."""

    removed: ClassVar[Mapping[str, str]] = SHARDS_ARE_INHERITED

    eod_piece: str | None = option(
        None, "The control symbol that ends a document (the model's end of sentence; named for a tokenizer.json)."
    )
    bos_piece: str | None = option(
        None,
        "A control symbol to begin every document with, such as <s>; none by default, since the end before it tells.",
    )
    max_tokens: int | None = option(
        None, "Cut documents at their end to so many ids, EOD among them. By default none is cut.", least=2
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class TokenizeStage(PiecewiseStage):
    """Documents of one domain and a tokenizer in, a dataset of kind tokens out."""

    tokenizer: str
    settings: TokenizeConfig

    name: ClassVar[str] = "tokenize"
    kind: ClassVar[str] = "tokens"
    unit: ClassVar[str] = "documents"
    independent: ClassVar[bool] = True

    def config(self) -> Mapping[str, Any]:
        """The settings, with the piece that ends a document resolved."""
        most, tokenizer = self.settings.max_tokens, _load(self.tokenizer, self.settings.eod_piece)
        begin = {"bos_piece": self.settings.bos_piece} if self._begin(tokenizer) else {}
        return {"eod_piece": tokenizer.eod_piece} | begin | ({} if most is None else {"max_tokens": most})

    @cached_property
    def conversations(self) -> bool:
        """Whether the documents have turns, of which some are trained on."""
        names = {column.name for dataset in self.datasets for column in dataset.manifest.columns}
        return TEMPLATE.name in names

    def inputs(self) -> tuple[InputRef, ...]:
        """The document datasets, and the model by the digest of its bytes."""
        file = vocabulary_file(self.tokenizer)
        digest = xxhash.xxh3_128_hexdigest(file.read_bytes())
        return (*super().inputs(), InputRef(file.name, digest, digest))

    def input_paths(self) -> tuple[Path, ...]:
        return (*super().input_paths(), Path(self.tokenizer))

    def work_phases(self) -> tuple[Phase, ...]:
        return (Phase("tokenize", len(self.pieces)),)

    def estimate(self) -> Estimate:
        """A row group of text and its ids at a time, the table of known chunks, and what loading the vocabulary holds
        for a moment; about four bytes of text give a token. A document that can nowhere be cut takes more."""
        tokenizer = _load(self.tokenizer, self.settings.eod_piece)
        memory = _GROUP_COPIES * GROUP_BYTES + _TABLE_BYTES + _LOADING_BYTES * tokenizer.vocab_size
        return Estimate(memory, disk=(4 if tokenizer.wide else 2) * self.input_bytes() // 3)

    def notice(self) -> str:
        """Say so where the fast encoder cannot be used."""
        reason = _load(self.tokenizer, self.settings.eod_piece).slow_because
        return f"SentencePiece itself encodes with this model, much more slowly, since {reason}" if reason else ""

    def work(self, phase: str, index: int, task: Task) -> None:
        """Encode the documents of one piece."""
        tokenizer = _load(self.tokenizer, self.settings.eod_piece)
        tokenizer.prepare()
        begin = self._begin(tokenizer).get("bos_id")
        task.loaded()
        writer = task.writer(token_schema(tokenizer.wide, self.conversations), suffix=".arrow", piece=True)
        domains: set[str] = set()
        columns = ["id", "text", "domain", *(["metadata"] if self.conversations else [])]
        for batch in self.pieces[index].batches(columns):
            domains.update(pc.unique(batch.column("domain")).to_pylist())
            check_one_domain(domains)
            encode = encode_conversations if self.conversations else _encode
            writer.write(encode(batch, tokenizer, task, self.settings.max_tokens, begin))
            task.progress(documents=batch.num_rows, bytes=batch.column("text").nbytes)
        task.note("domains", sorted(domains))

    def finish(self, commit: Commit) -> None:
        """Name the domain and the tokenizer in the manifest."""
        domains = {name for result in commit.results["tokenize"] for name in result.notes["domains"]}
        check_one_domain(domains)
        tokenizer = _load(self.tokenizer, self.settings.eod_piece)
        commit.extra |= {"domain": min(domains, default=""), **inherited_sample(self.datasets)}
        if self.conversations:
            commit.extra["trained"] = True
        commit.extra["tokenizer"] = {
            "digest": tokenizer.digest,
            "vocab_size": tokenizer.vocab_size,
            "eod_id": tokenizer.eod_id,
            "eod_piece": tokenizer.eod_piece,
        } | self._begin(tokenizer)
        carry(carried_files(vocabulary_file(self.tokenizer)), commit)

    def _begin(self, tokenizer: Tokenizer | LibraryTokenizer) -> dict[str, Any]:
        """What begins every document, where something does."""
        piece = self.settings.bos_piece
        return {} if piece is None else {"bos_id": _load_begin(tokenizer, piece), "bos_piece": piece}


def check_one_domain(domains: set[str]) -> None:
    """A token dataset holds exactly one domain; more are a UsageError that names them."""
    if len(domains) > 1:
        named = ", ".join(sorted(domains))
        raise UsageError(f"the documents are of several domains ({named}): tokenize each domain into its own dataset.")


def _load(path: str, eod_piece: str | None) -> Tokenizer | LibraryTokenizer:
    """The tokenizer, remembered as long as its file stays the same."""
    file = vocabulary_file(path)
    state = file.stat()
    return _load_once(file, eod_piece, (state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=2)
def _load_once(file: Path, eod_piece: str | None, state: tuple[int, int]) -> Tokenizer | LibraryTokenizer:
    return (LibraryTokenizer if file.suffix == ".json" else Tokenizer).load(file, eod_piece)


def _load_begin(tokenizer: Tokenizer | LibraryTokenizer, piece: str) -> int:
    """The id of the symbol that begins documents: another one than ends them."""
    number = tokenizer.control(piece)
    if number == tokenizer.eod_id:
        raise UsageError(
            f"'{piece}' ends documents and so cannot begin them: name another with --bos-piece or --eod-piece."
        )
    return number


def _encode(
    batch: pa.RecordBatch, tokenizer: Tokenizer | LibraryTokenizer, task: Task, most: int | None, begin: int | None
) -> pa.RecordBatch:
    """Encode the documents that have text, and drop and count the others."""
    sizes = pc.binary_length(batch.column("text"))
    task.count(seen=batch.num_rows)
    for key in batch.filter(pc.equal(sizes, 0)).column("id").to_pylist():
        task.drop(key, "empty", "")
    batch = batch.filter(pc.greater(sizes, 0))
    ids = tokenizer.encode_batch(batch.column("text"), eod=True)
    ids = ids if begin is None else with_begin(ids, begin)
    check_ends(ids, tokenizer.eod_id)
    if most is not None:
        ids = _cut(ids, most, tokenizer.eod_id, task)
    task.count(kept=batch.num_rows)
    task.total(documents=batch.num_rows, bytes=pc.sum(sizes).as_py() or 0, tokens=len(ids.values))
    return pa.RecordBatch.from_arrays([batch.column("id"), ids], schema=token_schema(tokenizer.wide))


def _cut(ids: pa.ListArray, most: int, eod: int, task: Task) -> pa.ListArray:
    """The lists with at most `most` ids each: of a longer one the first, and EOD."""
    offsets = ids.offsets.to_numpy(zero_copy_only=True).astype(np.int64)
    values = ids.values.to_numpy(zero_copy_only=True)
    lengths = np.diff(offsets)
    long = np.flatnonzero(lengths > most)
    if not len(long):
        return ids
    values = values.copy()
    values[offsets[long] + most - 1] = eod
    inside = np.arange(len(values)) - np.repeat(offsets[:-1], lengths)
    bounds = np.concatenate([[0], np.cumsum(np.minimum(lengths, most))]).astype(np.int32)
    task.total(cut=len(long))
    return pa.ListArray.from_arrays(pa.array(bounds), pa.array(values[inside < most]), type=ids.type)
