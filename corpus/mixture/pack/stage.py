"""Token datasets and a mixture in, the packed training set out: sequences in training order, every one traceable.

Phases: `index` finds the documents of every token shard and sends their lengths to the buckets of their epochs;
`order` finds their offsets there (`buckets.py`); `interleave` gives every sequence of every domain its position in
the set; `distribute` reads the tokens, once and in the order of the files, and sorts them by blocks of the set
(`spill.py`); `pack` writes the sequences, a shard per task; `ids` makes the index from a document's id to its number.
`docs/scale.md` says how long the stretches are that are read and written, and what is held in memory.

Disk besides the set: the set once more; 12 bytes per document, 16 per document and epoch (24 for best-fit), 8 per
sequence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from corpus.config import check_options
from corpus.data.dataset import Dataset
from corpus.data.files import checksum
from corpus.data.provenance import id_file
from corpus.data.schema import NARROW_VOCABULARY
from corpus.engine.commit import Commit
from corpus.engine.inputs import dataset_inputs, inherited_sample, open_inputs
from corpus.engine.stage import Estimate, InputRef, Phase, Stage
from corpus.engine.task import Task
from corpus.errors import UsageError
from corpus.mixture.pack.best_fit_limits import check_width
from corpus.mixture.pack.carried import FOLDER, carried_files, carry, tokenizer_file
from corpus.mixture.pack.ids import partitions_of
from corpus.mixture.pack.layout import BUCKET_DOCUMENTS, Layout, make_layout, one_tokenizer
from corpus.mixture.pack.packing import Packing
from corpus.mixture.plan.counts import MOST
from corpus.mixture.plan.plan import Plan, Request
from corpus.mixture.plan.weights import Mixture, Weight, load_mixture
from corpus.option import option


@dataclass(frozen=True)
class MixConfig:
    """Settings of `corpus mix`."""

    weights: str = option(
        "",
        "How the domains are mixed: a weights file, a recipe with a section `mixture`, or one that comes with the package: "
        "chinchilla, galactica, gopher, lamda, llama, palm, redpajama. A single domain needs none.",
    )
    tokens: int | None = option(
        None, "Tokens to train on, for example 1.4T; by default as many as the epochs make.", least=1, below=MOST
    )
    basis: Literal["auto", "share", "epochs"] = option(
        "auto", "What decides: the domains' shares or their epochs; auto is shares with --tokens, epochs without."
    )
    exhausted: Literal["error", "rescale", "repeat"] = option(
        "error", "If a domain would exceed its max_epochs: stop, take more of the others, or repeat it anyway."
    )
    packing: Literal["concatenate", "best-fit"] = option(
        "concatenate", "concatenate fills every sequence; best-fit keeps documents whole and pads sequences with EOD."
    )
    sequence_length: int = option(
        2048,
        "Tokens that a sequence trains on; it holds one more. Concatenated, that is the first of the next sequence; "
        "best-fit sequences share none.",
        least=1,
        below=1 << 31,
    )
    row_order: Literal["shuffled", "stream"] = option(
        "shuffled", "Order of the sequences of a domain and epoch; stream keeps those of a document together."
    )
    split: Literal["train", "validation"] = option(
        "train", "validation reads every domain once, in stream order, and needs no weights."
    )
    min_documents: int = option(
        10, "Documents of a domain below which evaluations on a validation set call its figure rough.", least=1
    )
    tokenizer: str = option(
        "",
        "Tokenizer model (or its folder) to copy into the set, which made the tokens; by default that which they carry.",
    )
    allow_missing: bool = option(False, "Go on without domains of the mixture that have no tokens.")
    seed: int = option(0, "Seed of all orders.")
    shard_bytes: int = option(256_000_000, "Bytes of token ids after which an output shard is closed.", least=1)

    def __post_init__(self) -> None:
        check_options(self)
        if self.packing == "best-fit":
            check_width(self.sequence_length + 1)
        if self.split == "validation" and (self.weights or self.tokens is not None):
            raise UsageError("Validation sets are read once as they are; leave --weights and --tokens out.")

    def request(self, wide: bool) -> Request:
        """The request for a plan, with ids of four bytes (`wide`) or two."""
        return Request(
            sequence_length=self.sequence_length,
            tokens=self.tokens,
            basis=None if self.basis == "auto" else self.basis,
            exhausted=self.exhausted,
            allow_missing=self.allow_missing,
            item_bytes=4 if wide else 2,
            best_fit=self.packing == "best-fit",
        )


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
    explained: ClassVar[Mapping[str, str]] = {
        "tail": "the first token of a domain, which is only context, and what fills no sequence",
        "cut": "the rest of the document in which a domain's tokens end",
        "unused": "documents of a domain's last epoch that are not begun",
    }

    def __post_init__(self) -> None:
        if not self.tokens:
            raise UsageError("There are no tokens to mix; give at least one token dataset.")
        if self.settings.split == "train" and self.mixture is None:
            object.__setattr__(self, "mixture", self._weights())

    def _weights(self) -> Mixture:
        """The mixture of the settings; of a single domain, all of it once."""
        if self.settings.weights:
            return load_mixture(Path(self.settings.weights))
        domains = sorted({str(dataset.manifest.extra["domain"]) for dataset in open_inputs(self.tokens, "tokens")})
        if len(domains) > 1:
            raise UsageError(
                f"Mixing {', '.join(domains)} needs a mixture; give --weights with a weights file or a recipe."
            )
        return Mixture((Weight(domains[0], share=Fraction(1), epochs=Fraction(1)),))

    @cached_property
    def layout(self) -> Layout:
        """Plan and tasks, from the manifests of the inputs."""
        datasets = open_inputs(self.tokens, "tokens")
        wide = one_tokenizer(datasets)["vocab_size"] > NARROW_VOCABULARY
        return make_layout(datasets, self.mixture, self.settings.request(wide))

    def plan(self) -> Plan:
        """How the domains are mixed, for `render` and for a dry run."""
        return self.layout.plan

    @cached_property
    def packing(self) -> Packing:
        """What the tasks need to know; validation keeps its sequences in the order of the stream."""
        settings = self.settings
        shuffled = settings.row_order == "shuffled" and settings.split == "train"
        return Packing(self.layout, settings.seed, settings.packing == "best-fit", shuffled, settings.shard_bytes)

    def config(self) -> Mapping[str, Any]:
        settings = self.settings
        return {
            "mixture": self.mixture.as_config() if self.mixture is not None else None,
            "tokens": settings.tokens,
            "basis": self.layout.plan.basis,
            "exhausted": settings.exhausted,
            "packing": settings.packing,
            "sequence_length": settings.sequence_length,
            "row_order": "shuffled" if self.packing.shuffled else "stream",
            "split": settings.split,
            "tokenizer": self._tokenizer_files(),
            "allow_missing": settings.allow_missing,
            "seed": settings.seed,
            "shard_bytes": settings.shard_bytes,
        } | self._evaluated()

    def _evaluated(self) -> dict[str, int]:
        """What a validation set tells evaluations."""
        return {"min_documents": self.settings.min_documents} if self.settings.split == "validation" else {}

    def _tokenizer_files(self) -> dict[str, str]:
        """Names and checksums of the files that go to `_tokenizer/`."""
        return {name: checksum(file) for name, file in self._carried().items()}

    def _carried(self) -> Mapping[str, Path]:
        """The tokenizer's files by their names in the set: those that are named, else those of the first tokens."""
        place = self.settings.tokenizer or str(open_inputs(self.tokens, "tokens")[0].path / FOLDER)
        if not self.settings.tokenizer and not Path(place).is_dir():
            return {}
        return carried_files(tokenizer_file(place, str(self.layout.tokenizer["digest"])))

    def inputs(self) -> tuple[InputRef, ...]:
        return dataset_inputs(open_inputs(self.tokens, "tokens"))

    def input_paths(self) -> tuple[Path, ...]:
        return tuple(map(Path, self.tokens))

    def phases(self) -> tuple[Phase, ...]:
        layout = self.layout
        return (
            Phase("index", len(layout.groups)),
            Phase("order", len(layout.bucket_groups)),
            Phase("interleave", 1),
            Phase("distribute", len(layout.groups)),
            Phase("pack", -(-self.packing.most_rows // self.packing.shard_rows)),
            Phase("ids", partitions_of(layout.listed)),
        )

    def input_bytes(self) -> int:
        return sum(shard.bytes for dataset in open_inputs(self.tokens, "tokens") for shard in dataset.manifest.shards)

    def estimate(self) -> Estimate:
        layout = self.layout
        rows = sum(domain.bytes for domain in layout.plan.domains)
        bucket = 60 * min(BUCKET_DOCUMENTS, max(layout.documents))
        return Estimate(memory=64_000_000 + bucket, disk=rows + layout.plan.work_bytes(self.document_counts()))

    def document_counts(self) -> dict[str, int]:
        """Documents per domain of the plan."""
        layout = self.layout
        return {domain.domain: count for domain, count in zip(layout.plan.domains, layout.documents, strict=True)}

    def run(self, phase: str, index: int, task: Task) -> None:
        # the kernels load only where a task runs: planning and dry runs do without them
        from corpus.mixture.pack import buckets, distribute

        steps = {
            "index": buckets.index_shards,
            "order": buckets.order_buckets,
            "interleave": distribute.interleave_rows,
            "distribute": distribute.distribute,
            "pack": distribute.pack_shard,
            "ids": distribute.index_ids,
        }
        steps[phase](self.packing, index, task)

    def finish(self, commit: Commit) -> None:
        layout, plan = self.layout, self.layout.plan
        notes = commit.results["interleave"][0].notes
        if self.packing.best_fit:
            plan = plan.fitted({name: (note["rows"], note["used"]) for name, note in notes.items()})
        ledger = {domain.domain: domain.ledger(notes[domain.domain]["cut"]) for domain in plan.domains}
        names = []
        for number, result in enumerate(commit.results["distribute"]):
            name = f"{number:05d}.parquet"
            commit.adopt(result.directory / "documents", f"_documents/{name}")
            names.append({"name": name, "rows": result.notes["rows"]})
        for number, result in enumerate(commit.results["ids"]):
            commit.adopt(result.directory / "ids.npy", f"_documents/{id_file(number)}")
        carry(self._carried(), commit)
        commit.extra |= {
            "split": self.settings.split,
            "packing": self.settings.packing,
            "sequence_length": plan.sequence_length,
            "vocab_size": layout.tokenizer["vocab_size"],
            "tokenizer": dict(layout.tokenizer),
            "basis": plan.basis,
            "domains": [domain.as_json() for domain in plan.domains],
            "ledger": ledger,
            "messages": list(plan.messages),
            "documents": names,
            "id_files": len(commit.results["ids"]),
            "sources": [source_entry(dataset) for dataset in open_inputs(self.tokens, "tokens")],
        } | self._evaluated()
        if layout.trained:
            commit.extra["trained"] = True
        commit.extra |= inherited_sample(open_inputs(self.tokens, "tokens"))


def source_entry(dataset: Dataset) -> dict[str, Any]:
    """The way from a token dataset's rows back to documents: its domain, its rows, and the digests of the datasets of
    documents that it was tokenized from, in order."""
    manifest = dataset.manifest
    model = manifest.extra["tokenizer"]["digest"]
    inputs = [entry["digest"] for entry in manifest.inputs if entry["digest"] != model]
    return {"domain": str(manifest.extra["domain"]), "documents": manifest.rows, "inputs": inputs}
