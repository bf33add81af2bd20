"""Counts files: the tokens of each domain, to plan a mixture before there are tokens.

A YAML or JSON file: per domain its tokens (`1400000000`, `1.4T`), or a table of `tokens` and `documents`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from corpus.errors import UsageError
from corpus.mixture.plan.recipe_file import load_recipe_file
from corpus.option import nearest
from corpus.quantity import parse_quantity

_FIELDS = ("tokens", "documents")
MOST = 1 << 62
"""No count is as large as this: sums of them fit 64 bits."""


def load_counts(path: str) -> tuple[dict[str, int], dict[str, int]]:
    """Tokens and, where they are given, documents per domain. Raises `UsageError`."""
    if not Path(path).is_file():
        raise UsageError(f"There is no counts file {path}; give a YAML or JSON file of domains and their tokens.")
    value = load_recipe_file(path)
    if not isinstance(value, Mapping) or not value:
        raise UsageError(f"{path} holds no counts; it needs a table of domains, each with its tokens.")
    tokens: dict[str, int] = {}
    documents: dict[str, int] = {}
    for domain, entry in value.items():
        if not isinstance(domain, str) or not domain or not domain.isprintable():
            raise UsageError(f"{path}: {domain!r} is no domain name; it has to be text.")
        fields = entry if isinstance(entry, Mapping) else {"tokens": entry}
        for key in fields:
            if key not in _FIELDS:
                raise UsageError(f"{path}: domain '{domain}' has an unknown key '{key}'; {nearest(str(key), _FIELDS)}")
        if "tokens" not in fields:
            raise UsageError(f"{path}: domain '{domain}' has no tokens; give their number, 0 where it has none.")
        tokens[domain] = _count(path, domain, "tokens", fields["tokens"])
        if "documents" in fields:
            documents[domain] = _count(path, domain, "documents", fields["documents"])
    return tokens, documents


def _count(path: str, domain: str, key: str, value: object) -> int:
    try:
        count = parse_quantity(value, "count")
    except ValueError:
        count = -1
    if not 0 <= count < MOST:
        raise UsageError(
            f"{path}: {key} of domain '{domain}' is {value!r}; give a whole number from 0 up, such as 1400000 or 1.4T."
        )
    return count
