"""The `README.md` inside a dataset, which tells `datasets.load_dataset(DIR)` which files are the data."""

from __future__ import annotations

from pathlib import Path

from corpus.data.files import write_atomic

CARD = "README.md"
_SUFFIX = {"documents": "parquet", "tokens": "arrow", "packed": "arrow"}


def write_card(directory: Path, kind: str, stage: str, rows: int, digest: str) -> None:
    """Write the card of a dataset; those of some kinds have none."""
    if text := card_text(kind, stage, rows, digest):
        write_atomic(directory / CARD, text)


def card_text(kind: str, stage: str, rows: int, digest: str) -> str:
    """The card of a dataset of `kind`; `_dropped/` and `_quarantine/` are not among its data files. Empty: it has none.

    `datasets` remembers what it has loaded by the names of folder and configuration, so the configuration is named
    after the dataset's digest: another dataset, or the same one made again, is never taken from its cache.
    """
    suffix = _SUFFIX.get(kind)
    if suffix is None:
        return ""
    data = f'"[0-9]*.{suffix}"' if rows else "[]"
    return (
        f"---\nconfigs:\n- config_name: v{digest[:12]}\n  data_files: {data}\n---\n\n"
        f"{rows} rows of kind {kind}, made by `corpus {stage}`. `manifest.json` says how and from what.\n"
    )
