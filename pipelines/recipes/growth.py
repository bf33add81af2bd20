"""Raw files that came, changed or went since a run was finished: what a rerun would read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from corpus.data.files import write_atomic
from corpus.data.verify import PLAN
from corpus.errors import DataError, UsageError
from corpus.ingest.files import find_files
from corpus.ingest.identity import raw_state
from corpus.remote.url import is_remote

_SHOWN = 3
Listing = Mapping[str, Mapping[str, tuple[int, int | str]]]
"""Of each domain its raw files: name, size, time of change in nanoseconds or the version that a store tells."""


def list_raw(raw: Path, patterns: Mapping[str, tuple[str, ...]], folders: Mapping[str, str]) -> Listing:
    """The raw files of the domains now; a domain without any has none. A domain that is not in `folders` has one called
    like it."""
    found: dict[str, dict[str, tuple[int, int | str]]] = {}
    for domain, wanted in patterns.items():
        found[domain] = {}
        try:
            files = find_files((str(raw / folders.get(domain, domain)),), wanted).files
        except UsageError:  # no folder, or none of its files is wanted
            continue
        for file in files:
            found[domain][file.name] = raw_state(file.path)
    return found


@dataclass(frozen=True)
class RawChange:
    """What happened to the raw files of a domain."""

    domain: str
    new: tuple[str, ...]
    changed: tuple[str, ...]
    gone: tuple[str, ...]

    def __str__(self) -> str:
        parts = [
            f"{len(names)} {what} ({', '.join(names[:_SHOWN])}{', …' if len(names) > _SHOWN else ''})"
            for what, names in (("new", self.new), ("changed", self.changed), ("gone", self.gone))
            if names
        ]
        return f"{self.domain}: raw files {', '.join(parts)}"


def changes(before: Listing, now: Listing) -> list[RawChange]:
    """The domains whose files are not as they were."""
    found = []
    for domain in dict.fromkeys((*before, *now)):
        old, new = before.get(domain, {}), now.get(domain, {})
        change = RawChange(
            domain,
            tuple(sorted(new.keys() - old.keys())),
            tuple(sorted(name for name in new.keys() & old.keys() if tuple(new[name]) != tuple(old[name]))),
            tuple(sorted(old.keys() - new.keys())),
        )
        if change.new or change.changed or change.gone:
            found.append(change)
    return found


def check_growth(output: Path, raw: Path, now: Listing, overwrite: bool) -> list[RawChange]:
    """What is new or changed since `output` was made. A UsageError where files are gone, unless `overwrite`: documents must
    not be lost because a folder is not there."""
    before = saved_listing(output)
    found = changes(before, now) if before else []
    for change in found:
        if change.gone and not overwrite:
            raise UsageError(f"{change}: put them back under {raw}, or give --overwrite to make {output} without them.")
    return found


def _file(output: Path) -> Path:
    return output / "_log" / "raw.json"


def save_listing(
    output: Path, raw: Path, patterns: Mapping[str, tuple[str, ...]], listing: Listing, folders: Mapping[str, str]
) -> None:
    """Keep where the raw files lie and what they were, for `read_changes`; it is no part of the result."""
    value = {"raw": str(raw.resolve()), "patterns": patterns, "files": listing, "folders": folders}
    write_atomic(_file(output), json.dumps(value) + "\n")


def saved_listing(output: Path) -> Listing:
    """The raw files that an output was made from; empty where that is not known."""
    return _read(output).files


def raw_folder(output: Path, domain: str) -> Path | None:
    """Where the raw files of a domain of the run in `output` lay; None where that is not known."""
    saved = _read(output)
    return None if saved.raw is None else saved.raw / saved.folders.get(domain, domain)


def read_changes(output: Path, raw: Path | None = None) -> list[RawChange]:
    """What happened since to the raw files of the run in `output`, where they were or in `raw`; nothing where that is
    not known. A domain whose folder is not there is passed over. Remote ones are looked at only where `raw` says so."""
    if not (output / PLAN).exists():
        return []
    saved = _read(output)
    folder = raw or saved.raw
    if folder is None or not folder.is_dir():
        return []
    there = {
        domain: wanted
        for domain, wanted in saved.patterns.items()
        if (folder / saved.folders.get(domain, domain)).is_dir()
    }
    before = {domain: saved.files.get(domain, {}) for domain in there}
    return changes(before, list_raw(folder, there, saved.folders))


@dataclass(frozen=True)
class _Saved:
    raw: Path | None
    patterns: Mapping[str, tuple[str, ...]]
    files: Listing
    folders: Mapping[str, str]


def _read(output: Path) -> _Saved:
    try:
        value = json.loads(_file(output).read_text(encoding="utf-8"))
        patterns = {domain: tuple(wanted) for domain, wanted in value["patterns"].items()}
        files = {
            domain: {
                name: (int(size), state if isinstance(state, str) else int(state))
                for name, (size, state) in entries.items()
            }
            for domain, entries in value["files"].items()
        }
        place = None if is_remote(value["raw"]) else Path(value["raw"])
        return _Saved(place, patterns, files, dict(value["folders"]))
    except FileNotFoundError:
        return _Saved(None, {}, {}, {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{_file(output)} cannot be read ({error}): remove it.") from None
