"""LaTeX sources of a paper -> its text, as LLaMA did (arXiv 2302.13971 section 2.1, after Minerva).

Everything before the first section and the bibliography go unless `Parts` keeps them, comments go, user macros are
expanded in place. The markup itself stays. What follows the bibliography (appendices) stays too.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.markup.latex.bibliography import remove_bibliography
from pipelines.markup.latex.byline import authors_of, title_of, title_source
from pipelines.markup.latex.expander import Expander
from pipelines.markup.latex.front import abstract_of, body_start, first_section
from pipelines.markup.latex.inputs import Inputs
from pipelines.markup.latex.kept import MARK
from pipelines.markup.latex.layout import drop_layout
from pipelines.markup.latex.sources import BEGIN, FINISH, Sources

PLACE = re.compile("\x00([0-9]+)\x00")  # stands for verbatim text while macros are expanded
TAIL = re.compile(r"\\appendix(?![A-Za-z])|\\begin\s*\{(?:references|REFERENCES|thebibliography)\}|\\bibliography\s*\{")


@dataclass(frozen=True)
class Parts:
    """Which parts of a paper its text has besides its sections; without appendices it ends at the first of them, or where the
    bibliography begins. `front` is title, abstract and what stands before the first heading."""

    front: bool = False
    bibliography: bool = False
    layout: bool = False
    appendices: bool = True


ONLY_SECTIONS = Parts()


@dataclass(frozen=True)
class Paper:
    """The text of a paper, empty if there is none; `withdrawn` says that there is only the word that it was.

    `missing` are the inputs that its sources lack, `others` the complete documents beside it, which are not in the text;
    `title` and `authors` are plain text.
    """

    text: str
    missing: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    withdrawn: bool = False
    title: str = ""
    authors: tuple[str, ...] = ()


def clean(files: Mapping[str, str], parts: Parts = ONLY_SECTIONS) -> Paper:
    """The paper that TeX files (path -> content) hold."""
    sources = Sources(files)
    if not files or sources.withdrawn():
        return Paper("", withdrawn=bool(files))
    root = sources.roots()[0]
    expander = Expander(Inputs(sources))
    whole = expander.run(sources.files[root], root)
    body = BEGIN.search(whole)
    start = body.end() if body else 0
    finish = FINISH.search(whole, start)
    whole = whole[: finish.start() if finish else len(whole)]
    section = start + first_section(whole[start:])
    begin = start + body_start(whole[start:]) if parts.front else section
    text = expander.table.definitions.settle(whole, begin)
    head = whole[:section]
    if parts.front:
        front = [MARK.sub("", part) for part in (title_source(head), abstract_of(head)) if part]
        text = "\n\n".join([*front, text])
    if not parts.appendices and (tail := TAIL.search(text)):
        text = text[: tail.start()]
    if not parts.bibliography:
        text = remove_bibliography(text)
    if not parts.layout:
        text = drop_layout(text)
    text = PLACE.sub(lambda match: sources.kept[int(match[1])], _tidy(text))
    others = tuple(sources.others(root))
    return Paper(text.strip(), tuple(sources.missing), others, title=title_of(head), authors=authors_of(head))


def _tidy(text: str) -> str:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip(" \t") for line in lines))
