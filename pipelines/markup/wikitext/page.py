"""Wikitext -> plain text: link texts, headings, lists, code and formulas (as `$TeX$`) stay; tables, notes and boxes go.

The scans run in the order of MediaWiki's own preprocessor (comments and extension tags, templates, tables, then links
and HTML) and each is linear in the page: a general parser backtracks on unclosed markup, for minutes on a hostile page.
What a scan removes within a line leaves a mark, and only there is the line mended; text written by hand stays.
"""

import html
import re
from dataclasses import dataclass, field

from pipelines.markup.wikitext.definitions import Definitions
from pipelines.markup.wikitext.elements import resolve_elements
from pipelines.markup.wikitext.layout import lay_out
from pipelines.markup.wikitext.links import resolve_links
from pipelines.markup.wikitext.marks import REMOVED
from pipelines.markup.wikitext.names import Namespaces, remove_switches
from pipelines.markup.wikitext.quotes import apostrophes, expand_variants
from pipelines.markup.wikitext.shield import CONTROLS, Shield
from pipelines.markup.wikitext.tables import resolve_tables
from pipelines.markup.wikitext.tags import remove_extensions
from pipelines.markup.wikitext.templates import BUDGET, BUDGET_RATE, Expander, expand_templates

_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_LAYOUT = frozenset("*#:;= \n\t")


@dataclass(frozen=True)
class Wiki:
    """What the pages of a wiki share: the names of its namespaces, its templates, and whether tables are kept."""

    namespaces: Namespaces = field(default_factory=lambda: Namespaces.of(()))
    definitions: Definitions | None = None
    tables: bool = False


def wikitext_to_text(source: str, wiki: Wiki, title: str = "") -> str:
    """Plain text of one page; any input gives some text, in time linear in its length."""
    text = source.replace("\r\n", "\n")
    if CONTROLS.search(text):
        text = CONTROLS.sub("", text)
    shield = Shield()
    text = remove_extensions(text, shield)
    expander = Expander(title, wiki.definitions, shield, BUDGET + BUDGET_RATE * len(source))
    text = resolve_tables(expand_templates(text, expander), wiki.tables)
    text = apostrophes(remove_switches(expand_variants(text), REMOVED))
    text = resolve_elements(resolve_links(text, wiki.namespaces))
    text = text.replace("&nbsp;", " ").replace("&#160;", " ").replace("\u00a0", " ").replace("\u200e", "")
    if "&" in text:
        text = _ENTITY.sub(lambda match: _character(html.unescape(match[0]), shield), text)
    return shield.restore(lay_out(text))


def _character(character: str, shield: Shield) -> str:
    """A character written as an entity; one that would be markup at the beginning of a line is shielded from that."""
    return shield.put(character) if character in _LAYOUT else character
