"""What a page is made of. Parts hold plain values; the templates write them, and escape every text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

Cell = str | int | float | None
"""Numbers stand at the right, with separators; None is a dash."""


@dataclass(frozen=True)
class Text:
    """A paragraph; a `warning` stands out."""

    kind: ClassVar[str] = "text"

    text: str
    warning: bool = False


@dataclass(frozen=True)
class Facts:
    """A few figures with their names, large."""

    kind: ClassVar[str] = "facts"

    entries: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row is its name."""

    kind: ClassVar[str] = "table"

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def numeric(self, column: int) -> bool:
        """Whether a column has no words."""
        return all(not isinstance(row[column], str) or is_figure(str(row[column])) for row in self.rows)


def is_figure(text: str) -> bool:
    """Whether a text is a number with its unit, or a dash."""
    return text in ("–", "") or (text[0].isdigit() and len(text) <= 14) or (text[0] in "-+~" and text[1:2].isdigit())


@dataclass(frozen=True)
class Chart:
    """A Vega-Lite specification, with its data as a table for those who do not see it."""

    kind: ClassVar[str] = "chart"

    title: str
    says: str
    """What is to be seen, in a sentence: the chart's description."""
    spec: Mapping[str, Any]
    table: Table
    open: bool = False
    """Whether the table is to be seen at once."""


@dataclass(frozen=True)
class Line:
    """A line of an example; of a `mark` "removed" or "added" it is struck out or underlined."""

    text: str
    mark: str = ""
    note: str = ""


@dataclass(frozen=True)
class Example:
    """A text to look at, as it is."""

    kind: ClassVar[str] = "example"

    title: str
    lines: Sequence[Line]

    @classmethod
    def of(cls, title: str, text: str) -> Example:
        """A text without marks."""
        return cls(title, [Line(text)])


@dataclass(frozen=True)
class Fold:
    """Parts to unfold, below a line that says what they are."""

    kind: ClassVar[str] = "fold"

    title: str
    parts: Sequence[Part]
    figure: str = ""
    """A number that stands at the right of the line."""


Part = Text | Facts | Table | Chart | Example | Fold


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading, to which the list of contents leads."""

    id: str
    title: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Page:
    """A whole page. With `refresh` a browser reads it again after so many seconds."""

    title: str
    lead: str
    facts: Facts
    sections: Sequence[Section]
    foot: str
    refresh: int = 0
