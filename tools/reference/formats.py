"""The columns of all kinds of datasets, from their Arrow schemas, and the keys of a manifest."""

from __future__ import annotations

import dataclasses
import typing

import pyarrow as pa

from corpus.data import schema
from corpus.data.columns import Column
from corpus.data.manifest import FORMAT, Manifest
from corpus.plugins import registry
from tools.reference.markdown import cell, code, table

_IDS = "`uint16` of vocabularies of at most 65,536 pieces, else `uint32`"


def formats_page() -> str:
    """The page."""
    lines = [
        "# Columns",
        "",
        "What the columns mean and which files there are beside the shards: [formats](../formats.md).",
        "",
        f"Kinds of datasets: {', '.join(map(code, typing.get_args(schema.Kind)))}. Ids of tokens are {_IDS}; they are shown as `uint16`.",
    ]
    for title, columns in (
        ("documents", schema.DOCUMENT_SCHEMA),
        ("tokens", schema.token_schema(wide=False)),
        ("tokens of conversations", schema.token_schema(wide=False, trained=True)),
        ("packed, of sequences of 2,048", schema.packed_schema(2049, wide=False)),
        ("packed, with conversations", schema.packed_schema(2049, wide=False, trained=True)),
        ("_dropped/*.ids", schema.DROPPED_SCHEMA),
        ("_dropped/samples", schema.DROPPED_SAMPLE_SCHEMA),
        ("_merged/*.ids", schema.MERGED_SCHEMA),
        ("_quarantine/*.records", schema.QUARANTINE_SCHEMA),
    ):
        lines += ["", f"## {title}", *_columns(columns)]
    lines += ["", "## Open columns", "", "What readers and rules add to documents; each can be null."]
    rows = [(code(name), code(column.name), code(column.type), cell(column.doc)) for name, column in open_columns()]
    lines += table(("of", "column", "type", "what"), rows)
    lines += [
        "",
        "## manifest.json",
        "",
        f"Format {FORMAT}; [what each key holds](../formats.md#manifest-and-other-files).",
    ]
    keys = [(code(field.name), code(str(field.type))) for field in dataclasses.fields(Manifest)]
    return "\n".join(lines + table(("key", "type"), keys)) + "\n"


def open_columns() -> list[tuple[str, Column]]:
    """The columns that built-in readers, maps and rules declare, with the name of what declares them."""
    found = []
    for kind in ("READERS", "MAPS", "RULES"):
        names = registry(kind)
        for name in names.builtin():
            columns = getattr(names.load(name), "columns", ())
            if isinstance(columns, tuple):
                found += [(name, column) for column in columns]
    return found


def _columns(columns: pa.Schema) -> list[str]:
    rows = [(code(field.name), code(_type(field.type)), "yes" if field.nullable else "") for field in columns]
    return table(("column", "type", "may be null"), rows)


def _type(kind: pa.DataType) -> str:
    return str(kind).replace(" not null", "").replace("item: ", "")
