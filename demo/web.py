"""Pages of an invented web: articles with site menus, cookie notices, comments, foreign pages and junk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from demo.cast import Cast, cast, family, town
from demo.prose import TOPICS, Prose, load_grammar, plain_words

COOKIES = (
    "We use cookies to give you the best experience on our website. By continuing to browse you accept our use of cookies.",
    "This site uses cookies. Read our cookie policy to find out more.",
    "Accept all cookies",
)
MENU = (
    "Home", "About us", "Contact", "News", "Archive", "Gallery", "Links", "Guest book", "Shop", "Events", "Login",
    "Search this site", "Skip to main content", "Newsletter", "Sitemap",
)  # fmt: skip
FOOTER = (
    "All rights reserved.",
    "Terms of use | Privacy policy | Imprint",
    "Back to top",
    "Share this page with your friends",
)
JUNK = (
    "404 Not Found\nThe page {slug} that you were looking for is not here.",
    "{slug}\nThis domain is parked.",
    "Please enable JavaScript to view {slug}.",
    "{slug}\nLog in\nForgot your password?",
    "Index of /{slug}\nParent directory\nfiles.zip 12K\nphotos.zip 380K",
    "{slug}: 0 items in your basket",
)
LANGUAGES = {"de": "deu", "fr": "fra", "es": "spa", "ru": "rus"}


@dataclass(frozen=True, slots=True)
class Page:
    """One web page as a crawler's text extraction sees it."""

    url: str
    language: str
    lines: tuple[str, ...]
    boilerplate: int  # how many of the lines are planted boilerplate


@dataclass(frozen=True, slots=True)
class Site:
    """A web site: its host, topic and the boilerplate that all its pages share."""

    host: str
    topic: str
    head: tuple[str, ...]
    foot: tuple[str, ...]


def english(topic: str, frames: str, rng: Random, who: Cast | None = None, manner: str = "") -> Prose:
    """A writer of English on one topic, with a fresh cast unless one is given."""
    rules = load_grammar("common", f"frames/{frames}", f"topics/{topic}")
    words = (who or cast(rng, earliest=1900)).words(familiar=frames == "story")
    return Prose(rules, rng, words, manner)


def foreign(language: str, rng: Random) -> Prose:
    """A writer of German, French, Spanish or Russian."""
    home, given, family_name, water = (
        rng.choice(plain_words(f"languages/{language}", rule)) for rule in ("place", "given", "family", "water")
    )
    words = {"town": lambda: home, "person": lambda: f"{given} {family_name}", "river": lambda: water}
    return Prose(load_grammar(f"languages/{language}"), rng, words)


def site(rng: Random) -> Site:
    """A site with its own menu; every site shows some of the common notices."""
    topic = rng.choice(TOPICS)
    owner = rng.choice((town(rng), family(rng)))
    host = f"www.{owner.lower()}-{topic}.example"
    head = tuple(rng.sample(COOKIES, rng.randint(0, 2)) + rng.sample(MENU, rng.randint(3, 8)))
    foot = (
        *rng.sample(FOOTER, rng.randint(1, 3)),
        f"Copyright {rng.randint(2004, 2019)} {owner} {topic.capitalize()} Society",
    )
    return Site(host, topic, head, foot)


def slug(text: str) -> str:
    """A title as the last part of an address."""
    words = "".join(c if c.isalnum() else " " for c in text.lower()).split()
    return "-".join(words[:8])


def article(topic: str, rng: Random, least: int, most: int) -> tuple[str, list[str]]:
    """Title and paragraphs of an article of `least` to `most` paragraphs between its first and its last."""
    prose = english(topic, "web", rng)
    title = prose.sentence("title")
    paragraphs = [prose.sentence("opening") + " " + prose.paragraph("sentence", 1, 3)]
    paragraphs += [prose.paragraph("sentence", 2, 5) for _ in range(rng.randint(least, most))]
    paragraphs.append(prose.paragraph("sentence", 1, 2) + " " + prose.sentence("closing"))
    if rng.random() < 0.3:
        paragraphs += [prose.sentence("comment") for _ in range(rng.randint(1, 3))]
    return title, paragraphs


def english_page(where: Site, number: int, rng: Random) -> Page:
    """An English article between its site's boilerplate."""
    title, paragraphs = article(where.topic, rng, 2, 7)
    lines = (f"{title} - {where.host}", *where.head, title, *paragraphs, *where.foot)
    return Page(f"https://{where.host}/{number}/{slug(title)}.html", "eng", lines, len(where.head) + len(where.foot))


def foreign_page(language: str, where: Site, number: int, rng: Random) -> Page:
    """A page in another language, under English boilerplate half of the time."""
    prose = foreign(language, rng)
    title = prose.sentence("title")
    head, foot = (where.head, where.foot) if rng.random() < 0.5 else ((), ())
    paragraphs = [prose.paragraph("sentence", 3, 5) for _ in range(rng.randint(3, 5))]
    lines = (title, *head, *paragraphs, *foot)
    return Page(f"https://{where.host}/{language}/{number}.html", LANGUAGES[language], lines, len(head) + len(foot))


def junk_page(where: Site, number: int, rng: Random) -> Page:
    """A page too short to be of use."""
    text = rng.choice(JUNK).format(slug=f"{where.topic}-{number}")
    return Page(f"https://{where.host}/{number}/", "eng", tuple(text.split("\n")), 0)


def sites(rng: Random, count: int) -> Iterator[Site]:
    """`count` sites with different hosts."""
    seen: set[str] = set()
    while len(seen) < count:
        made = site(rng)
        if made.host not in seen:
            seen.add(made.host)
            yield made
