"""The base of all levels: documents that are written, and with `against` others that these are only compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from corpus.data.dataset import Dataset
from corpus.dedup.config import DedupConfig
from corpus.dedup.kept import KeptKeys, is_keys
from corpus.engine.document_stage import DocumentStage
from corpus.engine.inputs import Piece, dataset_inputs, input_pieces, open_inputs, text_bytes
from corpus.engine.stage import InputRef
from corpus.errors import UsageError


@dataclass(frozen=True)
class ComparingStage(DocumentStage):
    """Removes what is repeated. The datasets of `against` come before the documents in all that is compared; what both
    have goes from the documents. Their pieces have tasks in every phase, but nothing is written of them."""

    settings: DedupConfig = field(default_factory=DedupConfig)

    @cached_property
    def old(self) -> tuple[Dataset, ...]:
        """What the documents are compared with, and stays as it is."""
        paths = [path for path in self.settings.against if not is_keys(path)]
        return open_inputs(paths) if paths else ()

    @cached_property
    def kept(self) -> tuple[KeptKeys, ...]:
        """Kept keys of documents that come before all others."""
        return tuple(KeptKeys(Dataset.open(path)) for path in self.settings.against if is_keys(path))

    @cached_property
    def datasets(self) -> tuple[Dataset, ...]:
        return (*self.old, *open_inputs(self.documents))

    @property
    def written(self) -> tuple[Dataset, ...]:
        return self.datasets[len(self.old) :]

    @cached_property
    def pieces(self) -> list[Piece]:
        """Those of `against` first; the others are named as without it, so that so are the shards."""
        own = [replace(piece, dataset=piece.dataset + len(self.old)) for piece in input_pieces(self.written)]
        return [*input_pieces(self.old), *own]

    @cached_property
    def old_pieces(self) -> int:
        """How many of the pieces are those of `against`."""
        return len(input_pieces(self.old))

    @property
    def protected(self) -> int:
        """How many documents are those of `against`: the first ones, which do not go."""
        return sum(dataset.manifest.rows for dataset in self.old) + sum(sum(keys.rows) for keys in self.kept)

    def written_bytes(self) -> int:
        """Bytes of text of the documents that are written."""
        return text_bytes(self.written)

    def step_config(self) -> Mapping[str, Any]:
        # how many of the inputs, the first ones, are only compared with
        compared = {"against": len(self.old), "against_keys": len(self.kept)}
        return self.settings.as_json() | {name: number for name, number in compared.items() if number}

    def inputs(self) -> tuple[InputRef, ...]:
        return (*super().inputs(), *dataset_inputs([keys.dataset for keys in self.kept]))

    def check(self) -> None:
        super().check()
        for old in self.old:
            if any(old.digest == dataset.digest for dataset in self.written):
                raise UsageError(f"--against {old.path} is among the documents to write: leave it out there.")
        for keys in self.kept:
            keys.check(self.settings)
            for dataset in self.datasets:
                if dataset.digest in keys.dataset.manifest.extra["datasets"]:
                    raise UsageError(
                        f"--against {keys.dataset.path} has the keys of {dataset.path}, which is compared with them: leave one out."
                    )

    def input_paths(self) -> tuple[Path, ...]:
        return (*super().input_paths(), *map(Path, self.settings.against))
