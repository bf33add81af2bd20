"""The tasks of mixing: index token shards, order the passes, pack a shard of rows, list the documents."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.data.dataset import read_batches
from corpus.data.schema import packed_schema
from corpus.errors import DataError
from corpus.mixture.layout import Layout, PassGroup, PlacedShard
from corpus.mixture.order import Ints, cumulate, interleave
from corpus.mixture.pack import PackedDomain, block_batch, pack_block
from corpus.mixture.shards import MappedShard, Tokens, index_shard
from corpus.mixture.stream import DomainStream
from corpus.stage.stage import task_directory
from corpus.stage.task import Task

if TYPE_CHECKING:
    from corpus.mixture.mix import MixStage

BLOCK_BYTES = 16_000_000
"""Token ids that are packed at a time. Decides no byte: the writer re-chunks."""
LISTED_DOCUMENTS = 65_536
"""Documents whose rows are looked up at a time."""

OCCURRENCE = pa.struct([pa.field("row", pa.uint64()), pa.field("epoch", pa.uint16())])
DOCUMENTS_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field(
            "source",
            pa.struct([pa.field("input", pa.uint32()), pa.field("shard", pa.string()), pa.field("row", pa.uint64())]),
            nullable=False,
        ),
        pa.field("tokens", pa.uint32(), nullable=False),
        pa.field("rows", pa.list_(pa.field("item", OCCURRENCE)), nullable=False),
    ]
)
"""One row of `_documents/` per document of the inputs, used or not, in the order of the inputs. `source`: which of the
manifest's inputs, its shard and row there; `tokens`: its ids, EOD counted; `rows`: the rows of the packed set that hold
any of them, with the epoch of the document there, by epoch and then by place in the document."""


def index_shards(stage: MixStage, index: int, task: Task) -> None:
    """Find the documents of one group of token shards."""
    layout = stage.layout
    for member, ref in enumerate(layout.groups[index]):
        found = index_shard(ref.path, layout.wide, int(layout.tokenizer["eod_id"]))
        if len(found.starts) != ref.rows:
            raise DataError(
                f"{ref.path} has {len(found.starts)} documents, its manifest says {ref.rows}; tokenize again."
            )
        np.save(task.directory / f"starts-{member:05d}.npy", found.starts)
        np.save(task.directory / f"lengths-{member:05d}.npy", found.lengths)
        task.progress(documents=ref.rows, bytes=ref.bytes)


def order_passes(stage: MixStage, index: int, task: Task) -> None:
    """Task 0 interleaves the rows of the domains; each other one sums up documents along some passes of a domain, and
    that with a domain's last pass settles its ledger."""
    layout = stage.layout
    if index == 0:
        rows = np.array([domain.rows for domain in layout.plan.domains], np.int64)
        path = task.directory / "places.npy"
        out = np.lib.format.open_memmap(path, mode="w+", dtype=np.int64, shape=(int(rows.sum()),))
        interleave(rows, out)
        out.flush()
        return
    group = layout.passes[index - 1]
    domain = layout.plan.domains[group.domain]
    shards = layout.shards[group.domain]
    lengths = np.concatenate([np.load(_index_file(task.work, shard, "lengths")) for shard in shards])
    if int(lengths.sum(dtype=np.int64)) != domain.unique:
        raise DataError(
            f"The shards of '{domain.domain}' hold {int(lengths.sum(dtype=np.int64)):,} tokens, their manifests say "
            f"{domain.unique:,}; tokenize them again."
        )
    stream = domain_stream(stage, group.domain, task.work)
    shape = (group.end - group.begin, len(lengths) + 1)
    sums = np.lib.format.open_memmap(task.directory / "sums.npy", mode="w+", dtype=np.int64, shape=shape)
    for number in range(group.begin, group.end):
        cumulate(lengths, stream.document_key(number), sums[number - group.begin])
    if group.end == domain.passes:
        _settle(stage, group, sums[-1], task)
    sums.flush()


def _settle(stage: MixStage, group: PassGroup, sums: Ints, task: Task) -> None:
    """The ledger of a domain: what of its last pass (`sums`) lies beyond the stream is `cut` and `unused`."""
    domain = stage.layout.plan.domains[group.domain]
    end = domain.stream - (domain.passes - 1) * domain.unique
    cut = int(sums[np.searchsorted(sums, end, side="left")]) - end
    dropped = {"tail": domain.tail, "cut": cut, "unused": domain.beyond - cut}
    task.count(seen=sum(dropped.values()), dropped=dropped)
    ledger = {"unique": domain.unique, "passes": domain.passes, "packed": domain.sampled} | dropped
    task.note("ledger", ledger)


