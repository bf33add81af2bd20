"""Numbers in words a person reads: 12.3 MB, 4 min 5 s, 1.7 %."""

from __future__ import annotations

import math

_BYTES = ("bytes", "kB", "MB", "GB", "TB", "PB")


def size(number: float) -> str:
    """Bytes, in steps of a thousand."""
    power = 0
    while abs(number) >= 999.5 and power < len(_BYTES) - 1:
        number /= 1000
        power += 1
    return f"{number:,.0f} {_BYTES[power]}" if power == 0 or number >= 99.95 else f"{number:.3g} {_BYTES[power]}"


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def percent(share: float | None) -> str:
    """A share; a dash where there is none."""
    if share is None:
        return "–"
    return f"{share:.1%}" if share == 0 or abs(share) >= 0.001 else f"{100 * share:.1g}%"


def share_of(part: float, whole: float) -> float | None:
    """A part as a share of a whole; None of nothing."""
    return part / whole if whole else None


def number(value: float) -> str:
    """A number with so many digits as say something."""
    if not math.isfinite(value):
        return "–"
    if value == int(value) or abs(value) >= 10_000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def shortened(text: str, characters: int) -> str:
    """The beginning of a text, with what is left out counted."""
    left = len(text) - characters
    return text if left <= 0 else f"{text[:characters]}\n… {left:,} more characters"
