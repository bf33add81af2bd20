"""The toolkit from Python: open what is there, run recipes and stages. Its names are exported by `corpus`."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from corpus.data import inspect
from corpus.data.columns import Column
from corpus.data.dataset import Dataset, read_schema
from corpus.data.manifest import MANIFEST, Counts, Manifest
from corpus.data.run_state import short_name
from corpus.data.verify import find_datasets
from corpus.engine.alarms import Alarms
from corpus.engine.execution import Execution, load_execution
from corpus.engine.runner import RunOptions
from corpus.engine.runner import run_stage as _run_stage
from corpus.engine.stage import Stage
from corpus.errors import UsageError
from corpus.option import nearest
from corpus.plugins import load_plugins
from corpus.remote.listing import forget_listings
from corpus.remote.path import place
from corpus.system import cores

if TYPE_CHECKING:
    import pandas

_MEMORY = 4_000_000_000
_ALL = 1 << 62


class OpenDataset:
    """A finished dataset: its accounting, and its rows a batch at a time. Nothing is read before it is asked for."""

    def __init__(self, path: Path | str) -> None:
        self._dataset = Dataset.open(path)

    @property
    def path(self) -> Path:
        """Its directory."""
        return self._dataset.path

    @property
    def manifest(self) -> Manifest:
        """All that its manifest says: configuration, inputs, shards, digest."""
        return self._dataset.manifest

    @property
    def kind(self) -> str:
        """documents, tokens, packed or tokenizer."""
        return self.manifest.kind

    @property
    def counts(self) -> Mapping[str, Counts]:
        """What became of what came in, by unit (documents, records, lines): seen, kept, merged, dropped, quarantined."""
        return self.manifest.counts

    @property
    def totals(self) -> Mapping[str, int]:
        """What it holds: documents, lines, bytes, tokens."""
        return self.manifest.totals

    @property
    def drops(self) -> dict[str, int]:
        """How many units were dropped for each reason, the most frequent first."""
        found: dict[str, int] = {}
        for counts in self.counts.values():
            for reason, number in counts.dropped.items():
                found[reason] = found.get(reason, 0) + number
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    @property
    def columns(self) -> tuple[Column, ...]:
        """The open columns of its documents, with their types and meanings."""
        return self.manifest.columns

    @cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema of its rows."""
        shards = self._dataset.shards()
        return read_schema(shards[0]) if shards else pa.schema([])

    def __len__(self) -> int:
        return self.manifest.rows

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The rows as dictionaries, in order."""
        for batch in self.batches():
            yield from batch.to_pylist()

    def __repr__(self) -> str:
        return f"<{self.kind} {self.path}: {len(self):,} rows of stage {self.manifest.stage}>"

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows as Arrow record batches of some megabytes, in order; of some `columns` or of all."""
        for name in columns or ():
            if name not in self.schema.names:
                raise UsageError(f"{self.path} has no column '{name}': {nearest(name, self.schema.names)}")
        return self._dataset.batches(columns)

    def to_table(self, columns: Sequence[str] | None = None, limit: int | None = None) -> pa.Table:
        """The rows, or the first `limit`, as one Arrow table in memory."""
        taken, left = [], _ALL if limit is None else limit
        for batch in self.batches(columns):
            if left <= 0:
                break
            taken.append(batch.slice(0, left))
            left -= batch.num_rows
        schema = self.schema if columns is None else pa.schema([self.schema.field(name) for name in columns])
        return pa.Table.from_batches(taken, schema)

    def to_pandas(self, columns: Sequence[str] | None = None, limit: int | None = None) -> pandas.DataFrame:
        """The rows, or the first `limit`, as a data frame."""
        if importlib.util.find_spec("pandas") is None:
            raise UsageError("to_pandas needs the package pandas: install it, or take to_table().")
        return self.to_table(columns, limit).to_pandas()

    def export(self, format: str, output: Path | str) -> None:
        """Write a packed or token set as the files of another trainer, as `corpus export` does: `megatron`, `mds`,
        `datatrove` or `nanogpt`; or any set as tables alone in a folder: `parquet`."""
        from corpus.export.export import export

        export(self.path, format, Path(output), lambda line: None)

    def document(self, id: str) -> dict[str, Any]:
        """The document `id`; a DataError says why where it was dropped."""
        return inspect.document(self._dataset, id)

    def dropped(self, reason: str = "", map: str = "") -> Iterator[dict[str, Any]]:
        """Dropped documents with their text: a fair sample of up to a hundred for each reason, or for one `reason`; of
        one `map` of the stage where it is named."""
        if reason and reason not in self.drops:
            raise UsageError(f"{self.path} dropped nothing for '{reason}': {nearest(reason, self.drops)}")
        inspect.check_map(self._dataset, map)
        return (row for row in inspect.dropped(self.path, _ALL, map) if row["reason"] == reason or not reason)

    def quarantined(self) -> Iterator[dict[str, Any]]:
        """The records that could not be read: where they are, why, and their first bytes."""
        return inspect.quarantined(self.path, _ALL)


