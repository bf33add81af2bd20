"""Document maps: steps that look at one document at a time, run one after the other over each batch in one pass.

A map is a frozen dataclass whose documented fields are its settings. For a batch it says which columns to set, which
documents stay, and why each of the others does not.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.data.columns import Column
from corpus.data.dataset import check_listed
from corpus.data.files import checksum
from corpus.errors import UsageError

V = TypeVar("V")


class Measured(Protocol):
    """What is worked out of all texts of a batch at once."""

    def filter(self, stays: Any) -> Any:
        """The same of the texts that stay (bool[texts])."""


M = TypeVar("M", bound=Measured)


class DocumentBatch:
    """Documents with what maps have worked out of their texts, so that several maps split a text only once."""

    def __init__(self, rows: pa.RecordBatch) -> None:
        self.rows = rows
        self._views: dict[Any, list[Any]] = {}
        self._measured: dict[Any, Measured] = {}

    @property
    def num_rows(self) -> int:
        """How many documents."""
        return int(self.rows.num_rows)

    def column(self, name: str) -> pa.Array:
        """One of the columns."""
        return self.rows.column(name)

    def texts(self) -> list[str]:
        """The texts as Python strings."""
        if None not in self._views:
            self._views[None] = self.rows.column("text").to_pylist()
        return self._views[None]

    def views(self, make: Callable[[str], V]) -> list[V]:
        """`make(text)` of every document. It is remembered as long as the text stays the same."""
        if make not in self._views:
            self._views[make] = list(map(make, self.texts()))
        return self._views[make]

    def measured(self, measure: Callable[[pa.RecordBatch], M]) -> M:
        """`measure(rows)`, of texts and their languages alone. It is remembered as long as these stay the same."""
        if measure not in self._measured:
            self._measured[measure] = measure(self.rows)
        return cast(M, self._measured[measure])

    def with_columns(self, columns: Mapping[str, pa.Array]) -> DocumentBatch:
        """The batch with some columns set."""
        if not columns:
            return self
        rows = self.rows
        for name, values in columns.items():
            at = rows.schema.get_field_index(name)
            if at < 0:
                rows = rows.append_column(name, values)
            else:
                rows = rows.set_column(at, rows.schema.field(at), values.cast(rows.schema.field(at).type))
        changed = DocumentBatch(rows)
        if "text" not in columns:
            changed._views = self._views
            if "language" not in columns:
                changed._measured = self._measured
        return changed

    def filter(self, stays: pa.BooleanArray) -> DocumentBatch:
        """The documents that stay."""
        left = DocumentBatch(self.rows.filter(stays))
        kept = stays.to_pylist()
        left._views = {
            make: [view for view, stay in zip(views, kept, strict=True) if stay] for make, views in self._views.items()
        }
        if self._measured:
            mask = np.array(kept, dtype=np.bool_)
            left._measured = {measure: value.filter(mask) for measure, value in self._measured.items()}
        return left


@dataclass(frozen=True)
class Mapped:
    """What a map says of a batch: the columns to set, whole, and why each document goes (null: it stays)."""

    columns: Mapping[str, pa.Array] = field(default_factory=dict)
    reasons: Sequence[str | None] | pa.Array | None = None


class DocumentMap(ABC):
    """One step over documents. A frozen dataclass; `prepare` loads what is large, once in a process."""

    name: ClassVar[str]
    """What recipes, manifests and `--map` call it."""
    columns: ClassVar[tuple[Column, ...]] = ()
    """The open columns that it sets."""
    unlisted: ClassVar[frozenset[str]] = frozenset()
    """The reasons for which documents are counted and not recorded one by one, since another dataset has them."""

    @abstractmethod
    def apply(self, batch: DocumentBatch) -> Mapped:
        """What becomes of the documents of a batch. A pure function of the settings and of each document alone."""

    def prepare(self) -> None:
        """Load models and tables; a UsageError or DataError says what is wrong with them."""

    def check_columns(self, schema: pa.Schema) -> None:
        """Before any work: a UsageError where the documents lack columns that are needed. The schema has all columns,
        those that other maps of the chain set too."""

    def files(self) -> Mapping[str, Path]:
        """The files that decide the result, by the name of their setting: models, lists."""
        return {}

    def config(self) -> dict[str, Any]:
        """All that decides the result: the documented fields, files by their checksums."""
        values = {
            entry.name: getattr(self, entry.name)
            for entry in dataclasses.fields(cast(Any, self))  # every map is a dataclass
            if "doc" in entry.metadata
        }
        values |= {name: checksum(check_listed(path)) for name, path in self.files().items()}
        for name, value in values.items():
            if isinstance(value, Path):
                raise UsageError(f"setting {name} of the map {self.name} is a path: have its method `files` name it.")
        return values

    def notice(self) -> str:
        """What the user should know before it runs; empty where there is nothing."""
        return ""


def maps_of(config: Any) -> tuple[DocumentMap, ...]:
    """The maps of a step's configuration: itself, or those that it names."""
    return (config,) if isinstance(config, DocumentMap) else tuple(config.maps())


def titles(maps: Iterable[DocumentMap]) -> list[str]:
    """The names of the maps of a chain; the second of one name is called name.2."""
    seen: dict[str, int] = {}
    found = []
    for step in maps:
        seen[step.name] = seen.get(step.name, 0) + 1
        found.append(step.name if seen[step.name] == 1 else f"{step.name}.{seen[step.name]}")
    return found


def stays_of(reasons: Sequence[str | None] | pa.Array | None, rows: int) -> tuple[pa.BooleanArray | None, list[Any]]:
    """Which documents stay (None: all), and the reasons of all as a list."""
    if reasons is None:
        return None, []
    array = reasons if isinstance(reasons, pa.Array) else pa.array(reasons, pa.string())
    assert len(array) == rows, "a map gives a reason, or none, for every document"
    stays = pc.is_null(array)
    if array.null_count == rows:
        return None, []
    return stays, array.to_pylist()
