"""Texts through rule sets, without a stage."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from corpus.engine.document_map import DocumentBatch, DocumentMap


def batch_of(texts: Sequence[str], languages: Sequence[str | None] | None = None) -> DocumentBatch:
    """Documents with these texts and languages (none: unknown)."""
    columns = {
        "id": pa.array([str(n) for n in range(len(texts))]),
        "text": pa.array(texts, pa.large_string()),
        "language": pa.array(languages or [None] * len(texts), pa.string()),
    }
    return DocumentBatch(pa.RecordBatch.from_pydict(columns))


def reasons(rule: DocumentMap, texts: Sequence[str], languages: Sequence[str | None] | None = None) -> list[str | None]:
    """Why each text goes, without the name of the rule set."""
    found = rule.apply(batch_of(texts, languages)).reasons
    assert found is not None
    names = found.to_pylist() if isinstance(found, pa.Array) else list(found)
    return [name if name is None else name.removeprefix(f"{rule.name}: ") for name in names]


def filtered(maps: Sequence[DocumentMap], text: str, language: str | None = None) -> tuple[str, str | None]:
    """What is left of a text by some maps, and why it goes."""
    batch = batch_of([text], [language])
    for step in maps:
        out = step.apply(batch)
        found = [None] if out.reasons is None else pa.array(out.reasons, pa.string()).to_pylist()
        if found[0] is not None:
            return batch.texts()[0], found[0]
        batch = batch.with_columns(out.columns)
    return batch.texts()[0], None
