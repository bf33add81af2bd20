"""From raw files to packed rows: documents and bytes at each step of each domain."""

from __future__ import annotations

from dataclasses import dataclass

from corpus.data.dataset import Dataset
from corpus.page.chart import bars
from corpus.page.figures import percent, share_of, size
from corpus.page.parts import Cell, Part, Section, Table, Text
from corpus.report.run import CorpusRun, is_validation, logged, whole

_FATES = ("kept", "dropped", "merged", "set aside")


@dataclass(frozen=True)
class Step:
    """One stage of one domain: what came in and what became of it."""

    domain: str
    name: str
    seen: int
    kept: int
    merged: int
    dropped: int
    quarantined: int
    bytes: int
    """Of text, after it."""
    validation: bool
    elsewhere: int
    """What the stage leaves to the other side of a split: it is counted there."""


def steps_of(run: CorpusRun) -> list[Step]:
    """All steps of documents, domain by domain."""
    return [_step(run, domain, dataset) for domain, chain in run.chains.items() for dataset in chain]


def _step(run: CorpusRun, domain: str, dataset: Dataset) -> Step:
    manifest, counts = dataset.manifest, whole(dataset.manifest)
    unlisted = manifest.extra.get("unlisted", ())
    elsewhere = sum(number for reason, number in counts.dropped.items() if reason in unlisted)
    return Step(
        domain=domain,
        name=run.name(dataset).removeprefix(f"{domain}/"),
        seen=counts.seen,
        kept=counts.kept,
        merged=counts.merged,
        dropped=sum(counts.dropped.values()) - elsewhere,
        quarantined=counts.quarantined,
        bytes=int(manifest.totals.get("bytes", 0)),
        validation=is_validation(dataset),
        elsewhere=elsewhere,
    )


def raw_bytes(chain: list[Dataset]) -> int | None:
    """Bytes of the raw files of a domain; None where the log is gone."""
    value = logged(chain[0]).get("input_bytes")
    return int(value) if value is not None and chain[0].manifest.stage == "ingest" else None


def flow_section(run: CorpusRun) -> Section:
    """The steps as a chart and a table, and what of each domain is left."""
    steps = steps_of(run)
    parts: list[Part] = [_ways(run, steps), _fates(steps)]
    if not steps:
        parts = [Text("There are no documents here.")]
    return Section("flow", "From raw files to training", parts)


def _ways(run: CorpusRun, steps: list[Step]) -> Part:
    """Of each domain raw bytes, text as read, and text to train on."""
    rows, table = [], []
    tokens = {
        dataset.manifest.extra.get("domain"): dataset.manifest.totals.get("tokens", 0)
        for dataset in run.of_kind("tokens")
        if dataset.path.parent.name == "tokens"
    }
    packed = _packed(run)
    for domain, chain in run.chains.items():
        raw, read = raw_bytes(chain), int(chain[0].manifest.totals.get("bytes", 0))
        kept = int(run.last[domain].manifest.totals.get("bytes", 0))
        documents = whole(chain[0].manifest)
        for what, value in (("raw files", raw), ("text as read", read), ("text to train on", kept)):
            if value is not None:
                rows.append({"domain": domain, "bytes": value, "what": what})
        table.append(
            (
                domain,
                None if raw is None else size(raw),
                documents.seen,
                documents.kept,
                size(read),
                run.last[domain].manifest.rows,
                size(kept),
                percent(share_of(kept, read)),
                tokens.get(domain),
                packed.get(domain),
            )
        )
    head = (
        "domain",
        "raw files",
        "records",
        "documents read",
        "text read",
        "documents to train on",
        "text to train on",
        "of the text read",
        "tokens",
        "tokens packed",
    )
    return bars(
        "Raw files, text, and what is left of it",
        "Bytes of each domain: of its raw files as they are stored (mostly compressed), of the text that was read from"
        " them, and of the text that is trained on.",
        Table("What of each domain is left", head, table),
        rows,
        name="domain",
        value="bytes",
        part="what",
        parts=("raw files", "text as read", "text to train on"),
        grouped=True,
    )


def _packed(run: CorpusRun) -> dict[str, int]:
    if run.packed is None:
        return {}
    return {entry["domain"]: int(entry["sampled"]) for entry in run.packed.manifest.extra["domains"]}


def _fates(steps: list[Step]) -> Part:
    """Of each step what became of what came in."""
    rows: list[dict[str, str | int]] = []
    table: list[tuple[Cell, ...]] = []
    for step in steps:
        name = f"{step.domain} · {step.name}"
        fates = (step.kept, step.dropped, step.merged, step.quarantined)
        table.append((name, step.seen - step.elsewhere, *fates, size(step.bytes)))
        if step.validation:
            continue
        for fate, value in zip(_FATES, fates, strict=True):
            if value or fate == "kept":
                rows.append({"step": name, "documents": value, "became": fate})
    head = ("step", "in", "kept", "dropped", "merged into others", "set aside (unreadable)", "bytes of text after it")
    return bars(
        "What became of records and documents, step by step",
        "Each bar is all that came into a step; sides of a split count what is theirs.",
        Table("Documents and bytes at each step", head, table),
        rows,
        name="step",
        value="documents",
        part="became",
        parts=_FATES,
        share=True,
    )
