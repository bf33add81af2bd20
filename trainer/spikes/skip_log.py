"""What a run skipped because of spikes, and why. With the packed set and the configuration it decides the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from corpus.data.files import canonical_json, digest_of
from corpus.errors import DataError, UsageError
from trainer.data.entries import read_entries, write_entries
from trainer.data.rows import RowRange


@dataclass(frozen=True)
class SkipEntry:
    """One spike, in `step`. The entry is in force for the steps after `since`.

    "rewind": the run went back to the state after step `back_to` and skips `rows`. "skip-update": the update of
    `step`, on `rows`, was not made; `back_to` is the step before. "continue": the rewinds were used up, and the update
    was made; the entry changes nothing. `back_to` is what happened and never changes; `since`
    begins equal to it, and moves back where a later rewind goes to before it, for the steps done again keep out these rows.
    """

    step: int
    action: str
    reason: str
    back_to: int
    since: int
    rows: RowRange
    documents: tuple[Mapping[str, Any], ...] = ()
    changes: int = 0
    """Changes of settings that were made before a rewind: they hold from `back_to` on then."""

    def to_json(self) -> dict[str, Any]:
        """The entry in `skip_log.json` and `state.json`."""
        return {
            "step": self.step,
            "action": self.action,
            "reason": self.reason,
            "back_to": self.back_to,
            "since": self.since,
            "rows": [self.rows.start, self.rows.stop],
            "documents": [dict(document) for document in self.documents],
            "changes": self.changes,
        }


@dataclass(frozen=True)
class SkipLog:
    """The spikes of a run, in the order in which they came."""

    entries: tuple[SkipEntry, ...] = ()

    @classmethod
    def from_json(cls, records: Sequence[Mapping[str, Any]]) -> SkipLog:
        """The skip log that `to_json` gave."""
        return cls(
            tuple(
                SkipEntry(
                    int(record["step"]),
                    str(record["action"]),
                    str(record["reason"]),
                    int(record["back_to"]),
                    int(record["since"]),
                    RowRange(int(record["rows"][0]), int(record["rows"][1])),
                    tuple(record["documents"]),
                    int(record["changes"]),
                )
                for record in records
            )
        )

    def to_json(self) -> list[dict[str, Any]]:
        """One object per entry."""
        return [entry.to_json() for entry in self.entries]

    @classmethod
    def load(cls, path: Path) -> SkipLog | None:
        """The skip log in a file, None where there is none; a DataError where it cannot be read."""
        try:
            entries = read_entries(path, "skip log of a run")
            return None if entries is None else cls.from_json(entries)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise DataError(f"{path} is no skip log of a run ({error}): put back the run's own.") from None

    def save(self, path: Path) -> None:
        """Replace the file by this skip log."""
        write_entries(path, self.to_json())

    @property
    def digest(self) -> str:
        """Identity of the skip log; empty for an empty one."""
        return digest_of(self.to_json()) if self.entries else ""

    @property
    def went_back_to(self) -> tuple[int, ...]:
        """The steps that the rewinds went back to, in their order."""
        return tuple(entry.back_to for entry in self.entries if entry.action == "rewind")

    def rewinds(self, step: int, window: int) -> int:
        """How often the run went back from one of the `window` steps that end with `step`, or from a later one."""
        return sum(entry.action == "rewind" and entry.step > step - window for entry in self.before(step).entries)

    def action_at(self, step: int) -> str | None:
        """What was done in `step` instead of, or in spite of what it showed; None where nothing was."""
        return next((entry.action for entry in self.entries if entry.step == step and entry.action != "rewind"), None)

    def before(self, step: int) -> SkipLog:
        """The entries that are in force for `step`."""
        return SkipLog(tuple(entry for entry in self.entries if entry.since < step))

    def holes(self) -> tuple[RowRange, ...]:
        """The rows that rewinds skip."""
        return tuple(entry.rows for entry in self.entries if entry.action == "rewind")

    def with_entry(self, entry: SkipEntry) -> SkipLog:
        """This skip log and one entry more.

        A rewind to before an earlier one does the steps between again: the earlier one's rows stay out and are
        skipped from there on, and what was done in these steps is forgotten.
        """
        if entry.action != "rewind":
            return SkipLog((*self.entries, entry))
        kept = [
            replace(old, since=min(old.since, entry.since))
            for old in self.entries
            if old.action == "rewind" or old.step <= entry.since
        ]
        return SkipLog((*kept, entry))

    def admits(self, step: int, records: Sequence[Mapping[str, Any]]) -> bool:
        """Whether a checkpoint of `step` whose skip log is `records` lies on this run's way, not on an abandoned one."""
        return canonical_json(list(records)) == canonical_json(self.before(step).to_json())


def read_skip_log(path: Path) -> SkipLog:
    """The skip log to replay, in a run without changes: a file, or a run's directory."""
    file = path / "skip_log.json" if path.is_dir() else path
    skip_log = SkipLog.load(file)
    if skip_log is None:
        raise UsageError(f"{file} does not exist: give the skip_log.json of a run that had spikes.")
    return SkipLog(tuple(replace(entry, changes=0) for entry in skip_log.entries))
