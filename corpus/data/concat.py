"""Parquet files put together, or taken apart, by row groups: their bytes are checked and copied, no page is decoded.

Only what holds positions is written anew: the footer (FileMetaData) and, where a file has a page index, its
OffsetIndex structs, since a PageLocation counts from the start of the file. Fields nobody here knows are kept.
The order is pyarrow's, so that one file cut at row groups, or its row groups written to files of their own and put
together, give the bytes that pyarrow would have written at once: `PAR1`, the column chunks of all row groups, Bloom
filters, column indexes, offset indexes, footer, the footer's length (4 bytes, little endian), `PAR1`.

Field numbers are those of parquet.thrift of apache/parquet-format; all offsets and lengths are in bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc

from corpus.data.dataset import read_batches, read_schema
from corpus.data.stored import CheckedFile, Digests, HashingSink, StoredFile
from corpus.data.thrift import Struct, read_struct, write_struct

_MAGIC = b"PAR1"

# FileMetaData
_FILE_ROWS, _ROW_GROUPS, _CREATED_BY = 3, 4, 6
# RowGroup
_COLUMNS, _GROUP_ROWS, _GROUP_OFFSET, _ORDINAL = 1, 3, 5, 7
_MOST_GROUPS = 1 << 15
"""RowGroup.ordinal is an i16."""
# ColumnChunk
_CHUNK_OFFSET, _META_DATA, _OFFSET_INDEX, _COLUMN_INDEX = 2, 3, (4, 5), (6, 7)
# ColumnMetaData: the pages of a chunk begin at the lowest of its data, index and dictionary page offsets
_COMPRESSED_SIZE, _PAGE_OFFSETS, _BLOOM_FILTER = 7, (9, 10, 11), (14, 15)
# OffsetIndex and PageLocation
_LOCATIONS, _LOCATION_OFFSET = 1, 1
# BloomFilterHeader; files from before version 2.10 of the format do not give the length of the whole
_BLOOM_BYTES, _BLOOM_HEADER_ROOM = 1, 64


def concat_parquet(pieces: Sequence[StoredFile], target: Path) -> Digests:
    """Write to `target` the row groups of `pieces`, at least one, in order; the caller flushes it to the disk.

    The pieces are plain files of one writer: the same schema and key-value metadata, not encrypted; `created_by` is
    the first one's. DataError for a damaged piece, after which `target` is a part. What is copied is checked on the way,
    and the digests of `target` are made of it: nothing is read twice.
    """
    return _assemble([(piece, None) for piece in pieces], target)


def split_parquet(source: StoredFile, groups: range, target: Path) -> Digests:
    """Write to `target` the row groups `groups` of `source`, counted from 0; the caller flushes it to the disk.

    Parts that cover `source`, put together again, are `concat_parquet([source])`, which is `source` byte for byte if
    this module wrote it, or a pyarrow that leaves no copy of its meta data behind a column chunk (17 still did).
    """
    return _assemble([(source, groups)], target)


def _assemble(parts: Sequence[tuple[StoredFile, range | None]], target: Path) -> Digests:
    assert parts and all(stored.path != target for stored, _ in parts)
    with target.open("wb", buffering=0) as file:
        sink = HashingSink(file)
        assembly = _Assembly(sink)
        for stored, groups in parts:
            with stored.open() as source:
                try:
                    assembly.add(_Piece.read(source), groups)
                except ValueError as error:
                    raise stored.damaged(str(error)) from error
        assembly.finish()
        return sink.hasher.digests()


@dataclass(frozen=True, slots=True)
class _Piece:
    """A file, its footer, and where that begins. ValueError says what is wrong with the bytes."""

    file: CheckedFile
    footer: Struct
    end: int

    @classmethod
    def read(cls, file: CheckedFile) -> _Piece:
        size = file.size
        if size < 12:
            raise ValueError("it is too short")
        tail = file.part(size - 8, 8)
        if file.part(0, 4) != _MAGIC or tail[4:] != _MAGIC:
            raise ValueError(f"it does not begin and end with {_MAGIC.decode()}")
        length = int.from_bytes(tail[:4], "little")
        if length > size - 12:
            raise ValueError("its footer is short")
        piece = cls(file, Struct({}), size)
        footer, used = read_struct(piece.part(size - 8 - length, length))
        if used != length:
            raise ValueError("its footer is too long")
        if footer.get(_FILE_ROWS, int) != sum(group.get(_GROUP_ROWS, int) for group in footer.structs(_ROW_GROUPS)):
            raise ValueError("its row groups have not the rows of the file")
        return cls(file, footer, size - 8 - length)

    def part(self, offset: int, length: int) -> bytes:
        self.check(offset, offset + length)
        return self.file.part(offset, length)

    def check(self, start: int, end: int) -> None:
        """Bytes that the footer speaks of lie between the first magic and the footer."""
        if not len(_MAGIC) <= start <= end <= self.end:
            raise ValueError("its footer points out of the file")

    def span(self, meta: Struct) -> tuple[int, int]:
        """Where the pages of a column chunk begin and end; the same position if there are none."""
        # 0: there is no such page; pyarrow writes it for a chunk without rows
        offsets = [offset for field in _PAGE_OFFSETS if field in meta and (offset := meta.get(field, int))]
        start = min(offsets, default=len(_MAGIC))
        end = start + meta.get(_COMPRESSED_SIZE, int) if offsets else start
        self.check(start, end)
        return start, end

    def bloom_filter(self, meta: Struct) -> bytes:
        offset_field, length_field = _BLOOM_FILTER
        offset = meta.get(offset_field, int)
        if length_field in meta:
            return self.part(offset, meta.get(length_field, int))
        header, length = read_struct(self.part(offset, min(_BLOOM_HEADER_ROOM, self.end - offset)))
        return self.part(offset, length + header.get(_BLOOM_BYTES, int))


class _Assembly:
    """A Parquet file in the making. In memory are its footer, its indexes and its Bloom filters."""

    def __init__(self, sink: HashingSink) -> None:
        self.sink = sink
        self.at = 0  # where the next bytes go
        self.first: Struct | None = None
        self.groups: list[Struct] = []
        # (the struct and its field that hold the position, the bytes), in the order of the row groups and columns
        self.bloom_filters: list[tuple[Struct, int, bytes]] = []
        self.column_indexes: list[tuple[Struct, int, bytes]] = []
        self.offset_indexes: list[tuple[Struct, int, bytes]] = []
        self._write(_MAGIC)

    def add(self, piece: _Piece, numbers: range | None) -> None:
        """Copy row groups of a piece, all of them if no numbers are given."""
        if self.first is None:
            self.first = piece.footer
        assert _common(piece.footer) == _common(self.first), f"{piece.file.stored.path} has another schema or metadata"
        groups = piece.footer.structs(_ROW_GROUPS)
        if numbers is not None:
            assert all(0 <= number < len(groups) for number in numbers), f"{numbers} of {len(groups)} row groups"
            groups = [groups[number] for number in numbers]
        spans = [span for group in groups for span in self._move(group, piece)]
        for start, end in _joined(spans):
            for part in piece.file.parts(start, end):
                self.sink.write(part)

    def _move(self, group: Struct, piece: _Piece) -> list[tuple[int, int]]:
        """Make the positions in a row group those of the file in the making; returns the spans to be copied for it."""
        if _GROUP_OFFSET in group and group.get(_GROUP_OFFSET, int):
            group.replace(_GROUP_OFFSET, self.at)
        if _ORDINAL in group:
            group.replace(_ORDINAL, len(self.groups))
        self.groups.append(group)
        spans = []
        for column in group.structs(_COLUMNS):
            # deprecated; if not 0, a copy of the meta data lies there, which would tell the positions in the piece
            column.replace(_CHUNK_OFFSET, 0)
            meta = column.get(_META_DATA, Struct)
            start, end = piece.span(meta)
            for field in _PAGE_OFFSETS:
                _shift(meta, field, self.at - start)
            self._collect(column, meta, piece, self.at - start)
            self.at += end - start
            spans.append((start, end))
        return spans

    def _collect(self, column: Struct, meta: Struct, piece: _Piece, shift: int) -> None:
        """Keep the Bloom filter and the indexes of a column chunk, which get their positions in the end."""
        offset_field, length_field = _BLOOM_FILTER
        if offset_field in meta:
            self.bloom_filters.append((meta, offset_field, piece.bloom_filter(meta)))
        offset_field, length_field = _COLUMN_INDEX
        if offset_field in column:
            index = piece.part(column.get(offset_field, int), column.get(length_field, int))
            self.column_indexes.append((column, offset_field, index))
        offset_field, length_field = _OFFSET_INDEX
        if offset_field in column:
            index = _moved_index(piece.part(column.get(offset_field, int), column.get(length_field, int)), shift)
            column.replace(length_field, len(index))
            self.offset_indexes.append((column, offset_field, index))

    def finish(self) -> None:
        """Write what follows the column chunks."""
        assert self.first is not None and len(self.groups) <= _MOST_GROUPS
        for owner, field, data in self.bloom_filters + self.column_indexes + self.offset_indexes:
            owner.replace(field, self.at)
            self._write(data)
        self.first.structs(_ROW_GROUPS)[:] = self.groups
        self.first.replace(_FILE_ROWS, sum(group.get(_GROUP_ROWS, int) for group in self.groups))
        data = write_struct(self.first)
        self._write(data + len(data).to_bytes(4, "little") + _MAGIC)

    def _write(self, data: bytes) -> None:
        self.sink.write(data)
        self.at += len(data)


def _common(footer: Struct) -> dict[int, object]:
    """What all pieces have in common: version, schema, key-value metadata, column orders, and whatever else."""
    return {
        field: value for field, value in footer.fields.items() if field not in (_FILE_ROWS, _ROW_GROUPS, _CREATED_BY)
    }


def _shift(owner: Struct, field: int, shift: int) -> None:
    """Add to a position, unless there is none or it is 0, which no page has."""
    if field in owner and (offset := owner.get(field, int)):
        owner.replace(field, offset + shift)


def _moved_index(data: bytes, shift: int) -> bytes:
    """An OffsetIndex whose pages lie `shift` bytes further on."""
    index, _ = read_struct(data)
    for location in index.structs(_LOCATIONS):
        _shift(location, _LOCATION_OFFSET, shift)
    return write_struct(index)


def _joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans where neighbours that touch are one, so that they are copied in one go."""
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        elif end > start:
            joined.append((start, end))
    return joined


def concat_arrow(pieces: Sequence[StoredFile], target: Path) -> Digests:
    """Write to `target` the record batches of Arrow IPC files of one schema, at least one, in order; nothing is decoded,
    the caller flushes it to the disk. What is copied is checked on the way."""
    schema = read_schema(pieces[0])
    with target.open("wb", buffering=0) as out:
        hashed = HashingSink(out)
        with pa.ipc.new_file(hashed, schema) as sink:
            for piece in pieces:
                for batch in read_batches(piece):
                    sink.write_batch(batch)
        return hashed.hasher.digests()
