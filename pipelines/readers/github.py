"""GitHub: the source files of repository archives whose licences permit it (LLaMA §2.1: Apache, BSD and MIT).

What a file says of its own licence decides; else the licence files and manifests of the nearest folder that has any do.
What a file is, GitHub's own linguist says; RedPajama's list of extensions is a preset. Line length and alphanumeric
heuristics are filters and live elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from corpus.data.columns import LICENCE, Column
from corpus.errors import UsageError
from corpus.ingest.compression import QUARANTINE_BYTES, Damage
from corpus.ingest.reader import Item, RawFile, Record, Skipped, Unreadable
from corpus.option import nearest, option
from pipelines.formats.archive import Member, read_archive
from pipelines.formats.source import Source, source_of
from pipelines.markup.licences.header import strip_licence_header
from pipelines.markup.licences.licences import canonical, is_licence_file
from pipelines.markup.licences.notice import licences_of_notice
from pipelines.markup.licences.survey import Survey, refusal, survey_archive

# fmt: off
REDPAJAMA = (
    ".asm", ".bat", ".cmd", ".c", ".h", ".cs", ".cpp", ".hpp", ".c++", ".h++", ".cc", ".hh", ".cmake", ".css",
    ".dockerfile", ".f90", ".f", ".f03", ".f08", ".f77", ".f95", ".for", ".fpp", ".go", ".hs", ".html", ".java",
    ".js", ".jl", ".lua", ".md", ".markdown", ".php", ".php3", ".php4", ".php5", ".phps", ".phpt", ".pl", ".pm",
    ".pod", ".perl", ".ps1", ".psd1", ".psm1", ".py", ".rb", ".rs", ".sql", ".scala", ".sh", ".bash", ".command",
    ".zsh", ".ts", ".tsx", ".tex", ".vb", ".xml", ".rst", ".m", ".smali", "Dockerfile", "Makefile",
)
# fmt: on
SELECTIONS = ("linguist", "redpajama")
ORIGINS = ("generated", "vendored", "documentation", "test")
_TYPES = frozenset(("programming", "markup", "prose"))
_ARCHIVES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tar", ".zip")


@dataclass(frozen=True)
class GithubReader:
    """`corpus ingest github`."""

    domain: ClassVar[str] = "github"
    patterns: ClassVar[tuple[str, ...]] = tuple(f"*{suffix}" for suffix in _ARCHIVES)
    doc: ClassVar[str] = "Archives of source repositories with their licence files."
    columns: ClassVar[tuple[Column, ...]] = (LICENCE,)

    licences: tuple[str, ...] = option(
        ("mit", "bsd-2-clause", "bsd-3-clause", "apache-2.0"), "Licences permitted, as lower-case SPDX identifiers."
    )
    select: str = option(
        "linguist",
        "Files to take: linguist (languages that GitHub calls programming, markup or prose) or redpajama (its list of extensions).",
        choices=SELECTIONS,
    )
    extensions: tuple[str, ...] = option(
        (), "Take files with these extensions (.py) and whole names (Makefile) instead."
    )
    drop: tuple[str, ...] = option(
        ("generated", "vendored"), "Files to drop: generated, vendored, documentation, test, as linguist tells them."
    )
    strip_headers: bool = option(True, "Remove licence and copyright comments at the head of files.")

    def __post_init__(self) -> None:
        if self.select not in SELECTIONS:
            raise UsageError(f"select is '{self.select}': {nearest(self.select, SELECTIONS)}")
        for origin in self.drop:
            if origin not in ORIGINS:
                raise UsageError(f"drop has '{origin}': {nearest(origin, ORIGINS)}")

    @property
    def suffixes(self) -> frozenset[str]:
        """The extensions and names to take, in lower case; empty where languages decide."""
        listed = self.extensions or (REDPAJAMA if self.select == "redpajama" else ())
        return frozenset(extension.lower() for extension in listed)

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        """One item for each member but folders; the archive is read twice, first for its licences."""
        if file.path.stat().st_size == 0:
            yield Unreadable(0, 0, 0, "empty file", b"")
            return
        base = file.name.rpartition("/")[2]
        suffix = next((suffix for suffix in _ARCHIVES if base.lower().endswith(suffix)), "")
        survey = survey_archive(file.path, base[: len(base) - len(suffix)])
        suffixes = self.suffixes
        permitted = frozenset(canonical(licence) for licence in self.licences)

        def wanted(name: str, size: int) -> bool:
            return bool(not suffixes or _extension(name, suffixes)) and not is_licence_file(survey.split(name)[1])

        ordinal = 0
        for member in read_archive(file.path, wanted):
            if isinstance(member, Damage):
                yield Unreadable(ordinal, member.offset, member.length, member.reason, member.data)
            elif member.kind == "directory":
                continue
            else:
                yield self._item(ordinal, member, survey, permitted, suffixes)
            ordinal += 1

    def _item(
        self, ordinal: int, member: Member, survey: Survey, permitted: frozenset[str], suffixes: frozenset[str]
    ) -> Item:
        repository, path = survey.split(member.name)
        if member.kind != "file":
            return Skipped(ordinal, "not a file")
        refused = survey.verdict(member.name, permitted)
        fault = "licence file" if is_licence_file(path) else ""
        if not fault and suffixes and not _extension(path, suffixes):
            fault = "extension"
        if not fault and (member.data is None or b"\0" in member.data):
            fault = "too large" if member.data is None else "binary"
        if fault:
            return Skipped(ordinal, refused or fault)
        assert member.data is not None
        source = source_of(path, member.data)
        if unwanted := self._unwanted(source, suffixes):
            return Skipped(ordinal, refused or unwanted)
        try:
            raw = member.data.decode("utf-8-sig")
        except UnicodeDecodeError:
            if refused:
                return Skipped(ordinal, refused)
            return Unreadable(ordinal, 0, member.size, "not UTF-8", member.data[:QUARANTINE_BYTES])
        licences, files = survey.licences(member.name)
        if stated := licences_of_notice(raw, source.language):
            licences, files, refused = stated, [path], refusal(stated, permitted)
        if refused:
            return Skipped(ordinal, refused)
        text, notice = strip_licence_header(raw, source.language) if self.strip_headers else (raw, "")
        if not text.strip():
            return Skipped(ordinal, "no text", raw)
        metadata: dict[str, object] = {
            "path": path,
            "repository": repository,
            "licence": " AND ".join(
                f"({one})" if " OR " in one and len(licences) > 1 else one for one in sorted(licences)
            ),
            "licence_file": sorted(files),
            "language": source.language,
        }
        if source.origin:
            metadata["origin"] = source.origin
        if notice:
            metadata["notice"] = notice
        return Record(ordinal, text, None, None, metadata)

    def _unwanted(self, source: Source, suffixes: frozenset[str]) -> str | None:
        """Why a file is not taken for what it is; None if it is."""
        if not suffixes and source.type not in _TYPES:
            return "data" if source.type == "data" else "no language"
        return source.origin if source.origin in self.drop else None


def _extension(name: str, suffixes: frozenset[str]) -> str:
    """The entry of `suffixes` a file name has: its whole name, or its extension; empty if none."""
    base = name.rpartition("/")[2].lower()
    if base in suffixes:
        return base
    _, dot, suffix = base.rpartition(".")
    return dot + suffix if dot and dot + suffix in suffixes else ""
