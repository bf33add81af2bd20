"""`corpus compare`: two corpora side by side."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from corpus.data.dataset import Dataset
from corpus.errors import UsageError
from corpus.page.chart import Row, bars
from corpus.page.figures import percent, shortened, size
from corpus.page.names import told_apart
from corpus.page.parts import Cell, Example, Facts, Fold, Line, Page, Part, Section, Table, Text
from corpus.report.report import FOOT
from corpus.report.run import CorpusRun, drop_entries, whole
from corpus.report.texts import Overlap, Reasons, rows_of

_EXAMPLES = 3
_CHARACTERS = 900
_DIFFED = 20_000
"""Characters of texts whose lines are compared."""
_ROWS = 200
_REASONS = 40


@dataclass(frozen=True)
class Pair:
    """Two runs and their names."""

    first: CorpusRun
    second: CorpusRun
    names: tuple[str, str]

    @classmethod
    def open(cls, first: Path, second: Path) -> Pair:
        """Both; a UsageError where they are the same."""
        if first.resolve() == second.resolve():
            raise UsageError(f"{first} is given twice: give two corpora.")
        one, two = told_apart([first, second])
        return cls(CorpusRun(first), CorpusRun(second), (one, two))

    @property
    def runs(self) -> tuple[CorpusRun, CorpusRun]:
        """Both."""
        return self.first, self.second

    @property
    def domains(self) -> list[str]:
        """Those of the first, then those that only the second has."""
        return list(dict.fromkeys([*self.first.chains, *self.second.chains]))


def comparison_page(pair: Pair) -> Page:
    """Counts, drops, what the one has and the other has not, mixtures, recipes."""
    overlaps = {
        domain: Overlap.of(pair.first.last[domain], pair.second.last[domain])
        for domain in pair.domains
        if domain in pair.first.last and domain in pair.second.last
    }
    sections = [
        _counts(pair),
        _drops(pair),
        _documents(pair, overlaps),
        _mixture(pair),
        _recipe(pair),
    ]
    one, two = pair.names
    equal = sum(overlap.equal for overlap in overlaps.values())
    lead = f"{one} and {two}: {equal:,} documents to train on are in both, with the same text."
    facts = Facts(
        [
            (f"documents of {one}", f"{sum(d.manifest.rows for d in pair.first.last.values()):,}"),
            (f"documents of {two}", f"{sum(d.manifest.rows for d in pair.second.last.values()):,}"),
            ("in both, same text", f"{equal:,}"),
            ("in both, other text", f"{sum(len(overlap.changed) for overlap in overlaps.values()):,}"),
        ]
    )
    found = [section for section in sections if section is not None]
    return Page(f"Two corpora: {one} and {two}", lead, facts, found, FOOT)


def _counts(pair: Pair) -> Section:
    rows: list[Row] = []
    table: list[tuple[Cell, ...]] = []
    for domain in pair.domains:
        figures: list[Cell] = []
        for name, run in zip(pair.names, pair.runs, strict=True):
            chain, last = run.chains.get(domain), run.last.get(domain)
            if chain is None or last is None:
                figures += [None, None, None]
                continue
            bytes = int(last.manifest.totals.get("bytes", 0))
            rows.append({"domain": domain, "bytes": bytes, "corpus": name})
            figures += [whole(chain[0].manifest).seen, last.manifest.rows, size(bytes)]
        table.append((domain, *figures))
    head = [f"{what} of {name}" for name in pair.names for what in ("records", "documents", "text")]
    chart = bars(
        "Text to train on",
        "Bytes of each domain in both corpora.",
        Table("Records, documents to train on and their text", ("domain", *head), table),
        rows,
        name="domain",
        value="bytes",
        part="corpus",
        parts=pair.names,
        grouped=True,
    )
    said = [
        Text(f"{name}: {warning}", warning=True)
        for name, run in zip(pair.names, pair.runs, strict=True)
        for warning in run.warnings
    ]
    return Section("counts", "Counts", [*said, chart, *_raw_files(pair)])


def _raw_files(pair: Pair) -> Iterator[Part]:
    """How many raw files both were read from."""
    found = []
    for run in pair.runs:
        chains = (chain[0].manifest for chain in run.chains.values())
        found.append({e["digest"] for m in chains if m.stage == "ingest" for e in m.inputs})
    one, two = found
    if one or two:
        rows = [
            ("in both", len(one & two)),
            *((f"only in {n}", len(a)) for n, a in zip(pair.names, (one - two, two - one), strict=True)),
        ]
        yield Table("Raw files, by their contents", ("raw files", "number"), rows)


def _drops(pair: Pair) -> Section:
    """Every reason with how often it was one, those that differ most first."""
    counts: list[Counter[tuple[str, str]]] = []
    for run in pair.runs:
        found = Counter[tuple[str, str]]()
        for domain, chain in run.chains.items():
            for dataset in chain:
                for _, reason, number in drop_entries(dataset):
                    found[domain, reason] += number
        counts.append(found)
    one, two = counts
    keys = sorted({*one, *two}, key=lambda key: (-abs(one[key] - two[key]), key))
    rows = [(f"{domain}: {reason}", one[domain, reason], two[domain, reason]) for domain, reason in keys]
    differ = sum(a != b for _, a, b in rows)
    if not rows:
        return Section("drops", "What was dropped", [Text("Neither dropped anything.")])
    table = Table("Dropped, by domain and reason", ("reason", *pair.names), rows[:_ROWS])
    return Section("drops", "What was dropped", [Text(f"{differ:,} of {len(rows):,} numbers differ."), table])


def _documents(pair: Pair, overlaps: Mapping[str, Overlap]) -> Section:
    """What one has that the other has not, and why; documents whose text differs."""
    one, two = pair.names
    rows = [(domain, o.equal, len(o.changed), len(o.only_first), len(o.only_second)) for domain, o in overlaps.items()]
    head = ("domain", "same text", "other text", f"only in {one}", f"only in {two}")
    parts: list[Part] = [Table("Documents to train on, by their ids", head, rows)]
    for domain in pair.domains:
        if domain not in overlaps:
            only = one if domain in pair.first.chains else two
            parts.append(Text(f"{domain} is only in {only}."))
    for domain, overlap in overlaps.items():
        parts += _only(pair, domain, overlap)
        if len(overlap.changed):
            examples = _changed(pair.first.last[domain], pair.second.last[domain], overlap)
            title = f"{domain}: other text in {two}"
            parts.append(Fold(title, examples, f"{len(overlap.changed):,}"))
    return Section("documents", "What one has and the other has not", parts)


def _only(pair: Pair, domain: str, overlap: Overlap) -> Iterator[Part]:
    for here, there, wanted in ((0, 1, overlap.only_first), (1, 0, overlap.only_second)):
        if not len(wanted):
            continue
        name, other, dataset = pair.names[here], pair.names[there], pair.runs[here].last[domain]
        reasons = Reasons.of(pair.runs[there], domain, wanted)
        ranked = reasons.counts()[:_REASONS]
        parts: list[Part] = [Table(f"Why {other} has not what {name} has", ("reason", "documents"), ranked)]
        for row in rows_of(dataset, wanted, _EXAMPLES):
            why = reasons.reason(row["id"])
            parts.append(Example.of(f"{row['id']} (not in {other}: {why})", shortened(row["text"], _CHARACTERS)))
        yield Fold(f"{domain}: only in {name}", parts, f"{len(wanted):,}")


def _changed(first: Dataset, second: Dataset, overlap: Overlap) -> list[Part]:
    """Some documents with the lines that only one of the two texts has."""
    before = {row["id"]: row["text"] for row in rows_of(first, overlap.changed, _EXAMPLES)}
    after = {row["id"]: row["text"] for row in rows_of(second, overlap.changed, _EXAMPLES)}
    return [Example(id, _differing(text, after[id])) for id, text in before.items()]


def _differing(before: str, after: str) -> list[Line]:
    """The lines of two texts: those of only the first are removed, those of only the second added; three lines around."""
    if max(len(before), len(after)) > _DIFFED:
        before, after = before[:_DIFFED], after[:_DIFFED]
    found: list[Line] = []
    marks = {"-": "removed", "+": "added"}
    for line in list(difflib.unified_diff(before.split("\n"), after.split("\n"), lineterm=""))[2:]:
        found.append(Line("…") if line.startswith("@@") else Line(line[1:], marks.get(line[:1], "")))
    return found or [Line("The texts differ further on.")]


def _mixture(pair: Pair) -> Section | None:
    """The realised shares and epochs of both packed sets, and whether they have the same tokenizer."""
    if pair.first.packed is None or pair.second.packed is None:
        return None
    tables = [{e["domain"]: e for e in p.manifest.extra["domains"]} for p in (pair.first.packed, pair.second.packed)]
    domains = list(dict.fromkeys([*tables[0], *tables[1]]))
    rows: list[Row] = []
    table: list[tuple[Cell, ...]] = []
    for domain in domains:
        figures: list[Cell] = []
        for name, entries in zip(pair.names, tables, strict=True):
            entry = entries.get(domain)
            if entry is None:
                figures += [None, None, None]
                continue
            rows.append({"domain": domain, "share": round(entry["realised_share"], 6), "corpus": name})
            figures += [percent(entry["realised_share"]), entry["realised_epochs"], entry["sampled"]]
        table.append((domain, *figures))
    head = [f"{what} of {name}" for name in pair.names for what in ("share", "epochs", "tokens")]
    same = len({p.manifest.extra["tokenizer"]["digest"] for p in (pair.first.packed, pair.second.packed)}) == 1
    chart = bars(
        "Shares of the packed tokens",
        "Realised, of each domain in both corpora.",
        Table("The mixtures", ("domain", *head), table),
        rows,
        name="domain",
        value="share",
        part="corpus",
        parts=pair.names,
        grouped=True,
        format=".0%",
    )
    said = Text(
        "Both have the same tokenizer." if same else "They have different tokenizers: tokens are not of one size.",
        warning=not same,
    )
    return Section("mixture", "Mixtures", [said, chart])


def _recipe(pair: Pair) -> Section:
    """The lines in which the recipes differ, and versions of packages that do."""
    one, two = (run.recipe_text for run in pair.runs)
    parts: list[Part] = []
    if not one or not two:
        parts.append(Text("Not both of them have a recipe: they were not both made by corpus run."))
    elif one == two:
        parts.append(Text("Their recipes are the same."))
    else:
        parts.append(Example(f"From the recipe of {pair.names[0]} to that of {pair.names[1]}", _differing(one, two)))
    versions = [{n: str(v) for d in run.datasets for n, v in d.manifest.versions.items()} for run in pair.runs]
    names = sorted({*versions[0], *versions[1]})
    rows = [(n, versions[0].get(n), versions[1].get(n)) for n in names if versions[0].get(n) != versions[1].get(n)]
    if rows:
        parts.append(Table("Versions that differ", ("package", *pair.names), rows))
    else:
        parts.append(Text("Both were made with the same versions of packages."))
    return Section("recipe", "Recipes and versions", parts)
