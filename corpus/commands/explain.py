"""`corpus explain OUT QUERY`: the way of a record through every stage of a run; `corpus index OUT`, which finds lines."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from corpus.cli_options import Quantity, json_option, print_json, quiet_option
from corpus.option import Bounds

if TYPE_CHECKING:
    from corpus.explain.way import Run, Stop

_SHOWN_CHARACTERS = 2000
_SHOWN_LINES = 10
_SHOWN_SEQUENCES = 10
_SHOWN_ALWAYS = ("id", "text", "domain", "source", "metadata", "ids", "url")


@click.command()
@click.argument("output", metavar="OUT")
@click.argument("query", metavar="QUERY")
@click.option(
    "-n", "number", type=Quantity("count", Bounds(least=1)), default=3, show_default=True,
    help="How many documents to show where several have the URL or line.",
)  # fmt: skip
@click.option(
    "--text", is_flag=True, help="Show the text after each stage that changed it; what was cleaned is read again."
)
@click.option("--full", is_flag=True, help="Show whole texts, all removed lines, sequences and steps.")
@click.option(
    "--run", "runs", multiple=True, metavar="RUN", help="Training runs (outputs of trainer fit) whose steps to name."
)
@json_option("Print the way as one JSON object.")
def explain(output: str, query: str, number: int, text: bool, full: bool, runs: tuple[str, ...], as_json: bool) -> None:
    """Say what became of a record at every stage of the run in OUT.

    QUERY is an id (<domain>/<file>#<record>), a raw file with the number of the record (<file>#<record>), a URL, or after
    `corpus index OUT` a whole line.
    """
    from corpus.explain.find import find
    from corpus.explain.way import Run
    from pipelines.recipes.reread import reread

    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that cannot show a character gets its code
        sys.stdout.reconfigure(errors="backslashreplace")
    run = Run(Path(output), partial(reread, Path(output)) if text else None)
    found = find(run, query, number)
    told = [(id, way, {path: _steps(run, path, way) for path in runs}) for id, way in found.ways]
    if as_json:
        ways = [{"id": id, "stages": list(map(_as_json, way)), "steps": steps} for id, way, steps in told]
        print_json({"documents": found.number, "ways": ways})
        return
    if found.number > 1:
        what = "line" if found.line else "name or URL"
        click.echo(f"{found.number:,} records have this {what}; here are {len(told)} (-n {found.number} for all)")
    for id, way, steps in told:
        lines = _lines(run, id, way, found.line, text, full)
        click.echo("\n".join([*lines, *(f"  {path}  {_trained(entries, full)}" for path, entries in steps.items())]))


def _steps(run: Run, path: str, way: Sequence[Stop]) -> dict[int, int]:
    """The steps of the training run at `path` that trained on the packed sequences of a record, by sequence."""
    from corpus.data.dataset import Dataset
    from trainer.run.trace import steps_of_rows

    found: dict[int, int] = {}
    for stop in way:
        if stop.sequences:
            digest = Dataset.open(run.path / stop.output).digest
            found |= steps_of_rows(Path(path), digest, [place["row"] for place in stop.sequences])
    return found


def _trained(steps: Mapping[int, int], full: bool) -> str:
    if not steps:
        return "never trained on it"
    ordered = sorted(steps.items(), key=lambda pair: pair[::-1])
    shown = [f"{step:,} (sequence {row:,})" for row, step in ordered]
    return f"trained on it in {len(set(steps.values())):,} steps: {_some(shown, full)}"


def _some(parts: Sequence[str], full: bool) -> str:
    """Some of many parts, or all of them."""
    return ", ".join(parts if full or len(parts) <= _SHOWN_SEQUENCES else [*parts[:_SHOWN_SEQUENCES], "…"])


def _as_json(stop: Stop) -> dict[str, Any]:
    value = {key: entry for key, entry in asdict(stop).items() if entry not in ((), "", None, False)}
    if stop.row is not None and "ids" in stop.row:
        value["tokens"] = len(value.pop("row")["ids"])
    if stop.removed is None:
        value["removed"] = None
    return value


def _lines(run: Run, id: str, way: Sequence[Stop], line: str, text: bool, full: bool) -> list[str]:
    """The way in words, a line a stage and what belongs to it below."""
    lines = [click.style(id, bold=True)]
    url = next((stop.row["url"] for stop in way if stop.row is not None and stop.row.get("url")), None)
    lines += [f"  {url}"] if url else []
    width = max(len(stop.output) for stop in way)
    before: str | None = None
    for stop in way:
        lines.append(f"  {stop.output:{width}}  {_verdict(stop, full)}")
        lines += [f"      {said}" for said in _removed(stop, line, full)]
        after = None if stop.row is None else stop.row.get("text")
        if text and after is not None and after != before:
            lines += _text("text" if before is None else "text after", after, full)
        if stop.verdict == "dropped":
            lines += _text_of_dropped(run, id, stop, before, text, full)
        before = after if after is not None else (None if stop.gone else before)
    return lines


def _verdict(stop: Stop, full: bool) -> str:
    if stop.verdict == "dropped":
        by = f" by {stop.map}" if stop.map and not stop.reason.startswith(stop.map) else ""
        return click.style(f"dropped{by}: {stop.reason}", fg="red")
    if stop.verdict == "merged":
        return f"merged into {stop.reason}"
    if stop.verdict == "unreadable":
        return click.style(f"could not be read: {stop.reason}", fg="red")
    if stop.verdict == "other side":
        return "on the other side"
    if stop.verdict == "unused":
        return "in no sequence: the mixture ends before it, or has no part for its domain"
    if stop.sequences:
        return _sequences(stop.sequences, full)
    if stop.gone:
        return f"kept; its text here is {stop.replayed or 'gone'} (corpus clean)"
    assert stop.row is not None
    if "ids" in stop.row:
        return f"{len(stop.row['ids']):,} tokens"
    return " ".join(["kept", *_facts(stop.row)])


def _facts(row: Mapping[str, Any]) -> list[str]:
    """Scores and other columns of a document."""
    values = {key: f"{value:.4g}" if isinstance(value, float) else value for key, value in row.items()}
    return [f"{key}={value}" for key, value in values.items() if key not in _SHOWN_ALWAYS and value not in (None, "")]


def _sequences(places: Sequence[Mapping[str, int]], full: bool) -> str:
    shown = [f"{place['row']:,} (epoch {place['epoch']})" for place in places]
    return f"in {len(places):,} sequences: {_some(shown, full)}"


def _removed(stop: Stop, line: str, full: bool) -> list[str]:
    if stop.removed is None:
        return ["which lines it lost cannot be told: its text before or after is gone"]
    if not stop.removed:
        return []
    wanted = [entry for entry in stop.removed if not line or entry.line == line]
    shown = wanted if full else wanted[:_SHOWN_LINES]
    lines = [f"{len(stop.removed):,} lines removed" + (f", {len(wanted):,} of them the line asked for" if line else "")]
    lines += [f"  - {entry.number + 1:>4}  {entry.line}  [{entry.reason}]" for entry in shown]
    return lines + ([f"  … {len(wanted) - len(shown):,} more (--full)"] if len(wanted) > len(shown) else [])


def _text_of_dropped(run: Run, id: str, stop: Stop, before: str | None, text: bool, full: bool) -> list[str]:
    sample = run.sample(stop, id)
    if sample is not None:
        return _text("text when it was dropped", sample, full)
    if before is not None:
        return [] if text else _text("text before this stage", before, full)
    return ["      its text is gone: corpus clean removed it, and it is not among the samples of its reason"]


def _text(head: str, text: str, full: bool) -> list[str]:
    cut = len(text) - _SHOWN_CHARACTERS
    shown = text if full or cut <= 0 else f"{text[:_SHOWN_CHARACTERS]}\n… {cut:,} more characters (--full)"
    return [f"      {head}:", *(f"      │ {line}" for line in shown.split("\n"))]


@click.command()
@click.argument("output", metavar="OUT")
@quiet_option()
def index(output: str, quiet: bool) -> None:
    """Index URLs and lines of the run in OUT, so that `corpus explain` finds documents by them at once.

    The tables are in OUT/_index, about 16 bytes for each line; what is indexed already is not read again.
    """
    from corpus.engine.lock import locked
    from corpus.engine.progress import megabytes
    from corpus.explain.index import build_index
    from corpus.explain.way import Run

    run = Run(Path(output))
    total = 0
    with locked(Path(output), lambda line: click.echo(line, err=True)):
        for name, size in build_index(run):
            total += size
            if not quiet:
                click.echo(f"{name}  {megabytes(size)}")
    if not quiet:
        click.echo(f"{megabytes(total)} in {run.path / '_index'}")
