"""arXiv: bulk tars of sources (members `YYMM/ID.gz`, each a gzipped tar or a single file), or folders of sources -> one
document per paper."""

import re
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import ClassVar

from corpus.data.columns import AUTHOR, DATE, LICENCE, TITLE, Column
from corpus.errors import UsageError
from corpus.ingest.compression import QUARANTINE_BYTES, open_stream
from corpus.ingest.reader import Item, Merged, RawFile, Reader, Record, Skipped, Unreadable
from corpus.option import nearest, option
from pipelines.markup.latex.paper import Paper, Parts, clean
from pipelines.markup.latex.redpajama import LostPaper, clean_faithful
from pipelines.readers import listing
from pipelines.readers.loose import CONTENT, DATABASE, gather_papers, is_loose, loose_paper
from pipelines.readers.papers import (
    MEMBER_BYTES,
    TEX_SUFFIXES,
    Member,
    NoPaper,
    NoSource,
    members,
    source_files,
    stored_files,
)

PRESETS = ("llama", "redpajama", "full")
VERSION = re.compile(r"[0-9]v([0-9]+)$")
NEW_ID = re.compile(r"([0-9]{4}\.[0-9]{4,5})(?:v[0-9]+)?")
OLD_ID = re.compile(r"([a-z]+(?:-[a-z]+)?)(?:\.[A-Z]{2})?/?([0-9]{7})(?:v[0-9]+)?")
OLD_CATEGORY = re.compile(r"([a-z]+(?:-[a-z]+)?(?:\.[A-Z]{2})?)/?[0-9]{7}(?:v[0-9]+)?")
SINGLE = re.compile(r"\.(?:tar\.gz|tgz|tex\.gz)$", re.I)


@dataclass(frozen=True)
class ArxivReader:
    """Papers from their LaTeX sources."""

    domain: ClassVar[str] = "arxiv"
    streams: ClassVar[bool] = True
    patterns: ClassVar[tuple[str, ...]] = (
        *("*.tar", "*.tar.gz", "*.tgz", "*.tex.gz", "*.tex", "*.ltx", "*.latex"),
        *("*.sty", "*.cls", "*.tikz", "*.pgf"),
        *listing.PATTERNS,
    )
    doc: ClassVar[str] = (
        "arXiv source tars or folders of sources: one document per paper, macros expanded, comments and bibliography out"
    )
    columns: ClassVar[tuple[Column, ...]] = (TITLE, AUTHOR, DATE, LICENCE)

    preset: str = option(
        "llama",
        "llama: from the first section on, without bibliography; full: title and abstract, too; redpajama: its rules, up to the first"
        " appendix or bibliography, with its layout",
        choices=PRESETS,
    )
    variant: str = option(
        "corrected",
        "of preset redpajama: corrected, or faithful to its cleaner, faults and all",
        choices=("corrected", "faithful"),
    )
    keep_bibliography: bool = option(False, "keep the bibliography")
    layout: str | None = option(
        None,
        "labels, pictures, sizes, spacing, colours, page breaks, counters and biographies: leave them out or keep them; not given:"
        " drop, with preset redpajama keep",
        choices=("drop", "keep"),
    )

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise UsageError(f"preset is '{self.preset}': {nearest(self.preset, PRESETS)}")
        if self.preset != "redpajama" and self.variant != "corrected":
            raise UsageError("variant faithful is one of preset redpajama alone: give --preset redpajama with it.")
        if self.preset == "redpajama" and self.keep_bibliography:
            raise UsageError("preset redpajama ends before the bibliography: leave --keep-bibliography out.")
        if self.variant == "faithful" and self.layout == "drop":
            raise UsageError("variant faithful is the cleaner that keeps the layout: leave --layout drop out.")
        object.__setattr__(self, "layout", self.layout or ("keep" if self.preset == "redpajama" else "drop"))

    def survey(self, file: RawFile, folder: Path) -> None:
        """Copies a loose TeX file: its paper is read where the paper's first file is. Notes what a listing says."""
        if is_loose(file.name):
            with file.path.open("rb") as stored, (folder / CONTENT).open("wb") as copy:
                shutil.copyfileobj(stored, copy)
        elif listing.is_listing(file.name):
            listing.survey_listing(file.path, folder)

    def gather(self, surveys: Sequence[tuple[str, Path]], folder: Path) -> None:
        """Brings the loose files of each paper together, and the listings."""
        gather_papers(surveys, folder, lambda stem: paper_id(stem)[1])
        listing.gather_listings((survey for _, survey in surveys), folder / listing.PAPERS)

    def prepared(self, gathered: Path) -> Reader:
        """The reader that knows which loose files are one paper."""
        settings = {entry.name: getattr(self, entry.name) for entry in fields(ArxivReader)}
        return _PreparedReader(**settings, gathered=gathered)

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        """Yields one item per member of a bulk tar, or the one paper of a `.tar.gz` or of a loose file taken alone."""
        if listing.is_listing(file.name):
            yield from listing.read_listing(file)
            return
        if is_loose(file.name):
            surveyed, gathered = scratch / "surveyed", scratch / "gathered"
            surveyed.mkdir()
            gathered.mkdir()
            self.survey(file, surveyed)
            self.gather([(file.name, surveyed)], gathered)
            yield from self.prepared(gathered).read(file, scratch)
            return
        size = file.path.stat().st_size
        if size == 0:
            yield Unreadable(0, 0, 0, "empty file", b"")
            return
        if SINGLE.search(file.path.name) and not _is_bulk(file.path):
            with file.path.open("rb") as stored:
                yield self._paper(0, 0, SINGLE.sub("", file.path.name), stored.read(MEMBER_BYTES))
            return
        with closing(open_stream(file.path)) as stream:
            for ordinal, member in enumerate(members(stream, MEMBER_BYTES)):
                yield self._member(ordinal, member)

    def _member(self, ordinal: int, member: Member) -> Item:
        if member.fault:
            return Unreadable(ordinal, member.offset, member.size, member.fault, member.data[:QUARANTINE_BYTES])
        name = member.name.removeprefix("./")
        if name.lower().endswith(".pdf"):
            return Skipped(ordinal, "pdf only", name)
        if not name.lower().endswith((".gz", ".tex")):
            return Skipped(ordinal, "not a source file", name)
        if member.size > len(member.data):
            data = member.data[:QUARANTINE_BYTES]
            return Unreadable(ordinal, member.offset, member.size, "paper over 512 MiB", data)
        return self._paper(ordinal, member.offset, re.sub(r"(?:\.tar)?\.gz$|\.tex$", "", name, flags=re.I), member.data)

    def _paper(self, ordinal: int, offset: int, name: str, data: bytes) -> Item:
        identifier, real = paper_id(name)
        try:
            paper = self._cleaned(data)
        except NoPaper as error:
            return Unreadable(ordinal, offset, len(data), str(error), data[:QUARANTINE_BYTES])
        except (NoSource, LostPaper) as error:
            return Skipped(ordinal, str(error), identifier)
        if not paper.text:
            return Skipped(ordinal, "withdrawn" if paper.withdrawn else "empty text", identifier)
        version = VERSION.search(name)
        metadata = {
            "id": identifier,
            "version": int(version[1]) if version else None,
            "categories": categories_of(name) if real else [],
            "title": paper.title,
            "author": ", ".join(paper.authors),
            "missing_inputs": list(paper.missing),
            "other_documents": list(paper.others),
        }
        url = f"https://arxiv.org/abs/{identifier}" if real else None
        return Record(ordinal, paper.text, url=url, metadata={key: value for key, value in metadata.items() if value})

    def _cleaned(self, data: bytes) -> Paper:
        """The paper of a bundle of sources by the preset."""
        if self.preset == "redpajama":
            paper = clean(source_files(data), Parts(front=False, appendices=False, layout=self.layout == "keep"))
            return (
                replace(paper, text=clean_faithful(stored_files(data)).strip()) if self.variant == "faithful" else paper
            )
        bibliography, layout = self.keep_bibliography, self.layout == "keep"
        return clean(source_files(data), Parts(front=self.preset == "full", bibliography=bibliography, layout=layout))


