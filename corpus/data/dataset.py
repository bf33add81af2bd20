"""Reading datasets: one record batch (a row group) at a time, in shard order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from corpus.data.arrow_file import ArrowFile
from corpus.data.manifest import CLEANED, MANIFEST, FileEntry, Manifest, ShardEntry
from corpus.data.stored import DamagedFileError, StoredFile
from corpus.errors import DataError, UsageError


@dataclass(frozen=True)
class Dataset:
    """A finished dataset directory."""

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: Path | str, kind: str | None = None) -> Dataset:
        """Open a dataset, checking its `kind` where one is asked for."""
        path = Path(path)
        manifest = Manifest.load(path)
        if kind is not None and manifest.kind != kind:
            raise UsageError(
                f"{path} holds {manifest.kind}, but {kind} are wanted here: give a dataset of kind {kind}."
            )
        return cls(path, manifest)

    @cached_property
    def digest(self) -> str:
        """The manifest's digest."""
        return self.manifest.digest

    @property
    def cleaned(self) -> bool:
        """Whether its shards were removed and its trail kept."""
        return is_cleaned(self.path)

    def shards(self) -> list[StoredFile]:
        """The data shards in order; a missing one or one of another size is a DataError."""
        if self.cleaned:
            raise DataError(
                f"the rows of {self.path} were removed by corpus clean: run the command that made it again to have them."
            )
        shards = list(map(self.stored, self.manifest.shards))
        for shard in shards:
            shard.check_size()
        return shards

    def planned_shards(self) -> list[StoredFile]:
        """`shards`, of a cleaned dataset as they were: enough to know the tasks of a stage, not to run one."""
        return list(map(self.stored, self.manifest.shards)) if self.cleaned else self.shards()

    def shard_paths(self) -> list[Path]:
        """Where the data shards lie, in order."""
        return [shard.path for shard in self.shards()]

    def stored(self, entry: ShardEntry | FileEntry) -> StoredFile:
        """A file that the manifest lists."""
        return StoredFile(self.path / entry.name, entry.bytes, entry.blocks, self.remedy)

    def files(self, folder: str) -> dict[str, StoredFile]:
        """The side files in a folder (`_dropped`, `_documents`, …), by their names in it, in order."""
        within = [entry for entry in self.manifest.files if entry.name.startswith(f"{folder}/")]
        return {entry.name.removeprefix(f"{folder}/"): self.stored(entry) for entry in within}

    def damaged(self) -> bool:
        """Whether a file is not as it was written, of a cleaned dataset one of what is left. All are read: who asks to
        overwrite a dataset may have been told that it is damaged."""
        try:
            for entry in self.manifest.files if self.cleaned else self.manifest.entries:
                self.stored(entry).check()
        except DamagedFileError:
            return True
        return False

    @property
    def remedy(self) -> str:
        """What makes the dataset again."""
        return f"run again, with --overwrite, the command that made {self.path} (stage {self.manifest.stage})"

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """All rows, a row group at a time."""
        for shard in self.shards():
            yield from read_batches(shard, columns)


def is_cleaned(path: Path) -> bool:
    """Whether `path` is a dataset of which `corpus clean` left the manifest and the trail alone."""
    return (path / CLEANED).exists() and (path / MANIFEST).exists()


def read_batches(
    shard: StoredFile, columns: Sequence[str] | None = None, groups: range | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows of one shard or of some of its row groups, a row group (Parquet) or record batch (Arrow) at a time.

    What is read is checked; a DamagedFileError names a shard that is not as it was written."""
    names = list(columns) if columns is not None else None
    with shard.open() as source, readable(shard):
        if shard.path.suffix == ".arrow":
            reader = ArrowFile(source)
            for index in groups if groups is not None else range(len(reader)):
                batch = reader.batch(index)
                yield batch.select(names) if names is not None else batch
        else:
            # without threads that read ahead: they cost more than they save
            with pq.ParquetFile(source, read_dictionary=[], pre_buffer=False) as file:
                for group in groups if groups is not None else range(file.num_row_groups):
                    table = file.read_row_group(group, columns=names, use_threads=False)
                    yield from table.combine_chunks().to_batches()


def read_schema(shard: StoredFile) -> pa.Schema:
    """The Arrow schema of a shard or another file in Parquet's or Arrow's form."""
    with shard.open() as source, readable(shard):
        if shard.path.suffix == ".arrow":
            return ArrowFile(source).schema
        return pq.read_schema(source)


def group_rows(shard: StoredFile) -> list[int]:
    """The rows of each row group or record batch of a shard or another file."""
    with shard.open() as source, readable(shard):
        if shard.path.suffix == ".arrow":
            reader = ArrowFile(source)
            return [reader.batch(number).num_rows for number in range(len(reader))]
        metadata = pq.read_metadata(source)
        return [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]


def read_rows(files: Iterable[StoredFile]) -> Iterator[dict[str, Any]]:
    """The rows of side files in Parquet's form."""
    for file in files:
        for batch in read_batches(file):
            yield from batch.to_pylist()


@contextmanager
def readable(file: StoredFile) -> Iterator[None]:
    """Turns what a library says of a file's form into a DataError that names it: bytes as they were written that cannot
    be read, or a file that is gone."""
    try:
        yield
    except (pa.ArrowException, ValueError, OSError) as error:  # ValueError: also a message that is no UTF-8
        lines = str(error).splitlines() or [type(error).__name__]
        raise file.damaged(f"it cannot be read: {lines[0]}") from None


def check_listed(path: Path) -> Path:
    """The path of a file; where it is a side file of a dataset, as `tokenizer.model` of a tokenizer, a DamagedFileError
    if it is not as it was written."""
    for folder in (path.parent, path.parent.parent):
        if (folder / MANIFEST).is_file():
            name = path.relative_to(folder).as_posix()
            dataset = Dataset.open(folder)
            for entry in dataset.manifest.files:
                if entry.name == name:
                    dataset.stored(entry).check()
            break
    return path


def resolve(paths: Sequence[Path | str], kind: str) -> list[Dataset]:
    """The datasets named by `paths`, in argument order: each a dataset, or a directory whose immediate children are
    datasets (then in the order of their names)."""
    found: list[Dataset] = []
    for path in map(Path, paths):
        if not path.exists():
            raise UsageError(f"{path} does not exist: give a dataset directory of kind {kind}.")
        if (path / MANIFEST).exists():
            found.append(Dataset.open(path, kind))
            continue
        children = sorted(path.iterdir()) if path.is_dir() else []
        children = [child for child in children if (child / MANIFEST).exists() and not is_cleaned(child)]
        if not children:
            raise UsageError(
                f"{path} is not a finished dataset and holds none: give a dataset directory of kind {kind}."
            )
        found += [Dataset.open(child, kind) for child in children]
    _check_apart(found)
    return found


def _check_apart(datasets: Sequence[Dataset]) -> None:
    """Refuse inputs that hold the same rows: a dataset twice, or one along with what was made from it."""
    seen: dict[str, Dataset] = {}
    for dataset in datasets:
        if dataset.digest in seen:
            raise UsageError(f"{seen[dataset.digest].path} and {dataset.path} are the same dataset: give it once.")
        seen[dataset.digest] = dataset
    for dataset in datasets:
        for entry in dataset.manifest.inputs:
            if entry["digest"] in seen:
                source = seen[entry["digest"]].path
                raise UsageError(f"{dataset.path} was made from {source}, which is also given: give one of the two.")
