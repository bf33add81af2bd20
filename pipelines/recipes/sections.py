"""The sections of a recipe as they are written, each checked by itself. Unknown keys are errors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from corpus.engine.alarms import Alarms
from corpus.quantity import parse_float, parse_quantity
from pipelines.recipes.across import AcrossStep


def _count(value: object) -> int | None:
    return None if value is None else parse_quantity(value, "count")


def _bytes(value: object) -> int | None:
    return None if value is None else parse_quantity(value, "bytes")


def _share(value: object) -> float | None:
    return None if value is None else parse_float(value)


def _part(value: object) -> object:
    return str(value) if isinstance(value, int | float) else value


COUNT, BYTES, SHARE = BeforeValidator(_count), BeforeValidator(_bytes), BeforeValidator(_share)
"""Whole numbers, also as text with a unit: 32K, 1.4T; of bytes 256MB, 4GiB; and shares, also as 5%."""


def _named(value: object) -> object:
    """A step without settings may be written as its bare name."""
    return [{entry: {}} if isinstance(entry, str) else entry for entry in value] if isinstance(value, list) else value


STEPS = BeforeValidator(_named)
PART = BeforeValidator(_part)
"""A part of a whole that is kept as it is written: 75% or 0.75."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML's true and false are no numbers, which pydantic takes them for."""
        field = cls.model_fields[info.field_name or ""]
        if isinstance(value, bool) and field.annotation is not bool:
            raise PydanticCustomError(
                "truth_value", "it is {value}, which is no number or name", {"value": str(value).lower()}
            )
        return value


class AlarmsRecipe(Section):
    """How much may be set aside or dropped before a stage ends with an error; no part of what a recipe makes."""

    max_unreadable: Annotated[float | None, SHARE] = Field(default=None, ge=0, le=1)
    """Records that could not be read; without it more than 5 % of 100 or more is too much."""
    max_drop: Annotated[float | None, SHARE] = Field(default=None, ge=0, le=1)
    """Records or documents dropped, in dedup bytes of text removed; without it 90 % of the text of a dedup."""

    def alarms(self) -> Alarms:
        """As the engine takes them."""
        return Alarms(self.max_unreadable, self.max_drop)


class DomainRecipe(Section):
    """How one domain is made from its folder of raw files."""

    folder: str = ""
    """Below the folder of raw files; empty: called like the domain."""
    reader: str = ""
    """Which reader takes the raw files; empty: the one called like the domain."""
    patterns: tuple[str, ...] = ()
    """Which files of the folder are read; empty: those of the reader."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings of the reader."""
    stages: Annotated[tuple[dict[str, dict[str, Any]], ...], STEPS] = ()
    """The steps after the reader, in order, each by its name, with or without settings."""
    alarms: AlarmsRecipe = AlarmsRecipe()
    """The domain's own alarms, which go before those of the recipe."""
    download: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Sources of its raw files, for --download, with their settings; they decide no byte."""


class AcrossRecipe(Section):
    """Steps over all domains once each has gone through its own: what stands in several goes from all but the first in
    `order`; domains that it does not name come after those that it names, as in the recipe."""

    order: tuple[str, ...] = ()
    """Domains by priority: the first of those that have a document keeps it."""
    stages: Annotated[tuple[dict[str, dict[str, Any]], ...], STEPS] = ()
    """The steps: dedup (document, near, book) and decontaminate."""

    def steps(self) -> list[AcrossStep]:
        """The steps, checked."""
        pairs = (next(iter(stage.items())) for stage in self.stages)
        return [AcrossStep.of(number, *pair) for number, pair in enumerate(pairs, start=1)]

    def ordered(self, domains: Iterable[str]) -> list[str]:
        """Some domains in order of priority."""
        there = list(domains)
        return [name for name in self.order if name in there] + [name for name in there if name not in self.order]


class ValidationRecipe(Section):
    """What is split off for validation, of each domain and compared with all; the fields are those of `corpus split`."""

    fraction: float = Field(default=0.001, gt=0, le=0.5)
    """Part of the texts of each domain that is for validation."""
    min_documents: Annotated[int, COUNT] = Field(default=10, ge=1)
    min_tokens: Annotated[int | None, COUNT] = Field(default=None, ge=1)
    """Tokens that the validation of a domain should have, 16 bytes of text for each; by default a sequence and one."""
    max_share_of_one_document: Annotated[str, PART] = "25%"
    overlap: Literal["exact", "lines", "near"] = "lines"
    line_overlap: Annotated[str | None, PART] = None
    near_overlap: Annotated[str | None, PART] = None
    seed: int = Field(default=0, ge=0)


class TokenizerRecipe(Section):
    """What tokenizer is trained, or the path of one to take as it is."""

    preset: str = "llama"
    vocab_size: Annotated[int | None, COUNT] = None
    model_type: str | None = None
    sample_bytes: Annotated[int | None, BYTES] = None
    seed: int = 0
    path: str | None = None
    """A tokenizer to take as it is: a SentencePiece model, or a folder with `tokenizer.json`."""
    eod_piece: str | None = None
    """The piece that ends a document; by default the tokenizer's own."""
    train: bool = True
    """Whether the recipe trains one where none is given; fine-tuning takes that of its model."""
    bos_piece: str | None = None
    """A piece to put before each document; by default none."""


class BudgetRecipe(Section):
    """How much of the mixture is made: the fields are those of `corpus mix`."""

    basis: Literal["auto", "share", "epochs"] = "auto"
    tokens: Annotated[int | None, COUNT] = Field(default=None, ge=1)
    exhausted: Literal["error", "rescale", "repeat"] = "error"


class PackingRecipe(Section):
    """How token ids become training rows."""

    sequence_length: Annotated[int, COUNT] = Field(default=2048, ge=1, lt=1 << 31)
    packing: Literal["concatenate", "best-fit"] = "concatenate"
    row_order: Literal["shuffled", "stream"] = "shuffled"
    seed: int = Field(default=0, ge=0)
    cut: bool = False
    """Whether documents are cut at the end to what a sequence holds, and not spread over several."""