@dataclass(frozen=True)
class _PreparedReader(ArxivReader):
    """Reads papers whose loose files are brought together, in the folder `gathered`."""

    gathered: Path = Path()

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        """Yields the paper of a loose file at its first file, and the items of an archive, with what listings say of them."""
        if is_loose(file.name):
            first, name, sources = loose_paper(self.gathered / DATABASE, file.name)
            items = iter((self._paper(0, 0, name, sources) if sources else Merged(0, 0, first),))
        else:
            items = super().read(file, scratch)
        path = self.gathered / listing.PAPERS
        with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as database:
            for item in items:
                known = listing.listed(database, str(item.metadata["id"])) if isinstance(item, Record) else {}
                yield replace(item, metadata={**item.metadata, **known}) if isinstance(item, Record) and known else item


def paper_id(name: str) -> tuple[str, bool]:
    """The identifier of `YYMM/ID` and whether it is arXiv's: `2301.00001`, `math/0301001`; else the last part of the name."""
    last = name.rsplit("/", 1)[-1]
    if match := NEW_ID.fullmatch(last):
        return match[1], True
    if match := OLD_ID.fullmatch(last) or OLD_ID.fullmatch("/".join(name.split("/")[-2:])):
        return f"{match[1]}/{match[2]}", True
    return last, False


def categories_of(name: str) -> list[str]:
    """The category that an identifier of before 2007 names: `math.AG/0301001`, `astro-ph0001001`."""
    last = name.rsplit("/", 1)[-1]
    match = OLD_CATEGORY.fullmatch(last) or OLD_CATEGORY.fullmatch("/".join(name.split("/")[-2:]))
    return [match[1]] if match else []


def _is_bulk(path: Path) -> bool:
    """Whether a compressed tar holds papers (gz members and no TeX file) and not one paper."""
    with closing(open_stream(path)) as stream:
        names = [member.name.lower() for member in members(stream, 0)]
    return any(re.search(r"\d.*\.gz$", name) for name in names) and not any(
        name.endswith(TEX_SUFFIXES) for name in names
    )
