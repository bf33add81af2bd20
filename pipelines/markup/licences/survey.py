"""What an archive of repositories says of licences: its first reading."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from corpus.ingest.compression import Damage
from pipelines.formats.archive import read_archive
from pipelines.markup.licences.licences import (
    UNKNOWN,
    is_licence_file,
    licence_scope,
    licences_of_text,
    refers_elsewhere,
)
from pipelines.markup.licences.manifest import (
    is_manifest,
    is_readme,
    licences_of_manifest,
    licences_of_readme,
    without_parts,
)

_MAX_LICENCE_BYTES = 1024 * 1024

Stated = dict[str, frozenset[str]]
"""Licences by the file that states them."""


@dataclass
class Survey:
    """Folders' licences by the files that say so: licence files, and manifests and readmes (`stated`)."""

    archive: str
    has_root_files: bool = False
    by_folder: dict[str, Stated] = field(default_factory=dict)
    stated: dict[str, Stated] = field(default_factory=dict)

    def split(self, name: str) -> tuple[str, str]:
        """Repository and path in it: the top folder and the rest, or the archive's own name if it has files at its top."""
        if self.has_root_files:
            return self.archive, name
        repository, _, path = name.partition("/")
        return repository, path

    def licences(self, name: str) -> tuple[frozenset[str], list[str]]:
        """The licences that hold for a member, those of the nearest folder that has any, and the files they were read
        from, relative to its repository."""
        root = "" if self.has_root_files else name.partition("/")[0]
        folder = name.rpartition("/")[0]
        while True:
            files = {path: found for path, found in self.by_folder.get(folder, {}).items() if found}
            stated = self.stated.get(folder, {})
            if files or stated:
                found = frozenset(licence for entry in (files or stated).values() for licence in entry)
                choice = _choice(found, stated) if files else without_parts(found)
                return choice, [self.split(path)[1] for path in files or stated]
            if folder == root or not folder:
                return frozenset(), []
            folder = folder.rpartition("/")[0]

    def verdict(self, name: str, permitted: frozenset[str]) -> str | None:
        """Why a member may not be taken; None if it may."""
        found = self.licences(name)[0]
        return refusal(found, permitted) if found else "no licence"


def _choice(found: frozenset[str], stated: Stated) -> frozenset[str]:
    """The licences of a folder's licence files: the choice between them, where the folder's manifest offers it."""
    for licences in stated.values():
        for licence in licences:
            if " OR " in licence and found <= set(licence.split(" OR ")):
                return frozenset((licence,))
    return found


def refusal(licences: Collection[str], permitted: Collection[str]) -> str | None:
    """Why a text under all of `licences` may not be taken; None if it may. One of a choice is enough."""
    found = {licence for licence in licences if not any(part in permitted for part in licence.split(" OR "))}
    refused = {licence for licence in found if not any(other.startswith(f"{licence}-") for other in found)}
    if not refused:
        return None
    first = min(refused)  # named together they would give as many reasons as there are combinations
    return f"licence {first}" if len(refused) == 1 and " OR " not in first else "several licences"


def survey_archive(path: Path, name: str) -> Survey:
    """Reads the licence files and manifests of the archive at `path`; `name` is its own without its suffix."""
    survey = Survey(name)
    manifests: Stated = {}
    readmes: Stated = {}

    def telling(name: str, size: int) -> bool:
        return size <= _MAX_LICENCE_BYTES and (
            is_licence_file(name) or is_manifest(name) or (name.count("/") < 2 and is_readme(name))
        )

    for member in read_archive(path, telling):
        if isinstance(member, Damage) or member.kind != "file":
            continue
        survey.has_root_files |= "/" not in member.name
        text = (member.data or b"").decode("utf-8", "replace")
        if is_licence_file(member.name):
            found = frozenset((UNKNOWN,)) if member.data is None else licences_of_text(text)
            if member.data is None or not refers_elsewhere(text):
                survey.by_folder.setdefault(licence_scope(member.name), {})[member.name] = found
        elif member.data is not None and is_manifest(member.name):
            manifests[member.name] = licences_of_manifest(member.name, text)
        elif member.data is not None:
            readmes[member.name] = licences_of_readme(text)
    _settle(survey, manifests, readmes)
    return survey


def _settle(survey: Survey, manifests: Stated, readmes: Stated) -> None:
    """Say unknown where a root's licence file says nothing, and take the words of manifests, at roots else of readmes."""

    def is_root(folder: str) -> bool:
        return not folder if survey.has_root_files else "/" not in folder

    for folder, files in survey.by_folder.items():
        for name, found in files.items():
            if not found and is_root(folder):
                files[name] = frozenset((UNKNOWN,))
    for name, found in manifests.items():
        if found:
            survey.stated.setdefault(name.rpartition("/")[0], {})[name] = found
    for name, found in readmes.items():
        folder = name.rpartition("/")[0]
        if found and is_root(folder) and folder not in survey.stated:
            survey.stated[folder] = {name: found}
