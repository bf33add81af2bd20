"""The wikipedia domain: MediaWiki XML dumps with templates, tables, references, redirects and a malformed tail."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from xml.sax.saxutils import escape, quoteattr

from demo.archive import bz, write
from demo.cast import cast, family
from demo.prose import TOPICS, Prose
from demo.web import english, foreign

TOWNS = 130
PEOPLE = 110
CRAFTS = 90
GERMAN = 30
TRADES = ("clocks", "cooking", "engines", "gardening", "music", "rivers", "sailing", "towns")  # what a town may live by
_NAMESPACES = ((0, ""), (1, "Talk"), (2, "User"), (4, "Wikipedia"), (6, "File"), (10, "Template"), (14, "Category"))
_SCHEMA = "http://www.mediawiki.org/xml/export-0.11/"


@dataclass(frozen=True, slots=True)
class Article:
    """One page of a dump; `redirect` is the title it leads to."""

    title: str
    text: str
    namespace: int = 0
    redirect: str = ""


def header(language: str) -> str:
    """The opening of a dump: root element and site information."""
    spaces = "".join(
        f'      <namespace key="{key}" case="first-letter"' + (f">{name}</namespace>\n" if name else " />\n")
        for key, name in _NAMESPACES
    )
    return (
        f'<mediawiki xmlns="{_SCHEMA}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xsi:schemaLocation="{_SCHEMA} http://www.mediawiki.org/xml/export-0.11.xsd" version="0.11" xml:lang="{language}">\n'
        f"  <siteinfo>\n    <sitename>Wikipedia</sitename>\n    <dbname>{language}wiki</dbname>\n"
        f"    <base>https://{language}.wikipedia.example/wiki/Main_Page</base>\n    <generator>demo.wiki</generator>\n"
        f"    <case>first-letter</case>\n    <namespaces>\n{spaces}    </namespaces>\n  </siteinfo>\n"
    )


def page(number: int, article: Article) -> str:
    """One `<page>` element."""
    redirect = f"    <redirect title={quoteattr(article.redirect)} />\n" if article.redirect else ""
    size = len(article.text.encode())
    return (
        f"  <page>\n    <title>{escape(article.title)}</title>\n    <ns>{article.namespace}</ns>\n    <id>{number}</id>\n{redirect}"
        f"    <revision>\n      <id>{number + 100_000}</id>\n      <parentid>{number + 90_000}</parentid>\n"
        f"      <timestamp>2022-07-{number % 28 + 1:02d}T12:00:00Z</timestamp>\n"
        f"      <contributor>\n        <username>Editor{number % 17}</username>\n        <id>{number % 17 + 5}</id>\n      </contributor>\n"
        "      <comment>copy edit</comment>\n      <model>wikitext</model>\n      <format>text/x-wiki</format>\n"
        f'      <text bytes="{size}" xml:space="preserve">{escape(article.text)}</text>\n'
        "      <sha1>0000000000000000000000000000000</sha1>\n    </revision>\n  </page>\n"
    )


def reference(prose: Prose) -> str:
    """A footnote in one of the two usual forms, or none."""
    kind = prose.rng.randrange(7)
    if kind == 0:
        title = prose.sentence("things")
        return f"<ref>{{{{cite book |last={family(prose.rng)} |title={title} of the county |year={prose.say('year3')}}}}}</ref>"
    if kind == 1:
        return f'<ref name="census{prose.rng.randrange(9)}">County census, volume {prose.say("number")}.</ref>'
    return ""


def passage(prose: Prose, rule: str, least: int, most: int) -> str:
    """A paragraph whose sentences carry footnotes here and there."""
    return " ".join(prose.sentence(rule) + reference(prose) for _ in range(prose.rng.randint(least, most)))


def link(text: str, *titles: str) -> str:
    """The text with the first mention of each title made a link."""
    for title in titles:
        text = text.replace(title, f"[[{title}]]", 1)
    return text


def population_table(rng: Random) -> str:
    """A wikitable of five censuses."""
    value = rng.randint(900, 14_000)
    rows = []
    for year in range(1861, 2021, 32):
        rows.append(f"|-\n| {year} || {value:,}")
        value = max(300, round(value * rng.uniform(0.85, 1.35)))
    return '{| class="wikitable sortable"\n|+ Population\n! Year !! Inhabitants\n' + "\n".join(rows) + "\n|}"


def town_article(number: int) -> Article:
    """A town, with infobox, history, geography, economy, table and categories."""
    rng = Random(f"wiki town {number}")
    who = cast(rng)
    prose = english(rng.choice(TRADES), "wiki", rng, who=who)
    box = (
        f"{{{{Infobox settlement\n| name = {who.town}\n| image = {who.town} market.jpg\n| population_total = {rng.randint(700, 19_000)}\n"
        f"| elevation_m = {prose.say('height')}\n| coordinates = {{{{coord|5{rng.randrange(10)}.{rng.randrange(99)}|N|1.{rng.randrange(99)}|W}}}}\n}}}}"
    )
    lead = f"'''{who.town}''' {prose.say('town_lead')}. {passage(prose, 'history', 1, 2)}"
    parts = [
        f"{{{{short description|Town}}}}\n{box}\n{link(lead, who.town2, 'market town')}",
        f"== History ==\n{link(passage(prose, 'history', 3, 4), 'railway')}\n\n{passage(prose, 'history', 2, 3)}",
        f"[[File:{who.town} bridge.jpg|thumb|left|The bridge over the {who.river} in {who.years[2]}]]\n== Geography ==\n{passage(prose, 'geography', 3, 5)}",
        f"=== Population ===\n{population_table(rng)}",
        f"== Economy and culture ==\n{passage(prose, 'economy', 3, 4)}\n<!-- the list of mayors is kept on its own page -->",
        f"== Sights ==\n* The {prose.say('thing')} {prose.say('place')}, built in {who.years[1]}\n* The church on {who.street}\n* [[{who.town2}]] and its {prose.say('things')}",
        "== References ==\n{{reflist}}\n\n== External links ==\n* [https://www."
        + who.town.lower()
        + ".example Town council]",
        f"[[Category:Towns on the {who.river}]]\n[[de:{who.town}]]",
    ]
    return Article(who.town, "\n\n".join(parts))


def person_article(number: int) -> Article:
    """A life, from birth to grave."""
    rng = Random(f"wiki person {number}")
    birth = rng.randint(1650, 1860)
    who = replace(cast(rng), years=(birth, birth + rng.randint(22, 40), birth + rng.randint(48, 85)))
    topic = rng.choice(TOPICS)
    prose = english(topic, "wiki", rng, who=who)
    name = prose.say("person")
    born, died = who.years[0], who.years[2]
    trade = prose.say("agent")
    lead = f"'''{name}''' ({born}–{died}) was a writer on [[{topic}]] and {trade} from [[{who.town}]]."
    parts = [
        f"{{{{Infobox person|name={name}|birth_year={born}|death_year={died}}}}}\n{lead} {passage(prose, 'early', 1, 1)}",
        f"== Life ==\n{link(passage(prose, 'early', 3, 3), who.town2)}\n\n{passage(prose, 'life', 4, 6)}\n\n{passage(prose, 'late', 2, 4)}",
        f"== Work ==\n{passage(prose, 'work', 4, 6)}\n\n''{prose.sentence('things')}'' ({who.years[1]}) is the best known of the books.",
        "== Notes ==\n<references />",
        f"[[Category:People from {who.town}]]\n{{{{DEFAULTSORT:{who.person.family}, {who.person.given}}}}}",
    ]
    return Article(name, "\n\n".join(parts))


def craft_article(number: int) -> Article:
    """A custom, a device or a collection of some town."""
    rng = Random(f"wiki craft {number}")
    who = cast(rng)
    prose = english(rng.choice(TOPICS), "wiki", rng, who=who)
    title = f"{who.town} {prose.say('thing')}"
    parts = [
        f"The '''{title}''' {link(prose.say('craft_lead'), who.town)}. {passage(prose, 'work', 2, 3)}",
        f"== Description ==\n{passage(prose, 'work', 3, 5)}",
        f"== History ==\n{passage(prose, 'history', 2, 4)}\n\n{passage(prose, 'work', 2, 3)}",
        f"== See also ==\n* [[{who.town2}]]\n* [[{prose.sentence('things')}]]\n\n{{{{stub}}}}",
    ]
    return Article(title, "\n\n".join(parts))


def german_article(number: int) -> Article:
    """A short German article."""
    rng = Random(f"wiki german {number}")
    prose = foreign("de", rng)
    name = prose.say("town")
    title = f"{name} (Kreis {number + 1})"
    body = "\n\n".join(
        [
            f"'''{name}''' ist eine kleine Stadt. {prose.paragraph('sentence', 3, 4)}",
            f"== Geschichte ==\n{prose.paragraph('sentence', 4, 6)}<ref>Stadtarchiv, Band {number + 1}.</ref>",
            f"== Leben ==\n{prose.paragraph('sentence', 3, 5)}\n\n[[Kategorie:Ort]]",
        ]
    )
    return Article(title, body)


def extras(articles: list[Article]) -> Iterable[Article]:
    """Redirects, a disambiguation page, templates and categories: pages that are no articles."""
    for article in articles[::12]:
        yield Article(f"{article.title} (old spelling)", f"#REDIRECT [[{article.title}]]", redirect=article.title)
    for name in ("Stub", "Reflist", "Infobox settlement", "Infobox person"):
        yield Article(f"Template:{name}", f"<includeonly>This is the template {name}.</includeonly>", 10)
    for name in ("Towns on the Alder", "People from Ashbrook"):
        yield Article(f"Category:{name}", "Pages of this kind are listed here.", 14)


def build(directory: Path) -> dict[str, object]:
    """Writes an English and a German dump, the German one with a malformed tail; says what was planted."""
    articles: dict[str, Article] = {}
    for make, count in ((town_article, TOWNS), (person_article, PEOPLE), (craft_article, CRAFTS)):
        for number in range(count):
            made = make(number)
            articles.setdefault(made.title, made)
    english_pages = list(articles.values())
    others = list(extras(english_pages))
    mixed = [*english_pages, *others]
    Random("wiki order").shuffle(mixed)
    text = header("en") + "".join(page(number + 1, item) for number, item in enumerate(mixed)) + "</mediawiki>\n"
    write(directory / "enwiki-20220801-pages-articles.xml.bz2", bz(text.encode()))
    german = [german_article(number) for number in range(GERMAN)]
    text = header("de") + "".join(page(number + 1, item) for number, item in enumerate(german))
    text += "  <page>\n    <title>Kaputt & offen</title>\n    <ns>0</ns>\n    <id>999</id>\n    <revision>\n      <text>Hier endet"
    write(directory / "dewiki-20220801-pages-articles.xml.bz2", bz(text.encode()))
    return {
        "files": 2,
        "english_articles": len(english_pages),
        "german_articles": len(german),
        "redirects": sum(bool(item.redirect) for item in others),
        "other_namespaces": sum(bool(item.namespace) for item in others),
        "malformed_tails": 1,
    }
