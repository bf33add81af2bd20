"""What became of the documents of each domain that were held out, and what was removed between each two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from corpus.engine.commit import Commit
from corpus.errors import DataError
from corpus.heldout.choice import IN_TRAINING, OTHER_SIDE, REPEATED_TEXT
from corpus.heldout.overlap import PAIRS

if TYPE_CHECKING:
    from corpus.heldout.overlap import Overlap


def accounts(domains: Sequence[str], overlaps: Sequence[Overlap], commit: Commit) -> list[dict[str, Any]]:
    """What became of the documents of each domain. A DataError where nothing is left for validation."""
    rows = []
    for number, name in enumerate(domains):
        notes = commit.results["join"][number].notes
        held_out = notes["held_out"]
        dropped = {
            OTHER_SIDE: notes["documents"] - held_out,
            REPEATED_TEXT: notes["repeated"],
            IN_TRAINING: notes["trained"],
        }
        for overlap in overlaps:
            pairs = commit.results[overlap.decide_phase][0].notes[PAIRS]
            dropped[overlap.reason] = sum(count for domain, _, count in pairs if domain == number)
        dropped = {reason: count for reason, count in dropped.items() if count}
        kept = notes["documents"] - sum(dropped.values())
        if not kept:
            raise DataError(
                f"domain {name}: training has the text, lines or near-duplicates of all {held_out} documents held out "
                "for validation: give a greater fraction of validation, a weaker overlap, or remove duplicates first."
            )
        rows.append(
            {"domain": name, "dropped": dropped, "kept": kept}
            | {key: notes[key] for key in ("documents", "held_out", "bytes", "largest")}
        )
    return rows


def removed_pairs(
    names: Sequence[str], trained_places: Sequence[int], overlaps: Sequence[Overlap], commit: Commit
) -> list[dict[str, Any]]:
    """What was removed between each two domains, of which one has `validation` and the other, or the same, is `other`:
    its documents that were held out for the texts of the first (`texts`), and documents of validation that were
    dropped for what the other has, by reason."""
    found: dict[tuple[int, int], dict[str, int]] = {}
    for number, result in enumerate(commit.results["join"]):
        for domain, count in result.notes["joined"]:
            found.setdefault((domain, number), {})["texts"] = count
        places = [place for place in trained_places if place != number]
        for place, count in result.notes["places"]:
            found.setdefault((number, places[place]), {})[IN_TRAINING] = count
    for overlap in overlaps:
        for domain, place, count in commit.results[overlap.decide_phase][0].notes[PAIRS]:
            found.setdefault((domain, place), {})[overlap.reason] = count
    return [{"validation": names[a], "other": names[b]} | found[a, b] for a, b in sorted(found)]
