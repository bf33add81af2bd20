"""What follows from the input manifests and the settings alone: domains, shards, documents' numbers, plan and tasks.

Every task makes the layout again; it reads manifests only. Its size grows with the shards and epochs, not with
the documents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import Any

from corpus.data.dataset import Dataset
from corpus.data.schema import NARROW_VOCABULARY
from corpus.errors import DataError, UsageError
from corpus.mixture.pack.token_shards import ShardRef, shard_groups
from corpus.mixture.plan.plan import Plan, PlannedDomain, Request, plan_mixture
from corpus.mixture.plan.weights import Mixture, Weight

BUCKET_DOCUMENTS = 1 << 21
"""Positions of an epoch that make a bucket. It decides no byte; a multiple of `best_fit.WINDOW_DOCUMENTS`."""
CHUNK_DOCUMENTS = 1 << 18
"""Documents times epochs that are looked up at a time. It decides no byte."""
GROUP_BYTES = 1 << 30
"""Upper bound on what a task of the index and distribute phases reads, unless a shard is larger; small sets make more
tasks."""
GROUPS = 64
_LEAST_GROUP_BYTES = 8_000_000


@dataclass(frozen=True, slots=True)
class PlacedShard:
    """A token shard: the group of the index phase that reads it, and its index there (`member`); the number of its
    first document within its domain (`first`) and among all documents (`base`)."""

    ref: ShardRef
    group: int
    member: int
    first: int
    base: int


@dataclass(frozen=True, slots=True)
class BucketGroup:
    """A task of the order phase: the buckets [begin, end) of a domain (its index in the plan). A bucket is
    `BUCKET_DOCUMENTS` positions of an epoch; epoch e (from 0) begins with bucket e x buckets_per_epoch."""

    domain: int
    begin: int
    end: int


@dataclass(frozen=True)
class Layout:
    """The geometry of a set: `groups` has the shards of each task of the index and distribute phases, `domain_of` the
    domain of each dataset, `shards` and `documents` those of each domain of the plan, `bucket_groups` the tasks of
    the order phase."""

    plan: Plan
    groups: tuple[tuple[ShardRef, ...], ...]
    domain_of: tuple[str, ...]
    shards: tuple[tuple[PlacedShard, ...], ...]
    documents: tuple[int, ...]
    bucket_groups: tuple[BucketGroup, ...]
    tokenizer: Mapping[str, Any]
    wide: bool
    masked: tuple[bool, ...]
    """Of each dataset whether it says which ids are trained on; in a set with one that does, those of others all are."""

    @property
    def trained(self) -> bool:
        """Whether the set says which ids are trained on."""
        return any(self.masked)

    @property
    def wide_spill(self) -> bool:
        """Whether ids take four bytes on their way to their sequences: a highest bit says which are trained on."""
        return self.wide or (self.trained and int(self.tokenizer["vocab_size"]) > NARROW_VOCABULARY // 2)

    @property
    def listed(self) -> int:
        """Documents of all inputs, used or not."""
        return sum(ref.rows for group in self.groups for ref in group)

    def buckets_per_epoch(self, domain: int) -> int:
        """Buckets of an epoch of a domain of the plan."""
        return buckets_per_epoch(self.documents[domain])

    def chunk_documents(self, domain: int) -> int:
        """Documents of a domain of the plan that are looked up at a time."""
        return max(1, CHUNK_DOCUMENTS // self.plan.domains[domain].epochs_begun)

    def placed(self, ref: ShardRef) -> tuple[int, PlacedShard] | None:
        """The index of a shard's domain in the plan, and the shard there; None where the plan lacks the domain."""
        names = [domain.domain for domain in self.plan.domains]
        name = self.domain_of[ref.dataset]
        if name not in names:
            return None
        number = names.index(name)
        return number, next(shard for shard in self.shards[number] if shard.ref == ref)


