"""`corpus ingest`: raw files of one domain to documents, through the domain's reader."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from corpus.data.columns import Column, document_schema, merge_columns
from corpus.data.files import checksum, digest_of
from corpus.engine.commit import Commit
from corpus.engine.document_stage import DocumentWriter
from corpus.engine.inputs import SAMPLE
from corpus.engine.result import TaskResult, task_directory
from corpus.engine.stage import Estimate, InputRef, Phase, Stage, Unit
from corpus.engine.task import Task
from corpus.errors import UsageError
from corpus.ingest.config import USUAL, IngestConfig
from corpus.ingest.file_ingest import FileIngest, permitted
from corpus.ingest.files import RawInput, check_names, find_files, is_folder, is_pattern, is_unicode, shown, valid_name
from corpus.ingest.groups import group_count, group_of
from corpus.ingest.identity import raw_digest, raw_identity, raw_size
from corpus.ingest.reader import RawFile, Reader, ReadsFiles, needs_survey
from corpus.ingest.remote import LISTING, OpenedRaw, opened_raw, version_digest
from corpus.ingest.removal import NOTHING, Removal
from corpus.remote.listing import load_listings, save_listings
from corpus.remote.path import RemotePath
from corpus.remote.url import is_remote

_GATHERED = "gathered"
_HUB_PARTS = 2
"""A data set on the hub is called `name` or `owner/name`; an argument with more parts is a path, as is a very long one."""
_HUB_NAME = 200


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
    settings: IngestConfig = USUAL
    domain: str = ""
    patterns: tuple[str, ...] = ()
    """Instead of the reader's own, where a recipe names them."""
    removal: Removal = NOTHING
    """Records that are left out."""
    cache: str = ""
    """A folder in which remote files stay once they were fetched; decides no byte of the output."""

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

    def remedy(self, reasons: Sequence[str]) -> str:
        field = getattr(self.reader, "text_field", "")
        if not field or f"no field '{field}'" not in reasons:
            return ""
        return (
            "say where the text is, for example body.content, with --text-field (of a recipe settings: {text_field: …})"
        )

    def raw(self) -> RawInput:
        """The raw files. A reader of something other than files (a hub data set) names its inputs itself."""
        if not self.reader.patterns:
            for name in filter(is_remote, self.raw_inputs):
                raise UsageError(
                    f"{shown(name)} is no name of a data set: give that, or read its files with another reader."
                )
            files = tuple(RawFile(Path(name), self.settings.prefix + _set_name(name)) for name in self.raw_inputs)
            check_names(files)
            return RawInput(files, ())
        return self._remote_raw if self._urls else self._found()

    @cached_property
    def _remote_raw(self) -> RawInput:
        """What was listed stays as it is for this stage."""
        return self._found()

    def _found(self) -> RawInput:
        return find_files(self.raw_inputs, self.patterns or self.reader.patterns, self.settings.prefix)

    def inputs(self) -> tuple[InputRef, ...]:
        references = []
        for file in self.raw().files:
            if file.path.exists():
                references.append(InputRef(file.name, raw_identity(file.path)))
            else:  # a name on the hub
                references.append(InputRef(file.name, file.name, file.name))
        return tuple(references)

    def resolve_digests(self, names: Collection[str]) -> Mapping[str, str]:
        wanted = set(names)
        return {
            file.name: self._digest(file) for file in self.raw().files if file.name in wanted and file.path.exists()
        }

    def _digest(self, file: RawFile) -> str:
        if isinstance(file.path, RemotePath) and self.settings.limit is not None:
            return version_digest(raw_identity(file.path))
        return raw_digest(file.path)

    def input_paths(self) -> tuple[Path, ...]:
        local = [name for name in self.raw_inputs if not is_remote(name)]
        matched = find_files(local, ["*"]).files if any(map(is_pattern, local)) else ()
        return (*(Path(name) for name in local if not is_pattern(name)), *(file.path for file in matched))

    def input_bytes(self) -> int:
        return sum(raw_size(file) for file in self.raw().files)

    def task_bytes(self, phase: Phase) -> Sequence[float]:
        return [sum(map(raw_size, group)) for group in self.groups] if phase.tasks == len(self.groups) else ()

    def may_be_empty(self) -> bool:
        """A removal may name all there is."""
        return bool(self.removal)

    def estimate(self) -> Estimate:
        return Estimate(memory=128_000_000, disk=2 * self.input_bytes())

    @cached_property
    def groups(self) -> list[list[RawFile]]:
        """The files of each task, in the order of the files.

        A file is put into a group by a hash of its name, and the number of groups is a power of two that follows from
        the size of all: a new file changes the group that it goes to and no other, until the input has doubled.
        """
        files = self.raw().files
        number = group_count(sum(map(raw_size, files)))
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

    def begin(self, work: Path) -> None:
        if self._urls:
            save_listings(work / LISTING, self._urls)

    @property
    def _urls(self) -> list[str]:
        return [name for name in self.raw_inputs if is_remote(name)]

    def phases(self) -> tuple[Phase, ...]:
        read = Phase("read", len(self.groups))
        if not needs_survey(self.reader):
            return (read,)
        return Phase("survey", len(self.groups)), Phase("gather", 1), read

    def units(self, results: Mapping[str, Sequence[TaskResult]] | None = None) -> list[Unit]:
        """The groups of files, by their contents, where files are read each by itself."""
        if needs_survey(self.reader) or not all(file.path.exists() for file in self.raw().files):
            return []
        # of what is removed only that counts which can be in the group
        config = {name: value for name, value in self.whole_config().items() if name != "removal"}
        common = {"stage": self.name, "config": config}
        found = []
        for index, files in enumerate(self.groups):
            if any(isinstance(file.path, RemotePath) for file in files):  # they are not fetched to be compared
                digests = {file.name: raw_identity(file.path) for file in files}
            elif results is not None:  # what was read, whatever lies there now
                digests = results["read"][index].notes["digests"]
            else:
                digests = {file.name: raw_digest(file.path) for file in files}
            removed = {name: values for name, values in self._removal_of(digests).items() if values}
            part = [f"{index}/{len(self.groups)}", sorted(digests.items()), removed]
            found.append(Unit(digest_of(common | {"part": part}), (("read", index),)))
        return found

    def _removal_of(self, names: Collection[str]) -> Mapping[str, list[str]]:
        return self.removal.of_files(self.domain_name, names) if self.removal else {}

    def run(self, phase: str, index: int, task: Task) -> None:
        if self._urls:
            load_listings(task.work / LISTING, self._urls)
        {"survey": self._survey, "gather": self._gather, "read": self._read}[phase](index, task)

    def _survey(self, index: int, task: Task) -> None:
        assert needs_survey(self.reader)
        for number, file in enumerate(self.groups[index]):
            folder = task.directory / f"survey-{number}"
            folder.mkdir()
            with permitted(file), self._opened(file, self.reader, task, number) as opened:
                self.reader.survey(opened.file, folder)
            task.progress(bytes=raw_size(file))

    def _gather(self, index: int, task: Task) -> None:
        assert needs_survey(self.reader)
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
        if not needs_survey(self.reader):
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
            with self._opened(file, reader, task, number) as opened:
                taken = FileIngest(
                    self.domain_name, self.settings, self.columns, self.removal, reader, opened.file, task, writer
                )
                passed_over += taken.run(scratch)
                digest = opened.digest(whole=self.settings.limit is None)
            shutil.rmtree(scratch)
            if digest or file.path.exists():
                digests[file.name] = digest or raw_digest(file.path)
        task.note("digests", digests)
        task.note("passed_over", passed_over)

    def _opened(self, file: RawFile, reader: Reader, task: Task, number: int) -> AbstractContextManager[OpenedRaw]:
        return opened_raw(file, reader, task.directory / f"remote-{number}", self.cache)

    def finish(self, commit: Commit) -> None:
        for result in commit.results["read"]:
            commit.input_digests.update(result.notes["digests"])
        commit.extra["domains"] = [self.domain_name]
        if self.settings.limit is not None or self.settings.sample is not None:
            passed_over = sum(result.notes["passed_over"] for result in commit.results["read"])
            marks = {"limit": self.settings.limit, "share": self.settings.sample, "passed_over": passed_over}
            commit.extra[SAMPLE] = {name: value for name, value in marks.items() if value is not None}
        commit.columns = self.columns


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