class OpenRun:
    """The datasets below a directory, such as the output of `run`, by short names: `run["wikipedia/train"]`, `run["packed"]`.

    The short name of `documents/wikipedia/02-train` is `wikipedia/train`; its path below the directory does, too.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        found = find_datasets(self.path)
        if not found:
            raise UsageError(f"{self.path} holds no finished dataset: give the output of corpus run.")
        self._paths = {short_name(place.relative_to(self.path).as_posix()): place for place in found}

    def __getitem__(self, name: str) -> OpenDataset:
        if name not in self:
            raise UsageError(f"{self.path} has no dataset '{name}': {nearest(name, self._paths)}")
        return OpenDataset(self._paths[short_name(name)])

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and short_name(name) in self._paths

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def __repr__(self) -> str:
        return f"<run {self.path}: {', '.join(self)}>"

    def items(self) -> Iterator[tuple[str, OpenDataset]]:
        """Names and datasets."""
        return ((name, self[name]) for name in self)


def open_dataset(path: Path | str) -> OpenDataset:
    """Open a finished dataset. `corpus.open` is this function."""
    if not (Path(path) / MANIFEST).exists() and find_datasets(Path(path)):
        raise UsageError(f"{path} holds several datasets: open one of them, or all with corpus.open_run.")
    return OpenDataset(path)


def open_run(path: Path | str) -> OpenRun:
    """Open all datasets below a directory, such as the output of `run` or of `corpus run`."""
    return OpenRun(path)


def run(
    recipe: str | Path | Mapping[str, Any],
    raw: Path | str,
    output: Path | str,
    *,
    plugins: Iterable[Path | str] = (),
    sequence_length: int | None = None,
    vocab_size: int | None = None,
    basis: str | None = None,
    tokens: int | None = None,
    exhausted: str | None = None,
    allow_missing: bool = False,
    limit: int | None = None,
    sample: str | None = None,
    cache: Path | str = "",
    workers: int | None = None,
    executor: str | None = None,
    memory: int | None = None,
    execution: Path | str = "",
    overwrite: bool = False,
    strict: bool = False,
    quiet: bool = False,
    max_unreadable: float | None = None,
    max_drop: float | None = None,
) -> OpenRun:
    """Run a whole recipe over `raw`, a folder or its URL with a folder of raw files for each domain, and open what it made.

    `recipe` is a YAML file, the name of a packaged recipe, or its contents. The same call goes on after a kill and does
    nothing when all is done. `cache` is a folder in which remote files are kept; `execution` is a file that says how to
    run; `plugins` are files that add readers, maps, rules and stages; the rest is as in `corpus run`.
    """
    from pipelines.recipes.recipe import load_recipe, parse_recipe
    from pipelines.recipes.run import run_recipe
    from pipelines.recipes.slurm_chain import refuse_second
    from pipelines.recipes.steps import RecipeRun

    load_plugins(plugins)
    wanted: dict[str, dict[str, Any]] = {
        "packing": {"sequence_length": sequence_length},
        "tokenizer": {"vocab_size": vocab_size},
        "budget": {"basis": basis, "tokens": tokens, "exhausted": exhausted},
    }
    given = {section: {k: v for k, v in values.items() if v is not None} for section, values in wanted.items()}
    overrides = {section: values for section, values in given.items() if values}
    if isinstance(recipe, Mapping):
        loaded = parse_recipe("of this call", dict(recipe), Path(), overrides)
    else:
        loaded = load_recipe(str(recipe), overrides)
    loaded = loaded.sampled(limit, sample)
    alarms = Alarms(max_unreadable, max_drop)
    options = _options(workers, executor, memory, execution, overwrite, strict, quiet, alarms)
    refuse_second(Path(output))
    run_recipe(RecipeRun(loaded, place(raw), Path(output), allow_missing, cache=str(cache)), options)
    return OpenRun(output)


def run_stage(
    stage: Stage,
    output: Path | str,
    *,
    workers: int | None = None,
    executor: str | None = None,
    memory: int | None = None,
    execution: Path | str = "",
    overwrite: bool = False,
    strict: bool = False,
    quiet: bool = False,
    max_unreadable: float | None = None,
    max_drop: float | None = None,
) -> OpenDataset:
    """Run one stage into the directory `output`, or find it done, and open what it made. `max_unreadable` and `max_drop`
    are alarms: the greatest shares of what may be set aside and dropped."""
    alarms = Alarms(max_unreadable, max_drop)
    forget_listings()
    _run_stage(stage, output, _options(workers, executor, memory, execution, overwrite, strict, quiet, alarms))
    return OpenDataset(output)


def _options(
    workers: int | None,
    executor: str | None,
    memory: int | None,
    execution: Path | str,
    overwrite: bool,
    strict: bool,
    quiet: bool,
    alarms: Alarms,
) -> RunOptions:
    if workers is not None and workers < 1:
        raise UsageError(f"workers is {workers}: give a number of at least 1.")
    from pipelines.recipes.registry import stage_names

    file = load_execution(execution) if execution else Execution()
    file.check_stages(stage_names())
    given = {name: value for name, value in (("workers", workers), ("memory", memory)) if value is not None}
    resolved = {"workers": cores(), "memory": _MEMORY} | file.resolve(executor or "", given, {})
    return RunOptions(**resolved, overwrite=overwrite, strict=strict, quiet=quiet, alarms=alarms)
