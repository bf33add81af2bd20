"""Where the records of `metrics.jsonl` also go: TensorBoard, Weights & Biases, a CSV table."""

from __future__ import annotations

import csv
import importlib.util
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

from corpus.data.files import write_atomic
from corpus.errors import DataError, UsageError
from corpus.registry import Registry
from trainer.run.directory import Run

Record = Mapping[str, Any]
"""A record of `metrics.jsonl`."""


class Logger(Protocol):
    """Takes the records of rank 0. One is made whenever a run begins, goes on or goes back, and closed before the next."""

    needs: ClassVar[str]
    """The package that it cannot do without; empty: none."""

    def __init__(self, run: Run, step: int, config: Mapping[str, Any]) -> None:
        """The records after `step` are about to come (again); `config` is that of `config.json`."""

    def append(self, record: Record) -> None:
        """Take a record."""

    def close(self) -> None:
        """Write what is left."""


LOGGERS = Registry(
    "logger",
    "corpusmill.loggers",
    {
        "tensorboard": "trainer.run.loggers:TensorBoard",
        "wandb": "trainer.run.loggers:WeightsAndBiases",
        "csv": "trainer.run.loggers:Csv",
    },
)
"""The loggers by name."""


def find_loggers(names: Sequence[str]) -> list[type[Logger]]:
    """The loggers of these names; a UsageError where there is none of a name, or its package is missing."""
    found: list[type[Logger]] = []
    for name in dict.fromkeys(names):
        kind: type[Logger] = LOGGERS.load(name)
        if kind.needs and importlib.util.find_spec(kind.needs) is None:
            raise UsageError(f"--logger {name} needs the package {kind.needs}: pip install {kind.needs}.")
        found.append(kind)
    return found


def numbers_of(record: Record) -> Iterator[tuple[str, int | float]]:
    """The numbers of a record by name, `train/loss`, those of validation domains each on their own,
    `validation/web/loss`; its step is not among them."""
    kind = record["kind"]
    named = {f"{kind}/{name}": value for name, value in record.items()}
    for domain, values in record.get("domains", {}).items():
        named |= {f"{kind}/{domain}/{name}": value for name, value in values.items()}
    for name, value in named.items():
        if isinstance(value, int | float) and name != f"{kind}/step":
            yield name, value


class TensorBoard:
    """Events in the run's `tensorboard/`; what came after the step is forgotten there too."""

    needs = "tensorboard"

    def __init__(self, run: Run, step: int, config: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(run.loggers / "tensorboard"), purge_step=step + 1)

    def append(self, record: Record) -> None:
        """Add the numbers of a record."""
        for name, value in numbers_of(record):
            self._writer.add_scalar(name, value, record["step"])

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


class WeightsAndBiases:
    """A run of Weights & Biases, online or, with `WANDB_MODE=offline`, in the run's `wandb/`; project and names by the usual
    environment (`WANDB_PROJECT`, `WANDB_NAME`, …).

    It takes no step back: records have their own `step` as the axis of all plots, and those that are made again are there
    twice.
    """

    needs = "wandb"

    def __init__(self, run: Run, step: int, config: Mapping[str, Any]) -> None:
        import wandb

        # the same run when it goes on, another one when it is begun anew elsewhere
        identity = f"{run.path.name}-{run.first_config().digest[:12]}"
        directory = run.loggers / "wandb"
        directory.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            id=identity,
            name=run.path.name,
            resume="allow",
            dir=directory,
            config=dict(config),
            reinit="finish_previous",
        )
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def append(self, record: Record) -> None:
        """Send the numbers of a record."""
        self._run.log({"step": record["step"], **dict(numbers_of(record))})

    def close(self) -> None:
        """Send what is left."""
        self._run.finish()


class Csv:
    """`csv/train.csv` and `csv/validation.csv`: a row a record, a column a number, in the order of their first record.

    A number that a file has no column for yet, as of a new domain, makes it anew.
    """

    needs = ""

    def __init__(self, run: Run, step: int, config: Mapping[str, Any]) -> None:
        self._folder = run.loggers / "csv"
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._columns: dict[str, list[str]] = {}
        for path in sorted(self._folder.glob("*.csv")):
            with path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            self._columns[path.stem] = list(rows[0]) if rows else []
            self._rows[path.stem] = [row for row in rows if int(row["step"]) <= step]
            self._write(path.stem)

    def append(self, record: Record) -> None:
        """Add a row."""
        kind = str(record["kind"])
        numbers = {name.removeprefix(f"{kind}/"): value for name, value in numbers_of(record)}
        row = {"step": record["step"], **numbers}
        rows, columns = self._rows.setdefault(kind, []), self._columns.setdefault(kind, [])
        rows.append(row)
        new = [name for name in row if name not in columns]
        columns += new
        if new:
            self._write(kind)
            return
        try:
            with self._path(kind).open("a", encoding="utf-8", newline="") as file:
                csv.DictWriter(file, columns, lineterminator="\n").writerow(row)
        except OSError as error:
            raise self._unwritable(kind, error) from None

    def _write(self, kind: str) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._columns[kind], lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows[kind])
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomic(self._path(kind), text.getvalue())
        except OSError as error:
            raise self._unwritable(kind, error) from None

    def _path(self, kind: str) -> Path:
        return self._folder / f"{kind}.csv"

    def _unwritable(self, kind: str, error: OSError) -> DataError:
        return DataError(
            f"{self._path(kind)} cannot be written ({error.strerror}): make room, then give the command again."
        )

    def close(self) -> None:
        """Nothing is left to write."""
