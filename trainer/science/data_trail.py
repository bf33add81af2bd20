"""What the stages before a packed set did to its documents, as their manifests say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from corpus.data.dataset import Dataset
from corpus.data.manifest import MANIFEST
from trainer.data.validation_sets import PackedRows


@dataclass(frozen=True)
class Passed:
    """What a stage took and left: documents (of an ingest records)."""

    seen: int
    kept: int

    @property
    def lost(self) -> float:
        """The share that it did not keep."""
        return 1 - self.kept / self.seen if self.seen else 0.0


@dataclass(frozen=True)
class DataTrail:
    """The stages of each domain in order, and what was mixed: of each domain the different tokens and the share."""

    stages: dict[tuple[str, str], Passed]
    unique: dict[str, int]
    shares: dict[str, float]


def data_trail(rows: PackedRows) -> DataTrail:
    """That of a packed set in the layout of `corpus run` (OUT/documents beside OUT/packed); of another one what its own
    manifest says."""
    table = rows.manifest.extra.get("domains", [])
    return DataTrail(
        dict(_stages(rows.directory.parent / "documents")),
        {row["domain"]: int(row["unique"]) for row in table if "unique" in row},
        {row["domain"]: float(row["realised_share"]) for row in table if "realised_share" in row},
    )


def _stages(documents: Path) -> Iterator[tuple[tuple[str, str], Passed]]:
    """Of each domain its stages and the maps in them, in order; the sides of a choice of validation lose nothing."""
    for folder in sorted(documents.glob("*/*")):
        number, _, name = folder.name.partition("-")
        if not (folder / MANIFEST).exists() or name in ("train", "validation") or not number.isdecimal():
            continue
        manifest = Dataset.open(folder).manifest
        domain, own = folder.parent.name, name.partition("+")[0]
        whole = manifest.counts.get("documents") or manifest.counts.get("records")
        maps = [(str(entry["map"]), entry["counts"]) for entry in manifest.extra.get("maps") or ()]
        if whole is not None and (not maps or maps[0][1]["in"] != whole.seen):
            yield (domain, own), Passed(whole.seen, maps[0][1]["in"] if maps else whole.kept)
        lines = manifest.counts.get("lines")
        if lines is not None:
            yield (domain, f"{own}, lines"), Passed(lines.seen, lines.kept)
        for map_name, counts in maps:
            yield (domain, map_name), Passed(counts["in"], counts["kept"])
