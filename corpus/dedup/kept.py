"""Keys of documents that others are compared with again and again: kept once, so that the documents are not read anew.

A set of kind `keys` has a folder for each range of keys, `_keys/00000` …: at level `line` a run file of all distinct keys
(`lines/runs.py`), at level `document` the first document of each key (`KEYED`, whose `document` is the row) and their ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from corpus.data.dataset import Dataset
from corpus.data.manifest import MANIFEST
from corpus.dedup.config import DedupConfig
from corpus.errors import UsageError

KIND = "keys"
FOLDER = "_keys"
"""Where the keys lie in their dataset."""
RUN = "run-00000"
"""The file of the keys of a range."""
DECIDING = {"line": ("normalize", "blank_lines", "key_bits"), "document": ("key", "key_bits")}
"""The settings that keys follow from, by level."""
_FLAGS = {"normalize": "--normalize", "blank_lines": "--blank-lines", "key_bits": "--key-bits", "key": "--key"}


@dataclass(frozen=True)
class KeptKeys:
    """A dataset of kept keys."""

    dataset: Dataset

    @cached_property
    def rows(self) -> list[int]:
        """The keys of each range."""
        found: list[int] = self.dataset.manifest.extra["rows"]
        return found

    def folders(self) -> list[Path]:
        """The folder of each range that has keys or none, in order; all of its files are as they were written."""
        for stored in self.dataset.files(FOLDER).values():
            stored.check()
        return [self.dataset.path / FOLDER / f"{number:05d}" for number in range(len(self.rows))]

    def check(self, settings: DedupConfig) -> None:
        """A UsageError where they are not of the keys that `settings` compare."""
        wanted, here = settings.as_json(), self.dataset.manifest.config
        for name in ("level", *DECIDING.get(settings.level, ())):
            if here.get(name) != wanted[name]:
                flag = _FLAGS.get(name, f"--{name}")
                anew = ", or make their keys anew with corpus dedup-keys" if settings.level in DECIDING else ""
                raise UsageError(
                    f"--against {self.dataset.path} has keys of {flag} {here.get(name)}, and {flag} is {wanted[name]} here: give"
                    f" the documents themselves{anew}."
                )


def is_keys(path: str) -> bool:
    """Whether a directory is a set of kept keys."""
    return (Path(path) / MANIFEST).exists() and Dataset.open(path).manifest.kind == KIND
