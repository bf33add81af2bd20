"""`_report.json` of a dedup run: what was removed and why, in units and bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpus.data.dataset import check_listed
from corpus.data.files import sync_file

if TYPE_CHECKING:
    from corpus.dedup.config import DedupConfig
    from corpus.engine.commit import Commit

REPORT = "_report.json"
SHOWN_LINES = 10
SHOWN_CLUSTERS = 5
_WIDTH = 80


def false_merges(units: int, name: str, key_bits: int) -> dict[str, Any]:
    """How many of the n²/2 pairs of `units` different units are expected to have equal keys by chance, at most: a
    finding for `write_report`."""
    expected = units**2 / 2 ** (key_bits + 1)
    return {"keys": {"bits": key_bits, name: units, "expected_false_merges": float(f"{expected:.3g}")}}


def write_report(
    commit: Commit, settings: DedupConfig, bytes_in: int, findings: Mapping[str, Any] | None = None
) -> None:
    """Write the report of a dedup run into its output: counts by unit and reason, bytes, and `findings`, in which
    `clusters` ([{"kept": id, "removed": n}]), `lines` ([{"line": text, "documents": n}]), both the greatest first, and
    `keys` (as from `false_merges`) are also printed.
    """
    bytes_kept = commit.own_bytes
    removed = 1 - bytes_kept / bytes_in if bytes_in else 0.0
    report = {
        "level": settings.level,
        "counts": {unit: counts.to_json() for unit, counts in sorted(commit.own_counts.items())},
        "bytes": {"in": bytes_in, "kept": bytes_kept, "removed": bytes_in - bytes_kept},
        "removed_share": removed,
    } | dict(findings or {})
    path = commit.output / REPORT
    text = json.dumps(report, ensure_ascii=False, indent=1, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")
    sync_file(path)


def removed_share(output: Path) -> float:
    """The share of the text's bytes that was removed, by the report."""
    return float(_report(output)["removed_share"])


def _report(output: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(check_listed(output / REPORT).read_text(encoding="utf-8"))
    return report


def summary(output: Path) -> list[str]:
    """The report of a finished output in a few lines."""
    report = _report(output)
    sizes = report["bytes"]
    lines = [f"bytes: {sizes['in']:,} in, {sizes['kept']:,} kept, {report['removed_share']:.1%} removed"]
    for reason, entry in sorted(report.get("removed", {}).items()):
        lines.append(f"  {reason}: {entry['lines']:,} lines, {entry['bytes']:,} bytes")
    keys = report.get("keys")
    if keys:
        name, number = next((name, keys[name]) for name in ("lines", "documents") if name in keys)
        lines.append(
            f"keys: {keys['bits']} bits; among {number:,} {name} at most {keys['expected_false_merges']:.2g} false"
            " merges are expected" + ("; --key-bits 128 has fewer" if keys["expected_false_merges"] > 0.01 else "")
        )
    if report.get("lines"):
        lines.append("most frequent repeated lines (documents that have them):")
        lines += [f"  {entry['documents']:>10,}  {_shown(entry['line'])}" for entry in report["lines"][:SHOWN_LINES]]
    if report.get("clusters"):
        lines.append("largest clusters (documents removed, document kept):")
        lines += [
            f"  {entry['removed']:>10,}  {_shown(str(entry['kept']))}" for entry in report["clusters"][:SHOWN_CLUSTERS]
        ]
    return lines


def _shown(text: str) -> str:
    """One line that does nothing to a terminal."""
    text = "".join(char if char.isprintable() else "�" for char in text)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
