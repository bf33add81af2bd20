"""Models that come with installed packages, and their licences."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata

from corpus.doctor.finding import Finding, note, ok
from corpus.engine.progress import megabytes
from corpus.errors import UsageError

TOPIC = "models"
_LANGUAGE_LICENCE = "CC BY-SA 3.0 (fasttext.cc/docs/en/language-identification.html)"
_TABLES = (
    ("enry-python", "languages of source files"),
    ("licenseclassifier", "texts of licences"),
    ("tld", "the list of public suffixes"),
)
"""Distributions with tables by which documents are judged."""


def look() -> Iterator[Finding]:
    """The classifier of languages, and tables by which documents are judged."""
    from corpus.quality.langid import shipped_model

    try:
        path = shipped_model()
    except UsageError as error:
        yield note(TOPIC, "language", error.message.rstrip("."))
    else:
        size = megabytes(path.stat().st_size)
        yield ok(TOPIC, "language", f"{path.name} of fastText, {size}; licence {_LANGUAGE_LICENCE}")
    for name, what in _TABLES:
        try:
            found = metadata(name)
        except PackageNotFoundError:
            continue
        named = [found[field] for field in ("License-Expression", "License") if field in found]
        licence = next(filter(None, named), "") or _classified(found.get_all("Classifier") or [])
        first = (licence or "not stated").splitlines()[0]
        yield ok(TOPIC, name, f"{found['Version']}, {what}; licence {first}")


def _classified(classifiers: list[str]) -> str:
    """The licence that a distribution's classifiers name."""
    return next((entry.rpartition(":: ")[2] for entry in classifiers if entry.startswith("License ::")), "")
