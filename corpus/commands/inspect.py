"""The commands that look: verify, inspect, status, clean."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from corpus.cli_options import Quantity, json_option, print_json, quiet_option
from corpus.errors import DataError, UsageError
from corpus.option import Bounds

_SHOWN_CHARACTERS = 2000
_MISSING = {
    "broken": "the run had finished, but its manifest is missing",
    "unfinished": "the same corpus run goes on from there",
}


@click.command()
@click.argument("directories", nargs=-1, required=True, metavar="DIR…")
@quiet_option()
@json_option("Print what was found as one JSON object.")
def verify(directories: tuple[str, ...], quiet: bool, as_json: bool) -> None:
    """Check checksums, counts, ids and schema of the datasets at or below DIR; exit 1 if one is broken."""
    from corpus.data.verify import find_datasets, missing_outputs, verify_dataset

    entries: list[dict[str, Any]] = []
    for directory in directories:
        found = find_datasets(Path(directory))
        missing = missing_outputs(Path(directory))
        if not found and not any(finished for _, finished in missing):
            raise UsageError(f"{directory} holds no finished dataset: give a dataset or the output of corpus run.")
        for path, finished in missing:
            state = "broken" if finished else "unfinished"
            entries.append({"path": str(path), "state": state, "problems": [_MISSING[state]]})
            if not (as_json or (quiet and not finished)):
                click.echo(f"{state} {path}  {_MISSING[state]}")
        for path in found:
            report = verify_dataset(path)
            state = "broken" if report.problems else "ok"
            sizes = {"kind": report.kind, "rows": report.rows, "bytes": report.bytes}
            entries.append({"path": str(path), "state": state, "problems": list(report.problems), **sizes})
            if not (as_json or (quiet and not report.problems)):
                click.echo(f"{state:6} {path}  {report.kind}, {report.rows:,} rows, {report.bytes:,} bytes")
                for problem in report.problems:
                    click.echo(f"       {problem}")
    broken, good = (sum(entry["state"] == state for entry in entries) for state in ("broken", "ok"))
    if as_json:
        print_json({"ok": good, "broken": broken, "datasets": entries})
    if broken:
        raise DataError(f"{broken} of {broken + good} datasets are broken: remove them and run their commands again.")
    if not (as_json or quiet):
        click.echo(f"{good} datasets are as their manifests say")


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

    dataset = Dataset.open(directory)
    if dataset.manifest.kind in ("tokenizer", "choice"):
        what = {"tokenizer": "a tokenizer", "choice": "a choice of validation documents"}[dataset.manifest.kind]
        raise UsageError(f"{directory} holds {what}: give a dataset of documents, tokens or packed rows.")
    if as_json:
        print_json(_as_json(dataset, id, number, dropped, map, quarantined))
        return
    _summary(dataset)
    if id:
        _show(look.document(dataset, id), full=True)
    elif quarantined:
        for row in look.quarantined(dataset, number):
            head = f"{row['source']} at byte {row['offset']}, {row['length']} bytes: {row['reason']}"
            _show_text(head, row["data"].decode("utf-8", "backslashreplace"), full)
    elif dropped:
        for row in look.dropped(dataset, number, map):
            _show_text(f"{row['id']}  dropped: {row['reason']}", row["text"], full)
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
        rows = [
            row | {"data": row["data"].decode("utf-8", "backslashreplace")} for row in look.quarantined(dataset, number)
        ]
        return value | {"quarantined": rows}
    if dropped:
        return value | {"dropped": list(look.dropped(dataset, number, map))}
    return value | {"documents": list(look.documents(dataset, number))}


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


@click.command()
@click.argument("output", metavar="OUT")
@json_option("Print the states as one JSON object.")
def status(output: str, as_json: bool) -> None:
    """Say what is done below OUT and what a rerun would do."""
    from corpus.data.run_state import stage_states

    states = stage_states(Path(output))
    todo = [entry for entry in states if entry.state not in ("done", "cleaned")]
    if as_json:
        print_json({"to_do": len(todo), "stages": [asdict(entry) for entry in states]})
        return
    for entry in states:
        click.echo(f"{entry.state:10} {entry.path}  {entry.detail}")
    click.echo(
        f"a rerun would do {len(todo)} of {len(states)} stages" if todo else "all done; a rerun would do nothing"
    )


@click.command()
@click.argument("output", metavar="OUT")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@quiet_option()
@json_option("Print what was removed as one JSON object.")
def clean(output: str, dry_run: bool, quiet: bool, as_json: bool) -> None:
    """Remove intermediate datasets of a finished run; the final documents, tokens and packed rows stay."""
    from corpus.data.run_state import clean as remove
    from corpus.data.verify import PLAN
    from corpus.engine.lock import locked

    if not Path(output).is_dir():
        raise UsageError(f"{output} does not exist: give the output of corpus run.")
    if not Path(output, PLAN).exists():  # before the lock, which would leave its file there
        raise UsageError(f"{output} is not the output of corpus run: remove single datasets yourself.")
    with locked(Path(output), lambda line: click.echo(line, err=True)):
        removed = remove(Path(output), dry_run)
    if as_json:
        entries = [{"path": str(path), "bytes": size} for path, size in removed]
        print_json({"dry_run": dry_run, "bytes": sum(size for _, size in removed), "removed": entries})
        return
    if quiet:
        return
    for path, size in removed:
        click.echo(f"{'would remove' if dry_run else 'removed'} {path} ({size / 1e6:,.1f} MB)")
    print(f"{sum(size for _, size in removed) / 1e6:,.1f} MB in {len(removed)} directories", file=sys.stderr)
