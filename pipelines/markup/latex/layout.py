"""What a paper says about its looks alone: labels, pictures, sizes, spacing, colours, page breaks, counters, biographies."""

import re

from pipelines.markup.latex.arguments import bracket, ends_in_word, escaped, group, skip_blank

# How many arguments each has; an optional one may stand before them.
COMMANDS = {
    "label": 1, "includegraphics": 1, "vspace": 1, "hspace": 1, "setlength": 2, "addtolength": 2, "settowidth": 2,
    "setcounter": 2, "addtocounter": 2, "stepcounter": 1, "refstepcounter": 1, "numberwithin": 2, "color": 1,
    "pagecolor": 1, "rowcolor": 1, "cellcolor": 1, "definecolor": 3, "colorlet": 2, "pagestyle": 1, "thispagestyle": 1,
    "pagenumbering": 1, "hypersetup": 1, "captionsetup": 1, "addcontentsline": 3, "graphicspath": 1, "fontsize": 2,
    "selectfont": 0, "phantomsection": 0, "FloatBarrier": 0, "centering": 0, "raggedright": 0, "raggedleft": 0,
    "tiny": 0, "scriptsize": 0, "footnotesize": 0, "small": 0, "normalsize": 0, "large": 0, "Large": 0,
    "LARGE": 0, "huge": 0, "Huge": 0, "bigskip": 0, "medskip": 0, "smallskip": 0, "vfill": 0, "newpage": 0, "clearpage": 0,
    "cleardoublepage": 0, "pagebreak": 0, "nopagebreak": 0, "samepage": 0, "noindent": 0, "indent": 0, "balance": 0,
    "allowdisplaybreaks": 0, "raggedbottom": 0, "flushbottom": 0, "sloppy": 0, "fussy": 0, "singlespacing": 0,
    "doublespacing": 0, "onehalfspacing": 0, "tableofcontents": 0, "listoffigures": 0, "listoftables": 0,
}  # fmt: skip
WRAPPERS = {"textcolor": 1, "colorbox": 1, "fcolorbox": 2, "resizebox": 2, "scalebox": 1, "centerline": 0}
"""Commands around a text, which stays; how many arguments stand before it."""
PICTURES = "tikzpicture|pgfpicture|picture|pspicture|IEEEbiography|IEEEbiographynophoto|biography|tikzcd"
NAMES = "|".join(sorted((COMMANDS | WRAPPERS).keys(), key=len, reverse=True))
LAYOUT = re.compile(rf"\\(?:(?P<name>{NAMES})(?![A-Za-z@])\*?|begin\s*\{{(?P<picture>(?:{PICTURES})\*?)\}})")
EMPTY = re.compile(
    r"\\begin\s*\{(center|figure\*?|flushleft|flushright|wrapfigure)\}(?:[ \t]*[\[{][^\]\[{}\n]*[\]}])*\s*\\end\s*\{\1\}[ \t]*\n?"
)
MAX_WRAPPED = 20  # texts in wrappers in wrappers


def drop_layout(text: str) -> str:
    """The text without layout. A line that held nothing else goes with it; an argument that lacks leaves the command."""
    text = _drop(text, 0)
    pieces: list[str] = []
    last = 0
    for match in EMPTY.finditer(text):
        before = text[last : match.start()]
        pieces.append(before.rstrip(" \t") if match[0].endswith("\n") else before)
        last = match.end()
    return "".join([*pieces, text[last:]])


def _drop(text: str, depth: int) -> str:
    pieces: list[str] = []
    last = at = 0
    unclosed: set[str] = set()
    blank = True  # so far the line has nothing else
    while match := LAYOUT.search(text, at):
        if escaped(text, match.start(), at):
            at = match.start() + 1
            continue
        at = match.end()
        inside = ""
        if picture := match["picture"]:
            closer = f"\\end{{{picture}}}"
            end = -1 if picture in unclosed else text.find(closer, at)
            if end < 0:
                unclosed.add(picture)
                continue
            at = end + len(closer)
        elif (name := match["name"]) in WRAPPERS and depth < MAX_WRAPPED:
            end = _arguments(text, at, WRAPPERS[name], between=True)
            wrapped, end = group(text, skip_blank(text, end)) if end >= 0 else (None, -1)
            if wrapped is None:
                continue
            inside, at = _drop(wrapped, depth + 1), end
        elif name in COMMANDS:
            end = _arguments(text, at, COMMANDS[name])
            if end < 0:
                continue
            at, inside = end, " " if name == "hspace" else ""
        else:
            continue
        before = text[last : match.start()]
        line = before.rfind("\n") + 1
        blank = (blank or line > 0) and not before[line:].strip(" \t") and not inside
        pieces += (before, inside)
        if not inside:
            name_ends = text[at - 1].isalpha() and match.start() > 0 and text[match.start() - 1] in " \t\n{"
            end, at = at, _after(text, at, blank, name_ends)
            if blank and text[end:at].endswith("\n"):
                pieces[-2] = before.rstrip(" \t")
        if ends_in_word(text, match.start()) and (inside or text[at : at + 1])[:1].isalpha():
            pieces.insert(-1, " ")
        last = at
    return "".join([*pieces, text[last:]])


def _arguments(text: str, at: int, count: int, between: bool = False) -> int:
    """The place behind an optional argument and `count` braced ones, `between`: and a further optional one; -1 if they are
    not there."""
    option, optional = bracket(text, at)
    if option is not None and (count or option.isdigit()):
        at = optional
    for number in range(count):
        _, at = group(text, skip_blank(text, at))
        if at < 0:
            return -1
        if between and number == 0 and (optional := bracket(text, at)[1]) >= 0:
            at = optional
    return at


def _after(text: str, end: int, blank: bool, swallow: bool) -> int:
    """Where the text goes on: past the line end if the line is empty now, past blanks that only end a command's name."""
    after = end
    while after < len(text) and text[after] in " \t":
        after += 1
    if blank and text[after : after + 1] == "\n":
        return after + 1
    return after if swallow else end
