"""C4's cleaning by the published code and by the paper, and against its twin."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.quality.rules.c4 import C4, C4Paper
from tests.corpus.quality import twins
from tests.corpus.quality.batches import batch_of, filtered, reasons
from tests.corpus.quality.texts import texts


def clean(rule: C4, text: str) -> tuple[str, str | None]:
    """What is left of a text, and why it goes."""
    left, reason = filtered([rule], text)
    return left, reason and reason.removeprefix(f"{rule.name}: ")


GOOD = "This is a line with enough words."
PAGE = "\n".join([GOOD] * 5)


@pytest.mark.parametrize(
    ("line", "code", "paper"),
    [
        ("Only four words here.", False, True),
        ("Five words are just enough.", True, True),
        ("Two words.", False, False),
        ("A line without an end mark", False, False),
        ("A line that trails off into...", False, False),
        ('He said to them all: "so be it"', True, True),
        ("A curly quotation ends this line”", False, False),
        ("A single quotation ends this 'line'", False, False),
        ("這 一行 以 句號 結束。", False, False),
        ("[1] word two.", False, False),
        ("Please enable Javascript to view this page.", False, False),
        ("By using it you accept our Privacy Policy.", False, False),
        (f"A line with one {'x' * 1001} long word.", False, False),
        (f"A line with one {'x' * 999} long word.", True, True),
        ("[1] [2] one two[edit] three four.", False, True),
        ("   Leading and trailing white space goes away.  ", True, True),
        ("Please enable JavaScript { here } to go on.", False, None),
        ("Menu {", False, None),
        ("Lorem ipsum", False, None),
        ("This line has a { in it.", None, None),
        ("Lorem Ipsum dolor sit amet, consectetur.", None, None),
    ],
)
def test_c4_lines(line: str, code: bool | None, paper: bool | None) -> None:
    """True: the line stays; False: it goes; None: the page goes."""
    for rule, stays in ((C4(), code), (C4Paper(), paper)):
        text, reason = clean(rule, f"{PAGE}\n{line}")
        if stays is None:
            assert reason in ("curly bracket", "lorem ipsum")
        else:
            assert reason is None and (text.count("\n") == 5) == stays, text


def test_c4_pages() -> None:
    assert clean(C4(), "\n".join([GOOD] * 2))[1] == "too few sentences"
    assert clean(C4(), "\n".join([GOOD] * 3)) == ("\n".join([GOOD] * 3), None)
    assert clean(C4Paper(), "\n".join([GOOD] * 4))[1] == "too few sentences"
    assert clean(C4(), f"{GOOD} {GOOD} And (so) on, v1.2 too!) Really?")[1] is None
    assert clean(C4(), "\n".join([GOOD] * 6000))[1] == "too long"
    assert clean(C4(), "Facts[12] about many[edit] things[citation needed] are here.\n" * 3)[0].startswith(
        "Facts about many things are here."
    )


RULES = [
    *(rule(min_sentences=n) for rule in (C4, C4Paper) for n in (0, 3)),
    C4(min_line_words=0, min_sentences=1, max_word=12, max_page=60),
]


@given(st.lists(texts, min_size=1, max_size=4), st.sampled_from(RULES))
def test_pages_are_cleaned_as_by_the_twin(values: list[str], rule: C4) -> None:
    wanted = [twins.c4(rule, text) for text in values]
    assert reasons(rule, values) == [why for _, why in wanted]
    out = rule.apply(batch_of(values))
    left = out.columns["text"].to_pylist() if "text" in out.columns else values
    for (text, why), found in zip(wanted, left, strict=True):
        assert why is not None or found == text


def test_a_page_that_stays_as_it_is_is_not_written_anew() -> None:
    assert not C4().apply(batch_of([PAGE, PAGE])).columns
    rule = dataclasses.replace(C4(), min_line_words=3)
    assert reasons(rule, [PAGE + "\nmenu"]) == [None] and rule.apply(batch_of([PAGE + "\nmenu"])).columns
