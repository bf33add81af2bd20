"""The settings of the choice of validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Literal

from corpus.config import check_options
from corpus.errors import UsageError
from corpus.heldout.choice import Wanted
from corpus.option import SHARDS_ARE_INHERITED, option
from corpus.quantity import parse_fraction, parse_share, parse_similarity

LINE_OVERLAP, NEAR_OVERLAP = "50%", "75%"
"""The thresholds where none is given."""


@dataclass(frozen=True)
class ChoiceConfig:
    """Settings of `corpus split`: which documents are for validation."""

    removed: ClassVar[Mapping[str, str]] = SHARDS_ARE_INHERITED

    validation: str = option("0.1%", "Part of the texts of each domain that is for validation, as 0.1%; at most 50%.")
    min_documents: int = option(
        10, "Different documents that the validation of a domain has at least, up to a tenth of the domain.", least=1
    )
    min_bytes: int = option(16_000, "Text that it has at least (this fills a row), up to half of the domain.")
    max_share_of_one_document: str = option(
        "25%",
        "Leave documents to training that are more of a domain's validation than this; 100%: none.",
        metavar="SHARE",
    )
    overlap: Literal["exact", "lines", "near"] = option(
        "lines",
        "What is in training too and is dropped from validation: whole texts, also by lines, also near-duplicates.",
    )
    line_overlap: str | None = option(
        None, "Drop documents with more of their text than this (default 50%) on lines of training.", metavar="SHARE"
    )
    near_overlap: str | None = option(
        None,
        "Drop documents at least this similar (default 75%; Jaccard index of word 5-grams) to one of training.",
        metavar="SHARE",
    )
    training: tuple[str, ...] = option(
        (), "Documents that are trained on as they are: what they have too is dropped from validation.", metavar="DOCS"
    )
    seed: int = option(0, "Seed of the choice.")

    def __post_init__(self) -> None:
        check_options(self)
        parse_fraction(self.validation)
        if self.min_bytes < 0:
            raise UsageError(f"--min-bytes {self.min_bytes} is less than zero; give the bytes of text you need.")
        for name, level in (("line_overlap", "lines"), ("near_overlap", "near")):
            if getattr(self, name) is not None and level not in self.levels:
                flag = name.replace("_", "-")
                raise UsageError(f"--{flag} is of no use with --overlap {self.overlap}: give --overlap {level} too.")
        _ = self.wanted, self.lines, self.near

    @property
    def levels(self) -> tuple[str, ...]:
        """The level of overlap with those that it includes."""
        every = ("exact", "lines", "near")
        return every[: every.index(self.overlap) + 1]

    @property
    def wanted(self) -> Wanted:
        """What each domain should have."""
        share = parse_share(self.max_share_of_one_document, "--max-share-of-one-document")
        if not share:
            raise UsageError("--max-share-of-one-document 0 leaves no document for validation: give more, as 25%.")
        return Wanted(parse_fraction(self.validation), self.min_bytes, self.min_documents, share)

    @property
    def lines(self) -> Fraction:
        """How much of a document may be on lines of training; 1: all of it."""
        if "lines" not in self.levels:
            return Fraction(1)
        return parse_share(LINE_OVERLAP if self.line_overlap is None else self.line_overlap, "--line-overlap")

    @property
    def near(self) -> Fraction | None:
        """The similarity that counts as near; None where it does not matter."""
        if "near" not in self.levels:
            return None
        return parse_similarity(NEAR_OVERLAP if self.near_overlap is None else self.near_overlap)
