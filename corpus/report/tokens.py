"""Tokens: what the tokenizer makes of each language and domain, the mixture beside the paper's, validation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from corpus.data.dataset import Dataset, read_batches
from corpus.page.chart import bars, dots
from corpus.page.figures import percent, size
from corpus.page.parts import Cell, Part, Section, Table, Text
from corpus.report.run import CorpusRun, is_validation, side_report, whole

_LANGUAGES = 60
_SETS = 100


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


_MIXTURE_HEAD = (
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
    "bytes of ids",
)


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
    chart = bars(
        "Shares of the training tokens",
        "The share that the paper's table (or the recipe) gives, the share planned for the text that is here, and the share"
        " of the packed sequences.",
        Table("The mixture", _MIXTURE_HEAD, table),
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
                _validation_text(run, entry["domain"]),
                sets[entry["domain"]].manifest.totals["tokens"] if entry["domain"] in sets else None,
            )
            for entry in entries
        ]
        head = ("domain", "documents", "held out", "validation documents", "dropped from them", "text", "tokens packed")
        parts.append(Table(f"Validation ({run.name(dataset)})", head, rows))
        parts += _pairs(dataset)
    parts += _contamination(run)
    return Section("validation", "Validation and contamination", parts) if parts else None


def _validation_text(run: CorpusRun, domain: str) -> str | None:
    """How much text the validation documents of a domain have; None where they were not written."""
    sides = [dataset for dataset in run.chains.get(domain, ()) if is_validation(dataset)]
    return size(int(sides[-1].manifest.totals["bytes"])) if sides else None


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
        return [Text("No validation document had to be dropped for text that training has too.")]
    return [Table("What validation and training have in common", ("validation of", "and", "what", "documents"), rows)]


def _contamination(run: CorpusRun) -> list[Part]:
    """Of each decontamination how many evaluation texts the documents had, by evaluation set, and what became of these."""
    rows: list[tuple[Cell, ...]] = []
    sets: list[tuple[Cell, ...]] = []
    for dataset in run.datasets:
        evaluation = dataset.manifest.extra.get("evaluation")
        if not isinstance(evaluation, dict):
            continue
        name = run.name(dataset)
        sets += [(file, name, *figures) for file, figures in _evaluation_sets(dataset).items()]
        if dataset.manifest.kind != "documents":
            continue
        dropped = sum(n for why, n in whole(dataset.manifest).dropped.items() if why.startswith("evaluation text"))
        figures = (evaluation.get(key) for key in ("texts", "contaminated", "short"))
        rows.append((name, *figures, dropped, dataset.manifest.extra.get("cut")))
    if not rows:
        return [Text("No evaluation set was looked for in this run (corpus decontaminate).")]
    head = ("step", "evaluation texts", "found in its documents", "too short", "documents dropped", "documents cut")
    parts: list[Part] = [Table("Evaluation texts in the documents", head, rows)]
    if sets:
        names = ("evaluation set", "step", "texts", "found in the documents")
        parts.append(Table("By evaluation set", names, sets[:_SETS]))
    return parts


def _evaluation_sets(dataset: Dataset) -> dict[str, tuple[int, int]]:
    """Of each evaluation file its texts, and those that the documents were found to have."""
    found: dict[str, tuple[int, int]] = {}
    files = [file for name, file in dataset.files("_matches").items() if name == "examples"]
    for file in files:
        for batch in read_batches(file, ["file", "contaminated"]):
            pairs = zip(batch.column("file").to_pylist(), batch.column("contaminated").to_pylist(), strict=True)
            for name, contaminated in pairs:
                texts, number = found.get(name, (0, 0))
                found[name] = texts + 1, number + bool(contaminated)
    return found
