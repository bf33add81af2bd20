"""Duplicate documents: what each dedup removed, and its largest clusters."""

from __future__ import annotations

from corpus.data.dataset import Dataset, read_batches
from corpus.page.chart import bars
from corpus.page.figures import percent, size
from corpus.page.parts import Cell, Part, Section, Table, Text
from corpus.report.run import CorpusRun, side_report

_SHOWN = 30
_READ = 2_000_000
"""Rows of lists of clusters that are read for the distribution of their sizes."""
_SIZES = ((2, 2), (3, 3), (4, 5), (6, 10), (11, 100), (101, 1000), (1001, None))


def duplicates_section(run: CorpusRun) -> Section | None:
    """Of each dedup of whole documents; None without one."""
    rows: list[tuple[Cell, ...]] = []
    clusters: list[tuple[str, str, int]] = []
    sizes: list[tuple[str, str, int]] = []
    for dataset in run.datasets:
        report = side_report(dataset)
        if report.get("level") in (None, "line") or "documents" not in report.get("counts", ()):
            continue
        name, whole = run.name(dataset), report["bytes"]
        counts = report["counts"]["documents"]
        gone = sum(counts["dropped"].values())
        rows.append(
            (name, report["level"], counts["in"], gone, size(whole["removed"]), percent(report["removed_share"]))
        )
        clusters += [(name, str(entry["kept"]), int(entry["removed"])) for entry in report.get("clusters", ())[:_SHOWN]]
        sizes += [(name, said, number) for said, number in cluster_sizes(dataset)]
    if not rows:
        return None
    head = ("step", "level", "documents in", "removed", "bytes removed", "of the bytes")
    parts: list[Part] = [Table("Documents removed as duplicates", head, rows)]
    if sizes:
        parts.append(
            bars(
                "How large clusters are",
                "Clusters of equal or similar documents, by the number of documents in them, the one that stays counted.",
                Table("Clusters by size", ("step", "documents in a cluster", "clusters"), sizes),
                [{"size": f"{name}: {said}", "clusters": number} for name, said, number in sizes],
                name="size",
                value="clusters",
            )
        )
    clusters.sort(key=lambda entry: (-entry[2], entry[0], entry[1]))
    if clusters:
        found = [(kept, name, number) for name, kept, number in clusters[:_SHOWN]]
        parts.append(Table("The largest clusters", ("document that stays", "step", "documents removed"), found))
    else:
        parts.append(Text("No two documents were found to be duplicates."))
    return Section("duplicates", "Duplicate documents", parts)


def cluster_sizes(dataset: Dataset) -> list[tuple[str, int]]:
    """How many clusters have so many documents; empty where the list of clusters is too long to be read here."""
    files = [file for name, file in dataset.files("_clusters").items() if name.endswith(".parquet")]
    removed: dict[str, int] = {}
    read = 0
    for file in files:
        for batch in read_batches(file, ["kept"]):
            read += batch.num_rows
            if read > _READ:
                return []
            for entry in batch.column("kept").value_counts().to_pylist():
                removed[entry["values"]] = removed.get(entry["values"], 0) + entry["counts"]
    found = []
    for least, most in _SIZES:
        number = sum(least <= count + 1 and (most is None or count + 1 <= most) for count in removed.values())
        if number:
            said = (
                f"{least:,}" if least == most else (f"over {least - 1:,}" if most is None else f"{least:,} to {most:,}")
            )
            found.append((f"{said} documents", number))
    return found
