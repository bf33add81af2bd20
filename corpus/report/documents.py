"""What the documents to train on are like: languages, lengths, scores with their cut-offs, licences and attributions."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from corpus.page.chart import bars, distribution
from corpus.page.figures import percent, share_of
from corpus.page.parts import Cell, Fold, Part, Section, Table, Text
from corpus.quality.distribution import CHARACTERS, QUANTILES, Distribution
from corpus.quality.lm.cutoffs import CUTOFFS, PERPLEXITY, read_cutoffs
from corpus.report.run import CorpusRun
from corpus.report.sample import NO_LICENCE, Sample, even_bars, log_bars, undrawn

_CHARTED = 20
_TABLED = 200
_SKIPPED = ("line_ids",)
_THRESHOLDS = {"langid": "language_score", "reference": "reference"}
"""Maps with a setting `threshold`, and the column of the score that it cuts."""
_WIDE = 100
"""From a largest number so many times the median on, bars are between powers of two."""


def documents_section(run: CorpusRun, samples: Mapping[str, Sample]) -> Section:
    """Languages and lengths."""
    parts: list[Part] = [_counted(samples)]
    if samples:
        parts += [
            _counts("Languages", "language", {d: s.languages for d, s in samples.items()}, samples),
            _lengths(samples),
        ]
    return Section("documents", "Languages and lengths", parts)


def _counted(samples: Mapping[str, Sample]) -> Text:
    if not samples:
        return Text("The rows were removed by corpus clean, so that nothing can be said of them.")
    said = "; ".join(f"{domain}: {sample.said}" for domain, sample in samples.items())
    return Text(f"Counted in the documents to train on. {said}.")


def _counts(title: str, what: str, counts: Mapping[str, Counter[str]], samples: Mapping[str, Sample]) -> Part:
    """Documents by a label and domain, scaled up where a domain was read in part."""
    domains = list(counts)
    scale = {domain: share_of(samples[domain].documents, samples[domain].read) or 0.0 for domain in domains}
    whole = Counter[str]()
    for domain, found in counts.items():
        for label, number in found.items():
            whole[label] += round(number * scale[domain])
    ranked = [label for label, _ in sorted(whole.items(), key=lambda item: (-item[1], item[0]))]
    rows = [
        {what: label, "documents": round(counts[domain][label] * scale[domain]), "domain": domain}
        for label in ranked[:_CHARTED]
        for domain in domains
        if counts[domain][label]
    ]
    more = f" The {_CHARTED} most frequent of {len(ranked):,}." if len(ranked) > _CHARTED else ""
    table: list[tuple[Cell, ...]] = [
        (label, *(round(counts[d][label] * scale[d]) or None for d in domains), whole[label])
        for label in ranked[:_TABLED]
    ]
    return bars(
        title,
        f"Documents by {what} and domain.{more}",
        Table(f"Documents by {what}", (what, *domains, "all"), table),
        rows,
        name=what,
        value="documents",
        part="domain",
        parts=domains,
    )


def _lengths(samples: Mapping[str, Sample]) -> Part:
    rows = [
        {"begin": begin, "end": end, "documents": number, "domain": domain}
        for domain, sample in samples.items()
        if CHARACTERS in sample.numbers  # not of a domain without documents
        for begin, end, number in log_bars(sample.numbers[CHARACTERS])
    ]
    return distribution(
        "Lengths of texts",
        "Documents by their characters, between powers of two."
        + _zeros(s.numbers[CHARACTERS] for s in samples.values() if CHARACTERS in s.numbers),
        _quantiles("Characters of a document", CHARACTERS, samples),
        rows,
        value="characters",
        part="domain",
        log=True,
    )


def _zeros(found: Iterable[Distribution]) -> str:
    """How many documents have no bar, in words; a logarithmic scale has no place for them."""
    number = sum(map(undrawn, found))
    return f" Without a bar: {number:,} with 0." if number else ""


def _quantiles(caption: str, name: str, samples: Mapping[str, Sample]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for domain, sample in samples.items():
        found = sample.numbers.get(name)
        if found is not None and found.number:
            rows.append((domain, found.number, found.mean, found.least, *found.quantiles(), found.most))
    head = ("domain", "documents", "mean", "least", *(f"{share:.0%}" for share in QUANTILES), "most")
    return Table(caption, head, rows)


def scores_section(run: CorpusRun, samples: Mapping[str, Sample]) -> Section | None:
    """The distribution of each column of numbers, with the cut-offs of the maps that judged by it; None without one."""
    names: dict[str, None] = {}
    for sample in samples.values():
        names |= {name: None for name, found in sample.numbers.items() if found.number and name != CHARACTERS}
    cuts = cutoffs(run)
    parts: list[Part] = [
        _score(name, samples, cuts.get(name, {}), _judged(run, name)) for name in names if name not in _SKIPPED
    ]
    if not parts:
        return None
    said = Text(
        "Scores of the documents that are left. What a rule dropped is counted above and has no scores here, so a cut-off"
        " stands where a distribution begins or ends."
    )
    return Section("scores", "Scores and cut-offs", [said, *parts])


def _judged(run: CorpusRun, column: str) -> bool:
    """Whether a map may have dropped by a column: one whose name the column begins with, or whose settings speak of it."""
    entries = (e for chain in run.chains.values() for d in chain for e in d.manifest.config.get("maps", ()))
    return any(column.startswith(entry["map"]) or column in json.dumps(entry) for entry in entries)


def _score(name: str, samples: Mapping[str, Sample], cuts: Mapping[str, float], judged: bool) -> Part:
    found = {d: s.numbers[name] for d, s in samples.items() if name in s.numbers and s.numbers[name].number}
    least, most = min(entry.least for entry in found.values()), max(entry.most for entry in found.values())
    middle = max(entry.quantiles()[QUANTILES.index(0.5)] for entry in found.values())
    wide = least >= 0 and most > _WIDE * max(middle, 1e-9) and middle > 0
    rows = [
        {"begin": begin, "end": end, "documents": number, "domain": domain}
        for domain, entry in found.items()
        for begin, end, number in (log_bars(entry) if wide else even_bars(entry, least, most))
    ]
    says = f"Documents by {name}."
    if cuts:
        says += f" Cut-offs: {'; '.join(f'{label} at {value:g}' for label, value in cuts.items())}."
    elif not judged:
        says += " No rule of this run cuts by it."
    return distribution(
        name,
        says + (_zeros(found.values()) if wide else ""),
        _quantiles(name, name, samples),
        rows,
        value=name,
        part="domain",
        log=wide,
        cuts=[{"begin": value, "label": label} for label, value in cuts.items()],
    )


def cutoffs(run: CorpusRun) -> dict[str, dict[str, float]]:
    """Of each column of scores the numbers at which documents were cut, by a name of the cut."""
    found: dict[str, dict[str, float]] = {}
    for domain, chain in run.chains.items():
        for entry in (entry for dataset in chain for entry in dataset.manifest.config.get("maps", ())):
            column, threshold = _THRESHOLDS.get(entry["map"]), _threshold(entry)
            if column is not None and threshold is not None:
                found.setdefault(column, {})[f"{entry['map']} of {domain}"] = threshold
            if entry["map"] == PERPLEXITY:
                found.setdefault(PERPLEXITY, {}).update(_perplexities(run, entry["head"], entry["middle"]))
    return found


def _threshold(entry: Mapping[str, Any]) -> float | None:
    value = entry.get("threshold")
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _perplexities(run: CorpusRun, head: int, middle: int) -> Iterator[tuple[str, float]]:
    """The perplexities at which head, middle and tail of each language are parted."""
    for dataset in run.of_kind("cutoffs"):
        if any(entry.name == CUTOFFS for entry in dataset.manifest.files):
            for language, (low, high) in read_cutoffs(dataset.path / CUTOFFS, head, middle).items():
                yield f"{language}: head to middle", low
                yield f"{language}: middle to tail", high


def licences_section(samples: Mapping[str, Sample]) -> Section | None:
    """Documents by licence, and of how many an author, a title or an address to name is known; None without a sample."""
    if not samples:
        return None
    stated = any(label != NO_LICENCE for sample in samples.values() for label in sample.licences)
    parts: list[Part] = []
    if stated:
        parts.append(_counts("Licences", "licence", {d: s.licences for d, s in samples.items()}, samples))
    else:
        parts.append(Text("No document states a licence."))
    rows: list[tuple[Cell, ...]] = []
    for domain, sample in samples.items():
        for licence, number in sorted(sample.licences.items(), key=lambda item: (-item[1], item[0]))[:_CHARTED]:
            shares = (
                percent(share_of(sample.attributed[licence, name], number)) for name in ("author", "title", "url")
            )
            rows.append((domain, licence, number, *shares))
    head = ("domain", "licence", "documents counted", "name an author", "a title", "an address")
    parts.append(
        Text(
            "Licences that ask for attribution can be met for documents that name an author, a title or an address; every"
            " document names its raw file and record too."
        )
    )
    parts.append(Table("What can be attributed", head, rows))
    parts += _sources(samples)
    return Section("licences", "Licences and attributions", parts)


def _sources(samples: Mapping[str, Sample]) -> Iterator[Part]:
    """Of each domain the raw files of texts whose licence is stated: repositories, sites, dumps."""
    for domain, sample in samples.items():
        if sample.sources:
            ranked = sorted(sample.sources.items(), key=lambda item: (-item[1], item[0]))
            rows = [(file, licence, number) for (licence, file), number in ranked[:_TABLED]]
            more = f" (the first {_TABLED:,} of {len(ranked):,})" if len(ranked) > _TABLED else ""
            table = Table(f"Raw files by licence{more}", ("raw file", "licence", "documents counted"), rows)
            yield Fold(f"{domain}: where its licensed texts are from", [table], f"{len(ranked):,} files and licences")
