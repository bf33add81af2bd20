"""Kinds of fault that pages of many wikis showed, each with variants: what is written by hand stays, what is markup goes."""

from __future__ import annotations

import pytest

from pipelines.markup.wikitext.page import Wiki, wikitext_to_text

WIKI = Wiki()


def check(source: str, expected: str) -> None:
    assert wikitext_to_text(source, WIKI, "Talk/Part") == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Call <code>print()</code> to", "Call print() to"),
        ("f() and g( ) and [ ] (, ) stay", "f() and g( ) and [ ] (, ) stay"),
        ("a[b[0]] and c[d[1], e[2]]", "a[b[0]] and c[d[1], e[2]]"),
        ("the set {1, {2, 3}} and {{a}}", "the set {1, {2, 3}} and"),
        ("the macro __FILE__ and __init__, __index__", "the macro __FILE__ and __init__, __index__"),
        ("__NOTOC__ a __notoc__ b __KEIN_INHALTSVERZEICHNIS__ c __目次__ d __БЕЗ_ОГЛ__", "a b c d"),
        ("(: smile and :) and (; too", "(: smile and :) and (; too"),
        ("! Warning\n|| parallel\n| x | = 3", "! Warning\n|| parallel\n| x | = 3"),
        ("a , b ; c ( d ) e", "a , b ; c ( d ) e"),
        ("mot ? mot ! mot : « mot »", "mot ? mot ! mot : « mot »"),
        ("*Options:\n* Others:", "- Options:\n- Others:"),
    ],
)
def test_what_is_written_by_hand_stays(source: str, expected: str) -> None:
    check(source, expected)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<pre>def f(x):\n    return  x</pre>", "def f(x):\n    return  x"),
        ("a\n<pre>\n\n    x  = 1\n\n* y &lt; z\n</pre>\nb", "a\n    x  = 1\n\n* y < z\nb"),
        ("<syntaxhighlight lang='python'>\nif x:\n    y = [[1]]  # {{z}}\n</syntaxhighlight>", "if x:\n    y = [[1]]  # {{z}}"),
        ("<source lang=c>\n\tint  a;\n\n\tint b;</source>", "\tint  a;\n\n\tint b;"),
        ("use <syntaxhighlight lang=c inline>a  &&  b</syntaxhighlight> here", "use a && b here"),
        ("a\n for x in y:\n     print  x\nb", "a\nfor x in y:\n    print  x\nb"),
        ("{{nowrap|<nowiki>{{a|b}}</nowiki>}} <nowiki>__NOTOC__ [[x]]</nowiki>", "{{a|b}} __NOTOC__ [[x]]"),
        ("&#42; no item, &#61; and &#58;", "* no item, = and :"),
    ],
)  # fmt: skip
def test_layout_of_code_is_kept(source: str, expected: str) -> None:
    check(source, expected)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("'''Munich''' ({{langx|de|München}} {{IPA|de|ˈmʏnçn̩|}})", "Munich (München [ˈmʏnçn̩])"),
        ("{{math|''x'' {{=}} 2}} and a {{!}} b", "x = 2 and a | b"),
        ("{{harvtxt|Artin|1970}} showed", "Artin (1970) showed"),
        ("{{harvtxt|Artin|Tate|1968|p=3}} and {{harvtxt|A|B|C|D|1990}}", "Artin & Tate (1968) and A et al. (1990)"),
        ("{{仮リンク|語|en|X}}, {{нп5|Имя||en|Name}}, {{нп3|Имя|имени|en|Name}}", "語, Имя, имени"),
        ("{{lien|langue=en|trad=X|fr=Titre}} {{lien|Nom|en}} {{ill|Ort|de|Ort|lt=Platz}}", "Titre Nom Platz"),
        ("au {{XIXe siècle}}, le {{s-|XX}} {{s|V|e}}", "au XIXe siècle, le XXe Ve siècle"),
        ("né le {{Date de naissance|11|novembre|1866}} à", "né le 11 novembre 1866 à"),
        ("{{US$|5 million}}, {{circa|1900}}, {{sic|wrotte}}", "US$5 million, c. 1900, wrotte [sic]"),
        ("{{em|a}} {{strong|b}} {{code|c()}} {{kbd|d}}", "a b c() d"),
        ("Peking ({{zh|c=北京|p=Běijīng}})", "Peking (Chinese: 北京; pinyin: Běijīng)"),
        ('{{"|Wort}} und {{Zitat|Satz.}}', "„Wort“ und „Satz.“"),
        ("{{unidad|5|km}}, {{число|12}}, {{refnec|la phrase}}. {{citation bloc|Un mot.}}", "5 km, 12, la phrase. Un mot."),
        ("From {{etyl|la|en}} {{term|verbum|lang=la}}", "From Latin verbum"),
        ("* {{Ü|en|word}}, {{tø|ru|слово|tr=slovo}}", "- word, слово (slovo)"),
        ("* {{Ü}}\n* {{unknown}}\n* a", "- a"),
        ("{{IPAc-en|ˈ|æ|n|ər|k|i}} {{respell|AN|ər|kee}}", "/ˈænərki/ AN-ər-kee"),
        ("{{#if:x|''yes''|no}} {{#ifeq:1|1.0|a|b}} {{#switch:b|a|b=c|#default=d}} {{lc:ABC}}", "yes a c abc"),
    ],
)  # fmt: skip
def test_templates_that_carry_the_words_of_a_sentence(source: str, expected: str) -> None:
    check(source, expected)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{NumBlk|:|<math>a=b</math>|{{EquationRef|1}}}}", "$a=b$ (1)"),
        ("so {{equation box|indent=:|equation=<math>E</math>}} and {{unknown|<math>x</math>|y}}.", "so and $x$."),
        ("<chem>H2O</chem> and <ce>CO2</ce> <math></math>.", "$\\ce{H2O}$ and $\\ce{CO2}$."),
        ("{{cite journal|title=On <math>x</math>}}a", "a"),
        ("==={{x}}===\na", "a"),
        ("== ==\n=={{x}} ==\n== b ==\na", "b\n\na"),
        ("{{PAGENAME}}, {{FULLPAGENAME}}, {{BASEPAGENAME}}, {{SUBPAGENAME}}, {{SEITENNAME}}", "Talk/Part, Talk/Part, Talk, Part, Talk/Part"),
    ],
)  # fmt: skip
def test_formulas_headings_and_names_of_the_page(source: str, expected: str) -> None:
    check(source, expected)


