"""`corpus report`: the page of a run."""

from __future__ import annotations

from corpus.page.figures import percent, share_of, size
from corpus.page.parts import Facts, Page, Section, Text
from corpus.report.documents import documents_section, licences_section, scores_section
from corpus.report.drops import drops_section, lines_section
from corpus.report.duplicates import duplicates_section
from corpus.report.flow import flow_section, raw_bytes
from corpus.report.origin import origin_section
from corpus.report.resources import resources_section
from corpus.report.run import CorpusRun, whole
from corpus.report.sample import samples_of
from corpus.report.tokens import mixture_section, tokenizer_section, validation_section
from corpus.version import __version__

FOOT = f"corpusmill {__version__}. This page needs nothing else: it holds its charts and data, and asks no server."


def report_page(run: CorpusRun, documents: int) -> Page:
    """All of it; of each domain about so many documents are read for what manifests do not say."""
    samples = samples_of(run, documents)
    sections = [
        flow_section(run),
        drops_section(run),
        lines_section(run),
        duplicates_section(run),
        documents_section(run, samples),
        scores_section(run, samples),
        tokenizer_section(run),
        mixture_section(run),
        validation_section(run),
        licences_section(samples),
        resources_section(run),
        origin_section(run),
    ]
    found = [section for section in sections if section is not None]
    name = str(run.recipe.get("name") or run.path.resolve().name)
    return Page(
        title=f"Corpus report: {name}",
        lead=_lead(run),
        facts=_facts(run),
        sections=_warned(run, found),
        foot=FOOT,
    )


def _lead(run: CorpusRun) -> str:
    """The corpus in a sentence or two."""
    seen = sum(whole(chain[0].manifest).seen for chain in run.chains.values())
    left = sum(dataset.manifest.rows for dataset in run.last.values())
    said = f"{seen:,} raw records of {len(run.chains)} domains became {left:,} documents to train on."
    if run.packed is not None:
        length = run.packed.manifest.extra["sequence_length"]
        said += f" They are packed into {run.packed.manifest.rows:,} sequences of {length:,} tokens."
    return said


def _facts(run: CorpusRun) -> Facts:
    raw = [raw_bytes(chain) for chain in run.chains.values()]
    read = sum(chain[0].manifest.totals.get("bytes", 0) for chain in run.chains.values())
    left = sum(dataset.manifest.totals.get("bytes", 0) for dataset in run.last.values())
    entries = [("domains", f"{len(run.chains)}")]
    if raw and None not in raw:
        entries.append(("raw files", size(sum(filter(None, raw)))))
    entries += [("text read", size(read)), ("text to train on", size(left))]
    entries.append(("of the text is left", percent(share_of(left, read))))
    tokens = sum(d.manifest.totals.get("tokens", 0) for d in run.of_kind("tokens") if d.path.parent.name == "tokens")
    if tokens:
        entries.append(("unique tokens", f"{tokens:,}"))
    if run.packed is not None:
        entries.append(("packed tokens", f"{run.packed.manifest.totals['tokens']:,}"))
    return Facts(entries)


def _warned(run: CorpusRun, sections: list[Section]) -> list[Section]:
    """The sections, with a word above the first on what its figures are not."""
    said = [Text(warning, warning=True) for warning in run.warnings]
    first, *rest = sections
    return [Section(first.id, first.title, [*said, *first.parts]), *rest]
