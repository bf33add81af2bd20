"""FineWeb's rules at their limits, against the twin, and against datatrove's filter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.quality.rules.fineweb import TERMINALS, FineWeb
from tests.corpus.quality import twins
from tests.corpus.quality.batches import reasons
from tests.corpus.quality.texts import texts

LONG = "A line of more than thirty characters that ends as sentences do{}."


def page(lines: int, *more: str) -> str:
    return "\n".join([*(LONG.format(f" {n}") for n in range(lines)), *more])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (page(3), None),
        (page(1).rstrip("."), "few lines that end a sentence"),
        ("\n".join([*(LONG.format(f" {n}").rstrip(".") for n in range(22)), *page(3).split("\n")]), None),
        (page(3, *(f"short {n}." for n in range(6))), None),
        (page(3, *(f"short {n}." for n in range(7))), "short lines"),
        (page(3, LONG.format(" 0")), "duplicate lines"),
        (page(3, "\n" * 8), None),
        (page(1, "\n" * 8), "many line feeds"),
    ],
)
def test_fineweb_at_its_limits(text: str, reason: str | None) -> None:
    assert reasons(FineWeb(), [text]) == [reason]


@given(st.lists(texts, min_size=1, max_size=4))
def test_fineweb_decides_as_its_twin(values: list[str]) -> None:
    for rule in (FineWeb(), FineWeb(min_ended_lines=0, max_short_lines=1, max_line_feeds=2)):
        assert reasons(rule, values) == [twins.fineweb(rule, text) for text in values]


def test_fineweb_beside_datatrove(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("regex", reason="datatrove's filters want the package regex")
    from datatrove.data import Document
    from datatrove.pipeline.filters import fineweb_quality_filter as reference
    from datatrove.utils.text import TERMINAL_PUNCTUATION

    assert set(TERMINAL_PUNCTUATION) == TERMINALS
    monkeypatch.setattr(reference, "split_into_words", lambda text, language: text.split())
    peer = reference.FineWebQualityFilter()
    names = {
        "few lines that end a sentence": "line_punct_ratio",
        "short lines": "short_line_ratio",
        "duplicate lines": "char_dup_ratio",
        "many line feeds": "list_ratio",
    }
    values = [page(n, *(f"short {m}" for m in range(m))) + "\n" * k for n in range(4) for m in range(9) for k in (0, 9)]
    for text, reason in zip(values, reasons(FineWeb(), values), strict=True):
        found = peer.filter(Document(text=text, id="x"))
        assert (None if found is True else found[1]) == (reason and names.get(reason, reason))
