"""What a rule set is: a document map that looks at texts one by one. Its fields are its thresholds, with their sources."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from functools import cached_property

import pyarrow as pa

from corpus.config import check_options
from corpus.engine.document_map import DocumentBatch, DocumentMap, Mapped


class TextView:
    """A document's text with what rules measure of it. Words are separated by white space, lines by line feeds."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def words(self) -> list[str]:
        """All words in order."""
        return self.text.split()

    @cached_property
    def word_counts(self) -> Counter[str]:
        """How often each word occurs: there are far fewer different words than words."""
        return Counter(self.words)

    @cached_property
    def lines(self) -> list[str]:
        """The lines that are not blank."""
        return [line for line in self.text.split("\n") if line and not line.isspace()]


class Rule(DocumentMap):
    """A rule set that drops documents. The reason in the manifest is `name: reason`."""

    def __post_init__(self) -> None:
        check_options(self, f"filter rule {self.name}: ")

    @abstractmethod
    def check(self, view: TextView) -> str | None:
        """Why a text goes, in a few fixed words without figures, so that a manifest lists few reasons; None: it stays."""

    def apply(self, batch: DocumentBatch) -> Mapped:
        return Mapped(reasons=[self.reason(self.check(view)) for view in batch.views(TextView)])

    def reason(self, why: str | None) -> str | None:
        """The reason as manifests have it."""
        return None if why is None else f"{self.name}: {why}"


class CleaningRule(Rule):
    """A rule set that also takes parts of a text away."""

    @abstractmethod
    def clean(self, text: str) -> tuple[str, str | None]:
        """What is left of a text, and why it goes or None."""

    def check(self, view: TextView) -> str | None:
        return self.clean(view.text)[1]

    def apply(self, batch: DocumentBatch) -> Mapped:
        texts = batch.texts()
        found = [self.clean(text) for text in texts]
        reasons = [self.reason(why) for _, why in found]
        left = [text for text, _ in found]
        return Mapped({} if left == texts else {"text": pa.array(left, pa.large_string())}, reasons)
