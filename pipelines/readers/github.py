"""GitHub: the source files of repositories whose licences permit it (LLaMA §2.1: Apache, BSD and MIT).

Repositories are archives, bare git repositories, checkouts, or rows of tables (BigQuery's export, The Stack). What a file says
of its own licence decides; else the licence files and manifests of the nearest folder that has any do, or the table. What a
file is, GitHub's own linguist says; RedPajama's list of extensions and PaLM's languages are presets. Line length and
alphanumeric heuristics are filters and live elsewhere.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from corpus.data.columns import LICENCE, Column
from corpus.errors import UsageError
from corpus.ingest.compression import QUARANTINE_BYTES, Damage
from corpus.ingest.reader import Item, RawFile, Reader, Record, Skipped, Unreadable
from corpus.option import nearest, option
from pipelines.formats.archive import MAX_MEMBER_BYTES, Member, archive_commit, read_archive
from pipelines.formats.git import is_head, read_repository
from pipelines.formats.source import Source, source_of
from pipelines.markup.licences.header import strip_licence_header
from pipelines.markup.licences.licences import canonical, is_licence_file
from pipelines.markup.licences.notice import licences_of_notice
from pipelines.markup.licences.phrases import licences_of_phrase, words_of
from pipelines.markup.licences.survey import Survey, Surveyor, refusal, survey_archive
from pipelines.readers import checkouts, code_tables

# fmt: off
REDPAJAMA = (
    ".asm", ".bat", ".cmd", ".c", ".h", ".cs", ".cpp", ".hpp", ".c++", ".h++", ".cc", ".hh", ".cmake", ".css",
    ".dockerfile", ".f90", ".f", ".f03", ".f08", ".f77", ".f95", ".for", ".fpp", ".go", ".hs", ".html", ".java",
    ".js", ".jl", ".lua", ".md", ".markdown", ".php", ".php3", ".php4", ".php5", ".phps", ".phpt", ".pl", ".pm",
    ".pod", ".perl", ".ps1", ".psd1", ".psm1", ".py", ".rb", ".rs", ".sql", ".scala", ".sh", ".bash", ".command",
    ".zsh", ".ts", ".tsx", ".tex", ".vb", ".xml", ".rst", ".m", ".smali", "Dockerfile", "Makefile",
)
PALM = frozenset((
    "Java", "HTML", "JavaScript", "Python", "PHP", "C#", "XML", "C++", "C",
    "TypeScript", "Go", "Ruby", "Shell", "CSS", "Scala", "Rust", "Swift", "Kotlin", "Objective-C", "Perl", "Lua", "R", "SQL", "Haskell",
))
"""PaLM took 24 languages and names the first nine (arXiv 2204.02311, section 3); the others are our choice."""
# fmt: on
SELECTIONS = ("linguist", "redpajama", "palm")
ORIGINS = ("generated", "vendored", "documentation", "test")
SOURCES = ("archives", "repositories", "checkouts", "tables")
_TYPES = frozenset(("programming", "markup", "prose"))
_ARCHIVES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tar", ".zip")
_TABLES = (".parquet", ".pq")
"""Tables that lie among archives: those of The Stack, whose rows state their licences."""


@dataclass(frozen=True)
class GithubReader:
    """`corpus ingest github`."""

    domain: ClassVar[str] = "github"
    patterns: ClassVar[tuple[str, ...]] = tuple(f"*{suffix}" for suffix in (*_ARCHIVES, *_TABLES))
    doc: ClassVar[str] = "Source repositories with their licence files: archives, bare repositories, checkouts, tables."
    columns: ClassVar[tuple[Column, ...]] = (LICENCE,)

    source: str = option(
        "archives",
        "What the files are: archives (tar, zip; Parquet tables whose rows state their licences, as The Stack's, are read, too), repositories (bare, of git), checkouts (a folder each), tables (rows of BigQuery's"
        " export or shaped like The Stack; JSON lines, Parquet, Avro).",
        choices=SOURCES,
    )
    licences: tuple[str, ...] = option(
        ("mit", "bsd-2-clause", "bsd-3-clause", "apache-2.0"), "Licences permitted, as lower-case SPDX identifiers."
    )
    select: str = option(
        "linguist",
        "Files to take: linguist (languages that GitHub calls programming, markup or prose), redpajama (its list of extensions)"
        " or palm (24 languages).",
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
        for name, known in (("select", SELECTIONS), ("source", SOURCES)):
            if getattr(self, name) not in known:
                raise UsageError(f"{name} is '{getattr(self, name)}': {nearest(getattr(self, name), known)}")
        for origin in self.drop:
            if origin not in ORIGINS:
                raise UsageError(f"drop has '{origin}': {nearest(origin, ORIGINS)}")
        patterns = {"repositories": ("*",), "checkouts": ("*",), "tables": code_tables.PATTERNS}
        if self.source in patterns:
            object.__setattr__(self, "patterns", patterns[self.source])  # in the place of the class's

    @cached_property
    def suffixes(self) -> frozenset[str]:
        """The extensions and names to take, in lower case; empty where languages decide."""
        listed = self.extensions or (REDPAJAMA if self.select == "redpajama" else ())
        return frozenset(extension.lower() for extension in listed)

    @cached_property
    def permitted(self) -> frozenset[str]:
        """The licences permitted, as they are compared."""
        return frozenset(canonical(licence) for licence in self.licences)

    @property
    def surveys(self) -> bool:
        """Whether all files are gone through first. An archive is known by itself; the HEAD of a repository does not change
        with its objects, and so must not be taken for all of it."""
        return self.source != "archives"

    def survey(self, file: RawFile, folder: Path) -> None:
        """Copies what a file of a checkout says of licences, and the rows of tables that say more of others' contents."""
        if self.source == "checkouts":
            checkouts.survey_file(file, folder)
        elif self.source == "tables":
            code_tables.survey_table(file, folder)

    def gather(self, surveys: Sequence[tuple[str, Path]], folder: Path) -> None:
        """Brings together what the files of each checkout say, or what tables do."""
        if self.source == "checkouts":
            checkouts.gather_checkouts(surveys, folder)
        elif self.source == "tables":
            code_tables.gather_tables(surveys, folder)

    def prepared(self, gathered: Path) -> Reader:
        """The reader that knows what was gathered."""
        settings = {entry.name: getattr(self, entry.name) for entry in fields(GithubReader)}
        return _PreparedReader(**settings, gathered=gathered)

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        """One item for each member of an archive or repository but folders, or for each row; it is gone through twice,
        first for its licences. A file of a checkout is one item."""
        if self.source == "archives" and not file.name.lower().endswith(_TABLES):
            yield from self._archive(file)
        elif self.source == "archives":
            yield from replace(self, source="tables").read(file, scratch)
        elif self.source == "repositories":
            yield from self._repository(file)
        else:  # by itself
            surveyed, gathered = scratch / "surveyed", scratch / "gathered"
            surveyed.mkdir()
            gathered.mkdir()
            self.survey(file, surveyed)
            self.gather([(file.name, surveyed)], gathered)
            yield from self.prepared(gathered).read(file, scratch)
            shutil.rmtree(surveyed)
            shutil.rmtree(gathered)

    def _archive(self, file: RawFile) -> Iterator[Item]:
        if file.path.stat().st_size == 0:
            yield Unreadable(0, 0, 0, "empty file", b"")
            return
        base = file.name.rpartition("/")[2]
        suffix = next((suffix for suffix in _ARCHIVES if base.lower().endswith(suffix)), "")
        survey = survey_archive(file.path, base[: len(base) - len(suffix)])
        members = read_archive(file.path, lambda name, size: self._wants(survey.split(name)[1]))
        yield from self._members(members, survey, archive_commit(file.path))

    def _repository(self, file: RawFile) -> Iterator[Item]:
        if not is_head(file.name, file.path):
            yield Skipped(0, "object or reference of a repository")
            return
        folder = file.path.parent
        surveyor = Surveyor(_repository_name(file))
        _, members = read_repository(folder, Surveyor.wants)
        for member in members:
            if not isinstance(member, Damage) and member.kind == "file":
                surveyor.take(member.name, member.data)
        surveyor.survey.has_root_files = True
        commit, members = read_repository(folder, lambda name, size: self._wants(name))
        yield from self._members(members, surveyor.settle(), commit)

    def _members(self, members: Iterable[Member | Damage], survey: Survey, commit: str) -> Iterator[Item]:
        ordinal = 0
        for member in members:
            if isinstance(member, Damage):
                yield Unreadable(ordinal, member.offset, member.length, member.reason, member.data)
            elif member.kind == "directory":
                continue
            else:
                yield self._member(ordinal, member, survey, commit)
            ordinal += 1

    def _member(self, ordinal: int, member: Member, survey: Survey, commit: str) -> Item:
        """The item of a file of a repository, whose licences its survey says."""
        if member.kind != "file":
            return Skipped(ordinal, "not a file")
        repository, path = survey.split(member.name)
        licences, files = survey.licences(member.name)
        known = {"licence_file": sorted(files), "commit": commit, **survey.attribution(member.name)}
        return self._item(ordinal, repository, path, member.data, licences, known)

    def _wants(self, path: str) -> bool:
        return bool(not self.suffixes or _extension(path, self.suffixes)) and not is_licence_file(path)

    def _item(
        self,
        ordinal: int,
        repository: str,
        path: str,
        data: bytes | None,
        licences: frozenset[str],
        known: Mapping[str, object],
    ) -> Item:
        """The item of a source file; `licences` are those of what it is part of, `known` goes to its metadata."""
        refused = refusal(licences, self.permitted) if licences else "no licence"
        fault = "licence file" if is_licence_file(path) else ""
        if not fault and self.suffixes and not _extension(path, self.suffixes):
            fault = "extension"
        if not fault and (data is None or b"\0" in data):
            fault = "too large" if data is None else "binary"
        if fault:
            return Skipped(ordinal, refused or fault)
        assert data is not None
        source = source_of(path, data)
        if unwanted := self._unwanted(source):
            return Skipped(ordinal, refused or unwanted)
        try:
            raw = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            if refused:
                return Skipped(ordinal, refused)
            return Unreadable(ordinal, 0, len(data), "not UTF-8", data[:QUARANTINE_BYTES])
        if stated := licences_of_notice(raw, source.language):
            licences = _exact(stated, licences)
            refused = refusal(licences, self.permitted)
            known = {**known, "licence_file": [path], "licence_column": "", "copyright": None}  # of others
        if refused:
            return Skipped(ordinal, refused)
        text, notice = strip_licence_header(raw, source.language)
        if not stated and (contrary := refusal(licences_of_phrase(words_of(notice)), self.permitted)):
            return Skipped(ordinal, contrary)
        if not self.strip_headers:
            text, notice = raw, ""
        if not text.strip():
            return Skipped(ordinal, "no text", raw)
        metadata: dict[str, object] = {
            "path": path,
            "repository": repository,
            "licence": " AND ".join(
                f"({one})" if " OR " in one and len(licences) > 1 else one for one in sorted(licences)
            ),
            **known,
            "language": source.language,
            "origin": source.origin,
            "notice": notice,
        }
        return Record(ordinal, text, None, None, {name: value for name, value in metadata.items() if value})

    def _unwanted(self, source: Source) -> str | None:
        """Why a file is not taken for what it is; None if it is."""
        if not self.suffixes and self.select == "palm":
            if source.language not in PALM:
                return "language"
        elif not self.suffixes and source.type not in _TYPES:
            return "data" if source.type == "data" else "no language"
        return source.origin if source.origin in self.drop else None


