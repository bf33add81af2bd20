"""Lists of references and the commands that print them."""

import re

LIST_NAMES = "thebibliography|references|REFERENCES|bibdiv|biblist|CSLReferences"
LIST_BEGIN = re.compile(rf"\\begin\s*\{{({LIST_NAMES})\*?\}}")
LIST_TITLE = (
    r"\\(?:chapter|section|subsection)\*?\s*\{\s*(?:\\[a-z]+\s*)?(?:References?|Bibliography|Literature(?: Cited)?|REFERENCES)"
    r"[\s.:]*\}"
)
LIST_HEADING = re.compile(LIST_TITLE + r"(?:\s|\\label\{[^{}]*\}|\\addcontentsline(?:\{[^{}]*\}){3})*\Z")
LIST_SECTION = re.compile(
    LIST_TITLE
    + r"(?P<list>.*?)(?=\\(?:part|chapter|section|subsection|appendix|clearpage|newpage|pagebreak)(?![A-Za-z])"
    r"|\\begin\s*\{(?:appendi|figure|table|longtable|sidewaystable|supp)|\Z)",
    re.S,
)
YEAR = re.compile(r"(?<!\d)(?:1[89]|20)\d\d(?!\d)")
ENTRY_CHARS = 40  # a shorter paragraph is a command or a label, no reference
SOURCE = re.compile(
    r"\\(?:no)?(?:bibliography(?:style)?|addbibresource|bibdata|biboptions|bibpunct|bibsep|printbibliography"
    r"|printbibheading)(?![A-Za-z])\*?[ \t]*(?:\[[^\]\n]*\])?(?:\{[^{}]*\})*[ \t]*"
)


def remove_bibliography(text: str) -> str:
    """Cuts the lists of references and the commands that print them; the text after them stays."""
    pieces: list[str] = []
    last = 0
    while match := LIST_BEGIN.search(text, last):
        before = text[last : match.start()]
        pieces.append(LIST_HEADING.sub("", before))
        closer = re.compile(rf"\\end\s*\{{{match[1]}\*?\}}").search(text, match.end())
        last = closer.end() if closer else len(text)
    text = "".join([*pieces, text[last:]])
    pieces, last = [], 0
    for match in SOURCE.finditer(text):
        pieces.append(LIST_HEADING.sub("", text[last : match.start()]))
        last = match.end()
    return LIST_SECTION.sub(_without_entries, "".join([*pieces, text[last:]]))


def _without_entries(match: re.Match[str]) -> str:
    """What stays of a section of references: nothing if it lists works (each with its year), its text if it does not."""
    entries = [entry for entry in match["list"].split("\n\n") if len(entry.strip()) >= ENTRY_CHARS]
    if not entries:
        return match["list"]
    return "" if 2 * sum(YEAR.search(entry) is not None for entry in entries) > len(entries) else match[0]