def pack_shard(stage: MixStage, index: int, task: Task) -> None:
    """Write the rows of one output shard."""
    layout = stage.layout
    length = layout.plan.sequence_length
    domains = packed_domains(stage, task.work)
    names = [domain.domain for domain in layout.plan.domains]
    writer = task.writer(packed_schema(length + 1, layout.wide), shard_bytes=1 << 62, suffix=".arrow")
    begin = index * stage.shard_rows
    end = min(begin + stage.shard_rows, layout.plan.rows)
    step = max(1, BLOCK_BYTES // layout.plan.domains[0].row_bytes)
    vocabulary = int(layout.tokenizer["vocab_size"])
    for low in range(begin, end, step):
        block = pack_block(domains, low, min(low + step, end), layout.wide)
        if int(block.tokens.max()) >= vocabulary:
            raise DataError(
                f"The tokens hold the id {int(block.tokens.max())}, outside the vocabulary of {vocabulary}; tokenize the "
                "documents again."
            )
        writer.write(block_batch(block, names, layout.wide))
        task.progress(bytes=block.tokens.nbytes)
    task.count(seen=(end - begin) * length, kept=(end - begin) * length)
    task.total(tokens=(end - begin) * length)


def list_documents(stage: MixStage, index: int, task: Task) -> None:
    """Write what `segments` points to, for one group of token shards: a Parquet file without that suffix yet."""
    layout = stage.layout
    domains = packed_domains(stage, task.work)
    rows = 0
    with pq.ParquetWriter(str(task.directory / "documents"), DOCUMENTS_SCHEMA, compression="zstd") as writer:
        for ref in layout.groups[index]:
            number = layout.domain_index(ref.dataset)
            shard = next((s for s in layout.shards[number] if s.ref == ref), None) if number is not None else None
            row = 0
            for batch in read_batches(ref.path):
                for start in range(0, batch.num_rows, LISTED_DOCUMENTS):
                    part = batch.slice(start, LISTED_DOCUMENTS)
                    domain = domains[number] if number is not None else None
                    writer.write_table(_listed(part, shard, domain, row, ref.dataset, ref.path.name))
                    row += part.num_rows
            rows += row
            task.progress(documents=row, bytes=ref.bytes)
    task.note("rows", rows)


def _listed(
    batch: pa.RecordBatch,
    shard: PlacedShard | None,
    domain: PackedDomain | None,
    row: int,
    dataset: int,
    name: str,
) -> pa.Table:
    """The lines of `_documents/` for consecutive documents of a shard, the first of which is its row `row`."""
    size = batch.num_rows
    number = np.arange(row, row + size, dtype=np.int64)
    if shard is None or domain is None or not domain.stream.rows:
        which, places, epochs = (np.empty(0, np.int64),) * 3
    else:
        which, rows, epochs = domain.stream.occurrences(number + shard.first)
        places = np.asarray(domain.places)[domain.stream.ranks_of(rows)]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(which, minlength=size))]).astype(np.int32)
    occurrences = pa.StructArray.from_arrays(
        [pa.array(places.astype(np.uint64)), pa.array(epochs.astype(np.uint16))], fields=list(OCCURRENCE)
    )
    source = pa.StructArray.from_arrays(
        [
            pa.array(np.full(size, dataset, np.uint32)),
            pa.array([name], pa.string()).take(pa.array(np.zeros(size, np.int64))),
            pa.array(number.astype(np.uint64)),
        ],
        fields=list(DOCUMENTS_SCHEMA.field("source").type),
    )
    lengths = np.diff(np.asarray(batch.column("ids").offsets, dtype=np.int64)).astype(np.uint32)
    rows_type = DOCUMENTS_SCHEMA.field("rows").type
    lists = pa.ListArray.from_arrays(pa.array(offsets), occurrences, type=rows_type)
    return pa.Table.from_arrays([batch.column("id"), source, pa.array(lengths), lists], schema=DOCUMENTS_SCHEMA)


def domain_stream(stage: MixStage, number: int, work: Path) -> DomainStream:
    """The stream of domain `number` of the plan, over the running sums below `work`."""
    layout = stage.layout
    domain = layout.plan.domains[number]
    groups = [(task, group) for task, group in enumerate(layout.passes, start=1) if group.domain == number]
    step = groups[0][1].end

    @lru_cache(maxsize=256)
    def sums(index: int) -> Ints:
        task, group = groups[index // step]
        file = task_directory(work, "order", task) / "sums.npy"
        return np.asarray(np.load(file, mmap_mode="r")[index - group.begin])

    return DomainStream(
        domain=domain.domain,
        documents=layout.documents[number],
        unique=domain.unique,
        rows=domain.rows,
        passes=domain.passes,
        length=layout.plan.sequence_length,
        seed=stage.settings.seed,
        shuffled=stage.shuffled,
        sums=sums,
    )


def packed_domains(stage: MixStage, work: Path) -> list[PackedDomain]:
    """All domains of the plan, over what the index and order phases left below `work`."""
    layout = stage.layout
    places = np.load(task_directory(work, "order", 0) / "places.npy", mmap_mode="r")
    found: list[PackedDomain] = []
    begin = 0
    for number, domain in enumerate(layout.plan.domains):
        shards = layout.shards[number]
        found.append(
            PackedDomain(
                stream=domain_stream(stage, number, work),
                places=np.asarray(places[begin : begin + domain.rows]),
                first=np.array([shard.first for shard in shards] + [layout.documents[number]], np.int64),
                base=np.array([shard.base for shard in shards], np.int64),
                source=_MappedShards(layout, number, work),
            )
        )
        begin += domain.rows
    return found


class _MappedShards:
    """Maps the shards of one domain, each when it is first asked for."""

    def __init__(self, layout: Layout, number: int, work: Path) -> None:
        self._shards = layout.shards[number]
        self._wide = layout.wide
        self._work = work
        self._open: dict[int, tuple[MappedShard, Ints]] = {}

    def open(self, index: int) -> tuple[Tokens, Ints]:
        if index not in self._open:
            shard = self._shards[index]
            starts = np.asarray(np.load(_index_file(self._work, shard, "starts"), mmap_mode="r"))
            self._open[index] = MappedShard(shard.ref.path, self._wide), starts
        mapped, starts = self._open[index]
        return mapped.ids, starts

    def release(self, index: int) -> None:
        self._open[index][0].release()


def _index_file(work: Path, shard: PlacedShard, name: str) -> Path:
    return task_directory(work, "index", shard.group) / f"{name}-{shard.member:05d}.npy"
