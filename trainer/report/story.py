"""What happened to a run: events, spikes with their documents, checkpoints, settings, samples of its text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from corpus.page.figures import size
from corpus.page.parts import Cell, Example, Fold, Part, Section, Table, Text
from trainer.report.trained import TrainedRun
from trainer.run.log import events
from trainer.run.sampling import SamplingConfig
from trainer.spikes.skip_log import SkipEntry

_DOCUMENTS = 100
_ENTRIES = 200


def story_section(run: TrainedRun) -> Section:
    """Events by step, and the checkpoints that are there."""
    rows = [(event["step"], event["event"], event["said"]) for event in events(run.path)]
    parts: list[Part] = [Table("What happened", ("after step", "event", "in words"), rows[-_ENTRIES:])]
    kept = [(step, size(bytes)) for step, bytes in run.checkpoints()]
    parts.append(Table("Checkpoints that are kept", ("step", "size"), kept) if kept else Text("No checkpoint is kept."))
    return Section("story", "What happened", parts)


def spikes_section(run: TrainedRun) -> Section | None:
    """Each spike with the documents of the rows that were skipped; None without one."""
    entries = run.skip_log.entries
    if not entries:
        return None
    folds: list[Part] = [_spike(entry) for entry in entries[-_ENTRIES:]]
    return Section("spikes", "Spikes", [Text(f"{len(entries):,} spikes."), *folds])


def _spike(entry: SkipEntry) -> Fold:
    title = f"Step {entry.step:,}: {entry.action}"
    said = [Text(entry.reason)]
    if entry.action == "rewind":
        skipped = entry.rows.stop - entry.rows.start
        said.append(Text(f"Back to step {entry.back_to:,}; {skipped:,} sequences are skipped."))
    keys = list(dict.fromkeys(key for document in entry.documents for key in document))
    rows = [tuple(_cell(document.get(key)) for key in keys) for document in entry.documents[:_DOCUMENTS]]
    parts: list[Part] = [*said]
    if rows:
        parts.append(Table("Documents of these sequences (some of them)", keys, rows))
    return Fold(title, parts, f"{len(entry.documents):,} documents")


def _cell(value: object) -> Cell:
    return value if value is None or isinstance(value, str | int | float) else json.dumps(value)


def settings_section(run: TrainedRun) -> Section:
    """Each setting as it began, and where it changed as it is now."""
    first, last = run.history.first.to_json(), run.config.to_json()
    rows = [
        (key, _said(value), _said(after) if (after := flat(last).get(key)) != value else "")
        for key, value in flat(first).items()
    ]
    changed = sum(bool(now) for *_, now in rows)
    table = Table("Settings", ("key", "at the beginning", "now, where it changed"), rows)
    return Section("settings", "Settings", [Fold("All settings", [table], f"{changed} of {len(rows)} changed")])


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A configuration as keys with dots."""
    found: dict[str, Any] = {}
    for key, entry in value.items():
        if isinstance(entry, Mapping):
            found |= flat(entry, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = entry
    return found


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def samples_section(
    run: TrainedRun, prompts: Sequence[str], sampling: SamplingConfig, say: Callable[[str], None]
) -> Section | None:
    """What the model of each checkpoint that is kept makes of some prompts; None without prompts or checkpoints."""
    steps = [step for step, _ in run.checkpoints()]
    if not prompts or not steps:
        return None
    from trainer.run.generate import LoadedModel

    found: dict[int, list[str]] = {}
    for step in steps:
        found[step] = LoadedModel.load(run.path, say, step=step).generate_all(prompts, sampling)
    folds: list[Part] = []
    for place, prompt in enumerate(prompts):
        examples = [Example.of(f"After step {step:,}", texts[place]) for step, texts in found.items()]
        folds.append(
            Fold(f"“{prompt}”" if prompt else "The beginning of a document", examples, f"{len(steps)} checkpoints")
        )
    return Section("samples", "What it writes", folds)
