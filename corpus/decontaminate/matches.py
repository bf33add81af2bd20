"""What was found: why documents are dropped, and the tables below `_matches/`."""

from __future__ import annotations

import pyarrow as pa

OVERLAP = "evaluation text"
PIECES = "evaluation text: too many pieces"
NOTHING_LEFT = "evaluation text: nothing left"

MATCH_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("record", pa.int64(), nullable=False),
        pa.field("field", pa.string(), nullable=False),
        pa.field("matched", pa.int64(), nullable=False),
        pa.field("ngrams", pa.int64(), nullable=False),
        pa.field("ngram", pa.string(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),
        pa.field("end", pa.int64(), nullable=False),
        pa.field("action", pa.string(), nullable=False),
    ]
)
"""One row of `_matches/NNNNN.matches` per document and evaluation text that share n-grams: how many of the text's
different `ngrams` are `matched`, the first `ngram` with the bytes of the document where it stands, and what became of the
document: kept, cut or dropped."""

EXAMPLE_SCHEMA = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        pa.field("record", pa.int64(), nullable=False),
        pa.field("field", pa.string(), nullable=False),
        pa.field("ngrams", pa.int64(), nullable=False),
        pa.field("seen", pa.int64(), nullable=False),
        pa.field("contaminated", pa.bool_(), nullable=False),
    ]
)
"""One row of `_matches/examples` per evaluation text, in order: how many of its different `ngrams` all documents
together have in the input, before any is cut or dropped (`seen`), and whether these are enough."""
