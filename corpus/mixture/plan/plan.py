"""Mixture + unique tokens per domain -> Plan: the exact epochs and training sequences (rows of the set) of each domain.

All arithmetic is on integers and fractions. Of each domain the plan knows

    unique x epochs_begun = packed + tail + beyond

- `unique`: its tokens, EODs counted; `epochs_begun`: the epochs over its documents that are begun;
- `packed`: tokens that are the target of exactly one sequence per occurrence (rows x sequence length);
- `tail`: tokens of the planned stream that are no target: the stream's first token, which is only ever read as
  context, and what does not fill a last sequence;
- `beyond`: the part of the last epoch after the end of the stream. Which tokens these are depends on the order of the
  documents, so that the stage alone can divide them into `cut` (the rest of the document in which the stream ends)
  and `unused` (documents of the last epoch that are not begun).

Terms as in LLaMA (arXiv 2302.13971, Table 1): epochs = share x budget / unique tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import Any, Literal

from corpus.errors import UsageError
from corpus.mixture.plan.weights import Mixture, Weight, exact
from corpus.option import nearest

Basis = Literal["share", "epochs"]
Exhausted = Literal["error", "rescale", "repeat"]

BASIS_SHARE = "--basis share"
FAR = 2
"""From this factor on a realised share is far from the one that is given."""
MAX_EPOCHS = 65_535
"""Epochs are stored as uint16, counted from 1."""


@dataclass(frozen=True, slots=True)
class PlannedDomain:
    """One line of the table. The shares and epochs of the weights file are None where it gives none."""

    domain: str
    unique: int
    weight_share: Fraction | None
    weight_epochs: Fraction | None
    planned_share: Fraction
    planned_epochs: Fraction
    planned_tokens: int
    epochs_begun: int
    stream: int
    rows: int
    realised_share: Fraction
    realised_epochs: Fraction
    sampled: int
    row_bytes: int
    padding: int = 0

    @property
    def tail(self) -> int:
        return self.stream - self.sampled

    @property
    def beyond(self) -> int:
        return self.unique * self.epochs_begun - self.stream

    @property
    def bytes(self) -> int:
        return self.rows * self.row_bytes

    def ledger(self, cut: int) -> dict[str, int]:
        """The account of all tokens of the epochs begun; `cut` of those beyond the stream are of a document begun."""
        return {
            "unique": self.unique,
            "epochs_begun": self.epochs_begun,
            "packed": self.sampled,
            "tail": self.tail,
            "cut": cut,
            "unused": self.beyond - cut,
            "padding": self.padding,
        }

    def fitted(self, rows: int, used: int, width: int) -> PlannedDomain:
        """The line after best-fit packing, which put `used` tokens of whole documents into `rows` sequences; the first
        token of each is no target."""
        sampled = used - rows
        return replace(
            self,
            stream=used,
            rows=rows,
            sampled=sampled,
            realised_epochs=Fraction(sampled, self.unique),
            padding=rows * width - used,
        )

    def as_json(self) -> dict[str, Any]:
        """The line with its fractions as floats, for the manifest and for programs."""
        values = {key: float(v) if isinstance(v, Fraction) else v for key, v in asdict(self).items()}
        del values["row_bytes"]
        return values | {"tail": self.tail, "beyond": self.beyond, "bytes": self.bytes}


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole table, domains by name. `messages` are sentences that the user should see."""

    basis: Basis
    sequence_length: int
    domains: tuple[PlannedDomain, ...]
    messages: tuple[str, ...]

    @property
    def rows(self) -> int:
        return sum(domain.rows for domain in self.domains)

    @property
    def width(self) -> int:
        """Tokens of a sequence: it trains on all but the first."""
        return self.sequence_length + 1

    def work_bytes(self, documents: Mapping[str, int]) -> int:
        """Disk that mixing needs besides the set, by the documents per domain (0 where unknown): the tokens, and for
        every document its offset in the files and in each epoch, hash and number."""
        rows = sum(domain.bytes + 64 * domain.rows for domain in self.domains)
        return rows + sum((28 + 24 * domain.epochs_begun) * documents.get(domain.domain, 0) for domain in self.domains)

    def fitted(self, found: Mapping[str, tuple[int, int]]) -> Plan:
        """The plan after best-fit packing: `found` has the sequences and used tokens of each domain."""
        domains = [domain.fitted(*found[domain.domain], self.width) for domain in self.domains]
        total = max(1, sum(domain.sampled for domain in domains))  # sequences of one token have no target
        shared = [replace(domain, realised_share=Fraction(domain.sampled, total)) for domain in domains]
        return replace(self, domains=tuple(shared))


