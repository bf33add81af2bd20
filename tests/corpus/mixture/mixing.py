"""For the tests of the mixture: token datasets, written with the project's own writer, and slow twins of the orders, by
their definitions alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from corpus.data.manifest import Counts, Manifest
from corpus.data.schema import token_schema
from corpus.data.writer import ShardWriter, shard_entry

EOD = 2
MASK = (1 << 64) - 1


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
    spans: Sequence[Sequence[tuple[int, int]]] | None = None,
) -> Path:
    """A token dataset whose documents have `lengths` ids, EOD last; the ids before count up, so that no two positions
    of a small dataset look alike. `group_rows` documents make a record batch; `spans` (start, length) of each are trained on."""
    directory.mkdir(parents=True)
    schema = token_schema(vocab_size > 1 << 16, spans is not None)
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
                if spans is not None:
                    own = [
                        [{"start": start, "length": length} for start, length in spans[row]]
                        for row in part[at : at + group_rows]
                    ]
                    arrays.append(pa.array(own, schema.field("trained").type))
                writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
        groups = -(-len(part) // group_rows)
        entries.append(shard_entry(path, [(groups, len(part))]))
    masked = {"trained": True} if spans is not None else {}
    _manifest(directory, domain, int(sum(lengths)), len(lengths), entries, vocab_size, tokenizer, **masked)
    return directory


def _manifest(
    directory: Path,
    domain: str,
    tokens: int,
    documents: int,
    entries: list[Any],
    vocab_size: int,
    tokenizer: str,
    **extra: Any,
) -> None:
    Manifest(
        kind="tokens",
        stage="tokenize",
        config={},
        inputs=(),
        counts={"documents": Counts(seen=documents, kept=documents)},
        totals={"documents": documents, "tokens": tokens},
        shards=tuple(entries),
        extra={"domain": domain, "tokenizer": {"digest": tokenizer, "vocab_size": vocab_size, "eod_id": EOD}} | extra,
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


def slow_permuted(index: int, size: int, key: int) -> int:
    """The network in plain integers."""

    def scramble(half: int, step: int) -> int:
        value = (key + 0x9E3779B97F4A7C15 * ((half << 6) + step + 1)) & MASK
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
        return value ^ (value >> 31)

    bits = max(2, (size - 1).bit_length())
    low_bits = bits // 2
    while True:
        low, high = index % (1 << low_bits), index >> low_bits
        for step in range(0, 48 if bits <= 12 else 12, 2):
            low ^= scramble(high, step) % (1 << low_bits)
            high ^= scramble(low, step + 1) % (1 << (bits - low_bits))
        index = high << low_bits | low
        if index < size:
            return index


def slow_interleaving(rows: list[int]) -> list[int]:
    """The domain at each position, by the definition of the windows."""
    total = sum(rows)
    done = [0] * len(rows)
    order = []
    for position in range(1, total + 1):
        open_domains = [
            (math.ceil(Fraction((done[d] + 1) * total, rows[d])), d)
            for d in range(len(rows))
            if done[d] < rows[d] and position > Fraction(done[d] * total, rows[d])
        ]
        chosen = min(open_domains)[1]
        done[chosen] += 1
        order.append(chosen)
    return order


def slow_key(seed: int, purpose: str, domain: str, number: int) -> int:
    """The key of the order of an epoch (`number` from 0) over the documents or rows of a domain."""
    return xxhash.xxh3_64_intdigest(f"{seed}\0{purpose}\0{domain}\0{number}".encode())


def slow_order(size: int, seed: int, purpose: str, domain: str, number: int) -> list[int]:
    """The item, of `size`, at each position of an epoch."""
    key = slow_key(seed, purpose, domain, number)
    order = [slow_permuted(position, size, key) for position in range(size)]
    assert sorted(order) == list(range(size))
    return order


Place = tuple[int, int, int]
"""A token of a stream: its document, its epoch (from 1), its offset in the document."""


def slow_stream(lengths: dict[int, int], epochs: int, seed: int, domain: str) -> list[Place]:
    """The whole epochs over a domain whose documents have `lengths` tokens, in the order of the inputs."""
    documents = list(lengths)
    return [
        (documents[index], epoch + 1, at)
        for epoch in range(epochs)
        for index in slow_order(len(documents), seed, "documents", domain, epoch)
        for at in range(lengths[documents[index]])
    ]


def slow_rows(stream: list[Place], rows: int, length: int, seed: int | None, domain: str) -> list[list[Place]]:
    """The `rows` rows of a domain in training order; without a seed they are not shuffled."""
    cut = [stream[row * length : row * length + length + 1] for row in range(rows)]
    if seed is None:
        return cut
    epochs = [[row for row in cut if row[0][1] == epoch] for epoch in range(1, stream[-1][1] + 1)]
    return [
        own[index]
        for epoch, own in enumerate(epochs)
        if own
        for index in slow_order(len(own), seed, "rows", domain, epoch)
    ]


def slow_set(domains: dict[str, list[list[Place]]]) -> list[tuple[str, list[Place]]]:
    """The rows of all domains, by name, interleaved; each with its domain."""
    names = sorted(domain for domain, rows in domains.items() if rows)
    left = {name: iter(domains[name]) for name in names}
    order = slow_interleaving([len(domains[name]) for name in names])
    return [(names[number], next(left[names[number]])) for number in order]
