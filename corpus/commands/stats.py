"""`corpus stats`: distributions of the columns of documents, and what each rule would drop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from corpus.cli_options import Quantity, json_option, print_json
from corpus.commands.options import existing
from corpus.errors import UsageError
from corpus.option import Bounds, nearest

if TYPE_CHECKING:
    import pyarrow as pa

    from corpus.data.dataset import Dataset
    from corpus.data.stored import StoredFile
    from corpus.quality.distribution import Group, GroupStats, Query

_NAME_WIDTH = 34
_BAR = 40


@click.command()
@click.argument("documents", nargs=-1, required=True, metavar="DOCS…")
@click.option("--by", default="", metavar="COLUMN,…", help="Columns whose values make groups, such as domain,language.")
@click.option("--column", "columns", multiple=True, metavar="COLUMN", help="Only these columns (all of numbers).")
@click.option("--histogram", is_flag=True, help="Show a histogram of each column.")
@click.option(
    "--workers", type=Quantity("count", Bounds(least=1)), default=1, show_default=True, help="Processes to use."
)
@json_option("Print everything as one JSON object.")
def stats(
    documents: tuple[str, ...], by: str, columns: tuple[str, ...], histogram: bool, workers: int, as_json: bool
) -> None:
    """Show how columns are distributed and what each rule drops.

    For thresholds: annotate documents with `corpus filter --annotate`, look here, drop with `corpus filter --where`. Whole
    numbers up to 2,048 are exact, other quantiles at most 0.1 % too near to zero.
    """
    from corpus.data.dataset import resolve
    from corpus.quality.distribution import merged, rule_table

    found = resolve(existing(documents), "documents")
    query = _query(found, tuple(name.strip() for name in by.split(",") if name.strip()), columns)
    groups = merged(_parts(query, [shard for dataset in found for shard in dataset.shards()], workers))
    if as_json:
        print_json({"by": list(query.by), "groups": [_group_json(query, *group) for group in groups.items()]})
        return
    for group, entry in groups.items():
        click.secho(_title(query, group, entry.documents), bold=True)
        _show_columns(entry, histogram)
        if query.reasons:
            _show_rules(rule_table(query, entry.reasons), entry.documents)


def _query(datasets: Sequence[Dataset], by: tuple[str, ...], columns: tuple[str, ...]) -> Query:
    """What is asked for, checked against the columns that there are."""
    from corpus.data.columns import document_schema, merge_columns
    from corpus.quality.distribution import CHARACTERS, REASON, Query, is_number

    schema: pa.Schema = document_schema(merge_columns([dataset.manifest.columns for dataset in datasets]))
    numbers = [CHARACTERS, *(entry.name for entry in schema if is_number(entry.type))]
    for name in by:
        if name not in schema.names:
            raise UsageError(f"--by {name}: no such column; {nearest(name, schema.names)}")
    for name in columns:
        if name not in numbers:
            raise UsageError(f"--column {name}: no such column of numbers; {nearest(name, numbers)}")
    reasons = tuple(name for name in schema.names if name.endswith(REASON))
    return Query(by, columns or tuple(numbers), reasons)


def _parts(query: Query, shards: Sequence[StoredFile], workers: int) -> list[Mapping[Group, GroupStats]]:
    """The groups of each shard, in order."""
    if workers == 1 or len(shards) < 2:
        return [query.of(shard) for shard in shards]
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(min(workers, len(shards)), mp_context=get_context("spawn")) as pool:
        return list(pool.map(query.of, shards))


def _title(query: Query, group: Group, documents: int) -> str:
    named = ", ".join(f"{name} {label or 'none'}" for name, label in zip(query.by, group, strict=True))
    return f"{named or 'all'}: {documents:,} documents"


def _show_columns(entry: GroupStats, histogram: bool) -> None:
    from corpus.quality.distribution import QUANTILES

    heads = ["missing", "mean", "min", *(f"{share:.0%}" for share in QUANTILES), "max"]
    click.echo(" " * (_NAME_WIDTH + 2) + "".join(f"{head:>10}" for head in heads))
    for name, found in entry.columns.items():
        if not found.number:
            click.echo(f"  {name:{_NAME_WIDTH}}{found.missing:>10,}  no numbers")
            continue
        figures = [found.mean, found.least, *found.quantiles(), found.most]
        click.echo(f"  {name:{_NAME_WIDTH}}{found.missing:>10,}" + "".join(f"{_short(n):>10}" for n in figures))
        bars = found.histogram() if histogram else []
        longest = max((count for _, _, count in bars), default=0)
        for begin, end, count in bars:
            bar = "█" * -(-count * _BAR // longest)
            click.echo(f"    {_short(begin):>10} to {_short(end):>8} {count:>12,} {bar}")


def _short(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 10_000 or number == int(number) else f"{number:.4g}"


def _show_rules(table: Sequence[Mapping[str, Any]], documents: int) -> None:
    click.echo(f"  {'would be dropped by':{_NAME_WIDTH}}{'alone':>10}{'':8}{'in order':>10}{'':8}{'only it':>10}")
    for row in table:
        figures = "".join(
            f"{row[key]:>10,} {row[key] / max(documents, 1):>6.1%} " for key in ("alone", "in_order", "only")
        )
        click.echo(f"  {row['rule']:{_NAME_WIDTH}}{figures.rstrip()}")
        for why, number in row["reasons"].items():
            click.echo(f"    {why:{_NAME_WIDTH - 2}}{number:>10,} {number / max(documents, 1):>6.1%}")
    total = sum(row["in_order"] for row in table)
    click.echo(f"  {'all of them':{_NAME_WIDTH}}{'':18}{total:>10,} {total / max(documents, 1):>6.1%}")


def _group_json(query: Query, group: Group, entry: GroupStats) -> dict[str, Any]:
    from corpus.quality.distribution import rule_table

    return {
        "group": dict(zip(query.by, group, strict=True)),
        "documents": entry.documents,
        "columns": {name: found.to_json() for name, found in entry.columns.items()},
        "rules": rule_table(query, entry.reasons),
    }
