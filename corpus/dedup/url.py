"""URLs as C4 compares them."""

from __future__ import annotations

import re

_SCHEME = re.compile(r"https?://(www\.)?")
_CAMPAIGN = re.compile(r"\?(utm_|ref|feed).*")


def c4_url(url: str | None) -> str:
    """The URL without scheme, `www.`, a query that begins with `utm_`, `ref` or `feed`, and slashes at the end.

    These are the rules of C4's `normalize_url` (TFDS, `c4_utils.py`), to the letter: the scheme goes wherever it
    occurs, case counts, other queries and fragments stay. No URL, or one of which nothing is left, gives the empty
    string, which equals nothing.
    """
    return _CAMPAIGN.sub("", _SCHEME.sub("", url or "")).rstrip("/")
