"""The section `across` of a recipe: steps that compare all domains, and write each by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from corpus.config import build
from corpus.decontaminate.across import DecontaminatedStage, DecontaminationVerdictStage
from corpus.decontaminate.stage import DecontaminateConfig
from corpus.dedup.config import DedupConfig
from corpus.dedup.verdict import DedupVerdictStage
from corpus.dedup.without import WithoutStage
from corpus.engine.stage import Stage
from corpus.errors import UsageError
from corpus.option import nearest

ACROSS = "across"
"""Where the verdicts are below the output of the run."""
_CONFIGS: Mapping[str, type[Any]] = {"dedup": DedupConfig, "decontaminate": DecontaminateConfig}


@dataclass(frozen=True)
class AcrossStep:
    """One step over all domains: a verdict, and what applies it to a domain."""

    number: int
    name: str
    config: Any

    @classmethod
    def of(cls, number: int, name: str, settings: Mapping[str, Any]) -> AcrossStep:
        """From a recipe; what cannot be compared between domains is a UsageError."""
        if name not in _CONFIGS:
            raise UsageError(f"section across has no step '{name}': {nearest(name, _CONFIGS)}")
        config = build(f"section across, step {name}", _CONFIGS[name], settings)
        if isinstance(config, DedupConfig) and config.level == "line":
            raise UsageError(
                "section across, step dedup: level line does not compare domains with each other: give level document, "
                "book or near."
            )
        return cls(number, name, config)

    @property
    def output(self) -> str:
        """The folder of the verdict below the output of the run."""
        return f"{ACROSS}/{self.number:02d}-{self.name}"

    def verdict(self, documents: tuple[str, ...]) -> Stage:
        """The stage that decides over the documents of all domains, in order of priority."""
        if isinstance(self.config, DedupConfig):
            return DedupVerdictStage(documents, self.config)
        return DecontaminationVerdictStage(documents, self.config)

    def applied(self, documents: str, verdict: str) -> Stage:
        """The stage that writes a domain."""
        if isinstance(self.config, DedupConfig):
            return WithoutStage((documents,), verdict)
        return DecontaminatedStage((documents,), self.config, verdict)
