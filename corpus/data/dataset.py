"""Reading datasets: one record batch (a row group) at a time, in shard order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from corpus.data.manifest import CLEANED, MANIFEST, Manifest
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

    def planned_paths(self) -> list[Path]:
        """`shard_paths`, of a cleaned dataset where they were: enough to know the tasks of a stage, not to run one."""
        return [self.path / shard.name for shard in self.manifest.shards] if self.cleaned else self.shard_paths()

    def shard_paths(self) -> list[Path]:
        """The data shards in order; a missing one or one of another size is a DataError."""
        if self.cleaned:
            raise DataError(
                f"the rows of {self.path} were removed by corpus clean: run the command that made it again to have them."
            )
        paths = []
        for shard in self.manifest.shards:
            path = self.path / shard.name
            try:
                size = path.stat().st_size
            except OSError:
                raise DataError(f"{path} is missing though the manifest lists it: make the dataset again.") from None
            if size != shard.bytes:
                raise DataError(f"{path} has {size} bytes, the manifest says {shard.bytes}: make the dataset again.")
            paths.append(path)
        return paths

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """All rows, a row group at a time."""
        for path in self.shard_paths():
            yield from read_batches(path, columns)


def is_cleaned(path: Path) -> bool:
    """Whether `path` is a dataset of which `corpus clean` left the manifest and the trail alone."""
    return (path / CLEANED).exists() and (path / MANIFEST).exists()


def read_batches(
    path: Path, columns: Sequence[str] | None = None, groups: range | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows of one shard or of some of its row groups, a row group (Parquet) or record batch (Arrow, memory-mapped) at
    a time."""
    names = list(columns) if columns is not None else None
    try:
        if path.suffix == ".parquet":
            with pq.ParquetFile(path, read_dictionary=[]) as file:
                for group in groups if groups is not None else range(file.num_row_groups):
                    table = file.read_row_group(group, columns=names, use_threads=False)
                    yield from table.combine_chunks().to_batches()
        else:
            with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
                for index in groups if groups is not None else range(reader.num_record_batches):
                    batch = reader.get_batch(index)
                    yield batch.select(names) if names is not None else batch
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} cannot be read ({str(error).splitlines()[0]}): make the dataset again.") from None


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
