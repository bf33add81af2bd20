"""The kernels for posts beside the parser: equal texts for all that they take, on real posts and on made ones."""

from __future__ import annotations

import random
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.markup.html.posts import _by_kernels, post_to_text
from pipelines.markup.html.text import html_to_text

PIECES = [
    *"ab `\n\t$\\[]_x.é\u00a0😀",
    "$$",
    "&lt;",
    "&amp;",
    "&quot;",
    "&nbsp;",
    "&mdash;",
    "&#39;",
    "&#x27;",
    "&eacute;",
    "&thinsp;",
    "\\begin{x}",
    "words ",
]
WORDS = st.lists(st.sampled_from(PIECES), max_size=9).map("".join)


def _inline(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        inner.map(lambda text: f"<em>{text}</em>"),
        inner.map(lambda text: f'<a href="http://x.test/?a=b" rel="nofollow">{text}</a>'),
        inner.map(lambda text: f"<code>{text}</code>"),
        st.sampled_from(
            ["<br>", "<br />", '<img src="x" alt="A  picture ">', '<img alt="Image" src="y"/>', "<sub>2</sub>"]
        ),
        st.lists(inner, max_size=3).map("".join),
    )


INLINE = st.recursive(WORDS, _inline, max_leaves=6)


def _block(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    items = st.lists(inner.map(lambda text: f"<li>{text}</li>\n"), max_size=3).map("".join)
    return st.one_of(
        inner.map(lambda text: f"<blockquote>\n{text}</blockquote>\n"),
        items.map(lambda text: f"<ul>\n{text}</ul>\n"),
        st.tuples(st.integers(0, 120), items).map(lambda pair: f'<ol start="{pair[0]}">{pair[1]}</ol>'),
        st.lists(inner, max_size=3).map("\n\n".join),
    )


LEAVES = st.one_of(
    INLINE.map(lambda text: f"<p>{text}</p>\n"),
    INLINE.map(lambda text: f"<h2>{text}</h2>"),
    WORDS.map(lambda text: f'<pre class="lang-x"><code>{text}\n  {text}</code></pre>'),
    st.just("<hr>"),
    INLINE,
)
POSTS = st.recursive(LEAVES, _block, max_leaves=8)


@given(POSTS)
def test_posts_equal_those_of_the_parser(html: str) -> None:
    assert post_to_text(html) == html_to_text(html)


@given(POSTS, st.integers(0, 2**32))
def test_damaged_posts_equal_those_of_the_parser(html: str, seed: int) -> None:
    dice = random.Random(seed)
    pieces = [
        "<",
        ">",
        "</p>",
        "<p>",
        "</li>",
        "&",
        "&copy;",
        "<b",
        "\x01",
        "\x00",
        "\r\n",
        "\u2003",
        '"',
        "<!-- x -->",
        "<table>",
    ]
    for _ in range(dice.randrange(1, 4)):
        at = dice.randrange(len(html) + 1)
        html = html[:at] + dice.choice(pieces) + html[at + dice.randrange(4) :]
    assert post_to_text(html) == html_to_text(html)


@pytest.mark.parametrize(
    "html",
    [
        "<p>a</p>" * 500,
        "<blockquote>" * 11 + "<p>deep</p>" + "</blockquote>" * 11,
        "<ul><li>" * 6 + "x" + "</li></ul>" * 6,
        "<p><code>" + "`" * 900 + "</code></p>",
        "<pre><code>" + "\n" * 900 + "x   \n\n" + "y\u00a0\n" * 30 + "</code></pre>",
        '<ol start="999999999"><li>' + "<p>x<br>y</p>" * 40 + "</li><li>z</li></ol>",
    ],
)  # fmt: skip
def test_posts_that_the_kernels_take(html: str) -> None:
    assert _by_kernels(html) == html_to_text(html)


def test_real_posts(samples: Path) -> None:
    taken = left = 0
    for path in sorted((samples / "stackexchange").glob("*/Posts.xml")):
        for row in ElementTree.parse(path).getroot():
            html = row.get("Body") or ""
            if "<" in html:
                text = _by_kernels(html)
                assert text is None or text == html_to_text(html), html
                taken += text is not None
                left += text is None
    assert taken > 15 * left, "nearly all posts are taken"
