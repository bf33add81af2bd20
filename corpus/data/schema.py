"""The columns of the dataset kinds (documents, tokens, packed) and of their side files."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

Kind = Literal[
    "documents", "tokens", "packed", "tokenizer", "choice", "verdict", "keys", "lm", "cutoffs", "links", "classifier"
]

DOCUMENT_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("domain", pa.string(), nullable=False),
        pa.field("language", pa.string()),
        pa.field("language_score", pa.float32()),
        pa.field("url", pa.string()),
        pa.field("source", pa.struct([pa.field("file", pa.string()), pa.field("record", pa.int64())]), nullable=False),
        pa.field("metadata", pa.string(), nullable=False),
    ]
)
"""One row is a document. `source` is the raw file and the ordinal of the record in it; `metadata` is a JSON object."""

SEGMENT = pa.struct(
    [
        pa.field("document", pa.uint64()),
        pa.field("epoch", pa.uint16()),
        pa.field("start", pa.uint32()),
        pa.field("length", pa.uint32()),
    ]
)
"""A run of one document's tokens inside a packed row; `document` indexes the rows of `_documents/`."""

DROPPED_SCHEMA = pa.schema([pa.field("id", pa.string()), pa.field("map", pa.string()), pa.field("reason", pa.string())])
DROPPED_SAMPLE_SCHEMA = pa.schema([*DROPPED_SCHEMA, pa.field("text", pa.large_string())])
"""`map` is the step of the chain that dropped the document, empty for the stage itself."""
MERGED_SCHEMA = pa.schema([pa.field("id", pa.string()), pa.field("into", pa.string())])
"""A raw record whose text went into the document `into`."""
QUARANTINE_SCHEMA = pa.schema(
    [
        pa.field("source", pa.string()),
        pa.field("record", pa.int64()),
        pa.field("offset", pa.int64()),
        pa.field("length", pa.int64()),
        pa.field("reason", pa.string()),
        pa.field("data", pa.large_binary()),
    ]
)
"""A record that could not be read: where it lies (its number, byte offset and length in `source`) and its first 64 KiB."""

NARROW_VOCABULARY = 1 << 16
"""The most pieces that uint16 ids can hold."""


def id_type(wide: bool) -> pa.DataType:
    """uint32 ids for vocabularies over 65,536 pieces (`wide`), else uint16."""
    return pa.uint32() if wide else pa.uint16()


SPAN = pa.struct([pa.field("start", pa.uint32(), nullable=False), pa.field("length", pa.uint32(), nullable=False)])
"""A run of a document's ids that is trained on."""


def token_schema(wide: bool, trained: bool = False) -> pa.Schema:
    """One row is a document's ids, EOD last; with `trained` also which spans of them are trained on (conversations)."""
    ids = pa.list_(pa.field("item", id_type(wide), nullable=False))
    spans = [pa.field("trained", pa.list_(pa.field("item", SPAN, nullable=False)), nullable=False)] if trained else []
    return pa.schema([pa.field("id", pa.string(), nullable=False), pa.field("ids", ids, nullable=False), *spans])


def packed_schema(row_tokens: int, wide: bool, trained: bool = False) -> pa.Schema:
    """One row is a training sequence of `row_tokens` = sequence length + 1 ids; with `trained` also which of them are
    trained on where they are targets."""
    tokens = pa.list_(pa.field("item", id_type(wide), nullable=False), row_tokens)
    mask = pa.list_(pa.field("item", pa.bool_(), nullable=False), row_tokens)
    return pa.schema(
        [
            pa.field("tokens", tokens, nullable=False),
            pa.field("domain", pa.string(), nullable=False),
            pa.field("epoch", pa.uint16(), nullable=False),
            pa.field("segments", pa.list_(pa.field("item", SEGMENT)), nullable=False),
            *([pa.field("trained", mask, nullable=False)] if trained else []),
        ]
    )
