"""Tokens: what the tokenizer makes of each language and domain, the mixture beside the paper's, validation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from corpus.data.dataset import Dataset
from corpus.page.chart import bars, dots
from corpus.page.figures import percent, size
from corpus.page.parts import Part, Section, Table, Text
from corpus.report.run import CorpusRun, side_report

_LANGUAGES = 60


def tokenizer_section(run: CorpusRun) -> Section | None:
    """Bytes and words of a token by language and domain (fertility is its inverse); None without a tokenizer's report."""
    for dataset in run.of_kind("tokenizer"):
        report = side_report(dataset)
        if "domains" in report:
            return Section("tokenizer", "What the tokenizer makes of the text", _fertility(dataset, report))
    return None


def _fertility(dataset: Dataset, report: dict[str, Any]) -> list[Part]:
    config, whole = dataset.manifest.extra["tokenizer"], report["measured"]
    rows, table = [], []
    for domain, found in report["domains"].items():
        for language, entry in found["languages"].items():
            if not entry["tokens"] or not entry["words"]:
                continue
            fertility = entry["tokens"] / entry["words"]
            rows.append(
                {
                    "domain": domain,
                    "bytes per token": entry["bytes_per_token"],
                    "language": language,
                    "tokens per word": round(fertility, 3),
                }
            )
            table.append(
                (domain, language, entry["bytes_per_token"], fertility, percent(entry["coverage"]), entry["bytes"])
            )
    said = (
        f"{config['vocab_size']:,} pieces, {config.get('model_type', 'type unknown')}; over all {whole['bytes_per_token']:g} bytes"
        f" a token, measured on {size(whole['bytes'])} of its training text."
    )
    head = (
        "domain",
        "language",
        "bytes per token",
        "tokens per word",
        "bytes that pieces cover",
        "bytes measured",
    )
    return [
        Text(said),
        dots(
            "Bytes per token by domain and language",
            "More bytes per token make a text shorter for the model. und: documents without a language.",
            Table("Fertility by domain and language", head, table[:_LANGUAGES]),
            rows[:_LANGUAGES],
            name="domain",
            value="bytes per token",
            part="language",
            format=".3~f",
        ),
    ]


_SHARES = ("paper", "planned", "realised")


def mixture_section(run: CorpusRun) -> Section | None:
    """The mixture of the packed set, beside the weights of its recipe (a paper's Table 1); None without one."""
    if run.packed is None:
        return None
    extra = run.packed.manifest.extra
    entries = extra["domains"]
    entries = sorted(entries, key=lambda entry: (-(entry["weight_share"] or 0), entry["domain"]))
    rows = [
        {"domain": entry["domain"], "share": round(share, 6), "of": of}
        for entry in entries
        for of, share in zip(
            _SHARES, (entry["weight_share"], entry["planned_share"], entry["realised_share"]), strict=True
        )
        if share is not None
    ]
    table = [
        (
            entry["domain"],
            percent(entry["weight_share"]),
            percent(entry["planned_share"]),
            percent(entry["realised_share"]),
            entry["weight_epochs"],
            entry["planned_epochs"],
            entry["realised_epochs"],
            entry["unique"],
            entry["sampled"],
            entry["rows"],
            size(entry["bytes"]),
        )
        for entry in entries
    ]
    head = (
        "domain",
        "paper's share",
        "planned",
        "realised",
        "paper's epochs",
        "planned",
        "realised",
        "unique tokens",
        "tokens packed",
        "sequences",
        "text",
    )
    chart = bars(
        "Shares of the training tokens",
        "The share that the paper's table (or the recipe) gives, the share planned for the text that is here, and the share"
        " of the packed sequences.",
        Table("The mixture", head, table),
        rows,
        name="domain",
        value="share",
        part="of",
        parts=_SHARES,
        grouped=True,
        format=".0%",
    )
    rows_packed, length = run.packed.manifest.rows, extra["sequence_length"]
    said = Text(
        f"{rows_packed:,} sequences of {length:,} tokens, {rows_packed * length:,} tokens in all; mixed by {extra['basis']},"
        f" packing {extra['packing']}."
    )
    warnings = [Text(message, warning=True) for message in extra["messages"]]
    return Section("mixture", "The mixture", [said, *warnings, replace(chart, open=True)])


def validation_section(run: CorpusRun) -> Section | None:
    """What is held out of each domain, and what training has of it too; None where nothing is."""
    parts: list[Part] = []
    for dataset in run.of_kind("choice"):
        entries = dataset.manifest.extra.get("validation")
        if not entries:
            continue
        sets = {d.path.name: d for d in run.of_kind("packed") if d.manifest.extra.get("split") == "validation"}
        rows = [
            (
                entry["domain"],
                entry["documents"],
                entry["held_out"],
                entry["kept"],
                _reasons(entry["dropped"], dataset),
                size(entry["bytes"]),
                sets[entry["domain"]].manifest.totals["tokens"] if entry["domain"] in sets else None,
            )
            for entry in entries
        ]
        head = ("domain", "documents", "held out", "validation documents", "dropped from them", "text", "tokens packed")
        parts.append(Table(f"Validation ({run.name(dataset)})", head, rows))
        parts += _pairs(dataset)
    parts += _contamination(run)
    return Section("validation", "Validation and contamination", parts) if parts else None


def _reasons(dropped: dict[str, int], dataset: Dataset) -> str:
    """What validation lost for being in training too; not what is on the other side."""
    gone = [f"{number:,} {reason}" for reason, number in dropped.items() if not reason.startswith("split:")]
    return ", ".join(gone) or "none"


def _pairs(dataset: Dataset) -> list[Part]:
    rows = []
    for pair in dataset.manifest.extra.get("pairs", ()):
        for what, number in pair.items():
            if what not in ("validation", "other"):
                rows.append((pair["validation"], pair["other"], "equal texts" if what == "texts" else what, number))
    if not rows:
        return [Text("No text of validation was found in the training text of any domain.")]
    return [Table("What validation and training have in common", ("validation of", "and", "what", "documents"), rows)]


def _contamination(run: CorpusRun) -> list[Part]:
    """Of each decontamination how many evaluation texts the documents had, and what became of these."""
    rows = []
    for dataset in run.datasets:
        evaluation = dataset.manifest.extra.get("evaluation")
        if isinstance(evaluation, dict) and dataset.manifest.kind == "documents":
            counts = dataset.manifest.counts.get("documents")
            dropped = sum(n for why, n in counts.dropped.items() if why.startswith("evaluation text")) if counts else 0
            figures = ", ".join(f"{key} {value:,}" for key, value in evaluation.items() if isinstance(value, int))
            rows.append((run.name(dataset), figures, dropped, dataset.manifest.extra.get("cut")))
    if not rows:
        return [Text("No evaluation set was looked for in this run (corpus decontaminate).")]
    head = ("step", "evaluation texts", "documents dropped", "documents cut")
    return [Table("Evaluation texts in the documents", head, rows)]
