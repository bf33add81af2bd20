"""What repositories say of licences, copyright and notices: the first reading of their files."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

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
_NOTICE = re.compile(r"notices?(\.(txt|md|rst))?")
_NOTICE_CHARS = 4_000
_COPYRIGHT = re.compile(
    r"^[^\w\n©(]{0,8}((?:portions )?(?:copyright\b|\(c\)|©)[^\n]{0,300}\b[12]\d{3}\b[^\n]{0,200})$", re.I | re.M
)
_MOST_COPYRIGHTS = 20

Stated = dict[str, frozenset[str]]
"""Licences by the file that states them."""


@dataclass
class Survey:
    """Folders' licences by the files that say so: licence files, and manifests and readmes (`stated`); the lines of
    copyright of licence files, and the texts of notices by their folders."""

    archive: str
    has_root_files: bool = False
    by_folder: dict[str, Stated] = field(default_factory=dict)
    stated: dict[str, Stated] = field(default_factory=dict)
    copyrights: dict[str, list[str]] = field(default_factory=dict)
    notices: dict[str, str] = field(default_factory=dict)

    _known: dict[str, tuple[frozenset[str], list[str]]] = field(default_factory=dict, compare=False)  # by folder

    def to_json(self) -> str:
        """As a text that `from_json` reads."""
        value = {name: entry for name, entry in asdict(self).items() if name != "_known"}
        return json.dumps(value, default=sorted, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Survey:
        """Read what `to_json` wrote."""
        value: dict[str, Any] = json.loads(text)
        for name in ("by_folder", "stated"):
            value[name] = {
                folder: {path: frozenset(found) for path, found in files.items()}
                for folder, files in value[name].items()
            }
        return cls(**value)

    def attribution(self, name: str) -> dict[str, object]:
        """What has to be said with a member: the copyright of the licence files that hold for it, and the notice of the
        nearest folder that has one."""
        found: dict[str, object] = {}
        lines = [line for path in self._holding(name)[1] for line in self.copyrights.get(path, [])]
        if lines:
            found["copyright"] = list(dict.fromkeys(lines))[:_MOST_COPYRIGHTS]
        folder = name.rpartition("/")[0]
        while True:
            if folder in self.notices:
                return found | {"notice_file": self.notices[folder]}
            if not folder:
                return found
            folder = folder.rpartition("/")[0]

    def split(self, name: str) -> tuple[str, str]:
        """Repository and path in it: the top folder and the rest, or the archive's own name if it has files at its top."""
        if self.has_root_files:
            return self.archive, name
        repository, _, path = name.partition("/")
        return repository, path

    def licences(self, name: str) -> tuple[frozenset[str], list[str]]:
        """The licences that hold for a member, those of the nearest folder that has any, and the files they were read
        from, relative to its repository."""
        found, files = self._holding(name)
        return found, [self.split(path)[1] for path in files]

    def _holding(self, name: str) -> tuple[frozenset[str], list[str]]:
        """The licences that hold for a member, and the files they were read from; looked for once for each folder."""
        folder = name.rpartition("/")[0]
        if (known := self._known.get(folder)) is None:
            known = self._known[folder] = self._nearest("" if self.has_root_files else name.partition("/")[0], folder)
        return known

    def _nearest(self, root: str, folder: str) -> tuple[frozenset[str], list[str]]:
        while True:
            files = {path: found for path, found in self.by_folder.get(folder, {}).items() if found}
            stated = self.stated.get(folder, {})
            if files or stated:
                found = frozenset(licence for entry in (files or stated).values() for licence in entry)
                return _choice(found, stated) if files else without_parts(found), list(files or stated)
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


class Surveyor:
    """Reads the files of one archive or repository that tell something; `survey` is what they tell, once `settle` was called."""

    def __init__(self, archive: str) -> None:
        self.survey = Survey(archive)
        self._manifests: Stated = {}
        self._readmes: Stated = {}

    @staticmethod
    def wants(name: str, size: int) -> bool:
        """Whether the text of a file is to be given to `take`."""
        return size <= _MAX_LICENCE_BYTES and (
            is_licence_file(name)
            or is_manifest(name)
            or is_notice_file(name)
            or (name.count("/") < 2 and is_readme(name))
        )

    def take(self, name: str, data: bytes | None) -> None:
        """Note a file; `data` is None where it is not wanted, or too large."""
        survey = self.survey
        survey.has_root_files |= "/" not in name
        text = (data or b"").decode("utf-8", "replace")
        if is_licence_file(name):
            found = frozenset((UNKNOWN,)) if data is None else licences_of_text(text)
            if data is None or not refers_elsewhere(text):
                survey.by_folder.setdefault(licence_scope(name), {})[name] = found
            if lines := [" ".join(match[1].split()) for match in _COPYRIGHT.finditer(text)]:
                survey.copyrights[name] = lines[:_MOST_COPYRIGHTS]
        elif data is None:
            return
        elif is_notice_file(name):
            survey.notices[name.rpartition("/")[0]] = text.strip()[:_NOTICE_CHARS]
        elif is_manifest(name):
            self._manifests[name] = licences_of_manifest(name, text)
        elif is_readme(name):
            self._readmes[name] = licences_of_readme(text)

    def settle(self) -> Survey:
        """What all files together tell."""
        _settle(self.survey, self._manifests, self._readmes)
        return self.survey


def is_notice_file(path: str) -> bool:
    """Whether a '/'-separated path is called like a file of notices, which the Apache licence asks to be passed on."""
    return _NOTICE.fullmatch(path.rpartition("/")[2].lower()) is not None


def survey_archive(path: Path, name: str) -> Survey:
    """Reads what the archive at `path` says of licences; `name` is its own without its suffix."""
    surveyor = Surveyor(name)
    for member in read_archive(path, Surveyor.wants):
        if not isinstance(member, Damage) and member.kind == "file":
            surveyor.take(member.name, member.data)
    return surveyor.settle()


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
