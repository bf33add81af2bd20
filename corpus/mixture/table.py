"""A plan as the table that is printed: the paper's Table 1 for this corpus, planned against realised."""

from __future__ import annotations

from fractions import Fraction

from corpus.mixture.plan import Plan, PlannedDomain

_HEADER = (
    "domain",
    "share",
    "planned",
    "realised",
    "epochs",
    "planned",
    "realised",
    "unique",
    "sampled",
    "rows",
    "bytes",
)


def render(plan: Plan) -> str:
    """The table as text, one line per domain and one for the sum, then the plan's messages; no line break at its end.

    `share` and `epochs` are those of the weights file; after each what is planned, then what the rows give.
    """
    lines = [_HEADER, *(_line(domain) for domain in plan.domains), _sums(plan)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADER))]
    text = ["  ".join(_cells(line, widths)).rstrip() for line in lines]
    text.insert(1, "-" * max(map(len, text)))
    text.insert(-1, text[1])
    return "\n".join([*text, *plan.messages])


def _cells(line: tuple[str, ...], widths: list[int]) -> list[str]:
    return [
        cell.rjust(width) if column else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(line, widths, strict=True))
    ]


def _line(domain: PlannedDomain) -> tuple[str, ...]:
    return (
        domain.domain,
        _percent(domain.weight_share),
        _percent(domain.planned_share),
        _percent(domain.realised_share),
        _times(domain.weight_epochs),
        _times(domain.planned_epochs),
        _times(domain.realised_epochs),
        count_text(domain.unique),
        count_text(domain.sampled),
        f"{domain.rows:,}",
        count_text(domain.bytes),
    )


def _sums(plan: Plan) -> tuple[str, ...]:
    unique = sum(domain.unique for domain in plan.domains)
    sampled = sum(domain.sampled for domain in plan.domains)
    planned = sum((domain.planned_epochs * domain.unique for domain in plan.domains), Fraction(0))
    return (
        "all",
        "",
        _percent(Fraction(1)),
        _percent(Fraction(1)),
        "",
        _times(planned / unique),
        _times(Fraction(sampled, unique)),
        count_text(unique),
        count_text(sampled),
        f"{plan.rows:,}",
        count_text(sum(domain.bytes for domain in plan.domains)),
    )


def count_text(number: int) -> str:
    """A count for reading: whole below ten million, else four digits and K, M, B (10⁹) or T."""
    if number < 10_000_000:
        return f"{number:,}"
    unit, scale = next((u, s) for u, s in (("T", 10**12), ("B", 10**9), ("M", 10**6)) if number >= s)
    return f"{number / scale:,.4g} {unit}"


def _percent(share: Fraction | None) -> str:
    return "" if share is None else f"{float(share) * 100:.2f} %"


def _times(epochs: Fraction | None) -> str:
    return "" if epochs is None else f"{float(epochs):.2f}"
