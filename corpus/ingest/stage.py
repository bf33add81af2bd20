"""`corpus ingest`: raw files of one domain to documents, through the domain's reader."""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import xxhash

from corpus.config import check_options
from corpus.data.columns import Column, document_schema, merge_columns
from corpus.data.files import canonical_json, checksum, digest_of
from corpus.engine.commit import Commit
from corpus.engine.document_stage import DocumentWriter
from corpus.engine.inputs import SAMPLE
from corpus.engine.result import TaskResult, task_directory
from corpus.engine.stage import Estimate, InputRef, Phase, Stage, Unit
from corpus.engine.task import Task
from corpus.errors import DataError, UsageError
from corpus.ingest.files import RawInput, check_names, find_files, is_folder, is_pattern, is_unicode, valid_name
from corpus.ingest.groups import group_count, group_of
from corpus.ingest.reader import Merged, RawFile, Reader, ReadsFiles, Record, Skipped, SurveyingReader, Unreadable
from corpus.ingest.removal import NOTHING, REASON, Removal
from corpus.option import option
from corpus.quantity import parse_decimal

_GATHERED = "gathered"
_BATCH_BYTES = 4_000_000
_BATCH_ROWS = 4096
_SAMPLE_KEY = 0x73616D706C65
"""Seed of the hash of ids by which a sample is drawn: it says nothing of which documents validation takes."""
_HUB_PARTS = 2
"""A data set on the hub is called `name` or `owner/name`; an argument with more parts is a path, as is a very long one."""
_HUB_NAME = 200


