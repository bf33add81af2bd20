"""What names of elements say, against a slow twin."""

from __future__ import annotations

import itertools
import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.markup.html import names
from pipelines.markup.html.blocks import blocks_of
from pipelines.markup.html.names import BOILERPLATE, CONTENT, HIDDEN, MEANINGS, NAMED, said

_HELPERS = names.AT_FIRST | names.INSIDE | names.TAXONOMY


def token(name: str) -> int:
    """The bits of a name without blanks."""
    parted = re.sub("(?<=[a-z])(?=[A-Z])", "-", name).lower()
    words = [word for word in re.split("[-_]", parted) if word]
    if not words:
        return 0
    meanings = [MEANINGS.get(word, 0) for word in words]
    more = re.fullmatch("[-_]*([^-_]+?)(?:[-_]|(?<=[a-z])(?=[A-Z]))(.*)", name)
    if more and meanings[0] & names.AT_FIRST and not _exempt(more[1].lower(), more[2].lower()):
        return 0
    if any(meaning & names.INSIDE for meaning in meanings[1:]):
        return 0
    found = meanings[0] & names.TAXONOMY if more else 0
    for meaning in meanings + [MEANINGS.get(a + b, 0) for a, b in itertools.pairwise(words)]:
        found |= meaning & ~_HELPERS
    if re.fullmatch("[-_]*post[-_]+[0-9]+", parted):
        found |= names.POST
    if found & names.SOCIAL and not found & names.EMBED:
        found |= NAMED | BOILERPLATE
    return found & ~(names.SOCIAL | names.EMBED)


def _exempt(first: str, rest: str) -> bool:
    return (first, rest) in (("is", "hidden"), ("no", "print"))


def named(value: str) -> int:
    """The bits of a class."""
    tokens = [token(name) for name in value.split()]
    post = any(bits & names.POST for bits in tokens)
    found = 0
    for bits in tokens:
        found |= 0 if post and bits & names.TAXONOMY else bits
    return found & 31


WORDS = st.sampled_from(
    [
        *sorted(MEANINGS),
        "read",
        "more",
        "Story",
        "Body",
        "Comment",
        "12",
        "main",
        "x",
        "print",
        "hidden",
        "entry",
        "text",
        "é",
    ]
)
NAMES = st.lists(st.tuples(WORDS, st.sampled_from(["-", "_", " ", "", "--", "__"])), max_size=8).map(
    lambda parts: "".join(word + mark for word, mark in parts)
)


@settings(deadline=None, max_examples=150)
@given(NAMES, st.booleans())
def test_names_say_what_the_twin_says(value: str, heading: bool) -> None:
    tag = "h2" if heading else "div"
    found, _ = said(
        blocks_of(
            f'<body><{tag} data-id="comments" class="{value}">x</{tag}><{tag} id="{value}" data-hidden="x">x</{tag}></body>'
        )
    )
    assert found.tolist()[2:] == [named(value), 0 if heading else named(value)]


def test_what_other_attributes_say() -> None:
    boxes = {
        'itemprop="articleBody"': CONTENT, 'itemprop="author"': 0, "hidden": HIDDEN, 'hidden=""': HIDDEN, 'aria-hidden="true"': HIDDEN,
        'aria-hidden="false"': 0, 'style="color:red; Display : none"': HIDDEN, 'style="visibility:hidden"': HIDDEN,
        'style="display:block"': 0, 'role="Navigation"': NAMED | BOILERPLATE, 'role="main"': 0, 'title="comments"': 0,
    }  # fmt: skip
    body = "".join(f"<div {attributes}>x</div>" for attributes in boxes)
    found, _ = said(blocks_of(f"<body>{body}</body>"))
    assert found.tolist()[2:] == list(boxes.values())


def test_those_alike_are_of_one_depth_and_the_same_attributes() -> None:
    body = '<div class="ads">x</div><div class="ads">x</div><div><div class="ads">x</div></div><div class="x">x</div>'
    _, alike = said(blocks_of(f"<body>{body}</body>"))
    assert np.array_equal(alike, [0, 1, 2, 2, 4, 5, 6])