@dataclass(frozen=True, slots=True)
class Request:
    """The request for a plan. `tokens` None: as the basis says; `basis` None: shares if there are tokens and shares,
    else epochs if the mixture has them, else shares; `item_bytes`: bytes of an id on disk; `best_fit`: whole documents."""

    sequence_length: int = 2048
    tokens: int | None = None
    basis: Basis | None = None
    exhausted: Exhausted = "error"
    allow_missing: bool = False
    item_bytes: int = 2
    best_fit: bool = False


@dataclass(frozen=True, slots=True)
class _Demand:
    """The exact tokens wanted of a domain, and the most that it may give (None: no limit)."""

    weight: Weight
    unique: int
    tokens: Fraction
    limit: Fraction | None


def plan_mixture(mixture: Mixture, unique: Mapping[str, int], request: Request) -> Plan:
    """The plan for domains with `unique` tokens each. Raises `UsageError` for what cannot be planned.

    Sequences are dealt by largest remainder: every domain gets the whole sequences of its tokens, and those left over
    go one each to the largest fractions (ties by name), never beyond `max_epochs`; nor, where epochs decide, into one
    more epoch than they say.
    """
    weights, messages = _present(mixture, unique, request.allow_missing)
    messages = (mixture.note, *messages) if mixture.note else messages
    basis = request.basis or _natural_basis(mixture, request.tokens)
    if basis == "epochs":
        wanted = _wanted_by_epochs(weights, unique, request.tokens)
    else:
        wanted = _wanted_by_share(weights, unique, request.tokens)
    limits = {weight.domain: _limit(weight, unique[weight.domain]) for weight in weights}
    wanted, bounds, notes = _within_limits(weights, unique, wanted, limits, request)
    demands = [_demand(w, unique[w.domain], wanted[w.domain], bounds[w.domain], basis) for w in weights]
    rows = _deal_rows(demands, request.sequence_length)
    domains = tuple(_planned(demand, rows, demands, request) for demand in demands)
    plan = Plan(basis, request.sequence_length, domains, (*messages, *notes, *_rowless(domains), *_far(domains, basis)))
    return _without_padding(plan) if request.best_fit else plan


