"""Templates expanded from their own definitions: what is plain text is, within bounds; programs, boxes and notices are not."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.markup.wikitext.definitions import definition
from pipelines.markup.wikitext.page import Wiki, wikitext_to_text
from pipelines.markup.wikitext.parts import parse
from pipelines.markup.wikitext.store import template_line

PAGES = {
    "Circa": "<abbr title='circa'>c.</abbr>&nbsp;{{{1|}}}<noinclude>{{documentation}}</noinclude>",
    "Gross": "''{{{1}}}'' ({{{engl|{{{2|?}}}}}})",
    "Nest": "[{{gross|{{{a}}}|engl={{uc:{{{b|x}}}}}}}]",
    "Branch": "{{#if:{{{1|}}}|yes {{{1}}}|no}}{{#switch:{{{2|}}}|a|b=AB|#default=D}}",
    "Lua": "{{#invoke:convert|convert}}",
    "Calls lua": "{{{1}}} {{lua}}",
    "Box": "<div class='box'>{{{1}}}</div>",
    "Table": "{|\n| {{{1}}}\n|}",
    "Stub": "''This article about a place is a [[stub]]. You can help the project by expanding it, as many others have done before you.''",
    "Only": "doc <onlyinclude>[{{{1}}}]</onlyinclude> doc",
    "Cat": "[[Category:X]]<includeonly>{{{1|}}}</includeonly>",
    "Loop": "a{{loop}}",
    "Bomb": "{{bomb2}}{{bomb2}}",
    **{f"Bomb{level}": f"{{{{bomb{level + 1}}}}}{{{{bomb{level + 1}}}}}" for level in range(2, 38)},
    "Math": "<math>{{{1}}}</math><ref>x</ref>",
    "Link": "[[{{{1}}}|{{{2|{{{1}}}}}}]]",
    "Langx": "{{#invoke:lang|x}}",
    "Pipe": "{{nest|a=1{{!}}2|b=c}}",
}  # fmt: skip


def test_a_template_whose_look_is_a_style_is_shown_by_the_list_if_that_knows_it() -> None:
    source = "<templatestyles src='x.css'/><span class='num'>{{{1}}}</span>&frasl;<span class='den'>{{{2}}}</span>"
    assert template_line("enwiki", "Template:frac", source) is None
    line = template_line("enwiki", "Template:my frac", source)
    assert line is not None and json.loads(line) == ["enwiki", "My frac", source, None]
    assert template_line("dewiki", "Vorlage:A", "#WEITERLEITUNG [[Vorlage:b_c]]") == '["dewiki", "A", null, "B c"]'
    assert template_line("enwiki", "Template:Box", "{|\n|}") is None


class Table:
    def get(self, key: str) -> str | None:
        return definition(PAGES[key]) if key in PAGES else None


WIKI = Wiki(definitions=Table())


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("built {{circa|1900}}.", "built c. 1900."),
        ("{{gross|a}} {{Gross|a|b}} {{Vorlage:gross|a|engl=c=d}} {{Template:Gross|2=b|1=a}}", "a (?) a (b) a (c=d) a (b)"),
        ("{{nest|a=Ort|b=y}}", "[Ort (Y)]"),
        ("{{branch}} {{branch|x|b}} {{branch||a}}", "noD yes xAB noAB"),
        ("{{only|x}} {{cat|y}} {{cat}}z", "[x] y z"),
        ("{{link|Ort|Platz}} {{link|Ort}}", "Platz Ort"),
        ("{{math|x^2}}", "$x^2$"),
        ("{{pipe}}", "[1|2 (C)]"),
        ("{{gross|{{gross|[[a|b]]}}|<nowiki>|</nowiki>}}", "'b (?) (|)"),
        ("{{unknown|x}} {{lua|x}} {{calls lua|x}} {{box|x}} {{table|x}} {{stub}}y", "y"),
        ("{{langx|de|Wort}}", "Wort"),
    ],
)  # fmt: skip
def test_what_definitions_show(source: str, expected: str) -> None:
    assert wikitext_to_text(source, WIKI) == expected


@pytest.mark.parametrize(
    "source", ["{{loop}}", "{{bomb}}", "{{circa|{{circa|" * 5000, "{{gross|{{nest|a=" * 3000 + "}}" * 6000]
)
def test_definitions_that_call_themselves_end(source: str) -> None:
    start = time.process_time()
    wikitext_to_text(f"a {source} b", WIKI)
    assert time.process_time() - start < 10


def test_the_budget_grows_with_the_page() -> None:
    assert wikitext_to_text("{{circa|1900}} " * 20_000, WIKI).count("c. 1900") == 20_000


@given(st.lists(st.sampled_from(["{{", "}}", "{{{", "}}}", "[[", "]]", "|", "a", "{", "}"]), max_size=30))
def test_a_definition_of_any_braces_is_taken_apart(parts: list[str]) -> None:
    def written(nodes: object) -> str:
        if isinstance(nodes, str):
            return nodes
        if isinstance(nodes, tuple):
            return "".join(map(written, nodes))
        if hasattr(nodes, "parts"):
            return "{{" + "|".join(map(written, nodes.parts)) + "}}"
        default = "|" + written(nodes.default) if nodes.default else ""
        return "{{{" + written(nodes.name) + default + "}}}"

    source = "".join(parts)
    shown = written(parse(source))
    assert shown == source or ("|" in source and "{{{" in source)  # a parameter's second default shows nothing
