"""The directory of a run: `config.json`, `metrics.jsonl`, `checkpoints/`, the tokenizer; `skip_log.json` after a spike,
`changes.json` after a change of settings, `fork.json` where it left another run."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from corpus.config import build
from corpus.data.files import checksum, digest_of, sync_file, write_atomic
from corpus.errors import DataError, UsageError
from trainer.config.config import FORMAT, SECTIONS, RunConfig
from trainer.config.history import History
from trainer.data.validation_sets import DataIdentity
from trainer.models.shape import ModelShape
from trainer.spikes.skip_log import SkipLog

CONFIG = "config.json"
METRICS = "metrics.jsonl"
CHECKPOINTS = "checkpoints"
TOKENIZER = "tokenizer.model"
TOKENIZER_JSON = "tokenizer.json"
SKIP_LOG = "skip_log.json"
CHANGES = "changes.json"
FORK = "fork.json"
BASE, BASE_MARK = "base.safetensors", "base.json"
"""The weights that a run adds adapters or a soft prompt to, and their checksum."""
_SKIP_LOG_OF_FORMAT_1 = "ledger.json"
LOGGERS = "loggers"
PROFILE = "profile"
MIXTURE = "mixture.json"
"""The part of each domain in the tokens that the run trains on."""
CHECK = "check"
"""The key of the digest of all else in `config.json` and `mixture.json`."""
LOCK = "_lock"
_EMPTY = SkipLog()


class Run:
    """A run's directory and where its parts are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metrics = path / METRICS
        self.checkpoints = path / CHECKPOINTS
        self.tokenizer = path / TOKENIZER
        self.skip_log = path / SKIP_LOG
        self.changes = path / CHANGES
        self.fork = path / FORK
        self.loggers = path / LOGGERS
        self.profile = path / PROFILE

    def checked_tokenizer(self) -> Path | None:
        """The tokenizer's model, or its `tokenizer.json` where there is no model; None where the run has neither; a DataError if
        it is not what made the tokens."""
        path = next((path for path in (self.tokenizer, self.path / TOKENIZER_JSON) if path.exists()), None)
        if path is not None and checksum(path) != self.first_config().data.tokenizer:
            raise DataError(
                f"{path} is damaged (it is not the tokenizer that made the tokens): copy it again from the"
                " folder _tokenizer of the packed set."
            )
        return path

    def read_config(self, any_format: bool = False) -> dict[str, Any] | None:
        """`config.json`, None where there is none; a DataError where it cannot be read.

        A UsageError where another version wrote it, unless `any_format`.
        """
        try:
            value = json.loads((self.path / CONFIG).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise DataError(f"{self.path / CONFIG} cannot be read ({error}): give another --output.") from None
        if not isinstance(value, dict) or value.get("kind") != "run":
            raise UsageError(f"{self.path / CONFIG} is not of a run: give another --output.")
        written = value.get("format")
        if written != FORMAT and not any_format:
            when = "an earlier" if isinstance(written, int) and written < FORMAT else "another"
            raise UsageError(
                f"{self.path} was made by {when} version of the trainer (its {CONFIG} has format {written}, not "
                f"{FORMAT}): use that version, or start the run anew with trainer fit --overwrite."
            )
        return value

    def save_training_shares(self, shares: Mapping[str, float]) -> None:
        """Keep the part of each domain in the tokens of training, for evaluations."""
        try:
            write_atomic(self.path / MIXTURE, _pretty({"shares": dict(shares)}))
        except OSError as error:
            raise self._unwritable(error) from None

    def training_shares(self) -> dict[str, float]:
        """What `save_training_shares` kept; empty where nothing did."""
        try:
            value = json.loads((self.path / MIXTURE).read_text(encoding="utf-8"))
            if not _whole(value):
                raise ValueError("it is not as trainer fit wrote it")
            shares: dict[str, float] = value["shares"]
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{self.path / MIXTURE} is damaged ({error}): remove it to do without.") from None
        return shares

    def shape(self) -> ModelShape:
        """The model's shape, from `config.json`."""
        return self.first_config().model

    def first_config(self) -> RunConfig:
        """The configuration that the run began with; one sentence says where there is no run, or a field is unknown,
        missing or wrong."""
        value = self.read_config()
        if value is None:
            raise UsageError(f"{self.path} is not a run (no {CONFIG}): give the --output of trainer fit.")
        made: dict[str, Any] = {}
        kinds: dict[str, type[Any]] = {**SECTIONS, "data": DataIdentity}
        for section, kind in kinds.items():
            # a run that adds nothing to a model has no such section
            fields, where = (
                value.get(section, {} if section == "finetuning" else None),
                f"{self.path / CONFIG}, section {section}",
            )
            if not isinstance(fields, dict):
                raise DataError(f"{where} is missing: restore the file as trainer fit wrote it.")
            try:
                made[section] = kind(**fields) if kind is DataIdentity else build(where, kind, fields)
            except TypeError as error:
                raise DataError(f"{where}: {error}: restore the file as trainer fit wrote it.") from None
        rest = {name: value[name] for name in ("name", "validation", "skip_log", "plugins", "initial") if name in value}
        if not {"name", "validation", "skip_log"} <= rest.keys():
            raise DataError(f"{self.path / CONFIG} lacks a field: restore the file as trainer fit wrote it.")
        if not _whole(value):
            raise DataError(f"{self.path / CONFIG} was changed: restore the file as trainer fit wrote it.")
        return RunConfig(**rest, **made)

    def history(self) -> History:
        """The configuration of each step."""
        return History.load(self.first_config(), self.changes, SkipLog.load(self.skip_log))

    def config(self) -> RunConfig:
        """The configuration after all changes."""
        return self.history().last

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for one process; the lock goes with the process, however it ends."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._refuse_foreign()
            lock = (self.path / LOCK).open("w")
        except OSError as error:
            raise self._unwritable(error) from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    f"another trainer writes to {self.path}: wait for it or give another --output."
                ) from None
            yield

    def _refuse_foreign(self) -> None:
        names = {path.name for path in self.path.iterdir() if not path.name.startswith(f".{CONFIG}.")}
        # one with a fork.json is a fork that was cut short
        if CONFIG in names:
            self.read_config(any_format=True)  # says that it is not of a run
        elif FORK not in names and names - {LOCK, TOKENIZER, TOKENIZER_JSON, SKIP_LOG, BASE, BASE_MARK}:
            raise UsageError(f"{self.path} is not empty and not a run (no {CONFIG}): give another --output.")

    def prepare(
        self,
        config: RunConfig,
        tokenizer: Path | None,
        skip_log: SkipLog = _EMPTY,
        keep: Callable[[], None] | None = None,
    ) -> None:
        """Make a new run, in the place of one that is there; `keep` writes the weights that it adds to.

        It begins with `skip_log`. `tokenizer` is a SentencePiece model; a `tokenizer.json` next to it comes along.
        """
        try:
            self.clear()
            if tokenizer is not None:
                for name in (TOKENIZER, TOKENIZER_JSON):
                    if (tokenizer.parent / name).exists():
                        shutil.copyfile(tokenizer.parent / name, self.path / name)
                        sync_file(self.path / name)
            if skip_log.entries:
                skip_log.save(self.skip_log)
            if keep is not None:
                keep()
            self.write_config(config)
        except OSError as error:
            raise self._unwritable(error) from None

    def write_config(self, config: RunConfig) -> None:
        """Write `config.json`, which makes the directory a run."""
        write_atomic(self.path / CONFIG, _pretty(config.to_json()))

    def _unwritable(self, error: OSError) -> DataError:
        return DataError(f"{self.path} cannot be written ({error.strerror}): give another --output.")

    def clear(self) -> None:
        """Remove what the trainer wrote, the configuration last, and nothing else."""
        for directory in (self.checkpoints, self.loggers, self.profile):
            shutil.rmtree(directory, ignore_errors=True)
        for name in (
            METRICS,
            MIXTURE,
            SKIP_LOG,
            CHANGES,
            FORK,
            BASE,
            BASE_MARK,
            _SKIP_LOG_OF_FORMAT_1,
            TOKENIZER,
            TOKENIZER_JSON,
            CONFIG,
        ):
            (self.path / name).unlink(missing_ok=True)


def _pretty(value: Mapping[str, Any]) -> str:
    """JSON with the digest of all else."""
    return json.dumps({**value, CHECK: digest_of(value)}, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _whole(value: Mapping[str, Any]) -> bool:
    """Whether what `_pretty` wrote is as it was."""
    return value.get(CHECK) == digest_of({name: entry for name, entry in value.items() if name != CHECK})
