"""Sentences: golden lines, the twin, and NLTK's Punkt with the same abbreviations on real lines."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.quality.punkt import ABBREVIATIONS, sentences_in
from tests.corpus.quality import twins
from tests.corpus.quality.texts import texts


def count(*lines: str) -> list[int]:
    return [int(number) for number in sentences_in(pa.array(lines, pa.large_string()))]


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("", 0),
        ("One.", 1),
        ("No mark", 1),
        ("One. Two! Three? “Four.” 'Five.' (Six.) [Seven.] Eight", 8),
        ("Mr. Smith and Dr. Jones met in the U.S. capital, e.g. there (approx. here).", 1),
        ("The semi-inc. form and PROF. Capital.", 1),
        ("It is Taylor's. Then 'a. B", 3),
        ("By J. Smith and É. Zola. And A. 5.", 3),
        ("The 3. of May. In 1990. Then 5.2. And 7. then.", 4),
        ("Wait... what? Yes... No!", 2),
        ("What?! Really!!! Yes.", 3),
        ("Version 1.2 of example.com is out.Now", 1),
        ("One.\nTwo. Three.\n\nFour", 4),
        ("One.\u00a0Two.\u3000Three", 3),
    ],
)
def test_golden_lines(line: str, number: int) -> None:
    assert count(line) == [number]


PIECES = [
    "Mr",
    "mr.",
    "U.S.",
    "u.s",
    "J.",
    "é.",
    "3.",
    "1,5.",
    "x-inc",
    ". ",
    "? ",
    "...",
    ".” ",
    ".) ",
    " ",
    "a",
    "A",
    "\u00a0",
    "K",
]


@given(st.lists(st.one_of(texts, st.lists(st.sampled_from(PIECES), max_size=14).map("".join)), max_size=5))
def test_sentences_are_those_of_the_twin(values: list[str]) -> None:
    assert count(*values) == [sum(twins.sentences(line) for line in text.split("\n") if line) for text in values]


def test_sentences_beside_nltk(samples: Path) -> None:
    punkt = pytest.importorskip("nltk.tokenize.punkt")
    lines = [
        line
        for path in sorted((samples / "c4").glob("*.json.gz"))
        for record in gzip.open(path)
        for line in json.loads(record)["text"].split("\n")
        if line.endswith((".", "?", "!", '"'))
    ]
    parameters = punkt.PunktParameters()
    parameters.abbrev_types = set(ABBREVIATIONS)
    peer = punkt.PunktSentenceTokenizer(parameters)
    differ = [line for line, n in zip(lines, count(*lines), strict=True) if n != len(peer.tokenize(line))]
    assert len(lines) > 1000 and len(differ) < 0.01 * len(lines)
    for line in differ:  # runs of marks, a mark before a bracket or colon, white space beyond ASCII
        assert re.search(r"[.?!]{2}|[.?!][\"'”’)\]]*[^\w\s]|[^\S ]", line), line
