"""`corpus inspect`: documents, and what was dropped and set aside, in the terminal."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from corpus.cli_options import Quantity, json_option, print_json
from corpus.data.manifest import MANIFEST
from corpus.data.verify import find_datasets
from corpus.errors import DataError, UsageError
from corpus.option import Bounds, nearest

_SHOWN_CHARACTERS = 2000
_NO_ROWS = {
    "tokenizer": "a tokenizer",
    "choice": "a choice of validation documents",
    "verdict": "a verdict over several domains",
    "keys": "keys that documents are compared with",
    "lm": "a language model",
    "cutoffs": "cutoffs of perplexity",
    "links": "links of an encyclopedia",
    "classifier": "a classifier",
}


@click.command()
@click.argument("directory", metavar="DIR")
@click.argument("stage", metavar="[STAGE]", default="")
@click.option("--id", "id", default="", help="Show this document whole, or say why it was dropped.")
@click.option(
    "-n", "number", type=Quantity("count", Bounds(least=1)), default=5, show_default=True, help="How many to show."
)
@click.option("--dropped", is_flag=True, help="Show dropped documents, so many for each reason.")
@click.option(
    "--map", "map", default="", metavar="NAME", help="With --dropped: only what this map of the stage dropped."
)
@click.option("--lines", is_flag=True, help="Show the lines that line dedup removed, and how many documents have each.")
@click.option("--quarantined", is_flag=True, help="Show records that could not be read.")
@click.option(
    "--tokenizer", metavar="MODEL", help="The tokenizer that decodes ids. [default: that of the set or its run]"
)
@click.option("--full", is_flag=True, help="Show whole texts.")
@json_option("Print counts and whole documents as one JSON object.")
def inspect(directory: str, stage: str, **options: Any) -> None:
    """Look at documents, ids and sequences, and at what was dropped and why.

    DIR is a dataset, the output of a stage that failed, or the output of `corpus run`. Of a run STAGE names a dataset, such
    as wikipedia/filter or packed; without it all stages are listed, and --dropped, --lines, --quarantined and --id look at
    all of them.
    """
    from corpus.data import inspect as look
    from corpus.data.dataset import Dataset

    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that cannot show a character gets its code
        sys.stdout.reconfigure(errors="backslashreplace")
    asked = Asked(**options)
    path = Path(directory)
    if look.unfinished(path) and not asked.id:
        _trail(path, asked)
        return
    if stage:
        path = run_dataset(path, stage)
    elif not (path / MANIFEST).exists() and find_datasets(path):
        inspect_run(path, asked)
        return
    inspect_dataset(Dataset.open(path), asked)


@dataclass(frozen=True)
class Asked:
    """What of a dataset is to be shown, and how."""

    id: str
    number: int
    dropped: bool
    map: str
    lines: bool
    quarantined: bool
    tokenizer: str | None
    full: bool
    as_json: bool


def run_dataset(run: Path, stage: str) -> Path:
    """The dataset of a run that a short name means: `wikipedia/filter` is also `documents/wikipedia/01-dedup+filter`."""
    from corpus.data.run_state import short_name

    names = {short_name(place.relative_to(run).as_posix()): place for place in find_datasets(run)}
    parts = {f"{name.rpartition('/')[0]}/{part}": place for name, place in names.items() for part in _steps(name)}
    found = names.get(short_name(stage)) or parts.get(short_name(stage))
    if found is None:
        raise UsageError(f"{run} has no stage '{stage}': {nearest(stage, names)}")
    return found


def _steps(name: str) -> list[str]:
    """The steps of a pass over documents."""
    steps = name.rpartition("/")[2].split("+")
    return steps if len(steps) > 1 else []


def inspect_run(run: Path, asked: Asked) -> None:
    """All stages of a run: what each kept and dropped; or what is asked for, of every stage that has it."""
    from corpus.data.dataset import Dataset

    if asked.id:
        _document_of_run(run, asked)
        return
    datasets = [Dataset.open(path) for path in find_datasets(run)]
    wanted = [dataset for dataset in datasets if _has(dataset, asked)]
    if asked.as_json:
        print_json({"path": str(run), "datasets": [_as_json(dataset, asked) for dataset in wanted]})
        return
    if asked.dropped or asked.quarantined or asked.lines:
        for dataset in wanted:
            inspect_dataset(dataset, asked)
        return
    for dataset in wanted:
        counts = dataset.manifest.counts
        said = "; ".join(f"{unit} {entry.seen:,} in, {entry.kept:,} kept" for unit, entry in counts.items())
        gone = " (rows removed by corpus clean)" if dataset.cleaned else ""
        click.echo(f"{dataset.path.relative_to(run)}  {dataset.manifest.kind}: {said or 'no counts'}{gone}")
    click.echo(f"look at one with corpus inspect {run} STAGE, at a record with corpus explain {run} QUERY")


def _has(dataset: Any, asked: Asked) -> bool:
    """Whether a dataset has what is asked for of all."""
    from corpus.data.trail import quarantine_files, sample_files

    if asked.lines:
        return bool(dataset.manifest.config.get("level") == "line")
    if asked.quarantined:
        return bool(quarantine_files(dataset.path))
    return bool(sample_files(dataset.path)) if asked.dropped else dataset.manifest.kind not in _NO_ROWS


def _document_of_run(run: Path, asked: Asked) -> None:
    """The document as the last stage has it that has its text; a DataError where it was dropped on the way."""
    from corpus.explain.way import Run

    known = Run(run)
    way = known.way(asked.id)
    if not way:
        raise UsageError(f"{run} never had a record '{asked.id}': look at the ids with corpus inspect {run} STAGE.")
    rows = [(stop, stop.row) for stop in way if stop.row is not None and "text" in stop.row]
    if asked.as_json:
        print_json({"path": str(run), "documents": [dict(rows[-1][1])] if rows else []})
    elif rows:
        click.secho(f"{run / rows[-1][0].output}: as it is there", bold=True)
        _show(dict(rows[-1][1]), full=True)
    lost = next((stop for stop in way if stop.verdict in ("dropped", "merged", "unreadable")), None)
    if lost is not None:
        raise DataError(f"{asked.id} was {lost.verdict} by stage {lost.stage} ({lost.output}): {lost.reason}.")


def inspect_dataset(dataset: Any, asked: Asked) -> None:
    """One dataset: its counts, and what is asked for."""
    from corpus.data import inspect as look

    if what := _NO_ROWS.get(dataset.manifest.kind):
        raise UsageError(f"{dataset.path} holds {what}: give a dataset of documents, tokens or packed rows.")
    if asked.as_json:
        print_json(_as_json(dataset, asked))
        return
    _summary(dataset)
    if asked.id:
        _show(look.document(dataset, asked.id), full=True)
    elif asked.quarantined:
        _show_quarantined(dataset.path, asked.number, asked.full)
    elif asked.dropped:
        look.check_map(dataset, asked.map)
        _show_dropped(dataset.path, asked.number, asked.map, asked.full)
    elif asked.lines:
        for entry in look.removed_lines(dataset, asked.number):
            click.echo(f"{entry['documents']:>12,} documents  {entry['line']}")
    elif dataset.cleaned:
        click.echo("  its rows were removed by corpus clean; --dropped and --quarantined show what it left out")
    else:
        _show_rows(dataset, asked)


def _show_rows(dataset: Any, asked: Asked) -> None:
    """Rows spread over the dataset: documents with their text, ids and sequences decoded where the tokenizer is known."""
    from corpus.data import inspect as look

    if dataset.manifest.kind == "packed":
        _show_sequences(dataset, asked)
        return
    surface = _surface(dataset, asked.tokenizer) if dataset.manifest.kind == "tokens" else None
    for row in look.documents(dataset, asked.number):
        if surface is None:
            _show(row, asked.full)
        else:
            _show_text(f"{row['id']}  {len(row['ids']):,} tokens", surface.text(row["ids"], True), asked.full)


def _show_sequences(dataset: Any, asked: Asked) -> None:
    from corpus.commands.trace import row_lines, surface_of
    from corpus.data.packed import PackedRows
    from corpus.mixture.trace import Trace

    packed = PackedRows(dataset.path)
    trace = Trace(packed, (), surface_of(packed, asked.tokenizer))
    total = len(packed)
    for number in sorted({total * step // asked.number for step in range(asked.number)}):
        for entry in trace.rows(number, number + 1):
            click.echo("\n" + "\n".join(row_lines(entry)))


def _surface(dataset: Any, path: str | None) -> Any:
    """The text of ids by the tokenizer of a token dataset: that of its run unless one is given; None with a note where it is
    not known."""
    from tokenizer.model import Tokenizer
    from tokenizer.surface import Surface

    known = dataset.manifest.extra["tokenizer"]
    places = [parent / "tokenizer" for parent in list(dataset.path.absolute().parents)[:2]]
    for place in [Path(path)] if path else [place for place in places if (place / MANIFEST).exists()]:
        tokenizer = Tokenizer.load(str(place), known.get("eod_piece"))
        if tokenizer.digest == known["digest"]:
            return Surface(tokenizer)
        if path:
            raise DataError(f"{path} did not make {dataset.path} (another digest): give the tokenizer that did.")
    click.echo("its tokenizer is not next to it, so no text is shown: give --tokenizer.", err=True)
    return None


def _as_json(dataset: Any, asked: Asked) -> dict[str, Any]:
    from corpus.data import inspect as look

    manifest = dataset.manifest
    value = {"path": str(dataset.path), "kind": manifest.kind, "stage": manifest.stage, "rows": manifest.rows}
    value |= {"totals": dict(manifest.totals), "counts": {unit: asdict(c) for unit, c in manifest.counts.items()}}
    if asked.id:
        return value | {"documents": [look.document(dataset, asked.id)]}
    if asked.quarantined:
        return value | {"quarantined": _quarantined(dataset.path, asked.number)}
    if asked.dropped:
        look.check_map(dataset, asked.map)
        return value | {"dropped": list(look.dropped(dataset.path, asked.number, asked.map))}
    if asked.lines:
        return value | {"lines": look.removed_lines(dataset, asked.number)}
    return value | {"documents": [] if dataset.cleaned else list(look.documents(dataset, asked.number))}


def _trail(path: Path, asked: Asked) -> None:
    """What a stage that did not finish dropped and set aside: both, unless one is asked for."""
    from corpus.data import inspect as look

    both = not asked.dropped and not asked.quarantined
    if asked.as_json:
        value: dict[str, Any] = {"path": str(path), "finished": False}
        value |= {"quarantined": _quarantined(path, asked.number)} if both or asked.quarantined else {}
        print_json(value | ({"dropped": list(look.dropped(path, asked.number))} if both or asked.dropped else {}))
        return
    click.secho(f"{path}: its stage is not finished; what it has dropped and set aside so far", bold=True)
    if both or asked.quarantined:
        _show_quarantined(path, asked.number, asked.full)
    if both or asked.dropped:
        _show_dropped(path, asked.number, "", asked.full)


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
