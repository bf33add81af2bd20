"""`corpus trace`: the documents in a row, and the rows that hold a document."""

from __future__ import annotations

import io
import json
import re
import sys
from typing import TYPE_CHECKING, Any

import click

from corpus.errors import DataError, UsageError

if TYPE_CHECKING:
    from corpus.data.packed import PackedRows
    from corpus.mixture.trace import Trace


@click.command()
@click.argument("packed", metavar="PACKED")
@click.option("--row", type=int, help="The row to trace, from 0.")
@click.option("--rows", metavar="A:B", help="The rows A to B - 1.")
@click.option("--document", "id", metavar="ID", help="The document whose rows and epochs to list.")
@click.option(
    "--documents",
    multiple=True,
    metavar="DIR",
    help="The documents it was made from. [default: as corpus run puts them]",
)
@click.option("--tokenizer", metavar="MODEL", help="The tokenizer of the set. [default: the copy in it]")
@click.option(
    "--text/--no-text",
    default=True,
    show_default=True,
    help="Show the text of the segments. Without it no document is read, and the bytes are not shown either.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per row, or per document.")
def trace(
    packed: str,
    row: int | None,
    rows: str | None,
    id: str | None,
    documents: tuple[str, ...],
    tokenizer: str | None,
    text: bool,
    as_json: bool,
) -> None:
    """Show the documents that rows of a packed set hold, or the rows that a document is in."""
    from corpus.data.packed import PackedRows

    if sum(value is not None for value in (row, rows, id)) != 1:
        raise UsageError("Give one of --row N, --rows A:B and --document ID, to say what to trace.")
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that cannot show a character gets its code
        sys.stdout.reconfigure(errors="backslashreplace")
    lookup = _lookup(PackedRows(packed), documents, tokenizer, text and id is None)
    if id is not None:
        for entry in lookup.document(id):
            _print(entry, as_json, _document_lines)
        return
    first, last = (row, row + 1) if row is not None else _range(str(rows), len(lookup.packed))
    for entry in lookup.rows(first, last):
        _print(entry, as_json, row_lines)


def _lookup(packed: PackedRows, documents: tuple[str, ...], tokenizer: str | None, text: bool) -> Trace:
    from corpus.data.provenance import DocumentList
    from corpus.mixture.trace import Trace, documents_of_run, made_from

    listed = DocumentList(packed.dataset)
    found, unread = (made_from(listed, documents), []) if documents else documents_of_run(listed)
    for reason in unread:
        click.echo(f"Left out: {reason}", err=True)
    return Trace(packed, found, surface_of(packed, tokenizer) if text else None)


def surface_of(packed: PackedRows, path: str | None) -> Any:
    """The text of the tokens, by the tokenizer of the set; without one a note says why there is none."""
    from tokenizer.model import Tokenizer
    from tokenizer.surface import Surface

    model = path or packed.tokenizer_model
    if model is None:
        click.echo(
            f"{packed.directory} carries no SentencePiece model, so no text is shown: give --tokenizer.", err=True
        )
        return None
    tokenizer = Tokenizer.load(model, packed.manifest.extra["tokenizer"].get("eod_piece"))
    if tokenizer.digest != packed.identity.tokenizer:
        raise DataError(
            f"{tokenizer.path} did not make the tokens of {packed.directory} (another digest): give the tokenizer that did."
        )
    return Surface(tokenizer)


def _range(rows: str, total: int) -> tuple[int, int]:
    match = re.fullmatch(r"(\d*):(\d*)", rows)
    if match is None:
        raise UsageError(f"--rows {rows} is no range: give two numbers as 0:10, for the rows 0 to 9.")
    return int(match[1] or 0), int(match[2] or total)


def _print(entry: dict[str, Any], as_json: bool, lines: Any) -> None:
    if as_json:
        click.echo(json.dumps(entry, ensure_ascii=False))
        return
    for line in lines(entry):
        click.echo(line)


def row_lines(entry: dict[str, Any]) -> list[str]:
    """A packed sequence in words: what it holds, and the text of each segment."""
    padding = f", {entry['padding']:,} of them padding" if entry["padding"] else ""
    head = f"row {entry['row']}: {entry['domain']}, epoch {entry['epoch']}, {entry['tokens']:,} tokens{padding}"
    lines = [click.style(head, bold=True)]
    for part in entry["segments"]:
        end, last = part["position"] + part["length"], part["start"] + part["length"]
        lines.append(
            click.style(f"  {part['position']:,} to {end:,}: {part['document']}", fg="cyan")
            + f"  tokens {part['start']:,} to {last:,} of {part['of']:,}, epoch {part['epoch']}"
            + ("  bytes {:,} to {:,}".format(*part["bytes"]) if "bytes" in part else "")
            + _source(part["source"])
        )
        if "text" in part:
            lines += [f"    │ {line}" for line in part["text"].split("\n")]
    return lines


def _document_lines(entry: dict[str, Any]) -> list[str]:
    head = f"{entry['document']}: {entry['domain']}, {entry['tokens']:,} tokens"
    lines = [click.style(head, bold=True) + _source(entry["source"])]
    for part in entry["rows"]:
        end, last = part["position"] + part["length"], part["start"] + part["length"]
        lines.append(
            f"  epoch {part['epoch']}, row {part['row']:,}: {part['position']:,} to {end:,}, "
            f"its tokens {part['start']:,} to {last:,}"
        )
    if not entry["rows"]:
        lines.append("  in no row: the mixture ends before it, or has no part for its domain")
    return lines


def _source(source: dict[str, Any]) -> str:
    return f"  ({source['file']}, record {source['record']})" if source["file"] else ""
