"""Token datasets for the tests of the mixture, written with the project's own writer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpus.data.manifest import Counts, Manifest
from corpus.data.schema import token_schema
from corpus.data.writer import ShardWriter, shard_entry

EOD = 2


def write_tokens(
    directory: Path,
    domain: str,
    lengths: Sequence[int],
    *,
    shards: int = 1,
    vocab_size: int = 32_000,
    tokenizer: str = "0" * 32,
    group_rows: int = 3,
    first: int = 3,
) -> Path:
    """A token dataset whose documents have `lengths` ids, EOD last; the ids before count up, so that no two places of
    a small dataset look alike. `group_rows` documents make a record batch."""
    directory.mkdir(parents=True)
    schema = token_schema(vocab_size > 1 << 16)
    item = schema.field("ids").type.value_type
    entries = []
    number = first
    documents: list[tuple[str, np.ndarray]] = []
    for row, length in enumerate(lengths):
        ids = np.arange(number, number + length) % (vocab_size - 3) + 3
        ids[-1] = EOD
        number += length
        documents.append((f"{domain}/{directory.name}.jsonl#{row}", ids))
    for shard, part in enumerate(np.array_split(np.arange(len(documents)), shards)):
        path = directory / f"{shard:05d}.arrow"
        with pa.ipc.new_file(str(path), schema) as writer:
            for at in range(0, len(part), group_rows):
                chosen = [documents[row] for row in part[at : at + group_rows]]
                columns = [[key for key, _ in chosen], [pa.array(ids, item) for _, ids in chosen]]
                arrays = [pa.array(columns[0]), pa.array([a.to_pylist() for a in columns[1]], schema.field("ids").type)]
                writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
        entries.append(shard_entry(path, len(part)))
    _manifest(directory, domain, int(sum(lengths)), len(lengths), entries, vocab_size, tokenizer)
    return directory


def _manifest(
    directory: Path, domain: str, tokens: int, documents: int, entries: list, vocab_size: int, tokenizer: str
) -> None:
    Manifest(
        kind="tokens",
        stage="tokenize",
        config={},
        inputs=(),
        counts={"documents": Counts(seen=documents, kept=documents)},
        totals={"documents": documents, "tokens": tokens},
        shards=tuple(entries),
        extra={"domain": domain, "tokenizer": {"digest": tokenizer, "vocab_size": vocab_size, "eod_id": EOD}},
    ).save(directory)


def write_big(directory: Path, domain: str, tokens: int, mean: int, seed: int) -> Path:
    """A token dataset of about `tokens` random ids in documents of about `mean`, with the project's shard writer."""
    directory.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    writer = ShardWriter(directory, token_schema(False), suffix=".arrow")
    total = documents = 0
    while total < tokens:
        lengths = generator.integers(1, 2 * mean, 2000)
        values = generator.integers(3, 32_000, int(lengths.sum())).astype(np.uint16)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        values[offsets[1:] - 1] = EOD
        ids = pa.ListArray.from_arrays(
            pa.array(offsets.astype(np.int32)), pa.array(values), type=token_schema(False).field("ids").type
        )
        names = pa.array([f"{domain}/big#{documents + row}" for row in range(len(lengths))])
        writer.write(pa.RecordBatch.from_arrays([names, ids], schema=token_schema(False)))
        total, documents = total + len(values), documents + len(lengths)
    _manifest(directory, domain, total, documents, writer.close(), 32_000, "0" * 32)
    return directory