@pytest.mark.parametrize(
    "line",
    ["[[Kategorie:A]]", "[[Datei:a.xyz|mini|b [[c]] d]]", "[[Επιλεγμένο:b.svg|c]]", "[[분류:A| ]]", "[[ملف:A|تصغير]]",
     "[[Thể loại:A]]", "[[Kategorija:A]]", "[[Tập tin:x.jpg|nhỏ]]", "[[de:X]] [[fr:Y]]", "[[zh-yue:X]][[be-x-old:Y]]", "[[category : a_b]]"],
)  # fmt: skip
def test_lines_of_pictures_categories_and_other_languages_go_whatever_the_head_says(line: str) -> None:
    check(f"a\n\n{line}\n\nb", "a\n\nb")
    check(f"a {line} b", "a b")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<table><tr><td>1990</td><td>12</td></tr></table>", ""),
        ("a\n<TABLE class=x>\n<tr><td>{|\n|b\n|}</td></tr>\n</table>\nc", "a\nc"),
        ("a <td align=left\n width=10>b</td>", "a b"),
        ("{{begin}}\n|-\n| a || b\n|}\nc", "c"),
        ("a\n{|\n| b\nc\n== d ==\n| e", "a\nc\n\nd\n\n| e"),
    ],
)
def test_tables(source: str, expected: str) -> None:
    text = wikitext_to_text(source, WIKI)
    assert " ".join(text.split()) == " ".join(expected.split())


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("word <ref/>.", "word."),
        ("word <ref name=a>b</ref>, word<ref>c</ref> (<ref>d</ref>) e", "word, word e"),
        ("(XSP [http://x])", "(XSP)"),
        ("see [http://x]. And [http://y z] ([//w])", "see. And z"),
        ("* {{flagicon|X}} – Y", "- Y"),
        ("# {{x}}, {{y}} - Z", "- Z"),
        ("（A、{{x}}、B）", "（A、B）"),
        ("（{{x}}、B）と（A、{{x}}）", "（B）と（A）"),
        ("({{x}}، B)", "(B)"),
        ("A ({{x}}; {{y}}) B “{{z}}” C", "A B C"),
        ("London, {{x}}, France{{y}}, {{z}}", "London, France"),
        ("a {{x}}\nb", "a\nb"),
    ],
)
def test_what_a_removed_part_leaves(source: str, expected: str) -> None:
    check(source, expected)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x<sup>n</sup>, e<sup>x</sup>, 2<sup>n+1</sup>, (a)<sup>e</sup>", "x^n, e^x, 2^(n+1), (a)^e"),
        ("a<sub>i</sub> V<sub>max</sub> x<sub>i,j</sub> CO<sub>2</sub>", "a_i V_max x_(i,j) CO₂"),
        (
            "1<sup>st</sup> XX<sup>e</sup> V<sup>e</sup> M<sup>me</sup> n<sup>o</sup> Foo<sup>TM</sup>",
            "1st XXe Ve Mme no FooTM",
        ),
        ("10<sup>−6</sup> m<sup>2</sup> a<sup>{{x}}</sup>", "10⁻⁶ m² a"),
        ("[[Has text::v]] [[Has page::A b|c]] [[std::x]]", "v c x"),
        ("a<span style='display:none'>key</span> b", "a b"),
    ],
)
def test_scripts_and_properties(source: str, expected: str) -> None:
    check(source, expected)
