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
from corpus.mixture.plan import Plan, PlannedDomain, Request, plan_mixture
from corpus.mixture.weights import Mixture, Weight
from corpus.stage.documents import ShardRef, shard_groups

ORDER_DOCUMENTS = 4_000_000
"""Passes over a domain share a task of the order phase until it has gone through so many documents."""


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
class PassGroup:
    """A task of the order phase: passes [begin, end) of a domain (its index in the plan)."""

    domain: int
    begin: int
    end: int


@dataclass(frozen=True)
class Layout:
    """`groups`: shards per task of the index phase; `shards`: per domain of the plan; `documents`: per domain of the
    plan; `passes`: the tasks of the order phase after its first, which interleaves."""

    plan: Plan
    groups: tuple[tuple[ShardRef, ...], ...]
    domain_of: tuple[str, ...]
    shards: tuple[tuple[PlacedShard, ...], ...]
    documents: tuple[int, ...]
    passes: tuple[PassGroup, ...]
    tokenizer: Mapping[str, Any]
    wide: bool

    def domain_index(self, dataset: int) -> int | None:
        """The place in the plan of an input dataset's domain; None where the domain has no part in it."""
        names = [domain.domain for domain in self.plan.domains]
        name = self.domain_of[dataset]
        return names.index(name) if name in names else None


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
    groups = tuple(tuple(group) for group in shard_groups(datasets))
    shards = tuple(_placed(groups, domain_of, domain) for domain in plan.domains)
    documents = tuple(sum(shard.ref.rows for shard in own) for own in shards)
    passes = tuple(
        PassGroup(number, begin, min(begin + step, domain.passes))
        for number, domain in enumerate(plan.domains)
        for step in [max(1, ORDER_DOCUMENTS // max(1, documents[number]))]
        for begin in range(0, domain.passes, step)
    )
    return Layout(plan, groups, domain_of, shards, documents, passes, tokenizer, wide)


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