def make_layout(datasets: tuple[Dataset, ...], mixture: Mixture | None, request: Request) -> Layout:
    """The layout of a set packed from token `datasets`; without a mixture every domain is read once."""
    tokenizer = one_tokenizer(datasets)
    wide = tokenizer["vocab_size"] > NARROW_VOCABULARY
    domain_of = tuple(str(dataset.manifest.extra["domain"]) for dataset in datasets)
    unique: dict[str, int] = {}
    for dataset, domain in zip(datasets, domain_of, strict=True):
        unique[domain] = unique.get(domain, 0) + dataset.manifest.totals.get("tokens", 0)
    if mixture is None:
        mixture = once(datasets, unique, request.sequence_length)
    plan = plan_mixture(mixture, {domain: count for domain, count in unique.items() if count}, request)
    groups = tuple(tuple(group) for group in shard_groups(datasets, _group_bytes(datasets)))
    shards = tuple(_placed(groups, domain_of, domain) for domain in plan.domains)
    documents = tuple(sum(shard.ref.rows for shard in own) for own in shards)
    bucket_groups = tuple(
        BucketGroup(number, begin, min(begin + step, total))
        for number, domain in enumerate(plan.domains)
        for step in [max(1, BUCKET_DOCUMENTS // max(1, documents[number]))]
        for total in [domain.epochs_begun * buckets_per_epoch(documents[number])]
        for begin in range(0, total, step)
    )
    masked = tuple(bool(dataset.manifest.extra.get("trained")) for dataset in datasets)
    return Layout(plan, groups, domain_of, shards, documents, bucket_groups, tokenizer, wide, masked)


def buckets_per_epoch(documents: int) -> int:
    """The number of buckets that hold the positions of `documents`."""
    return max(1, -(-documents // BUCKET_DOCUMENTS))


def _group_bytes(datasets: tuple[Dataset, ...]) -> int:
    """Bytes of token shards that a task reads: enough for long runs on disk, and not too many to occupy all workers."""
    total = sum(shard.bytes for dataset in datasets for shard in dataset.manifest.shards)
    return max(_LEAST_GROUP_BYTES, min(GROUP_BYTES, total // GROUPS))


def one_tokenizer(datasets: tuple[Dataset, ...]) -> Mapping[str, Any]:
    """The tokenizer (digest, vocab_size, eod_id) of all datasets; a `DataError` names two that differ."""
    found: Mapping[str, Any] = datasets[0].manifest.extra["tokenizer"]
    for dataset in datasets[1:]:
        other = dataset.manifest.extra["tokenizer"]
        if any(other.get(key) != found.get(key) for key in ("digest", "eod_id", "bos_id")):
            raise DataError(
                f"{datasets[0].path} and {dataset.path} were tokenized differently (tokenizer {found['digest'][:8]} and "
                f"{other['digest'][:8]}, EOD {found['eod_id']} and {other['eod_id']}): tokenize both with one tokenizer."
            )
    return found


def once(datasets: tuple[Dataset, ...], unique: Mapping[str, int], sequence_length: int) -> Mixture:
    """The mixture that reads every domain once, for validation."""
    for dataset in datasets:
        domain = str(dataset.manifest.extra["domain"])
        if unique[domain] <= sequence_length:
            raise UsageError(
                f"{dataset.path} has {unique[domain]:,} validation tokens of '{domain}', too few for one sequence of "
                f"{sequence_length + 1:,} tokens: split off more documents, or give a smaller --sequence-length."
            )
    return Mixture(tuple(Weight(domain, epochs=Fraction(1)) for domain in unique))


def _placed(
    groups: tuple[tuple[ShardRef, ...], ...], domain_of: tuple[str, ...], domain: PlannedDomain
) -> tuple[PlacedShard, ...]:
    flat = [(group, member, ref) for group, refs in enumerate(groups) for member, ref in enumerate(refs)]
    bases = accumulate((ref.rows for _, _, ref in flat), initial=0)
    placed: list[PlacedShard] = []
    first = 0
    for (group, member, ref), base in zip(flat, bases, strict=False):
        if domain_of[ref.dataset] == domain.domain:
            placed.append(PlacedShard(ref, group, member, first, base))
            first += ref.rows
    return tuple(placed)