@dataclass(frozen=True)
class IngestConfig:
    """Settings of `corpus ingest` besides the reader's own."""

    prefix: str = option("", "Put before every file name in ids, so that two dumps with equal names can live together.")
    shard_bytes: int = option(256_000_000, "Data bytes after which an output shard is closed.", least=1)
    limit: int | None = option(
        None, "A first look: read only so many records of each raw file, the first ones.", least=1
    )
    sample: str | None = option(
        None, "A first look: take only this part of the records, by a hash of their ids, as 1%.", metavar="SHARE"
    )

    def __post_init__(self) -> None:
        check_options(self)
        _ = self.share
        if not self.prefix.isprintable():  # lone surrogates, too: bytes that are not UTF-8
            raise UsageError(f"--prefix {self.prefix!a} is not printable text: give another one.")

    @property
    def share(self) -> Fraction:
        """The part of the records that is taken; a UsageError where it is none."""
        try:
            share = Fraction(1) if self.sample is None else parse_decimal(self.sample)
        except ValueError as error:
            raise UsageError(f"--sample: {error}.") from None
        if not 0 < share <= 1:
            raise UsageError(
                f"--sample {self.sample} is no part of the records: give a share over 0% up to 100%, as 1%."
            )
        return share

    def as_json(self) -> dict[str, Any]:
        """What decides the output; what makes it a sample only where it is given."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class IngestStage(Stage):
    """Reads raw files with `reader`. Unit: raw records.

    A record's id is `<domain>/<name of its file>#<ordinal>`. Text that is no valid Unicode is quarantined.
    """

    name: ClassVar[str] = "ingest"
    kind: ClassVar[str] = "documents"
    unit: ClassVar[str] = "records"

    reader: Reader
    raw_inputs: tuple[str, ...]
    settings: IngestConfig = IngestConfig()
    domain: str = ""
    patterns: tuple[str, ...] = ()
    """Instead of the reader's own, where a recipe names them."""
    removal: Removal = NOTHING
    """Records that are left out."""

    def config(self) -> Mapping[str, Any]:
        settings = asdict(self.reader)  # type: ignore[call-overload]  # every reader is a dataclass
        if isinstance(self.reader, ReadsFiles):
            settings |= {name: [checksum(path) for path in paths] for name, paths in self.reader.files().items()}
        return {
            "domain": self.domain_name,
            "reader": type(self.reader).__name__,
            "patterns": list(self.patterns or self.reader.patterns),
            **settings,
            **self.settings.as_json(),
            **({"removal": self.removal.digest} if self.removal else {}),
        }

    def __post_init__(self) -> None:
        if not is_unicode(self.domain):
            raise UsageError(f"--domain {self.domain!a} is not valid UTF-8: give another name.")

    @property
    def domain_name(self) -> str:
        """The domain written to the documents: the reader's, unless the user names another."""
        return self.domain or self.reader.domain

    def raw(self) -> RawInput:
        """The raw files. A reader of something other than files (a hub data set) names its inputs itself."""
        if not self.reader.patterns:
            files = tuple(RawFile(Path(name), self.settings.prefix + _set_name(name)) for name in self.raw_inputs)
            check_names(files)
            return RawInput(files, ())
        return find_files(self.raw_inputs, self.patterns or self.reader.patterns, self.settings.prefix)

    def inputs(self) -> tuple[InputRef, ...]:
        references = []
        for file in self.raw().files:
            if file.path.exists():
                references.append(InputRef(file.name, _identity(file.path)))
            else:  # a name on the hub
                references.append(InputRef(file.name, file.name, file.name))
        return tuple(references)

    def resolve_digests(self) -> Mapping[str, str]:
        return {file.name: _digest(file.path) for file in self.raw().files if file.path.exists()}

    def input_paths(self) -> tuple[Path, ...]:
        matched = self.raw().files if any(map(is_pattern, self.raw_inputs)) else ()
        return (*(Path(name) for name in self.raw_inputs if not is_pattern(name)), *(file.path for file in matched))

    def input_bytes(self) -> int:
        return sum(_size(file) for file in self.raw().files)

    def estimate(self) -> Estimate:
        return Estimate(memory=128_000_000, disk=2 * self.input_bytes())

    @cached_property
    def groups(self) -> list[list[RawFile]]:
        """The files of each task, in the order of the files.

        A file is put into a group by a hash of its name, and the number of groups is a power of two that follows from
        the size of all: a new file changes the group that it goes to and no other, until the input has doubled.
        """
        files = self.raw().files
        number = group_count(sum(map(_size, files)))
        groups: list[list[RawFile]] = [[] for _ in range(number)]
        for file in files:
            groups[group_of(file.name, number)].append(file)
        return groups

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The open columns of the reader."""
        return merge_columns([self.reader.columns])

    def check(self) -> None:
        _ = self.columns

    def phases(self) -> tuple[Phase, ...]:
        read = Phase("read", len(self.groups))
        if not isinstance(self.reader, SurveyingReader):
            return (read,)
        return Phase("survey", len(self.groups)), Phase("gather", 1), read

    def units(self, results: Mapping[str, Sequence[TaskResult]] | None = None) -> list[Unit]:
        """The groups of files, by their contents, where files are read each by itself."""
        if isinstance(self.reader, SurveyingReader) or not all(file.path.exists() for file in self.raw().files):
            return []
        # of what is removed only that counts which can be in the group
        config = {name: value for name, value in self.whole_config().items() if name != "removal"}
        common = {"stage": self.name, "config": config}
        found = []
        for index, files in enumerate(self.groups):
            if results is not None:  # what was read, whatever lies there now
                digests = results["read"][index].notes["digests"]
            else:
                digests = {file.name: _digest(file.path) for file in files}
            removed = {name: values for name, values in self._removal_of(digests).items() if values}
            part = [f"{index}/{len(self.groups)}", sorted(digests.items()), removed]
            found.append(Unit(digest_of(common | {"part": part}), (("read", index),)))
        return found

    def _removal_of(self, names: Collection[str]) -> Mapping[str, list[str]]:
        return self.removal.of_files(self.domain_name, names) if self.removal else {}

    def run(self, phase: str, index: int, task: Task) -> None:
        {"survey": self._survey, "gather": self._gather, "read": self._read}[phase](index, task)

    def _survey(self, index: int, task: Task) -> None:
        assert isinstance(self.reader, SurveyingReader)
        for number, file in enumerate(self.groups[index]):
            folder = task.directory / f"survey-{number}"
            folder.mkdir()
            with _permitted(file):
                self.reader.survey(file, folder)
            task.progress(bytes=_size(file))

    def _gather(self, index: int, task: Task) -> None:
        assert isinstance(self.reader, SurveyingReader)
        folders = {
            file.name: task_directory(task.work, "survey", group) / f"survey-{number}"
            for group, files in enumerate(self.groups)
            for number, file in enumerate(files)
        }
        folder = task.directory / _GATHERED
        folder.mkdir()
        self.reader.gather([(file.name, folders[file.name]) for file in self.raw().files], folder)

    def _reader(self, work: Path) -> Reader:
        """The reader, with what it has gathered of all files where it surveys them first."""
        if not isinstance(self.reader, SurveyingReader):
            return self.reader
        return self.reader.prepared(task_directory(work, "gather", 0) / _GATHERED)

    def _read(self, index: int, task: Task) -> None:
        reader = self._reader(task.work)
        task.shard_task = f"{index}/{len(self.groups)}"
        writer = DocumentWriter(task, document_schema(self.columns), shard_bytes=self.settings.shard_bytes)
        digests, passed_over = {}, 0
        for number, file in enumerate(self.groups[index]):
            scratch = task.directory / f"scratch-{number}"
            scratch.mkdir()
            passed_over += _FileIngest(self, reader, file, task, writer).run(scratch)
            shutil.rmtree(scratch)
            if file.path.exists():
                digests[file.name] = _digest(file.path)
        task.note("digests", digests)
        task.note("passed_over", passed_over)

    def finish(self, commit: Commit) -> None:
        for result in commit.results["read"]:
            commit.input_digests.update(result.notes["digests"])
        commit.extra["domains"] = [self.domain_name]
        if self.settings.limit is not None or self.settings.sample is not None:
            passed_over = sum(result.notes["passed_over"] for result in commit.results["read"])
            marks = {"limit": self.settings.limit, "share": self.settings.sample, "passed_over": passed_over}
            commit.extra[SAMPLE] = {name: value for name, value in marks.items() if value is not None}
        commit.columns = self.columns


@contextmanager
def _permitted(file: RawFile) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise DataError(f"{file.path} cannot be read ({error.strerror}): change its permissions.") from None


@dataclass
class _FileIngest:
    """Takes the items of one file and writes, drops or quarantines each."""

    stage: IngestStage
    reader: Reader
    file: RawFile
    task: Task
    writer: DocumentWriter

    def run(self, scratch: Path) -> int:
        """Read the file, or its first records; how many of these were passed over, since they are not in the sample."""
        settings = self.stage.settings
        self.passed_over = 0
        self.below = math.ceil(settings.share * (1 << 64))
        self.rows: list[dict[str, Any]] = []
        self.bytes = 0
        self.schema = document_schema(self.stage.columns)
        with _permitted(self.file):
            for item in itertools.islice(self.reader.read(self.file, scratch), settings.limit):
                self._take(item)
        self._flush()
        self.task.progress(bytes=_size(self.file))
        return self.passed_over

    def _take(self, item: Record | Skipped | Merged | Unreadable) -> None:
        task = self.task
        if not self._sampled(item):
            self.passed_over += 1
            return
        task.count(seen=1)
        removal = self.stage.removal
        if removal and isinstance(item, Record | Skipped):
            url = item.url if isinstance(item, Record) else None
            if removal.names(self._id(item.ordinal), url):
                task.drop(self._id(item.ordinal), REASON, "")
                return
        if isinstance(item, Record):
            self._keep(item)
        elif isinstance(item, Skipped):
            task.drop(self._id(item.ordinal), item.reason, _valid(item.text))
        elif isinstance(item, Merged):
            task.merge(self._id(item.ordinal), self._id(item.into, item.file))
        else:
            task.quarantine(self.file.name, item.offset, item.length, item.reason, item.data, item.ordinal)

    def _sampled(self, item: Record | Skipped | Merged | Unreadable) -> bool:
        """Whether a record is in the sample; what is merged goes with the record that it is merged into."""
        if self.below >> 64:
            return True
        id = self._id(item.into, item.file) if isinstance(item, Merged) else self._id(item.ordinal)
        return xxhash.xxh3_64_intdigest(id.encode("utf-8"), _SAMPLE_KEY) < self.below

    def _keep(self, record: Record) -> None:
        try:
            size = len(record.text.encode("utf-8"))
            rest = dict(record.metadata)
            columns = self._columns(rest)
            metadata = canonical_json(rest)
            (
                metadata
                + json.dumps(columns, default=str, ensure_ascii=False)
                + (record.url or "")
                + (record.language or "")
            ).encode("utf-8")
        except ValueError as error:  # lone surrogates, or NaN in the metadata
            data = record.text.encode("utf-8", "surrogatepass")
            reason = "invalid Unicode" if isinstance(error, UnicodeError) else "metadata is no JSON"
            self.task.quarantine(self.file.name, 0, len(data), reason, data, record.ordinal)
            return
        if not record.text.strip():
            self.task.drop(self._id(record.ordinal), "no text", record.text)
            return
        self.rows.append(
            {
                "id": self._id(record.ordinal),
                "text": record.text,
                "domain": self.stage.domain_name,
                "language": record.language,
                "language_score": None,
                "url": record.url,
                "source": {"file": self.file.name, "record": record.ordinal},
                "metadata": metadata,
            }
            | columns
        )
        self.bytes += size
        if self.bytes >= _BATCH_BYTES or len(self.rows) >= _BATCH_ROWS:
            self._flush()

    def _columns(self, metadata: dict[str, Any]) -> dict[str, Any]:
        """The values of the open columns, taken out of `metadata`; one that is not of the column's type stays there."""
        found = {}
        for column in self.stage.columns:
            value = column.convert(metadata.get(column.name))
            if value is not None:
                found[column.name] = value
                del metadata[column.name]
        return found

    def _flush(self) -> None:
        if self.rows:
            self.writer.write(pa.RecordBatch.from_pylist(self.rows, schema=self.schema))
            self.task.progress(documents=len(self.rows))
        self.rows, self.bytes = [], 0

    def _id(self, ordinal: int, file: str = "") -> str:
        return f"{self.stage.domain_name}/{file or self.file.name}#{ordinal}"


