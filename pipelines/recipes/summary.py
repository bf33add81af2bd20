"""What a run did, from its manifests and logs: per domain what came in, what was kept and why the rest was not; how long
it took and how much memory it needed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from corpus.data.dataset import Dataset
from corpus.data.files import write_atomic
from corpus.data.manifest import MANIFEST, Manifest
from corpus.data.verify import PLAN, recorded_drops
from corpus.dedup.without import verdict_lines
from corpus.engine.inputs import SAMPLE
from corpus.engine.log import read_log
from corpus.engine.progress import duration, megabytes
from corpus.heldout.report import report_lines
from corpus.mixture.plan.plan import BASIS_SHARE
from pipelines.recipes.across import ACROSS
from pipelines.recipes.graph import CHOICE
from pipelines.recipes.models import model_lines
from pipelines.recipes.registry import MODELS

_REASONS = 3
_OTHER_SIDE = {"train": "validation", "validation": "training"}
"""Where documents of a side go that are not its own."""
SUMMARY = "_log/summary.txt"
"""Where the summary of a run is kept below its output."""


def summarize(output: Path) -> str:
    """The summary of a `corpus run` output as text."""
    outputs = json.loads((output / PLAN).read_text(encoding="utf-8"))["outputs"]
    lines = _sample_lines(output)
    lines += [_heading("stage", "in", "kept", "dropped", "set aside", "time", "most of it for")]
    lines += [line for name in outputs if name.startswith("documents/") for line in _stage_line(output, name)]
    lines += [
        "",
        *_model_lines(output, outputs),
        *_across_lines(output, outputs),
        *_validation_lines(output),
        *_packed_lines(output),
        "",
        *_effort_lines(output, outputs),
        f"packed rows   {output / 'packed'}",
        f"validation    {output / 'validation'}",
    ]
    tokenizer = output / "tokenizer"
    if tokenizer.exists():
        lines.append(f"tokenizer     {tokenizer}")
    lines.append(f"documents     {output / 'documents'} (look with: corpus inspect)")
    lines.append(f"this summary  {output / SUMMARY}")
    return "\n".join(lines)


def _sample_lines(output: Path) -> list[str]:
    """That the run is over a sample of the raw records, where it is."""
    mark = Manifest.load(output / "packed").extra.get(SAMPLE)
    if mark is None:
        return []
    parts = [f"{mark['share']} of the records"] if "share" in mark else []
    parts += [f"the first {mark['limit']:,} of each raw file"] if "limit" in mark else []
    return [f"a sample: {', of '.join(parts)}; run without --sample and --limit into another --output for all", ""]


def _heading(*cells: str) -> str:
    name, *numbers, reasons = cells
    return f"{name:38}" + "".join(f"{cell:>10}" for cell in numbers) + f"  {reasons}"


def _stage_line(output: Path, name: str) -> Iterator[str]:
    path = output / name
    if not (path / MANIFEST).exists():
        return
    manifest = Manifest.load(path)
    counts = next(iter(manifest.counts.values())) if len(manifest.counts) == 1 else manifest.counts["documents"]
    dropped = recorded_drops(manifest, counts)
    ranked = sorted(dropped.items(), key=lambda item: (-item[1], item[0]))
    said = [f"{counts.merged:,} merged into others"] if counts.merged else []
    elsewhere = sum(counts.dropped.values()) - sum(dropped.values())
    if elsewhere:
        side = next((step["side"] for step in manifest.config["maps"] if "side" in step), "")
        said.append(f"{elsewhere:,} to {_OTHER_SIDE.get(side, 'another dataset')}")
    reasons = ", ".join([*said, *(f"{reason} {number:,}" for reason, number in ranked[:_REASONS])])
    cells = [f"{number:,}" for number in (counts.seen, counts.kept, sum(dropped.values()), counts.quarantined)]
    log = read_log(path)
    took = short_duration(log["seconds"]) if log else ""
    yield _heading(name.removeprefix("documents/"), *cells, took, reasons)
    lines = manifest.counts.get("lines")
    if lines is not None:
        cells = [f"{number:,}" for number in (lines.seen, lines.kept, sum(lines.dropped.values()), 0)]
        yield _heading("  lines", *cells, "", ", ".join(sorted(lines.dropped)))


def _effort_lines(output: Path, outputs: list[str]) -> list[str]:
    """Where the time of the stages went, and the most memory that any process had."""
    logs = {name: log for name in outputs if (log := read_log(output / name))}
    if not logs:
        return []
    took: Counter[str] = Counter()
    for name, log in logs.items():
        took[name.split("/")[0]] += log["seconds"]
    parts = ", ".join(f"{kind} {duration(seconds)}" for kind, seconds in took.most_common() if round(seconds))
    hungriest = max(logs, key=lambda name: logs[name]["peak_memory"])
    return [
        f"time          {duration(sum(took.values()))} for {len(logs)} stages{f' ({parts})' if parts else ''}",
        f"memory        up to {megabytes(logs[hungriest]['peak_memory'])} in a process ({hungriest})",
    ]


def short_duration(seconds: float) -> str:
    """A time that fits a column: 12 s, 3:20, 5:10:00."""
    total = round(seconds)
    if total < 60:
        return f"{total} s"
    clock = f"{total // 60 % 60:02d}:{total % 60:02d}"
    return f"{total // 3600}:{clock}" if total >= 3600 else clock.removeprefix("0")


def save_summary(output: Path) -> str:
    """Write the summary to `_log/summary.txt` of the run, beside what else is no part of its data; the text."""
    text = summarize(output)
    write_atomic(output / SUMMARY, text + "\n")
    return text


def summary_json(output: Path) -> dict[str, Any]:
    """The summary as JSON values: stages with counts, seconds and bytes of memory; the mixture; where things are."""
    outputs = json.loads((output / PLAN).read_text(encoding="utf-8"))["outputs"]
    packed = Manifest.load(output / "packed")
    return {
        "output": str(output),
        "stages": [_stage_json(output, name) for name in outputs if (output / name / MANIFEST).exists()],
        "domains": packed.extra["domains"],
        "messages": packed.extra["messages"],
        "rows": packed.rows,
        "sequence_length": packed.extra["sequence_length"],
    }


def _stage_json(output: Path, name: str) -> dict[str, Any]:
    manifest, log = Manifest.load(output / name), read_log(output / name)
    return {
        "path": name,
        "stage": manifest.stage,
        "counts": {unit: counts.to_json() for unit, counts in manifest.counts.items()},
        "seconds": log.get("seconds"),
        "peak_memory": log.get("peak_memory"),
    }


def _model_lines(output: Path, outputs: list[str]) -> list[str]:
    """What the models of the run are, or why there is none."""
    lines = list(model_lines(output, outputs, {name: MODELS.load(name) for name in MODELS}))
    return [*lines, ""] if lines else []


def _across_lines(output: Path, outputs: list[str]) -> list[str]:
    """What steps over all domains took from each, and for the documents of which."""
    places = [
        output / name for name in outputs if name.startswith(f"{ACROSS}/") and (output / name / MANIFEST).exists()
    ]
    lines = [f"{path.name}: {line}" for path in places for line in verdict_lines(Dataset.open(path))]
    return [*lines, ""] if lines else []


def _validation_lines(output: Path) -> list[str]:
    """What is validation in each domain, and between which domains it was taken from; gone where that was cleaned."""
    place = output / CHOICE
    return [*report_lines(Manifest.load(place), "validation.min_tokens"), ""] if (place / MANIFEST).exists() else []


def _packed_lines(output: Path) -> list[str]:
    manifest = Manifest.load(output / "packed")
    table = manifest.extra["domains"]
    lines = [
        f"{'domain':15}{'given share':>12}{'planned':>10}{'realised':>10}{'given epochs':>14}{'planned':>9}{'realised':>10}"
        f"{'unique tokens':>15}{'rows':>9}"
    ]
    for row in table:
        lines.append(
            f"{row['domain']:15}{_percent(row['weight_share']):>12}{_percent(row['planned_share']):>10}"
            f"{_percent(row['realised_share']):>10}{_number(row['weight_epochs']):>14}{row['planned_epochs']:>9.2f}"
            f"{row['realised_epochs']:>10.2f}{row['unique']:>15,}{row['rows']:>9,}"
        )
    lines += manifest.extra["messages"]
    if any(BASIS_SHARE in message for message in manifest.extra["messages"]):
        lines.append(
            f"as a set of its own: corpus mix {output / 'tokens'} --weights {output / 'recipe.yaml'} --sequence-length"
            f" {manifest.extra['sequence_length']} {BASIS_SHARE} --output DIR"
        )
    rows, length = manifest.rows, manifest.extra["sequence_length"]
    lines.append(f"{rows:,} rows of {length} tokens to train on, {rows * length:,} tokens in all")
    return lines


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.2%}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
