"""Where the record batches of an Arrow IPC file lie: the part of its footer that pyarrow keeps to itself.

Source: format/File.fbs and format/Message.fbs of apache/arrow, and the FlatBuffers encoding (flatbuffers.dev,
"FlatBuffer Internals"). The file ends with the footer, its length (int32) and `ARROW1`.
"""

from __future__ import annotations

import struct

from corpus.data.stored import CheckedFile

_MAGIC = b"ARROW1"
_RECORD_BATCHES = 3
"""The field of `Footer`, counted from 0."""
_BLOCK = struct.Struct("<qi4xq")
"""`Block`: offset, length of the metadata, length of the body."""


def batch_spans(file: CheckedFile) -> list[tuple[int, int]]:
    """Where each record batch begins and ends in the file, its metadata included, in bytes. ValueError: no such file."""
    tail = file.part(max(0, file.size - 10), min(10, file.size))
    length = int.from_bytes(tail[:4], "little", signed=True)
    if tail[4:] != _MAGIC or not 0 < length <= file.size - 10:
        raise ValueError("it does not end as an Arrow file does")
    footer = file.part(file.size - 10 - length, length)
    try:
        (table,) = struct.unpack_from("<I", footer, 0)
        vtable = table - struct.unpack_from("<i", footer, table)[0]
        (size,) = struct.unpack_from("<H", footer, vtable)
        entry = 4 + 2 * _RECORD_BATCHES
        (field,) = struct.unpack_from("<H", footer, vtable + entry) if entry < size else (0,)
        if not field:
            return []
        at = table + field
        vector = at + struct.unpack_from("<I", footer, at)[0]
        (count,) = struct.unpack_from("<I", footer, vector)
        blocks = [_BLOCK.unpack_from(footer, vector + 4 + number * _BLOCK.size) for number in range(count)]
    except struct.error as error:
        raise ValueError("its footer points out of itself") from error
    return [(offset, offset + metadata + body) for offset, metadata, body in blocks]
