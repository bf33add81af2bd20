"""`corpus verify`: are datasets what their manifests say?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from corpus.cli_options import json_option, print_json, quiet_option
from corpus.errors import DataError, UsageError

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
            state = "broken" if report.problems else "cleaned" if report.cleaned else "ok"
            sizes = {"kind": report.kind, "rows": report.rows, "bytes": report.bytes}
            entries.append({"path": str(path), "state": state, "problems": list(report.problems), **sizes})
            if not (as_json or (quiet and not report.problems)):
                sizes_said = f"{report.rows:,} rows, {report.bytes:,} bytes{' removed' if state == 'cleaned' else ''}"
                click.echo(f"{state:7} {path}  {report.kind}, {sizes_said}")
                for problem in report.problems:
                    click.echo(f"       {problem}")
    broken, good = (sum(entry["state"] == state for entry in entries) for state in ("broken", "ok"))
    cleaned = sum(entry["state"] == "cleaned" for entry in entries)
    if as_json:
        print_json({"ok": good, "cleaned": cleaned, "broken": broken, "datasets": entries})
    if broken:
        raise DataError(f"{broken} of {broken + good} datasets are broken: remove them and run their commands again.")
    if not (as_json or quiet):
        also = f", and so is the trail of {cleaned} whose rows were removed" if cleaned else ""
        click.echo(f"{good} datasets are as their manifests say{also}")
