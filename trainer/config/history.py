"""What a run began with and which settings changed since when: the configuration of each of its steps.

A run has an identity, which never changes (model, optimizer, seed, packed set, tokenizer), and settings, which a resume
may change. With the packed set and the skip log a history decides a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from corpus.data.files import canonical_json
from corpus.errors import DataError
from trainer.config.config import RunConfig
from trainer.data.entries import read_entries, write_entries
from trainer.optim.schedules import factor
from trainer.spikes.skip_log import SkipLog

SETTINGS = ("optimizer", "schedule", "training", "spikes")
"""The sections of a configuration whose fields may change."""
FIXED = ("optimizer.name", "training.seed")
"""Fields of these sections that belong to the identity."""


@dataclass(frozen=True)
class Change:
    """Settings that hold for the steps after `since`, and notes: what else is not as before (threads, versions)."""

    since: int
    settings: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The change in `changes.json`."""
        return {"since": self.since, "settings": dict(self.settings), "notes": list(self.notes)}


@dataclass(frozen=True)
class History:
    """The first configuration of a run, its changes in the order in which they were made, and of each of its rewinds
    how many changes came before it and the step it went back to.

    A change holds from an earlier step on where the run went back to before it, or a later change holds from there.
    """

    first: RunConfig
    changes: tuple[Change, ...] = ()
    rewinds: tuple[tuple[int, int], ...] = ()

    @classmethod
    def load(cls, first: RunConfig, path: Path, skip_log: SkipLog | None) -> History:
        """The history whose changes are in the file at `path`, if there is one."""
        try:
            changes = [
                Change(int(entry["since"]), dict(entry["settings"]), tuple(entry["notes"]))
                for entry in read_entries(path, "list of changes of a run") or ()
            ]
            history = cls(first, tuple(changes)).rewound(skip_log or SkipLog())
            assert history.last
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path} is no list of changes of a run ({error}): put back the run's own.") from None
        return history

    def save(self, path: Path) -> None:
        """Write the changes, where there are any or were."""
        if self.changes or path.exists():
            write_entries(path, [change.to_json() for change in self.changes])

    def rewound(self, skip_log: SkipLog) -> History:
        """This history with the rewinds of a skip log."""
        rewinds = [(entry.changes, entry.back_to) for entry in skip_log.entries if entry.action == "rewind"]
        return replace(self, rewinds=tuple(rewinds))

    @cached_property
    def in_force(self) -> tuple[Change, ...]:
        """The changes with the steps from which on they hold, which never fall."""
        found: list[Change] = []
        for number, change in reversed(list(enumerate(self.changes))):
            later = found[-1].since if found else change.since
            since = min(change.since, later, *(back for count, back in self.rewinds if number < count))
            settings = dict(change.settings)
            if settings.get("schedule.start") == change.since:
                settings["schedule.start"] = since
            found.append(Change(since, settings, change.notes))
        return tuple(reversed(found))

    @cached_property
    def _configs(self) -> tuple[RunConfig, ...]:
        """The configuration before the first change, after it, …"""
        configs = [self.first]
        for change in self.in_force:
            configs.append(with_settings(configs[-1], change.settings))
        return tuple(configs)

    @property
    def last(self) -> RunConfig:
        """The configuration after all changes."""
        return self._configs[-1]

    def at(self, step: int) -> RunConfig:
        """The configuration that step `step` (from 1) is done with."""
        return self._configs[sum(change.since < step for change in self.in_force)]

    def changed_to(self, config: RunConfig, since: int, notes: Sequence[str] = ()) -> History:
        """This history with `config` in force for the steps after `since`, where the run is."""
        changes = self.changes
        if changes and changes[-1].since == since and all(count < len(changes) for count, _ in self.rewinds):
            notes, changes = (*changes[-1].notes, *notes), changes[:-1]
        before = replace(self, changes=changes)
        changed = changed_settings(before.last, config)
        if not changed and not notes:
            return before
        return replace(self, changes=(*changes, Change(since, changed, tuple(dict.fromkeys(notes)))))

    def until(self, step: int) -> History:
        """What of it a run has that leaves this one at the state after `step`."""
        return History(self.first, tuple(change for change in self.in_force if change.since < step))


def settings_of(config: RunConfig) -> dict[str, Any]:
    """All that may change, by its key."""
    values: dict[str, Any] = {"validation": dict(config.validation)}
    for section in SETTINGS:
        values |= {f"{section}.{name}": value for name, value in asdict(getattr(config, section)).items()}
    return {key: value for key, value in values.items() if key not in FIXED}


def with_settings(config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """The configuration with other values for some keys of `settings_of`."""
    changed: dict[str, Any] = {}
    for section in SETTINGS:
        fields = {key.partition(".")[2]: value for key, value in values.items() if key.startswith(f"{section}.")}
        if fields:
            changed[section] = replace(getattr(config, section), **fields)
    if "validation" in values:
        changed["validation"] = dict(values["validation"])
    return replace(config, **changed)


def changed_settings(old: RunConfig, new: RunConfig) -> dict[str, Any]:
    """The settings that are not the same in `new`, with their values there."""
    before = settings_of(old)
    return {key: value for key, value in settings_of(new).items() if value != before[key]}


_HARMLESS = (
    "training.steps",
    "training.validate_every",
    "training.micro_batch_size",
    "validation",
    "spikes.",
    "schedule.",
)


def moves_loss(old: RunConfig, new: RunConfig, step: int) -> bool:
    """Whether the loss after `step` updates may move because of the change alone; of schedules their rate counts."""
    if old is new:
        return False
    if any(not key.startswith(_HARMLESS) for key in changed_settings(old, new)):
        return True
    return step < new.training.steps and _rate(old, step + 1) != _rate(new, step + 1)


def _rate(config: RunConfig, step: int) -> float:
    """The rate of a step, after the end the last one."""
    return config.optimizer.lr * factor(config.schedule, min(step, config.training.steps), config.training.steps)


def change_lines(old: RunConfig, new: RunConfig) -> list[str]:
    """What changes, as `key: old -> new`."""
    before = settings_of(old)
    return [f"{key}: {_text(before[key])} -> {_text(value)}" for key, value in changed_settings(old, new).items()]


def _text(value: object) -> str:
    if isinstance(value, Mapping):  # validation sets: their names say enough
        return ", ".join(value) or "none"
    return canonical_json(value)
