"""What each step dropped, by reason, with examples; what could not be read; the lines that line dedup removed."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping

from corpus.data.dataset import Dataset, read_batches, read_rows
from corpus.data.trail import quarantine_files, sample_files, unreadable_reasons
from corpus.explain.lookup import find_row
from corpus.page.chart import bars
from corpus.page.figures import percent, share_of, shortened, size
from corpus.page.parts import Example, Fold, Line, Part, Section, Table, Text
from corpus.report.run import CorpusRun, drop_entries, side_report, whole

_CHARACTERS, _FEWEST = 900, 160
"""Of an example: at most, and at least, where many share the room of the page."""
_ROOM = 1_200_000
"""Characters of all examples of drops on a page."""
_EXAMPLES = 3
_REASONS = 40
_CHARTED = 20
_LINES = 30
_LONGEST = 4000
"""Characters of a document whose removed lines are shown."""
_LOOKED_AT = 4096
"""Rows of a dataset among which such documents are looked for."""
_LOOKED_UP = 48
"""Of them the documents that are looked up as they were before, each of which takes a search."""


def drops_section(run: CorpusRun) -> Section:
    """All reasons in a chart, then each step with examples to unfold."""
    found = [(domain, dataset) for domain, chain in run.chains.items() for dataset in chain]
    reasons = {d.digest: sorted(drop_entries(d), key=lambda entry: (-entry[2], entry[1])) for _, d in found}
    totals = Counter[tuple[str, str]]()
    for domain, dataset in found:
        for _, reason, number in reasons[dataset.digest]:
            totals[reason, domain] += number
    shown = min(_REASONS, _ROOM // (_EXAMPLES * _FEWEST * max(1, len(found))))
    examples = _EXAMPLES * sum(min(shown, len(entries)) for entries in reasons.values())
    characters = min(_CHARACTERS, _ROOM // max(1, examples))
    folds: list[Part] = [
        _fold(run, dataset, reasons[dataset.digest], shown, characters)
        for _, dataset in found
        if reasons[dataset.digest] or whole(dataset.manifest).quarantined
    ]
    if not folds:
        return Section("drops", "What was dropped, and why", [Text("No step dropped anything.")])
    parts = [*_chart(totals, list(run.chains)), *folds]
    return Section("drops", "What was dropped, and why", parts)


def _chart(totals: Mapping[tuple[str, str], int], domains: list[str]) -> Iterator[Part]:
    reasons = Counter[str]()
    for (reason, _), number in totals.items():
        reasons[reason] += number
    if not reasons:
        return
    ranked = [reason for reason, _ in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))]
    rows = [
        {"reason": reason, "documents": totals[reason, domain], "domain": domain}
        for reason in ranked[:_CHARTED]
        for domain in domains
        if (reason, domain) in totals
    ]
    more = f" The {_CHARTED} most frequent of {len(ranked)} reasons." if len(ranked) > _CHARTED else ""
    yield bars(
        "Reasons",
        f"Records and documents dropped for each reason, in all steps.{more}",
        Table(
            "Drops by reason and domain",
            ("reason", *domains, "all"),
            [(r, *(totals.get((r, d)) for d in domains), reasons[r]) for r in ranked[: 5 * _REASONS]],
        ),
        rows,
        name="reason",
        value="documents",
        part="domain",
        parts=domains,
    )


def _fold(run: CorpusRun, dataset: Dataset, entries: list[tuple[str, str, int]], most: int, characters: int) -> Fold:
    """A step, with examples of `most` reasons, each cut to so many characters."""
    counts = whole(dataset.manifest)
    samples: dict[str, list[Example]] = {}
    for row in read_rows(sample_files(dataset.path)):
        shown = samples.setdefault(row["reason"], [])
        if len(shown) < _EXAMPLES:
            shown.append(Example.of(row["id"], shortened(row["text"], characters) or "(no text)"))
    rows = [(reason, map or "–", number, percent(share_of(number, counts.seen))) for map, reason, number in entries]
    parts: list[Part] = []
    if rows:
        parts.append(
            Table(
                "Reasons of this step",
                ("reason", "by the rule or map within the step", "dropped", "of what came in"),
                rows[:200],
            )
        )
    for _, reason, number in entries[:most]:
        if reason in samples:
            title = f"{reason}: examples"
            parts.append(Fold(title, samples[reason], f"{number:,}"))
    if counts.quarantined:
        parts.append(_unreadable(dataset, counts.quarantined))
    dropped = sum(number for _, _, number in entries)
    said = f"{dropped:,} dropped" + (f", {counts.quarantined:,} set aside" if counts.quarantined else "")
    return Fold(run.name(dataset), parts, said)


def _unreadable(dataset: Dataset, number: int) -> Fold:
    reasons = unreadable_reasons(dataset.path, _REASONS)
    parts: list[Part] = [
        Table(
            "Why records could not be read",
            ("reason", "records", "the first"),
            [(entry.reason, entry.number, entry.example) for entry in reasons],
        )
    ]
    for row in itertools.islice(read_rows(quarantine_files(dataset.path)), _EXAMPLES):
        text = row["data"].decode("utf-8", "replace")
        parts.append(Example.of(f"{row['source']}, byte {row['offset']:,}", shortened(text, _CHARACTERS)))
    return Fold("could not be read, and was set aside", parts, f"{number:,}")


def lines_section(run: CorpusRun) -> Section | None:
    """Of each line dedup how much it removed, its most frequent lines, and documents before and after; None without one."""
    parts: list[Part] = []
    for dataset in run.of_kind("documents"):
        report = side_report(dataset)
        if report.get("level") == "line":
            parts += _lines_of(run, dataset, report)
    return Section("lines", "Repeated lines that were removed", parts) if parts else None


def _lines_of(run: CorpusRun, dataset: Dataset, report: Mapping[str, object]) -> Iterator[Part]:
    name, lines = run.name(dataset), dataset.manifest.counts["lines"]
    removed = report.get("removed")
    share = report.get("removed_share")
    said = f", {share:.1%} of the bytes" if isinstance(share, float) else ""
    gone = sum(lines.dropped.values())
    yield Text(f"{name}: {gone:,} of {lines.seen:,} lines removed ({percent(share_of(gone, lines.seen))}){said}.")
    if isinstance(removed, dict) and removed:
        rows = [(why, entry["lines"], size(entry["bytes"])) for why, entry in sorted(removed.items())]
        yield Table(f"{name}: why lines went", ("the line stood", "lines", "bytes"), rows)
    frequent = report.get("lines")
    if isinstance(frequent, list) and frequent:
        top = [(shortened(entry["line"], 160), entry["documents"]) for entry in frequent[:_LINES]]
        yield Fold(
            f"{name}: the most frequent removed lines",
            [Table("Lines by the documents that have them", ("line", "documents"), top)],
            f"{len(top)} lines",
        )
    examples = before_and_after(run, dataset)
    if examples:
        yield Fold(f"{name}: documents before it, and what went", examples, f"{len(examples)} examples")


def before_and_after(run: CorpusRun, dataset: Dataset) -> list[Example]:
    """Some documents as they were before a line dedup, with the lines that it removed marked; none where rows are gone."""
    from corpus.explain.lines import kept_lines, removed_lines  # kernels, which take a while to load

    sources = [source for source in run.inputs(dataset) if source.manifest.kind == "documents"]
    if dataset.cleaned or not sources or any(source.cleaned for source in sources):
        return []
    examples: list[Example] = []
    looked_up = 0
    rows = (row for shard in dataset.shards() for batch in read_batches(shard) for row in batch.to_pylist())
    for row in itertools.islice(rows, _LOOKED_AT):
        metadata = json.loads(row["metadata"])
        numbers, lines = metadata.get("line_ids"), metadata.get("original_nlines")
        if not isinstance(numbers, list) or lines is None or lines - len(numbers) < 2 or not numbers:
            continue
        if metadata.get("original_length", 0) > _LONGEST:
            continue
        looked_up += 1
        if looked_up > _LOOKED_UP:
            break
        before = next(filter(None, (find_row(source, row["id"]) for source in sources)), None)
        kept = None if before is None else kept_lines(before["text"], row)
        if before is None or kept is None or len(before["text"]) > _LONGEST:
            continue
        gone = {line.number: line.reason for line in removed_lines(before["text"], kept, dataset.manifest.config)}
        texts = enumerate(before["text"].split("\n"))
        marked = [Line(text, "removed" if at in gone else "", gone.get(at, "")) for at, text in texts]
        examples.append(Example(row["id"], marked))
        if len(examples) == _EXAMPLES:
            break
    return examples
