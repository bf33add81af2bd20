"""Small packed sets for the tests, made with pyarrow directly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shutil import copyfile

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from corpus.data.manifest import FileEntry, Manifest
from corpus.data.schema import packed_schema
from corpus.data.stored import Digests
from corpus.data.writer import shard_entry

EOD = 2


def learnable_rows(rows: int, length: int, vocabulary: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """Rows of a noisy walk: the next id mostly follows from the last one, so that a model has something to learn."""
    generator = np.random.default_rng(seed)
    successor = np.random.default_rng(99).permutation(vocabulary)
    tokens = np.empty((rows, length + 1), dtype=np.int64)
    tokens[:, 0] = generator.integers(0, vocabulary, rows)
    for position in range(1, length + 1):
        noise = generator.random(rows) < 0.1
        tokens[:, position] = np.where(
            noise, generator.integers(0, vocabulary, rows), successor[tokens[:, position - 1]]
        )
    return tokens


def _entry(path: Path, directory: Path) -> FileEntry:
    known = Digests.of(path)
    return FileEntry(path.relative_to(directory).as_posix(), known.size, known.checksum, known.blocks)


def write_packed(
    directory: Path,
    tokens: npt.NDArray[np.int64],
    vocabulary: int,
    *,
    wide: bool = False,
    domains: Sequence[str] | None = None,
    segments: Sequence[Sequence[tuple[int, int]]] | None = None,
    shards: int = 1,
    batch_rows: int = 7,
    tokenizer: str = "t0",
    tokenizer_model: Path | None = None,
    packing: str = "concatenate",
    listed: Sequence[tuple[str, int]] = (),
    trained: npt.NDArray[np.bool_] | None = None,
    eod: int = EOD,
    bos: int | None = None,
) -> Path:
    """Write a packed set that carries `tokenizer_model`, or a `tokenizer.json`; `segments` are (start in the document, length) pairs per row, by default one per row, and
    `listed` the files of its list of documents with their rows: ids `d0`, `d1`, … in row groups of 25."""
    rows, width = tokens.shape
    spans = segments or [[(0, width)]] * rows
    structs = [
        [
            {"document": 10 * row + n, "epoch": 0, "start": start, "length": length}
            for n, (start, length) in enumerate(s)
        ]
        for row, s in enumerate(spans)
    ]
    schema = packed_schema(width, wide, trained is not None)
    mask = {} if trained is None else {"trained": pa.array(trained.tolist(), schema.field("trained").type)}
    table = pa.table(
        {
            "tokens": pa.array(tokens.tolist(), schema.field("tokens").type),
            "domain": pa.array(list(domains or ["web"] * rows), pa.string()),
            "epoch": pa.array([0] * rows, pa.uint16()),
            "segments": pa.array(structs, schema.field("segments").type),
            **mask,
        },
        schema=schema,
    )
    directory.mkdir(parents=True)
    entries = []
    for index, part in enumerate(np.array_split(np.arange(rows), shards)):
        path = directory / f"{index:05d}.arrow"
        with pa.ipc.new_file(str(path), schema) as sink:
            sink.write_table(table.slice(int(part[0]), len(part)), max_chunksize=batch_rows)
        entries.append(shard_entry(path, [(-(-len(part) // batch_rows), len(part))]))
    for name in ("_tokenizer", "_documents"):
        (directory / name).mkdir()
    first = 0
    for name, number in listed:
        ids = [f"d{document}" for document in range(first, first + number)]
        documents = pa.table({"id": ids, "tokens": [100] * number})
        pq.write_table(documents, directory / "_documents" / name, row_group_size=25)
        first += number
    if tokenizer_model is not None:
        copyfile(tokenizer_model, directory / "_tokenizer" / f"tokenizer{tokenizer_model.suffix}")
        tokenizer = Digests.of(tokenizer_model).checksum
    files = [_entry(path, directory) for path in sorted(directory.glob("_*/*"))]
    Manifest(
        kind="packed",
        stage="mix",
        config={"packing": packing},
        inputs=(),
        counts={},
        totals={"tokens": int(tokens.size)},
        shards=tuple(entries),
        files=tuple(files),
        seed=0,
        extra={
            **({} if trained is None else {"trained": True}),
            "sequence_length": width - 1,
            "vocab_size": vocabulary,
            "tokenizer": {"digest": tokenizer, "vocab_size": vocabulary, "eod_id": eod}
            | ({} if bos is None else {"bos_id": bos}),
            "documents": [{"name": name, "rows": number} for name, number in listed],
            "sources": [{"domain": "web", "documents": sum(number for _, number in listed), "inputs": []}],
        },
    ).save(directory)
    return directory
