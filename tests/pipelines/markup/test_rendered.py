"""Pages as Parsoid renders them: what a reader sees stays, in the layout that wikitext gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.markup.wikitext.rendered import rendered_to_text

MATH = (
    '<span class="mwe-math-element" typeof="mw:Extension/math"><span class="mwe-math-mathml-inline" style="display: none;">'
    '<math><semantics><mrow><mi>x</mi></mrow><annotation encoding="application/x-tex">{\\displaystyle x_{2}&lt;3}</annotation>'
    '</semantics></math></span><img class="mwe-math-fallback-image-inline" alt="{\\displaystyle x_{2}&lt;3}"/></span>'
)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<p><b>A</b> is\n a <a href='./B'>b</a>&nbsp;c.</p><p>d</p>", "A is a b c.\n\nd"),
        ("<p>a<sup class='mw-ref reference'><a>[1]</a></sup>. b <sup class='reference'>[2]</sup>, c</p>", "a. b, c"),
        ("<p>Munich (<span class='ext-phonos'>x</span>; <i lang='de'>München</i>)</p>", "Munich (München)"),
        (f"<p>so {MATH} holds</p>", "so $x_{2}<3$ holds"),
        ("<p>so <span class='mwe-math-element'><img alt='{\\textstyle y}'/></span></p>", "so $y$"),
        ("<section><h2 id='x'>H</h2><p>a</p><h3>Empty</h3></section><section><h2>See</h2></section>", "H\n\na"),
        ("<ul><li>a<ul><li>b</li></ul></li><li>c<p>d</p></li><li></li></ul><p>e</p>", "- a\n  - b\n- c\n  d\n\ne"),
        ("<ol><li>a<br/>b</li></ol><dl><dt>t</dt><dd>* d</dd></dl>", "- a\n  b\nt\n* d"),
        ("<p>a</p><pre>  x  = 1\n\n    y</pre><p>b</p>", "a\n\n  x  = 1\n\n    y\n\nb"),
        ("<div class='mw-highlight'><pre><span>if</span> x:\n    pass\n</pre></div>", "if x:\n    pass"),
        ("<p># a</p><p>= b =</p><p>: c</p>", "# a\n\n= b =\n\n: c"),
        ("<p>x<sup>n</sup> m<sup>2</sup> 1<sup>st</sup> a<sub>i</sub> <span style='display:none'>z</span></p>", "x^n m² 1st a_i"),
        ("<table class='infobox'><tr><td>x</td></tr></table><figure typeof='mw:File/Thumb'><figcaption>c</figcaption></figure><p>a</p>", "a"),
        ("<div class='navbox'>x</div><div class='hatnote'>y</div><style>z</style><p>a <!-- c --></p><ol class='references'><li>r</li></ol>", "a"),
        ("<p>one &lt;ref&gt; &amp;amp; two</p>", "one <ref> &amp; two"),
        ("<table><tr><td>1</td></tr></table>", ""),
        ("", ""),
        ("\x02\x03<p>a", "a"),
    ],
)  # fmt: skip
def test_what_is_shown(source: str, expected: str) -> None:
    assert rendered_to_text(f"<html><head><title>T</title></head><body>{source}</body></html>", False) == expected


def test_tables_as_text() -> None:
    source = (
        "<p>a</p><table class='wikitable'><caption>Towns</caption><tbody><tr><th>Name</th><th>Year</th></tr>"
        "<tr><td><p>A</p><ul><li>b</li></ul></td><td>1990</td></tr></tbody></table><table class='infobox'><tr><td>x</td></tr></table><p>c</p>"
    )
    assert rendered_to_text(source, True) == "a\n\nTowns\nName | Year\nA b | 1990\n\nc"


def test_deep_and_broken_pages_give_text() -> None:
    for source in (
        "<div>" * 50_000 + "a",
        "<ul><li>" * 5000 + "a",
        "<p" * 20_000,
        "</p>" * 20_000,
        "<sup>" * 9000 + "a",
    ):
        rendered_to_text(source, True)


@given(
    st.lists(
        st.sampled_from(
            [
                "<p>",
                "</p>",
                "<li>",
                "<ul>",
                "</ul>",
                "<sup>",
                "a ",
                "<table>",
                "<td>",
                "<pre>",
                "\n",
                "&lt;",
                "<dl><dd>",
                "<br>",
            ]
        )
    )
)
def test_any_mix_of_elements_gives_text(parts: list[str]) -> None:
    for tables in (False, True):
        rendered_to_text("".join(parts), tables).encode()
