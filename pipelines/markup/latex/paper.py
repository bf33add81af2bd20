"""LaTeX sources of a paper -> its text, as LLaMA did (arXiv 2302.13971 section 2.1, after Minerva).

Everything before the first section and the bibliography go, comments go, user macros are expanded in place. The
markup itself stays. What follows the bibliography (appendices) stays too.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.markup.latex.bibliography import remove_bibliography
from pipelines.markup.latex.expander import Expander
from pipelines.markup.latex.front import abstract_of, first_section
from pipelines.markup.latex.inputs import Inputs
from pipelines.markup.latex.kept import MARK
from pipelines.markup.latex.layout import drop_layout
from pipelines.markup.latex.sources import BEGIN, FINISH, Sources

PLACE = re.compile("\x00([0-9]+)\x00")  # stands for verbatim text while macros are expanded


@dataclass(frozen=True)
class Paper:
    """The text of a paper, empty if there is none; `withdrawn` says that there is only the word that it was.

    `missing` are the inputs that its sources lack, `others` the complete documents beside it, which are not in the text.
    """

    text: str
    missing: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    withdrawn: bool = False


def clean(
    files: Mapping[str, str], keep_abstract: bool = False, keep_bibliography: bool = False, keep_layout: bool = False
) -> Paper:
    """The paper that TeX files (path -> content) hold."""
    sources = Sources(files)
    if not files or sources.withdrawn():
        return Paper("", withdrawn=bool(files))
    root = sources.roots()[0]
    expander = Expander(Inputs(sources))
    text = expander.run(sources.files[root], root)
    body = BEGIN.search(text)
    start = body.end() if body else 0
    finish = FINISH.search(text, start)
    text = text[: finish.start() if finish else len(text)]
    begin = start + first_section(text[start:])
    head, text = text[start:begin], expander.table.definitions.settle(text, begin)
    if keep_abstract and (abstract := abstract_of(head)):
        text = f"{MARK.sub('', abstract)}\n\n{text}"
    if not keep_bibliography:
        text = remove_bibliography(text)
    if not keep_layout:
        text = drop_layout(text)
    text = PLACE.sub(lambda match: sources.kept[int(match[1])], _tidy(text))
    return Paper(text.strip(), tuple(sources.missing), tuple(sources.others(root)))


def _tidy(text: str) -> str:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip(" \t") for line in lines))
