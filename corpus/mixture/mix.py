"""Token datasets and a mixture in, the packed training set out: rows in training order, every one traceable.

Phases: `index` finds the documents of every token shard; `order` interleaves the domains' rows and sums up documents
in the order of each pass; `pack` writes the rows, a shard per task; `documents` writes what `segments` points to.

Disk, beside the set: 12 bytes per document, 8 per document and pass, 8 per row. Memory of a task: 16 MB of rows with
their segments, and one token shard while it is copied from; in `order` 4 bytes per document of one domain. All else is
memory-mapped.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from corpus.data.files import checksum, sync_file
from corpus.data.schema import NARROW_VOCABULARY
from corpus.errors import DataError, UsageError
from corpus.mixture.layout import Layout, make_layout, one_tokenizer
from corpus.mixture.plan import Plan, Request
from corpus.mixture.weights import Mixture, load_mixture
from corpus.option import option
from corpus.stage.commit import Commit
from corpus.stage.documents import dataset_inputs, open_inputs
from corpus.stage.stage import Estimate, InputRef, Phase, Stage
from corpus.stage.task import Task

MODEL_NAME = "tokenizer.model"


@dataclass(frozen=True)
class MixConfig:
    """Settings of `corpus mix`."""

    weights: str = option(
        "", "Weights file or recipe (also a packaged one) whose section `mixture` says how the domains are mixed."
    )
    tokens: int | None = option(None, "Tokens to train on, for example 1.4T; by default as many as the epochs make.")
    basis: Literal["auto", "share", "epochs"] = option(
        "auto", "What rules: the domains' shares or their epochs; auto is shares with --tokens, epochs without."
    )
    exhausted: Literal["error", "rescale", "repeat"] = option(
        "error", "If a domain would pass its max_epochs: stop, take more of the others, or repeat it anyway."
    )
    sequence_length: int = option(2048, "Tokens a row trains on; it holds one more, which the next row begins with.")
    row_order: Literal["shuffled", "stream"] = option(
        "shuffled", "Order of the rows of a domain and epoch; stream keeps neighbours of a document together."
    )
    split: Literal["train", "validation"] = option(
        "train", "validation reads every domain once, in stream order, and needs no weights."
    )
    tokenizer: str = option("", "Tokenizer model (or its folder) to copy into the set; it must be that of the tokens.")
    allow_missing: bool = option(False, "Go on without domains of the mixture that have no tokens.")
    seed: int = option(0, "Seed of all orders.")
    shard_bytes: int = option(256_000_000, "Bytes of token ids after which an output shard is closed.")

    def __post_init__(self) -> None:
        if not 1 <= self.sequence_length < 1 << 31:
            raise UsageError(f"--sequence-length {self.sequence_length} makes no rows; give at least 1, usually 2048.")
        if self.tokens is not None and self.tokens < 1:
            raise UsageError(f"--tokens {self.tokens} is no budget; give the number of tokens to train on, at least 1.")
        if self.shard_bytes < 1:
            raise UsageError(f"--shard-bytes {self.shard_bytes} holds no row; give for example 256MB.")
        if self.split == "validation" and (self.weights or self.tokens is not None):
            raise UsageError("Validation sets are read once as they are; leave --weights and --tokens out.")


@dataclass(frozen=True)
class MixStage(Stage):
    """Token datasets -> a packed set. `mixture` stands in for the weights file of the settings, which is read once,
    when the stage is made."""

    tokens: tuple[str, ...]
    settings: MixConfig
    mixture: Mixture | None = None

    name: ClassVar[str] = "mix"
    kind: ClassVar[str] = "packed"
    unit: ClassVar[str] = "tokens"

    def __post_init__(self) -> None:
        if not self.tokens:
            raise UsageError("There are no tokens to mix; give at least one token dataset.")
        if self.settings.split == "train" and self.mixture is None:
            if not self.settings.weights:
                raise UsageError("Mixing needs a mixture; give --weights with a weights file or a recipe.")
            object.__setattr__(self, "mixture", load_mixture(Path(self.settings.weights)))

    def __reduce__(self) -> tuple[Any, ...]:
        # without what is cached: a task opens its inputs itself
        return type(self), (self.tokens, self.settings, self.mixture)

    @cached_property
    def layout(self) -> Layout:
        """Plan and tasks, from the manifests of the inputs."""
        datasets = open_inputs(self.tokens, "tokens")
        wide = one_tokenizer(datasets)["vocab_size"] > NARROW_VOCABULARY
        request = Request(
            sequence_length=self.settings.sequence_length,
            tokens=self.settings.tokens,
            basis=None if self.settings.basis == "auto" else self.settings.basis,
            exhausted=self.settings.exhausted,
            allow_missing=self.settings.allow_missing,
            item_bytes=4 if wide else 2,
        )
        return make_layout(datasets, self.mixture, request)

    def plan(self) -> Plan:
        """How the domains are mixed, for `render` and for a dry run."""
        return self.layout.plan

    @property
    def shuffled(self) -> bool:
        """Whether the rows of a pass are permuted; validation keeps the stream's order."""
        return self.settings.row_order == "shuffled" and self.settings.split == "train"

    @property
    def shard_rows(self) -> int:
        """Rows of an output shard, and of a task of the pack phase."""
        return max(1, self.settings.shard_bytes // self.layout.plan.domains[0].row_bytes)

    def config(self) -> Mapping[str, Any]:
        settings = self.settings
        return {
            "mixture": self.mixture.as_config() if self.mixture is not None else None,
            "tokens": settings.tokens,
            "basis": self.layout.plan.basis,
            "exhausted": settings.exhausted,
            "sequence_length": settings.sequence_length,
            "row_order": "shuffled" if self.shuffled else "stream",
            "split": settings.split,
            "tokenizer": bool(settings.tokenizer),
            "allow_missing": settings.allow_missing,
            "seed": settings.seed,
            "shard_bytes": settings.shard_bytes,
        }

    def inputs(self) -> tuple[InputRef, ...]:
        return dataset_inputs(open_inputs(self.tokens, "tokens"))

    def phases(self) -> tuple[Phase, ...]:
        layout = self.layout
        if self.settings.tokenizer:
            tokenizer_file(self.settings.tokenizer, str(layout.tokenizer["digest"]))
        return (
            Phase("index", len(layout.groups)),
            Phase("order", 1 + len(layout.passes)),
            Phase("pack", -(-layout.plan.rows // self.shard_rows)),
            Phase("documents", len(layout.groups)),
        )

    def input_bytes(self) -> int:
        return sum(shard.bytes for dataset in open_inputs(self.tokens, "tokens") for shard in dataset.manifest.shards)

    def estimate(self) -> Estimate:
        layout = self.layout
        rows = sum(domain.bytes + 8 * domain.rows for domain in layout.plan.domains)
        index = sum(
            (12 + 8 * domain.passes) * documents
            for domain, documents in zip(layout.plan.domains, layout.documents, strict=True)
        )
        largest = max((ref.bytes for group in layout.groups for ref in group), default=0)
        return Estimate(memory=64_000_000 + max(largest, 4 * max(layout.documents)), disk=rows + index)

    def run(self, phase: str, index: int, task: Task) -> None:
        # the kernels load only where a task runs: planning and dry runs do without them
        from corpus.mixture import tasks

        steps = {
            "index": tasks.index_shards,
            "order": tasks.order_passes,
            "pack": tasks.pack_shard,
            "documents": tasks.list_documents,
        }
        steps[phase](self, index, task)

    def finish(self, commit: Commit) -> None:
        layout, plan = self.layout, self.layout.plan
        ledger = {
            plan.domains[group.domain].domain: result.notes["ledger"]
            for group, result in zip(layout.passes, commit.results["order"][1:], strict=True)
            if "ledger" in result.notes
        }
        names = []
        for number, result in enumerate(commit.results["documents"]):
            name = f"{number:05d}.parquet"
            commit.adopt(result.directory / "documents", f"_documents/{name}")
            names.append({"name": name, "rows": result.notes["rows"]})
        if self.settings.tokenizer:
            source = tokenizer_file(self.settings.tokenizer, str(layout.tokenizer["digest"]))
            target = commit.create(f"_tokenizer/{MODEL_NAME}")
            shutil.copyfile(source, target)
            sync_file(target)
        commit.extra |= {
            "split": self.settings.split,
            "sequence_length": plan.sequence_length,
            "vocab_size": layout.tokenizer["vocab_size"],
            "tokenizer": dict(layout.tokenizer),
            "basis": plan.basis,
            "domains": [domain.as_json() for domain in plan.domains],
            "ledger": ledger,
            "messages": list(plan.messages),
            "documents": names,
        }


def tokenizer_file(path: str, digest: str) -> Path:
    """The model file at `path`, or in that folder; a `DataError` if it is not the one that made the tokens."""
    file = Path(path) / MODEL_NAME if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise UsageError(f"There is no tokenizer model at {path}; give the model file or the folder that holds it.")
    found = checksum(file)
    if found != digest:
        raise DataError(
            f"The tokenizer {file} did not make these tokens (digest {found[:8]}, theirs {digest[:8]}): give the one "
            "that did, or tokenize again."
        )
    return file
