"""Templates: what is shown, what is removed, and what a removed one leaves around it."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.markup.wikitext.marks import REMOVED, mend
from pipelines.markup.wikitext.page import Wiki, wikitext_to_text
from pipelines.markup.wikitext.templates import Expander, expand_templates

WIKI = Wiki()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from {{lang|grc|ἀναρχία}} ({{transl|grc|''anarchia''}})", "from ἀναρχία (anarchia)"),
        ("({{lang-ru|Али́са|link=no}}; born 1905)", "(Али́са; born 1905)"),
        ("{{Convert|5|km|mi|abbr=on}}, {{cvt|2.5|sqmi|km2}}, {{convert|20|-|25|C|F}}", "5 km, 2.5 sq mi, 20–25 °C"),
        ("{{convert|6|ft|2|in|m}} {{convert|11|x|17|in}}", "6 feet 2 inches 11 × 17 inches"),
        ("{{nihongo|[[bayonet|a bayonet]]|銃剣|jūken}} {{nihongo||漢字}}", "a bayonet (銃剣, jūken) 漢字"),
        ("{{nowrap|a {{small|1=b=c}}}} {{abbr|kg|kilogram}}", "a b=c kg"),
        ("a{{mdash}}b{{snd}}c {{'}}d{{'s}} 1417{{ndash}}1701 {{nbsp}}e", "a—b – c 'd's 1417–1701 e"),
        ("{{frac|1|2}} {{frac|3}} {{frac|1|2|3}} {{val|1.5|(7)|u=kg}} {{val|3|e=5}}", "1/2 1/3 1 2/3 1.5(7) kg 3×10⁵"),
        ("{{chem|H|2|O}} {{chem|Na|+}} H{{sub|2}} {{unité|892|km|2}} {{nombre|71|sièges}}", "H₂O Na⁺ H₂ 892 km² 71 sièges"),
        ("{{As of|2014|3}}, {{as of|2019|lc=y}}", "As of March 2014, as of 2019"),
        ("{{As of|2014|²}}, {{as of|2014|00123|lc=y}}", "As of ² 2014, as of 00123 2014"),
        ("{{birth date|1866|00123|4}}", "00123 4, 1866"),
        ("le {{date|11|novembre|1866|en linguistique}} au {{s-|XXI}} {{s|XX}} {{s|other}}.", "le 11 novembre 1866 au XXIe XXe siècle."),
        ("{{quote|To be [[x|or]] not|Hamlet}}", "To be or not"),
        ("/a/ as {{IPA|/a/}} {{IPA|de|ˈaŋ}}", "/a/ as /a/ [ˈaŋ]"),
        ("From {{inh|en|enm|word}}, {{m|ru|сло́во||speech|tr=slóvo}}, {{cog|da|-}}", "From word, сло́во (slóvo, “speech”)"),
        ("* German: {{t+|de|Wort|n}}, {{t|ru|слово|tr=slovo}}", "- German: Wort, слово (slovo)"),
        ("# {{lb|en|computing|_|dated}} An {{l|en|array}}. {{plural of|pie|lang=en}}", "- (computing, dated) An array. plural of pie"),
        ("{{suffix|en|connote|ation}} {{prefix|ab|word|lang=en}} {{ux|fr|un mot|a word}}", "connote + ation ab + word un mot — a word"),
        ("{{quote-book|en|year=1595|author=A B|title=C|passage=Sin-''hating''}}", "1595, A B, C: Sin-hating"),
        ("{{Infobox|name={{lang|fr|mot}}}}a{{citation needed|date={{nowrap|x}}}} b", "a b"),
        ("{{cite book|title=x}} {{unknown|text}} {{#if:a|b}} {{{1|{{lang|fr|x}}}}}y", "b y"),
    ],
)  # fmt: skip
def test_what_templates_show(source: str, expected: str) -> None:
    assert re.sub(r"  +", " ", wikitext_to_text(source, WIKI)) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a {{x}}. b {{x}}, c {{x}} d{{x}}e", "a. b, c de"),
        ("* {{x}}, a, {{y}}, b,{{y}}, c", "- a, b, c"),
        ("in (German: B, {{x}},) c", "in (German: B) c"),
        ("a ({{x}}, {{y}}; ) b ({{x}}; born 1) ({{x}}) c ({{x}})", "a b (born 1) c"),
        ("* German: {{x}}, {{x}}, {{y}}\n* French: {{x}}, b\n* Others:\n** c", "- French: b\n- Others:\n  - c"),
        ("* d: \n*: e\ntext f:\n* g", "- d:\n  e\ntext f:\n- g"),
        ("l''{{x}}'' a '''b''' in ''{{x}}'', London", "l a b in, London"),
        ("{{x}}{{y}}\n{{z}}\ntext", "text"),
        ("{{x}}{|\n| a\n|}\nb", "b"),
        ("== A {{x}} ==\nb\n== C =={{x}}\nd", "A\n\nb\n\nC\n\nd"),
    ],
)
def test_a_removed_template_leaves_no_debris(source: str, expected: str) -> None:
    assert wikitext_to_text(source, WIKI) == expected


def test_values_that_are_written_with_commas_stay() -> None:
    source = "f(a, , b) , (;) x {{y}} a,,b , ."
    assert mend(expand_templates(source, Expander())) == "f(a, , b) , (;) x a,,b , ."


@pytest.mark.parametrize("unit", ["{{lang|a|", "{{", "{{{", "{{a|[[", "{{nowrap|a b}}", "{{m|a|b|", "}}{{", "{{x}} ,"])
def test_hostile_templates_take_linear_time(unit: str) -> None:
    count = 400_000 // len(unit)
    start = time.process_time()
    wikitext_to_text(unit * count + "}}" * count, WIKI)
    assert time.process_time() - start < 10


def slow_remove(text: str) -> str:
    while (shorter := re.sub(r"\{\{[^{}]*\}\}", "", text)) != text:
        text = shorter
    return text


@given(st.lists(st.sampled_from(["{{", "}}", "a", "b|c", " "]), max_size=30))
def test_unknown_templates_are_removed_as_by_the_obvious_way(parts: list[str]) -> None:
    text = " ".join(parts).replace("b", "no name")  # no longer runs of braces, whose pairing is MediaWiki's own
    shown = expand_templates(text.replace("a", "x x"), Expander()).replace(REMOVED, "")
    assert shown.replace("{{", "") == re.sub(r"\{\{|\}\}", "", slow_remove(text.replace("a", "x x")))
