"""What makes the corpus again: recipe, versions, digests, raw files."""

from __future__ import annotations

from corpus.page.figures import size
from corpus.page.parts import Example, Fold, Part, Section, Table, Text
from corpus.report.run import CorpusRun

_RAW = 500


def origin_section(run: CorpusRun) -> Section:
    """To unfold: each is long."""
    versions: dict[str, set[str]] = {}
    for dataset in run.datasets:
        for name, version in dataset.manifest.versions.items():
            versions.setdefault(name, set()).add(str(version))
    mixed = [name for name, found in versions.items() if len(found) > 1]
    digests = [
        (
            run.name(d),
            d.manifest.kind,
            d.manifest.stage,
            d.manifest.rows,
            d.digest,
            size(sum(e.bytes for e in d.manifest.entries)),
        )
        for d in run.datasets
    ]
    raw = [
        (run.name(dataset), entry["name"], entry["digest"])
        for dataset in run.of_kind("documents")
        if dataset.manifest.stage == "ingest"
        for entry in dataset.manifest.inputs
    ]
    parts: list[Part] = []
    if run.recipe_text:
        parts.append(Fold("The recipe, with all of its settings", [Example.of("recipe.yaml", run.recipe_text)]))
    if mixed:
        parts.append(Text(f"Stages ran with different versions of {', '.join(sorted(mixed))}.", warning=True))
    parts += [
        Fold(
            "Versions of packages",
            [
                Table(
                    "Versions", ("package", "version"), [(n, ", ".join(sorted(v))) for n, v in sorted(versions.items())]
                )
            ],
            f"{len(versions)} packages",
        ),
        Fold(
            "Digests of all datasets",
            [Table("Datasets", ("dataset", "kind", "stage", "rows", "digest (xxh3-128)", "bytes"), digests)],
            f"{len(digests)} datasets",
        ),
    ]
    if raw:
        more = f" (the first {_RAW} of {len(raw):,})" if len(raw) > _RAW else ""
        table = Table(f"Raw files{more}", ("step", "file", "digest (xxh3-128)"), raw[:_RAW])
        parts.append(Fold("Raw files and their digests", [table], f"{len(raw):,} files"))
    return Section("origin", "Recipe, versions, digests", parts)
