"""Names for folders that stand beside one another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path


def told_apart(paths: Sequence[Path]) -> list[str]:
    """The ends of some different paths, as long as it takes for no two to be equal."""
    whole = [path.resolve() for path in paths]
    assert len(set(whole)) == len(whole), "paths are different"
    parts = 1
    while max(Counter(path.parts[-parts:] for path in whole).values()) > 1:
        parts += 1
    return ["/".join(path.parts[-parts:]) for path in whole]
