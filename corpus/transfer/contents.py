"""What is copied of a folder: its finished datasets, each with all that its manifest lists, and what a run keeps beside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from corpus.data.card import CARD
from corpus.data.manifest import CLEANED, MANIFEST, FileEntry, Manifest, ShardEntry
from corpus.data.verify import PLAN, find_datasets
from corpus.errors import UsageError

BESIDE = ("recipe.yaml", "removed.json", CARD, PLAN.as_posix())
"""Files of the output of a run that are copied as they are."""
MARK = "_push.json"
"""Lies in a remote set as long as it is being written, and says of which set its files are."""


@dataclass(frozen=True)
class SetContents:
    """One dataset: where it lies below the folder (empty: it is the folder) and its manifest."""

    place: str
    manifest: Manifest
    cleaned: bool = False

    def name(self, file: str) -> str:
        """A file of it, below the folder."""
        return f"{self.place}/{file}" if self.place else file

    @property
    def entries(self) -> tuple[ShardEntry | FileEntry, ...]:
        """Its files whose digests are known; of a cleaned one those that are left."""
        return self.manifest.files if self.cleaned else self.manifest.entries

    @property
    def last(self) -> tuple[str, ...]:
        """What is written after these: small files, the manifest at the very end."""
        return (CARD, *((CLEANED.as_posix(),) if self.cleaned else ()), MANIFEST)

    @property
    def bytes(self) -> int:
        """Bytes of its files."""
        return sum(entry.bytes for entry in self.entries)


def local_contents(folder: Path) -> tuple[list[SetContents], list[str]]:
    """The finished datasets at or below a folder, and the files beside them. A UsageError where there is none."""
    found = find_datasets(folder) if folder.is_dir() else []
    if not found:
        raise UsageError(f"{folder} holds no finished dataset: give a dataset or the output of corpus run.")
    sets = []
    for path in found:
        place = "" if path == folder else path.relative_to(folder).as_posix()
        sets.append(SetContents(place, Manifest.load(path), (path / CLEANED).exists()))
    beside: list[str] = []
    if any(found_set.place for found_set in sets):
        beside = [name for name in BESIDE if (folder / name).is_file()]
        beside += [f"documents/{CARD}"] * (folder / "documents" / CARD).is_file()
        beside += sorted(path.relative_to(folder).as_posix() for path in folder.glob("removals/*.json"))
    return sets, beside
