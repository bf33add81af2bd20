"""The `README.md` inside a dataset or beside several, which tells `datasets.load_dataset(DIR)` which files are the data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from corpus.data.files import digest_of, write_atomic
from corpus.data.manifest import Manifest

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


def write_domains_card(directory: Path, domains: Mapping[str, Mapping[str, str]]) -> None:
    """Write the card of a folder of document datasets: a configuration for each domain, so that
    `datasets.load_dataset(directory, domain)` gives its splits. `domains` has the folder of each split of each domain.

    What `datasets` remembers by the name of a configuration it remembers by its version too, which is made of the
    digests of the datasets. Splits without rows are left out, which `datasets` could not load.
    """
    lines = ["---", "configs:"]
    for domain, folders in domains.items():
        found = {split: Manifest.load(directory / folder) for split, folder in folders.items()}
        digest = digest_of([manifest.digest for manifest in found.values()])
        lines += [f"- config_name: {json.dumps(domain)}", f"  version: 1.{int(digest[:8], 16)}.{int(digest[8:16], 16)}"]
        lines.append("  data_files:" if any(manifest.rows for manifest in found.values()) else "  data_files: []")
        for split, manifest in found.items():
            if manifest.rows:
                pattern = f"{folders[split]}/[0-9]*.parquet"
                lines += [f"  - split: {split}", f"    path: {json.dumps(pattern)}"]
    lines += ["---", "", "Documents of each domain, split into training and validation, made by `corpus run`.", ""]
    write_atomic(directory / CARD, "\n".join(lines))


def sets_card(sets: Mapping[str, Manifest]) -> str:
    """The card of a folder that holds several sets, by their places in it: a configuration for each that has rows."""
    lines = ["---", "configs:"]
    for place, manifest in sets.items():
        suffix = _SUFFIX.get(manifest.kind)
        if suffix is not None and manifest.rows:
            name = json.dumps(place.replace("/", "-"))
            lines += [f"- config_name: {name}", f"  data_files: {json.dumps(f'{place}/[0-9]*.{suffix}')}"]
    lines += ["---", "", "Datasets made by corpusmill; the `manifest.json` of each says how and from what.", ""]
    for place, manifest in sets.items():
        if manifest.rows:
            lines.append(
                f"- `{place}`: {manifest.rows:,} rows of kind {manifest.kind}, made by `corpus {manifest.stage}`"
            )
    return "\n".join(lines) + "\n"
