"""What a domain's reader gives: every raw record of a file as exactly one item, so that nothing is lost unseen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol, TypeGuard, runtime_checkable

from corpus.data.columns import Column


@dataclass(frozen=True, slots=True)
class RawFile:
    """One raw input file; `name` is its path relative to the INPUT argument, with '/' between its parts."""

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class Record:
    """A document. `ordinal` counts every raw record of its file from 0, whatever became of it."""

    ordinal: int
    text: str
    url: str | None = None
    language: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A raw record that by design is no document: a redirect page, a file whose licence says no. Counted as dropped."""

    ordinal: int
    reason: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Merged:
    """A raw record whose text went into the document of record `into`: an answer into its question. `file` is the name of
    that record's file, where it is another."""

    ordinal: int
    into: int
    file: str = ""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A raw record that could not be read, for the quarantine: `length` bytes from byte `offset`; `data` are its first
    64 KiB at most. The offset counts in the file as stored where that is known, else in its decompressed stream."""

    ordinal: int
    offset: int
    length: int
    reason: str
    data: bytes


Item = Record | Skipped | Merged | Unreadable


class Reader(Protocol):
    """Reads the raw files of one domain. A frozen dataclass: its fields are the domain's settings."""

    domain: ClassVar[str]
    patterns: ClassVar[tuple[str, ...]]
    """The names of its files, as `fnmatch` patterns; other files are counted as ignored."""
    doc: ClassVar[str]
    """One line: what it reads. A reader that opens its files by `file.path.open("rb")` alone may say `streams = True`, too:
    then remote files are read while they come; for any other they are fetched first."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """The open columns of its documents. A record's value is the entry of `metadata` of that name; one that is not of
        the column's type stays in `metadata`."""
        ...

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        """The items of `file`, each ordinal exactly once, documents in output order. `scratch` is an empty directory.

        A file that cannot be read at all is a DataError that names it; a torn tail is one `Unreadable`.
        """
        ...


@runtime_checkable
class ReadsFiles(Protocol):
    """A reader with settings that name files, such as lists: their checksums decide the output, and not their paths."""

    def files(self) -> Mapping[str, tuple[Path, ...]]:
        """The files by the name of their setting."""
        ...


@runtime_checkable
class SurveyingReader(Reader, Protocol):
    """A reader that needs to know something of all files of the domain before it reads one: definitions that other files
    use, threads that go over several files. The stage then has two more phases before it reads."""

    def survey(self, file: RawFile, folder: Path) -> None:
        """Write what is needed of `file` into `folder`, which is empty. Damage is left to `read`, which reports it."""
        ...

    def gather(self, surveys: Sequence[tuple[str, Path]], folder: Path) -> None:
        """Bring what `survey` wrote together in `folder`, which is empty: `surveys` are the names of all files and their
        folders, in the order of the files."""
        ...

    def prepared(self, gathered: Path) -> Reader:
        """The reader that reads with what `gather` left in `gathered`."""
        ...


def needs_survey(reader: Reader) -> TypeGuard[SurveyingReader]:
    """Whether all files are to be surveyed before one is read. A reader of which the settings decide says so by an attribute
    `surveys`; any other that can survey does."""
    return isinstance(reader, SurveyingReader) and bool(getattr(reader, "surveys", True))