def _without_padding(plan: Plan) -> Plan:
    """The plan with the fewest sequences of best-fit, without padding; its stream ends with the planned tokens."""
    planned = [domain.planned_tokens if domain.rows else 0 for domain in plan.domains]
    found = {d.domain: (-(-tokens // plan.width), tokens) for d, tokens in zip(plan.domains, planned, strict=True)}
    domains = [
        replace(domain, epochs_begun=max(1, -(-t // domain.unique)))
        for domain, t in zip(plan.domains, planned, strict=True)
    ]
    fitted = replace(plan, domains=tuple(domains)).fitted(found)
    return replace(fitted, domains=tuple(replace(domain, padding=0) for domain in fitted.domains))


def _present(mixture: Mixture, unique: Mapping[str, int], allow_missing: bool) -> tuple[list[Weight], tuple[str, ...]]:
    """The weights of the domains that have tokens, by name."""
    known = {weight.domain for weight in mixture.weights}
    for domain in sorted(unique):
        if domain not in known:
            raise UsageError(
                f"The mixture has no weight for the domain '{domain}' of the tokens; {_hint(domain, known, unique)}"
            )
    missing = sorted(domain for domain in known if not unique.get(domain))
    if missing and not allow_missing:
        raise UsageError(
            f"The domain '{missing[0]}' of the mixture has no tokens; give some, or --allow-missing to go on without."
        )
    weights = sorted((w for w in mixture.weights if unique.get(w.domain)), key=lambda weight: weight.domain)
    if not weights:
        raise UsageError("None of the domains of the mixture has tokens; give token datasets of its domains.")
    if not missing:
        return weights, ()
    return weights, (f"Without tokens and left out: {', '.join(missing)}.",)


def _hint(domain: str, known: set[str], unique: Mapping[str, int]) -> str:
    """The domains of the mixture that an unknown one may stand for: the nearest, else those without tokens."""
    free = [name for name in sorted(known) if not unique.get(name)]
    if not free:
        return "give it one, or leave these tokens out."
    near = nearest(domain, free)
    if near.startswith("did you mean"):
        return near
    return f"if it is {' or '.join(free)}, of which there are no tokens, use one name in both."


def _natural_basis(mixture: Mixture, tokens: int | None) -> Basis:
    if tokens is None:
        return "epochs" if mixture.has_epochs else "share"
    return "share" if mixture.has_shares else "epochs"


def _wanted_by_epochs(weights: list[Weight], unique: Mapping[str, int], tokens: int | None) -> dict[str, Fraction]:
    """Tokens per domain: epochs x unique; with a budget, all scaled by the same factor to fill it."""
    wanted: dict[str, Fraction] = {}
    for weight in weights:
        if weight.epochs is None:
            raise UsageError(f"The domain '{weight.domain}' has no epochs; give them, or mix with --basis share.")
        wanted[weight.domain] = weight.epochs * unique[weight.domain]
    total = sum(wanted.values())
    if not total:
        raise UsageError("All epochs of the mixture are 0; give at least one domain more.")
    return wanted if tokens is None else {domain: value * tokens / total for domain, value in wanted.items()}


def _wanted_by_share(weights: list[Weight], unique: Mapping[str, int], tokens: int | None) -> dict[str, Fraction]:
    """Tokens per domain: share x budget, over the given domains; without a budget, the largest within limits."""
    shares: dict[str, Fraction] = {}
    for weight in weights:
        if weight.share is None:
            raise UsageError(f"The domain '{weight.domain}' has no share; give it, or mix with --basis epochs.")
        shares[weight.domain] = weight.share
    total = sum(shares.values())
    if not total:
        raise UsageError("All shares of the domains with tokens are 0; give at least one domain more.")
    budget = (
        Fraction(tokens)
        if tokens is not None
        else min(
            _limit(weight, unique[weight.domain]) * total / shares[weight.domain]
            for weight in weights
            if shares[weight.domain]
        )
    )
    return {domain: share / total * budget for domain, share in shares.items()}


def _max_epochs(weight: Weight) -> Fraction:
    """The most a domain may be repeated: as given, else its epochs rounded up, else once."""
    if weight.max_epochs is not None:
        return weight.max_epochs
    return Fraction(max(1, math.ceil(weight.epochs or 0)))


def _limit(weight: Weight, unique: int) -> Fraction:
    return _max_epochs(weight) * unique


def _within_limits(
    weights: list[Weight],
    unique: Mapping[str, int],
    wanted: dict[str, Fraction],
    limits: dict[str, Fraction],
    request: Request,
) -> tuple[dict[str, Fraction], dict[str, Fraction | None], list[str]]:
    """Wanted tokens, limits and messages after what `request.exhausted` says of domains beyond their `max_epochs`."""
    over = [weight for weight in weights if wanted[weight.domain] > limits[weight.domain]]
    if request.exhausted == "repeat" or not over:
        unlimited = {weight.domain for weight in over}
        return wanted, {domain: None if domain in unlimited else limit for domain, limit in limits.items()}, []
    if request.exhausted == "error":
        weight = over[0]
        tokens, most = wanted[weight.domain], _max_epochs(weight)
        times = f"{float(tokens / unique[weight.domain]):.4g}"
        would = f"be read {times} times, more than its"
        if float(times) <= most:  # rounded, it is no more
            would = f"give {math.ceil(tokens):,} tokens, more than the {math.floor(limits[weight.domain]):,} of its"
        raise UsageError(
            f"The domain '{weight.domain}' would {would} max_epochs {exact(most)}"
            f"{'' if weight.max_epochs is not None else ' (where none is given)'}; raise it, ask for fewer tokens, "
            "or give --exhausted rescale or repeat."
        )
    return _rescaled(wanted, limits)


def _rescaled(
    wanted: dict[str, Fraction], limits: dict[str, Fraction]
) -> tuple[dict[str, Fraction], dict[str, Fraction | None], list[str]]:
    """Domains at their limit stay there; the others take the rest of the budget in proportion to what they had."""
    budget = sum(wanted.values(), Fraction(0))
    fixed: dict[str, Fraction] = {}
    scaled = dict(wanted)
    while over := [domain for domain in scaled if scaled[domain] > limits[domain]]:
        fixed |= {domain: limits[domain] for domain in over}
        left = {domain: value for domain, value in wanted.items() if domain not in fixed}
        total = sum(left.values())
        if not total:
            most = math.floor(sum(limit for domain, limit in limits.items() if wanted[domain]))
            raise UsageError(
                f"All domains together have only {most:,} tokens within their max_epochs, fewer than the "
                f"{math.floor(budget):,} asked for; ask for fewer tokens, or give --exhausted repeat."
            )
        rest = budget - sum(fixed.values())
        scaled = {domain: value / total * rest for domain, value in left.items()}
    names = ", ".join(sorted(fixed))
    note = f"At max_epochs, so that the other domains take their tokens: {names}."
    return scaled | fixed, dict(limits), [note]


def _demand(weight: Weight, unique: int, tokens: Fraction, limit: Fraction | None, basis: Basis) -> _Demand:
    """Where epochs decide, a domain read once is read once: the epochs it begins are a limit too."""
    begun = Fraction(unique * max(1, math.ceil(tokens / unique)))
    if basis == "epochs":
        limit = begun if limit is None else min(limit, begun)
    return _Demand(weight, unique, tokens, limit)


def _most_rows(demand: _Demand, sequence_length: int) -> int:
    """The sequences that fit into the limit; where there is none, those of its tokens and one more."""
    if demand.limit is None:
        return math.floor(demand.tokens / sequence_length) + 1
    return max(0, (math.floor(demand.limit) - 1) // sequence_length)


def _deal_rows(demands: list[_Demand], sequence_length: int) -> dict[str, int]:
    quotas = {demand.weight.domain: demand.tokens / sequence_length for demand in demands}
    most = {demand.weight.domain: _most_rows(demand, sequence_length) for demand in demands}
    for demand in demands:
        domain = demand.weight.domain
        if quotas[domain] and not most[domain]:
            raise UsageError(
                f"The domain '{domain}' has {demand.unique:,} tokens, too few for one sequence of "
                f"{sequence_length + 1:,}; give it more documents or epochs, or a smaller --sequence-length."
            )
    rows = {domain: min(math.floor(quota), most[domain]) for domain, quota in quotas.items()}
    left = math.floor(sum(quotas.values())) - sum(rows.values())
    by_remainder = sorted(quotas, key=lambda domain: (math.floor(quotas[domain]) - quotas[domain], domain))
    for domain in by_remainder:
        if left > 0 and rows[domain] < most[domain] and quotas[domain] > rows[domain]:
            rows[domain] += 1
            left -= 1
    if not sum(rows.values()):
        raise UsageError(
            f"The mixture asks for {math.floor(sum(quotas.values()) * sequence_length):,} tokens, too few for one "
            f"sequence of {sequence_length + 1:,}; ask for more tokens, or a smaller --sequence-length."
        )
    return rows


def _planned(demand: _Demand, rows: Mapping[str, int], demands: list[_Demand], request: Request) -> PlannedDomain:
    weight, length = demand.weight, request.sequence_length
    own = rows[weight.domain]
    planned = math.floor(demand.tokens)
    stream = max(planned, own * length + 1 if own else 0)
    epochs = max(1, -(-stream // demand.unique))
    if epochs > MAX_EPOCHS:
        raise UsageError(
            f"The domain '{weight.domain}' would be read {epochs:,} times, more than the {MAX_EPOCHS:,} epochs that a "
            "packed set can number; ask for fewer tokens, or give it more documents."
        )
    return PlannedDomain(
        domain=weight.domain,
        unique=demand.unique,
        weight_share=weight.share,
        weight_epochs=weight.epochs,
        planned_share=demand.tokens / sum(other.tokens for other in demands),
        planned_epochs=demand.tokens / demand.unique,
        planned_tokens=planned,
        epochs_begun=epochs,
        stream=stream,
        rows=own,
        realised_share=Fraction(own, sum(rows.values())),
        realised_epochs=Fraction(own * length, demand.unique),
        sampled=own * length,
        row_bytes=(length + 1) * request.item_bytes,
    )


def _far(domains: tuple[PlannedDomain, ...], basis: Basis) -> list[str]:
    """A sentence where realised shares are far from those of the weights file, with what gives them."""
    pairs = [(domain, domain.weight_share, domain.realised_share) for domain in domains]
    given = sum(share for _, share, _ in pairs if share is not None)
    far = [
        f"{domain.domain} {float(got):.2%} (given {float(share / given):.2%})"
        for domain, share, got in pairs
        if share and domain.rows and not (share <= FAR * got * given and got * given <= FAR * share)
    ]
    if not far:
        return []
    remedy = f"{BASIS_SHARE} gives these" if basis == "epochs" else "--exhausted repeat gives these"
    return [f"Realised shares are more than a factor of two from those given: {', '.join(far)}; {remedy}."]


def _rowless(domains: tuple[PlannedDomain, ...]) -> list[str]:
    names = [domain.domain for domain in domains if not domain.rows and domain.planned_share]
    return [f"Too small a share for a single sequence: {', '.join(names)}."] if names else []
