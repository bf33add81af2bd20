"""`corpus inspect`: documents, and what was dropped and set aside, in the terminal."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from corpus.cli_options import Quantity, json_option, print_json
from corpus.errors import UsageError
from corpus.option import Bounds

_SHOWN_CHARACTERS = 2000
_NO_ROWS = {
    "tokenizer": "a tokenizer",
    "choice": "a choice of validation documents",
    "verdict": "a verdict over several domains",
    "lm": "a language model",
    "classifier": "a classifier",
}


@click.command()
@click.argument("directory", metavar="DIR")
@click.option("--id", "id", default="", help="Show this document whole, or say why it was dropped.")
@click.option(
    "-n", "number", type=Quantity("count", Bounds(least=1)), default=5, show_default=True, help="How many to show."
)
@click.option("--dropped", is_flag=True, help="Show dropped documents, so many for each reason.")
@click.option(
    "--map", "map", default="", metavar="NAME", help="With --dropped: only what this map of the stage dropped."
)
@click.option("--quarantined", is_flag=True, help="Show records that could not be read.")
@click.option("--full", is_flag=True, help="Show whole texts.")
@json_option("Print counts and whole documents as one JSON object.")
def inspect(
    directory: str, id: str, number: int, dropped: bool, map: str, quarantined: bool, full: bool, as_json: bool
) -> None:
    """Look at documents, and at what was dropped and why."""
    from corpus.data import inspect as look
    from corpus.data.dataset import Dataset

    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that cannot show a character gets its code
        sys.stdout.reconfigure(errors="backslashreplace")

    if look.unfinished(Path(directory)) and not id:
        _trail(Path(directory), number, dropped, quarantined, full, as_json)
        return
    dataset = Dataset.open(directory)
    if what := _NO_ROWS.get(dataset.manifest.kind):
        raise UsageError(f"{directory} holds {what}: give a dataset of documents, tokens or packed rows.")
    if as_json:
        print_json(_as_json(dataset, id, number, dropped, map, quarantined))
        return
    _summary(dataset)
    if id:
        _show(look.document(dataset, id), full=True)
    elif quarantined:
        _show_quarantined(dataset.path, number, full)
    elif dropped:
        look.check_map(dataset, map)
        _show_dropped(dataset.path, number, map, full)
    else:
        for row in look.documents(dataset, number):
            _show(row, full)


def _as_json(dataset: Any, id: str, number: int, dropped: bool, map: str, quarantined: bool) -> dict[str, Any]:
    from corpus.data import inspect as look

    manifest = dataset.manifest
    value = {"path": str(dataset.path), "kind": manifest.kind, "stage": manifest.stage, "rows": manifest.rows}
    value |= {"totals": dict(manifest.totals), "counts": {unit: asdict(c) for unit, c in manifest.counts.items()}}
    if id:
        return value | {"documents": [look.document(dataset, id)]}
    if quarantined:
        return value | {"quarantined": _quarantined(dataset.path, number)}
    if dropped:
        look.check_map(dataset, map)
        return value | {"dropped": list(look.dropped(dataset.path, number, map))}
    return value | {"documents": list(look.documents(dataset, number))}


def _trail(path: Path, number: int, dropped: bool, quarantined: bool, full: bool, as_json: bool) -> None:
    """What a stage that did not finish dropped and set aside: both, unless one is asked for."""
    from corpus.data import inspect as look

    both = not dropped and not quarantined
    if as_json:
        value: dict[str, Any] = {"path": str(path), "finished": False}
        value |= {"quarantined": _quarantined(path, number)} if both or quarantined else {}
        print_json(value | ({"dropped": list(look.dropped(path, number))} if both or dropped else {}))
        return
    click.secho(f"{path}: its stage is not finished; what it has dropped and set aside so far", bold=True)
    if both or quarantined:
        _show_quarantined(path, number, full)
    if both or dropped:
        _show_dropped(path, number, "", full)


def _quarantined(path: Path, number: int) -> list[dict[str, Any]]:
    from corpus.data import inspect as look

    return [row | {"data": row["data"].decode("utf-8", "backslashreplace")} for row in look.quarantined(path, number)]


def _show_quarantined(path: Path, number: int, full: bool) -> None:
    for row in _quarantined(path, number):
        head = f"{row['source']} at byte {row['offset']:,}, {row['length']:,} bytes: {row['reason']}"
        _show_text(head, row["data"], full)


def _show_dropped(path: Path, number: int, map: str, full: bool) -> None:
    from corpus.data import inspect as look

    for row in look.dropped(path, number, map):
        _show_text(f"{row['id']}  dropped: {row['reason']}", row["text"], full)


def _summary(dataset: Any) -> None:
    manifest = dataset.manifest
    totals = ", ".join(f"{value:,} {name}" for name, value in manifest.totals.items()) or f"{manifest.rows:,} rows"
    click.secho(f"{dataset.path}: {manifest.kind} of stage {manifest.stage}, {totals}", bold=True)
    for unit, counts in manifest.counts.items():
        click.echo(
            f"  {unit}: {counts.seen:,} in, {counts.kept:,} kept, {counts.merged:,} merged, "
            f"{sum(counts.dropped.values()):,} dropped, {counts.quarantined:,} quarantined"
        )
        for reason, number in sorted(counts.dropped.items(), key=lambda item: (-item[1], item[0])):
            click.echo(f"    {number:>10,} {reason}")
    for line in _map_lines(manifest):
        click.echo(line)


def _map_lines(manifest: Any) -> list[str]:
    """What each map of a chain was given and kept."""
    entries = [(entry["map"], entry["counts"]) for entry in manifest.extra.get("maps", ())]
    return [f"  map {name}: {counts['in']:,} in, {counts['kept']:,} kept" for name, counts in entries]


def _show(row: dict[str, Any], full: bool) -> None:
    text = row.pop("text", None)
    if text is None:
        text = json.dumps(row, ensure_ascii=False, default=str)
        _show_text(str(row.get("id", row.get("domain", ""))), text, full)
        return
    facts = [f"{key}={value}" for key, value in row.items() if value not in (None, "", "{}") and key != "id"]
    _show_text(f"{row['id']}  {' '.join(facts)}", text, full)


def _show_text(head: str, text: str, full: bool) -> None:
    click.secho(f"\n── {head}", fg="cyan")
    cut = len(text) - _SHOWN_CHARACTERS
    click.echo(text if full or cut <= 0 else f"{text[:_SHOWN_CHARACTERS]}\n… {cut:,} more characters (--full)")
