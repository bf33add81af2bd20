"""The stackexchange domain: Posts.xml of a few invented sites, one of them in a 7z archive."""

from __future__ import annotations

import io
from dataclasses import dataclass
from html import escape
from pathlib import Path
from random import Random
from xml.sax.saxutils import escape as xml_escape

from demo.archive import seven_zip, write
from demo.github import fragment, snippets, writer
from demo.prose import Prose
from demo.web import english

SITES = {"gardening": 96, "clocks": 72, "cooking": 72, "sailing": 60}
PACKED = ("mathematics", 60)
_ENTITIES = {'"': "&quot;", "\n": "&#xA;"}
ORPHANS = 1  # in each site: an answer whose question is not in the dump


@dataclass(frozen=True, slots=True)
class Post:
    """One row of Posts.xml; the attributes in the order of the public dump."""

    attributes: tuple[tuple[str, str], ...]

    def xml(self) -> str:
        """The `<row>` element on a line of its own."""
        values = " ".join(f'{key}="{xml_escape(value, _ENTITIES)}"' for key, value in self.attributes)
        return f"  <row {values} />\n"


def date(number: int) -> str:
    """A date that grows with the post's number."""
    return f"{2014 + number // 336:04d}-{number // 28 % 12 + 1:02d}-{number % 28 + 1:02d}T{number % 24:02d}:{number % 60:02d}:26.383"


def table(prose: Prose) -> str:
    """A code block that holds a few measurements."""
    rows = "\n".join(f"{prose.say('month'):<10} {prose.rng.randint(1, 999):>5} {prose.say('number')}" for _ in range(4))
    return f"<pre><code>{rows}\n</code></pre>"


def program(prose: Prose) -> str:
    """A code block that holds a short Python function."""
    text = fragment(snippets("python")[prose.rng.choice((0, 3, 4, 6, 7))], writer(prose.rng))
    return f"<pre><code>{escape(text, quote=False)}\n</code></pre>"


def paragraph(prose: Prose, rule: str, least: int, most: int) -> str:
    """A `<p>` element, now and then with emphasis or a link."""
    text = escape(prose.paragraph(rule, least, most), quote=False)
    kind = prose.rng.randrange(8)
    if kind == 0:
        text = f"<em>{text}</em>"
    elif kind == 1:
        text += f' See <a href="https://www.{prose.say("town").lower()}.example/help" rel="nofollow">this page</a>.'
    return f"<p>{text}</p>"


def question_body(prose: Prose) -> str:
    """The HTML of a question."""
    parts = [paragraph(prose, "question", 2, 3), paragraph(prose, "question", 2, 3)]
    kind = prose.rng.randrange(5)
    if kind == 0:
        parts.append("<p>These are the values that I wrote down:</p>\n\n" + table(prose))
    elif kind == 1:
        items = "\n".join(f"<li>{escape(prose.sentence('action'), quote=False)}</li>" for _ in range(3))
        parts.append(f"<p>So far I did this:</p>\n\n<ul>\n{items}\n</ul>")
    elif kind == 2:
        parts.append("<p>I use a small program to keep the records:</p>\n\n" + program(prose))
    parts.append(f"<p>{prose.say('thanks')}</p>")
    return "\n\n".join(parts) + "\n"


def answer_body(prose: Prose) -> str:
    """The HTML of an answer."""
    parts = [paragraph(prose, "answer", 2, 4)]
    kind = prose.rng.randrange(5)
    if kind == 0:
        parts.append(f"<blockquote>\n  <p>{escape(prose.sentence('question'), quote=False)}</p>\n</blockquote>")
    elif kind == 1:
        items = "\n".join(
            f"<li><p>{escape(prose.sentence('action'), quote=False)} {prose.say('when')}.</p></li>" for _ in range(3)
        )
        parts.append(f"<p>In short:</p>\n\n<ol>\n{items}\n</ol>")
    elif kind == 2:
        parts.append(f"<p>As long as the value is &lt; 7, this will do:</p>\n\n{program(prose)}")
    if prose.rng.random() < 0.6:
        parts.append(paragraph(prose, "answer", 1, 3))
    return "\n\n".join(parts) + "\n"


def post(
    number: int, kind: int, middle: list[tuple[str, str]], score: int, body: str, rest: list[tuple[str, str]]
) -> Post:
    """A row with the attributes that all posts share around those of its kind."""
    first = [
        ("Id", str(number)),
        ("PostTypeId", str(kind)),
        *middle,
        ("CreationDate", date(number)),
        ("Score", str(score)),
    ]
    user = [("OwnerUserId", str(number * 7 % 211 + 1)), ("LastActivityDate", date(number + 2))]
    return Post(
        (*first, ("Body", body), *user, *rest, ("CommentCount", str(number % 4)), ("ContentLicense", "CC BY-SA 3.0"))
    )


def thread(topic: str, number: int, first: int) -> list[Post]:
    """A question with its answers, numbered from `first`."""
    rng = Random(f"exchange {topic} {number}")
    prose = english(topic, "ask", rng)
    answers = rng.choice((0, 1, 1, 2, 2, 2, 3, 4))
    accepted = first + rng.randint(1, answers) if answers and rng.random() < 0.6 else 0
    middle = [("AcceptedAnswerId", str(accepted))] if accepted else []
    tags = f"<{topic}><{prose.say('things').replace(' ', '-')}>"
    rest = [("Title", prose.sentence("title")), ("Tags", tags), ("AnswerCount", str(answers))]
    rows = [post(first, 1, middle, rng.randint(-3, 40), question_body(prose), rest)]
    for index in range(1, answers + 1):
        rows.append(post(first + index, 2, [("ParentId", str(first))], rng.randint(-4, 60), answer_body(prose), []))
    return rows


def posts(topic: str, questions: int) -> list[Post]:
    """All rows of one site: threads, an orphan answer and the two posts of a tag's description."""
    rows: list[Post] = []
    for number in range(questions):
        rows += thread(topic, number, len(rows) + 1)
    prose = english(topic, "ask", Random(f"exchange {topic} end"))
    last = len(rows) + 1
    rows.append(post(last, 2, [("ParentId", "999999")], 3, answer_body(prose), []))
    for index, kind in enumerate((5, 4), start=1):
        rows.append(post(last + index, kind, [], 0, f"<p>Questions about {topic}.</p>\n", []))
    return rows


def document(rows: list[Post]) -> bytes:
    """The whole Posts.xml, with the byte order mark of the public dump."""
    out = io.StringIO()
    out.write('\ufeff<?xml version="1.0" encoding="utf-8"?>\n<posts>\n')
    for row in rows:
        out.write(row.xml())
    out.write("</posts>\n")
    return out.getvalue().encode()


def build(directory: Path) -> dict[str, object]:
    """Writes one folder per site and one 7z archive; says what was planted."""
    total = 0
    for topic, questions in SITES.items():
        rows = posts(topic, questions)
        total += len(rows)
        write(directory / f"{topic}.example.com" / "Posts.xml", document(rows))
    topic, questions = PACKED
    rows = posts(topic, questions)
    total += len(rows)
    seven_zip(directory / f"{topic}.example.com.7z", [("Posts.xml", document(rows))])
    sites = len(SITES) + 1
    asked = sum(SITES.values()) + questions
    others = 2 * sites
    return {
        "files": sites,
        "questions": asked,
        "answers": total - asked - others - ORPHANS * sites,
        "orphan_answers": ORPHANS * sites,
        "tag_posts": others,
    }
