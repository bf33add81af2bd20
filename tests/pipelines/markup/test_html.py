"""HTML of posts to text: every row of the known faults of other cleaners, and hostile input."""

from __future__ import annotations

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.markup.html.text import html_to_text


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<p>one<br>two</p><p>three</p>", "one\ntwo\n\nthree"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a | b\nc"),
        ("E = mc<sup>2</sup>, H<sub>2</sub>O", "E = mc^2, H_2O"),
        ("x<sup>a + b</sup>", "x^(a + b)"),
        ("x<sup>2</sup> y", "x^2 y"),
        ("<ol><li>one</li><li>two</li></ol>", "1. one\n2. two"),
        ('<ol start="3"><li>one</li></ol>', "3. one"),
        ("<ul>\n<li>a<ul><li>b</li></ul></li>\n<li>c</li></ul>", "- a\n  - b\n- c"),
        ('<p>see <img src="x.png" alt="a cat"> here</p>', "see a cat here"),
        ('<img src="x.png" alt="enter image description here">', ""),
        ("a&nbsp;b", "a b"),
        ("<pre><code>if a &lt; b:\n    c()\n\n\nd\n</code></pre>", "```\nif a < b:\n    c()\n\n\nd\n```"),
        ("<pre><code>```\n</code></pre>", "````\n```\n````"),
        ("use <code>a  b</code> now", "use `a  b` now"),
        ("<p>x  <code>| a   |  b</code>  y</p>", "x `| a   |  b` y"),
        ("<code>a\n b</code> <code>&gt;&gt; </code> <code> ; </code>", "`a  b` `>> ` `  ;  `"),
        ("<code>`a` </code>", "`` `a`  ``"),
        ("<pre><code>a<b>  </b>b</code></pre>", "```\na  b\n```"),
        ("<h1>A</h1><p>b</p><h3>C <em>d</em><br>e</h3>f", "# A\n\nb\n\n### C d e\n\nf"),
        ("<blockquote><h2>A</h2></blockquote>", "> ## A"),
        ("<h2></h2>x", "x"),
        ("<p>so \\[ a\n + b \\] and\nmore \\\\[2pt] x\ny \\]</p>", "so \\[ a\n+ b \\] and more \\\\[2pt] x y \\]"),
        ("<table><tr><td>a<br>b</td><td>c</td></tr></table><p>d<br>e</p>", "a b | c\n\nd\ne"),
        ("a &#xD83D;&#xDE00; b &#55357;&#56832; &#xD83D; &#xFFFF;c", "a 😀 b 😀 c"),
        ("&#xE9; &#128512; &#8212;", "é 😀 —"),
        ("<s>1.9</s> <strike>2.1 </strike><del>x</del> 2.4", "~~1.9~~ ~~2.1~~ ~~x~~ 2.4"),
        ("Answer<sup>(TM)</sup> f<sup>(n)</sup> x<sup>(a)(b)</sup>", "Answer^(TM) f^(n) x^((a)(b))"),
        ("<p>so\n$$\na = 1, \\\\\n  b = 2\n$$\nand\nmore</p>", "so $$\na = 1, \\\\\nb = 2\n$$ and more"),
        (
            "<li>if \\begin{align}\n x &amp;= 1\\\\\n y &amp;= 2\n\\end{align} then\nz</li>",
            "- if \\begin{align}\n  x &= 1\\\\\n  y &= 2\n  \\end{align} then z",
        ),
        ("<p>$$\na % c\n+ b\n$$</p>", "$$\na % c\n+ b\n$$"),
        ("<p>costs $$5 and\n\\begin{x} or</p>", "costs $$5 and \\begin{x} or"),
        ("<blockquote><p>a</p><p>b</p></blockquote><p>c</p>", "> a\n>\n> b\n\nc"),
        ('<a href="http://x">link</a> text', "link text"),
        ("&amp;lt;b&amp;gt; &lt;i&gt;", "&lt;b&gt; <i>"),
        ("List&lt;String&gt; to Set&lt;T&gt;?", "List<String> to Set<T>?"),
        ("<li>a<li>b", "- a\n- b"),
        ("a < b and c > d", "a < b and c > d"),
        ("<script>x()</script><p>y</p>", "y"),
        ("<!-- hidden -->shown", "shown"),
        ("", ""),
        ("  \n ", ""),
        ("plain\n  text", "plain text"),
    ],
)
def test_blocks(source: str, expected: str) -> None:
    assert html_to_text(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        "<div>" * 100_000 + "x",
        "<blockquote>" * 20_000 + "x",
        "<ul><li>" * 20_000 + "x",
        "<code>" * 50_000 + "x",
        "<sup><sub>" * 20_000 + "x",
        "</li></ul></blockquote>" * 20_000 + "x",
        '<a href="' * 20_000 + "x",
        "\\begin{a}\n" * 50_000 + "$$\n" * 50_001 + "x",
        "\x00\x01<p>x\x00</p>",
    ],
)
def test_hostile_input_ends_and_loses_no_text(source: str) -> None:
    text = html_to_text(source)
    assert "x" in text[-20:] or source.startswith("<a href")
    assert "\x00" not in text and "\x01" not in text


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=20), max_size=8))
def test_escaped_text_comes_back_once_decoded(paragraphs: list[str]) -> None:
    source = "".join(f"<p>{html.escape(text)}</p>" for text in paragraphs)
    wanted = [" ".join(text.replace("\u00a0", " ").split(" ")) for text in paragraphs]
    expected = "\n\n".join(squeezed for text in wanted if (squeezed := " ".join(filter(None, text.split(" ")))))
    assert html_to_text(source) == expected