def _set_name(name: str) -> str:
    """The name of a data set: that on the hub, or where its argument is a path that exists, the last part of that."""
    path = Path(name)
    if not os.path.lexists(path) and len(path.parts) <= _HUB_PARTS and len(name) <= _HUB_NAME:
        if not is_unicode(name):
            raise UsageError(f"the name {name!a} is not valid UTF-8: give that of a data set or a path.")
        return name
    is_folder(path)
    last = Path(os.path.abspath(path))
    return valid_name(last.name, last)


def _identity(path: Path) -> str:
    """Size and time of change of a file, or of all files below a folder."""
    if path.is_file():
        status = path.stat()
        return f"{status.st_size} {status.st_mtime_ns}"
    return digest_of([[below.name, _identity(below.path)] for below in _files(path)])


def _digest(path: Path) -> str:
    """xxh3-128 of a file; of a folder, of the names and digests of the files below it. It is read once as long as its
    size and time of change stay the same."""
    return _digest_once(path, _identity(path))


@lru_cache(maxsize=1 << 16)
def _digest_once(path: Path, identity: str) -> str:
    if path.is_file():
        return checksum(path)
    return digest_of([[below.name, checksum(below.path)] for below in _files(path)])


def _files(folder: Path) -> tuple[RawFile, ...]:
    return find_files([str(folder)], ["*"]).files


def _size(file: RawFile) -> int:
    """Bytes of the file, or of all files below the folder; 0 for what is not on this disk."""
    if file.path.is_file():
        return file.path.stat().st_size
    return sum(below.path.stat().st_size for below in _files(file.path)) if file.path.is_dir() else 0


def _valid(text: str) -> str:
    """The text with lone surrogates replaced, so that a sample of it can be written."""
    return text.encode("utf-8", "replace").decode("utf-8")
