"""What follows from the input manifests and the settings alone: domains, shards, documents' numbers, plan and tasks.

Every task makes the layout again; it reads manifests only. Its size goes with the shards and passes, not with the
documents.
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

LOT_DOCUMENTS = 1 << 21
"""Places of a pass that are ordered at a time. Decides no byte; a multiple of `fit.WINDOW_DOCUMENTS`."""
CHUNK_DOCUMENTS = 1 << 18
"""Documents times passes that are looked up at a time. Decides no byte."""
GROUP_BYTES = 1 << 30
"""The most that a task of the index and distribute phases reads, but for a larger shard; small sets make more tasks."""
GROUPS = 64
_LEAST_GROUP_BYTES = 8_000_000


@dataclass(frozen=True, slots=True)
class PlacedShard:
    """A token shard: which of the groups of the index phase reads it, as which of its shards; the number of its first
    document within its domain and among all documents."""

    ref: ShardRef
    group: int
    member: int
    first: int
    base: int


@dataclass(frozen=True, slots=True)
class LotGroup:
    """A task of the order phase: lots [begin, end) of a domain (its index in the plan). A lot is `LOT_DOCUMENTS`
    places of a pass; those of pass p (from 0) are p lots_per_pass …"""

    domain: int
    begin: int
    end: int


@dataclass(frozen=True)
class Layout:
    """`groups`: shards per task of the index and distribute phases; `shards` and `documents`: per domain of the plan;
    `lots`: the tasks of the order phase."""

    plan: Plan
    groups: tuple[tuple[ShardRef, ...], ...]
    domain_of: tuple[str, ...]
    shards: tuple[tuple[PlacedShard, ...], ...]
    documents: tuple[int, ...]
    lots: tuple[LotGroup, ...]
    tokenizer: Mapping[str, Any]
    wide: bool

    @property
    def listed(self) -> int:
        """Documents of all inputs, used or not."""
        return sum(ref.rows for group in self.groups for ref in group)

    def lots_per_pass(self, domain: int) -> int:
        """Lots of a pass over a domain of the plan."""
        return lots_per_pass(self.documents[domain])

    def chunk_documents(self, domain: int) -> int:
        """Documents of a shard of a domain of the plan that are looked up at a time."""
        return max(1, CHUNK_DOCUMENTS // self.plan.domains[domain].passes)

    def placed(self, ref: ShardRef) -> tuple[int, PlacedShard] | None:
        """The domain of a shard and its place there; None where the domain has no part in the plan."""
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
    lots = tuple(
        LotGroup(number, begin, min(begin + step, total))
        for number, domain in enumerate(plan.domains)
        for step in [max(1, LOT_DOCUMENTS // max(1, documents[number]))]
        for total in [domain.passes * lots_per_pass(documents[number])]
        for begin in range(0, total, step)
    )
    return Layout(plan, groups, domain_of, shards, documents, lots, tokenizer, wide)


def lots_per_pass(documents: int) -> int:
    """Lots that hold the places of so many documents."""
    return max(1, -(-documents // LOT_DOCUMENTS))


def _group_bytes(datasets: tuple[Dataset, ...]) -> int:
    """Bytes of token shards that a task reads: enough for long runs on disk, and few enough for many workers."""
    total = sum(shard.bytes for dataset in datasets for shard in dataset.manifest.shards)
    return max(_LEAST_GROUP_BYTES, min(GROUP_BYTES, total // GROUPS))


def one_tokenizer(datasets: tuple[Dataset, ...]) -> Mapping[str, Any]:
    """The tokenizer (digest, vocab_size, eod_id) of all datasets; a `DataError` names two that differ."""
    found: Mapping[str, Any] = datasets[0].manifest.extra["tokenizer"]
    for dataset in datasets[1:]:
        other = dataset.manifest.extra["tokenizer"]
        if other["digest"] != found["digest"] or other["eod_id"] != found["eod_id"]:
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
                f"{dataset.path} has {unique[domain]:,} validation tokens of '{domain}', too few for one row of "
                f"{sequence_length + 1:,}: split off more documents, or give a smaller --sequence-length."
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
