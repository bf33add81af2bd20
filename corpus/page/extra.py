"""What pages need beyond the toolkit: altair, of the extra `report`."""

from __future__ import annotations

from importlib.util import find_spec

from corpus.errors import UsageError


def check_extra() -> None:
    """A UsageError that says what to install, where altair is missing."""
    if find_spec("altair") is None:
        raise UsageError("a report draws its charts with altair, which is not here: pip install 'corpusmill[report]'")
