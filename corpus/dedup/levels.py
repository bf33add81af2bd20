"""Stage `dedup` at the level its settings name."""

from __future__ import annotations

from corpus.dedup.config import DedupConfig
from corpus.engine.document_stage import DocumentStage, StageKind


def dedup_stage(documents: tuple[str, ...], settings: DedupConfig | None = None) -> DocumentStage:
    """The stage that removes repeated lines, documents, books or near-duplicates from the datasets `documents`."""
    settings = settings or DedupConfig()
    if settings.level == "line":
        from corpus.dedup.lines.stage import LineDedupStage

        return LineDedupStage(documents, settings)
    if settings.level == "document":
        from corpus.dedup.documents import DocumentDedupStage

        return DocumentDedupStage(documents, settings)
    if settings.level == "book":
        from corpus.dedup.similar.books import BookDedupStage

        return BookDedupStage(documents, settings)
    from corpus.dedup.similar.near import NearDedupStage

    return NearDedupStage(documents, settings)


DEDUP = StageKind(DedupConfig, dedup_stage)
