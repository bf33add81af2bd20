"""A plan as the table that is printed: the paper's Table 1 for this corpus, planned against realised."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from corpus.mixture.plan.plan import Plan, PlannedDomain

_GROUPS = (("", 1), ("share %", 3), ("epochs", 3), ("tokens", 2), ("", 2))
"""The titles over the columns, and the number of columns under each."""
_HEADER = (
    "domain",
    "given",
    "planned",
    "realised",
    "given",
    "planned",
    "realised",
    "unique",
    "sampled",
    "sequences",
    "bytes",
)
_GIVEN = (1, 4)
"""Columns that are omitted where the weights file gives no value for them."""


def render(plan: Plan) -> str:
    """The table as text, one line per domain and one for the sum, then the plan's messages; no line break at its end.

    Shares and epochs are shown as the weights file gives them, as planned, and as whole sequences realise them.
    """
    lines = [_HEADER, *(_line(domain) for domain in plan.domains), _sums(plan)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADER))]
    for column in _GIVEN:
        if not any(line[column] for line in lines[1:]):
            widths[column] = 0
    text = [_joined(line, widths) for line in lines]
    rule = "-" * max(map(len, text))
    return "\n".join([_titles(widths), text[0], rule, *text[1:-1], rule, text[-1], *plan.messages])


def _joined(line: Sequence[str], widths: Sequence[int]) -> str:
    """The cells of a line: groups two blanks apart, columns of a group one."""
    parts = []
    column = 0
    for _, size in _GROUPS:
        cells = [line[at].rjust(widths[at]) for at in range(column, column + size) if widths[at]]
        parts.append(" ".join(cells))
        column += size
    parts[0] = line[0].ljust(widths[0])
    return "  ".join(parts).rstrip()


def _titles(widths: Sequence[int]) -> str:
    parts = []
    column = 0
    for title, size in _GROUPS:
        shown = [width for width in widths[column : column + size] if width]
        width = sum(shown) + len(shown) - 1
        parts.append(f" {title} ".center(width, "-") if title else " " * width)
        column += size
    return "  ".join(parts).rstrip()


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
        count_text(domain.rows),
        bytes_text(domain.bytes),
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
        count_text(plan.rows),
        bytes_text(sum(domain.bytes for domain in plan.domains)),
    )


def render_padding(plan: Plan) -> str:
    """What best-fit packing wasted, in one sentence: the share of padding in the sequences, in all and per domain."""
    sizes = {domain.domain: domain.rows * plan.width for domain in plan.domains if domain.rows}
    padding = {domain.domain: domain.padding for domain in plan.domains}
    each = ", ".join(f"{name} {_precise(Fraction(padding[name], size))}" for name, size in sizes.items())
    total = sum(sizes.values())
    return f"Padding is {_precise(Fraction(sum(padding.values()), max(1, total)))} of the sequences ({each})."


def count_text(number: int) -> str:
    """A count for a reader: whole below ten million, else four digits and M, B (10⁹) or T."""
    if number < 10_000_000:
        return f"{number:,}"
    return _scaled(number, (("T", 10**12), ("B", 10**9), ("M", 10**6)))


def bytes_text(number: int) -> str:
    """Bytes for a reader: four digits and kB, MB, GB or TB (powers of ten)."""
    return _scaled(number, (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3), ("B", 1)))


def _scaled(number: int, units: Sequence[tuple[str, int]]) -> str:
    """Four digits in the largest of `units`, which descend, that is not larger than the number."""
    rounded = round(number, min(0, 4 - len(str(number))))
    unit, scale = next((entry for entry in units if rounded >= entry[1]), units[-1])
    digits = max(0, 4 - len(str(rounded // scale)))
    return f"{rounded / scale:,.{digits}f} {unit}" if scale > 1 else f"{number} {unit}"


def _percent(share: Fraction | None) -> str:
    return "" if share is None else f"{float(share) * 100:.2f}"


def _precise(share: Fraction) -> str:
    return f"{float(share) * 100:.3f} %"


def _times(epochs: Fraction | None) -> str:
    return "" if epochs is None else f"{float(epochs):.2f}"