@dataclass(frozen=True)
class _PreparedReader(GithubReader):
    """Reads with what is gathered of checkouts or tables."""

    gathered: Path = Path()

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        """As the reader."""
        if self.source == "checkouts":
            yield self._checked_out(file)
        elif self.source == "tables":
            yield from self._rows(file)
        else:
            yield from super().read(file, scratch)

    def _checked_out(self, file: RawFile) -> Item:
        survey, name = checkouts.survey_of(self.gathered, file.name)
        size = file.path.stat().st_size
        wanted = self._wants(survey.split(name)[1]) and size <= MAX_MEMBER_BYTES
        return self._member(0, Member(name, "file", size, file.path.read_bytes() if wanted else None), survey, "")

    def _rows(self, file: RawFile) -> Iterator[Item]:
        if (kind := code_tables.kind_of_table(file.path)) != "contents":
            yield Skipped(0, f"table of {kind}" if kind else "table without contents")
            return
        path = self.gathered / code_tables.DATABASE
        with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as database:
            gathered = code_tables.Gathered(database)
            for ordinal, row in enumerate(code_tables.table_rows(file.path)):
                if isinstance(row, Damage):
                    yield Unreadable(ordinal, row.offset, row.length, row.reason, row.data[:QUARANTINE_BYTES])
                else:
                    yield self._row(ordinal, code_tables.row_of(row, gathered, self.permitted))

    def _row(self, ordinal: int, row: code_tables.Row) -> Item:
        if row.binary or row.content is None:
            return Skipped(ordinal, "binary" if row.binary else "no content")
        content = row.content
        if not isinstance(content, str | bytes):
            return Unreadable(ordinal, 0, 0, "content that is no text", b"")
        try:
            data = content.encode("utf-8") if isinstance(content, str) else content
        except UnicodeEncodeError as error:
            return Unreadable(ordinal, 0, 0, "not UTF-8", error.object.encode("utf-8", "replace")[:QUARANTINE_BYTES])
        known = {"commit": row.commit, "id": row.identifier, "licence_column": row.column}
        return self._item(ordinal, row.repository, row.path, data, row.licences, known)


def _exact(stated: frozenset[str], around: frozenset[str]) -> frozenset[str]:
    """`stated`, where a family ("BSD") stands for its members among the licences of what the file is part of."""
    members = {family: {one for one in around if one.startswith(f"{family}-")} for family in stated}
    return frozenset(one for family in stated for one in members[family] or {family})


def _repository_name(file: RawFile) -> str:
    """The name of a repository from that of its HEAD: `owner/name.git/HEAD`, `name/.git/HEAD`."""
    name = file.name.removesuffix("HEAD").strip("/") or file.path.parent.name
    if name == ".git":
        name = file.path.absolute().parent.parent.name
    return name.removesuffix(".git").rstrip("/")


def _extension(name: str, suffixes: frozenset[str]) -> str:
    """The entry of `suffixes` a file name has: its whole name, or its extension; empty if none."""
    base = name.rpartition("/")[2].lower()
    if base in suffixes:
        return base
    _, dot, suffix = base.rpartition(".")
    return dot + suffix if dot and dot + suffix in suffixes else ""
