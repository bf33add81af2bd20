"""How many unique tokens a corpus holds: from a packed set, or from a file of counts."""

from __future__ import annotations

from pathlib import Path

from corpus.errors import UsageError


def unique_tokens(path: Path) -> dict[str, int]:
    """Unique tokens by domain of a packed set, or of a counts file as `corpus mix --counts` reads it."""
    # not above: the options of `trainer plan` are listed without pyarrow
    from corpus.data.dataset import Dataset
    from corpus.mixture.plan.counts import load_counts

    if not path.is_dir():
        return load_counts(str(path))[0]
    rows = Dataset.open(path, "packed").manifest.extra.get("domains", [])
    tokens = {row["domain"]: int(row["unique"]) for row in rows if "unique" in row}
    if not sum(tokens.values()):
        raise UsageError(f"{path} does not say how many unique tokens it has: give a counts file to --corpus.")
    return tokens
