"""Alarms: how much of its input a stage may set aside or drop before it is an error.

They are execution options. They are tested when all tasks are done and before the manifest is written, so that they are
in no digest, and the same command with a higher limit finishes at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.data.manifest import Counts
from corpus.data.trail import Reason, dropped_reasons, unreadable_reasons
from corpus.engine.stage import Stage
from corpus.errors import DataError, UsageError

UNREADABLE_SHARE = 0.05
UNREADABLE_LEAST = 100
"""By default more than this share of the records, and at least so many, must not be unreadable."""
REASONS = 3
"""How many of the most frequent reasons an error names."""
_LISTED_KINDS = ("documents", "tokens")
"""The kinds of datasets whose drops are documents that do not go on; other stages only count what they leave out."""


@dataclass(frozen=True)
class Alarms:
    """The greatest shares, from 0 to 1; None is the default. A limit that is given holds for any number of records."""

    max_unreadable: float | None = None
    """Of the records; by default `UNREADABLE_SHARE`, from `UNREADABLE_LEAST` records on."""
    max_drop: float | None = None
    """Of the records or documents, and of the bytes of text where the stage reckons them (`Stage.removed_share`); by
    default what the stage allows of its bytes (`Stage.default_max_drop`)."""

    def __post_init__(self) -> None:
        for name in ("max_unreadable", "max_drop"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise UsageError(f"{name} is {value}: give a share from 0 to 1.")

    def over(self, other: Alarms) -> Alarms:
        """These limits, and those of `other` where they are not given."""
        unreadable = other.max_unreadable if self.max_unreadable is None else self.max_unreadable
        return Alarms(unreadable, other.max_drop if self.max_drop is None else self.max_drop)


DEFAULT_ALARMS = Alarms()


def check_alarms(
    stage: Stage, output: Path, counts: Mapping[str, Counts], extra: Mapping[str, Any], alarms: Alarms
) -> None:
    """A DataError if the stage, whose trail lies below `output`, has set aside or dropped more than it may. It has the
    most frequent reasons with an example of each, where to look, and how to accept it."""
    own = counts[stage.unit]
    _check_unreadable(stage, output, own, alarms)
    if stage.kind in _LISTED_KINDS:
        _check_dropped(stage, output, own, extra.get("unlisted", ()), alarms)


def _check_unreadable(stage: Stage, output: Path, counts: Counts, alarms: Alarms) -> None:
    number, limit = counts.quarantined, alarms.max_unreadable
    if not number or (limit is None and number < UNREADABLE_LEAST):
        return
    share, limit = number / counts.seen, UNREADABLE_SHARE if limit is None else limit
    if share > limit:
        found = unreadable_reasons(output, REASONS)
        reasons, remedy = listing(found), stage.remedy([entry.reason for entry in found]) or "change the settings"
        raise DataError(
            f"stage {stage.name} could not read {number:,} of {counts.seen:,} {stage.unit} ({share:.2%}), more than"
            f" --max-unreadable {100 * limit:.4g}% allows:{reasons}\nSee them with corpus inspect {output} --quarantined; repair the"
            f" input or {remedy}, or run the same command with --max-unreadable 100% to go on without them."
        )


def _check_dropped(stage: Stage, output: Path, counts: Counts, unlisted: Iterable[str], alarms: Alarms) -> None:
    limit = stage.default_max_drop if alarms.max_drop is None else alarms.max_drop
    left_out = set(unlisted)
    dropped = {reason: number for reason, number in counts.dropped.items() if reason not in left_out}
    shares = []
    if (removed := stage.removed_share(output)) is not None:
        shares.append((removed, f"{removed:.2%} of the text"))
    if alarms.max_drop is not None and counts.seen:
        number = sum(dropped.values())
        shares.append(
            (number / counts.seen, f"{number:,} of {counts.seen:,} {stage.unit} ({number / counts.seen:.2%})")
        )
    for share, said in shares:
        if share > limit:
            reasons = listing(dropped_reasons(output, dropped, REASONS))
            raise DataError(
                f"stage {stage.name} removed {said} for {output}, more than --max-drop {100 * limit:.4g}% allows:{reasons}\nSee"
                f" what it was with corpus inspect {output} --dropped{_report(output)}; change the settings, or run the"
                " same command with --max-drop 100% to accept it."
            )


def _report(output: Path) -> str:
    path = output / "_report.json"
    return f" and in {path}" if path.exists() else ""


def listing(reasons: Sequence[Reason]) -> str:
    """Reasons with their numbers and examples, each on a line of its own; it begins with the end of the line before."""
    width = max((len(f"{entry.number:,}") for entry in reasons), default=0)
    lines = []
    for entry in reasons:
        example = f", such as {entry.example}" if entry.example else ""
        lines.append(f"\n  {entry.number:>{width},} {entry.reason}{example}")
    return "".join(lines)
