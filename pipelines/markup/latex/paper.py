"""LaTeX sources of a paper -> its text, as LLaMA did (arXiv 2302.13971 section 2.1, after Minerva).

Everything before the first section and the bibliography go, comments go, user macros are expanded in place. The
markup itself stays. What follows the bibliography (appendices) stays too.
"""

import posixpath
import re
from collections.abc import Mapping

from pipelines.markup.latex.macros import expand

MAX_INPUT_DEPTH = 16
MAX_CHARS = 32 << 20  # of a paper with its inputs
VERBATIM = "verbatim|Verbatim|BVerbatim|LVerbatim|lstlisting|minted|alltt|filecontents|verbatimtab|CodeChunk|CodeInput"
COMMENT = re.compile(
    rf"\\begin\{{(?P<env>(?:{VERBATIM})\*?)\}}|\\begin\{{comment\}}|\\(?:verb|lstinline|mintinline)(?![A-Za-z])\*?"
    r"|\\(?:url|path|nolinkurl|href)[ \t]*\{|\\.|(?P<comment>%[^\n]*(?:\n|\Z))",
    re.S,
)
VERB = re.compile(r"([^A-Za-z\s{\[])[^\n]*?\1")
URL = re.compile(r"(?:[^{}\\\n]|\\.|\{[^{}\n]*\})*\}")
PLACE = re.compile("\x00([0-9]+)\x00")  # stands for verbatim text while macros are expanded
INPUT = re.compile(
    r"\\(?:(?:input|include|subfile|subfileinclude)(?![A-Za-z])[ \t]*(?:\{(?P<file>[^{}\n]*)\}|(?P<bare>[^\s{}\\%]+))"
    r"|(?:sub)?(?:import|includefrom|inputfrom)\*?\{(?P<folder>[^{}\n]*)\}\{(?P<inner>[^{}\n]*)\})"
)
CLASS = re.compile(r"\\document(?:class|style)(?![A-Za-z])")
BEGIN = re.compile(r"\\begin\s*\{document\}")
FINISH = re.compile(r"\\end\s*\{document\}|\\bye(?![A-Za-z])")
SECTION = re.compile(
    r"\\(?:part|chapter|section|subsection|subsubsection|paragraph|subparagraph)(?![A-Za-z@])\*?\s*(?:\[[^\]\n]*\]\s*)?\{"
)
FINE_HEADING = re.compile(r"\\(?:sub)?paragraph(?![A-Za-z@])")
END_TITLE = re.compile(
    r"\s*(?:\\[a-z]+\s*)*(?:Acknowledge?ments?|References?|Bibliography|Funding|(?:Author )?Contributions?|Data Availability"
    r"|(?:Competing|Conflicts? of) interests?|Supplement|Supporting|Appendi)",
    re.I,
)
APPENDIX = re.compile(r"\\appendix(?![A-Za-z])|\\begin\s*\{appendi(?:x|ces)\}")
FRONT_END = re.compile(r"\\end\s*\{abstract\*?\}|\\maketitle(?![A-Za-z])")
LETTER_CHARS = 2000  # of text before the first heading: more than that is no front matter
ABSTRACT = re.compile(r"\\begin\s*\{abstract\*?\}.*?(?:\\end\s*\{abstract\*?\}|\Z)|\\abstract\s*\{", re.S)
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
CONDITION = re.compile(
    r"\\(?:(?P<never>iffalse|if[ \t]*0(?=\s))|(?P<other>else|fi)|(?P<inner>if[a-zA-Z@]*))(?![A-Za-z@])"
)
NO_CONDITION = frozenset(  # these take arguments and no `\fi`
    "iff ifthenelse ifdef ifundef ifcsdef ifdefempty ifdefstring ifstrequal ifstrempty ifblank ifnotblank ifbool iftoggle "
    "ifnumequal ifnumcomp ifinlist ifpackageloaded".split()
)


def strip_false(text: str) -> str:
    """Removes `\\iffalse … \\fi`, a comment over many lines; of one with `\\else` that part stays."""
    pieces: list[str] = []
    last, depth, begin = 0, 0, -1  # begin: of the text to drop, -1 where an `\\else` part is kept
    for match in CONDITION.finditer(text):
        if depth == 0:
            if match["never"]:
                depth, begin = 1, match.start()
                pieces.append(text[last:begin])
        elif match["never"] or (match["inner"] and match["inner"] not in NO_CONDITION):
            depth += 1
        elif match["other"] == "fi":
            depth -= 1
            if depth == 0 and begin < 0:
                pieces.append(text[last : match.start()])
            last = match.end() if depth == 0 else last
        elif match["other"] == "else" and depth == 1 and begin >= 0:
            last, begin = match.end(), -1
    if depth and begin >= 0:  # never closed: it stays
        return "".join(pieces) + text[begin:]
    return "".join([*pieces, text[last:]])


def strip_comments(text: str, kept: list[str]) -> str:
    """Removes comments as TeX reads them; verbatim text goes to `kept` and leaves a place mark.

    `%` ends a line and swallows the line end and the blanks that follow; `\\%`, and `%` in verbatim text and addresses,
    is no comment, `\\\\%` is a line break and one. A line that is a comment alone goes as a whole.
    """
    pieces: list[str] = []
    last = 0
    unclosed: set[str] = set()
    position = 0
    while match := COMMENT.search(text, position):
        begin, position = match.span()
        token = match[0]
        if match["comment"] is not None:
            pieces.append(text[last:begin])
            last = position = _after_comment(text, begin, position)
            if text[last : last + 1] == "\n" and begin and text[begin - 1] != "\n":
                pieces.append("\n")  # a blank line follows: the paragraph ends
            continue
        end = -1
        if match["env"] is not None or token == "\\begin{comment}":
            closer = token.replace("\\begin", "\\end", 1)
            end = -1 if closer in unclosed else text.find(closer, position)
            if end < 0:
                unclosed.add(closer)
                continue
            end += len(closer)
        elif token.startswith(("\\verb", "\\lstinline", "\\mintinline")):
            verb = VERB.match(text, position)
            end = verb.end() if verb else -1
        elif len(token) > 2:  # an address; an escaped character has two
            url = URL.match(text, position, position + 4096)
            position = url.end() if url else position
            continue
        if end < 0:
            continue
        pieces.append(text[last:begin])
        if token != "\\begin{comment}":
            pieces.append(f"\x00{len(kept)}\x00")
            kept.append(text[begin:end])
        last = position = end
    return "".join([*pieces, text[last:]])


def _after_comment(text: str, begin: int, end: int) -> int:
    """Where the text goes on after the comment: past the blanks of the next line, unless the comment had its own line."""
    line = text.rfind("\n", 0, begin) + 1
    if not text[line:begin].strip(" \t"):
        return end
    while end < len(text) and text[end] in " \t":
        end += 1
    return end


class Paper:
    """The files of one paper, by path inside it; comments are stripped when a file is first read."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.kept: list[str] = []
        self.files = {
            name: strip_false(strip_comments(text.replace("\x00", ""), self.kept)) for name, text in files.items()
        }
        self.chars = 0

    def main(self) -> str:
        """The name of the top file: it has the document class, is no one's input, and rather `main.tex` than another."""
        used = {
            found
            for name, text in self.files.items()
            for match in INPUT.finditer(text)
            if (found := self._find(match, name)) and found != name
        }

        def rank(name: str) -> tuple[bool, bool, bool, int, int, int, str]:
            text = self.files[name]
            stem = posixpath.splitext(posixpath.basename(name))[0].lower()
            head = re.search(r"\\documentclass(?:\[[^\]]*\])?\{(?:standalone|subfiles|letter)\}", text)
            return (
                CLASS.search(text) is None,
                head is not None or name in used,
                BEGIN.search(text) is None,
                0 if "arxiv" in stem else 1 if stem in ("main", "ms", "paper", "article", "manuscript") else 2,
                name.count("/"),
                -len(text),
                name,
            )

        return min(self.files, key=rank)

    def flat(self, name: str, depth: int = 0, parents: tuple[str, ...] = ()) -> str:
        """The text of a file with its inputs in their places; an input that is not in the paper leaves nothing."""
        text = self.files[name]
        self.chars += len(text)
        if depth and CLASS.search(text) and (begin := BEGIN.search(text)):  # a subfile: its body alone
            finish = FINISH.search(text, begin.end())
            text = text[begin.end() : finish.start() if finish else len(text)]

        def put(match: re.Match[str]) -> str:
            found = self._find(match, name)
            if found is None or found in parents or found == name or depth >= MAX_INPUT_DEPTH or self.chars > MAX_CHARS:
                return match[0] if match["bare"] else ""
            text = self.flat(found, depth + 1, (*parents, name))
            return text if match[0].startswith("\\input") else f"\n\n{text}\n\n"  # the others begin a page

        return INPUT.sub(put, text)

    def _find(self, match: re.Match[str], current: str) -> str | None:
        inner = match["file"] or match["bare"] or match["inner"]
        if not inner or not inner.strip():
            return None
        path = posixpath.join((match["folder"] or "").strip(), inner.strip().strip('"'))
        for folder in ("", posixpath.dirname(current)):
            for suffix in ("", ".tex", ".ltx", ".latex", ".TEX"):
                name = posixpath.normpath(posixpath.join(folder, path + suffix))
                if name in self.files:
                    return name
        return None


def clean(files: Mapping[str, str], keep_abstract: bool = False, keep_bibliography: bool = False) -> str:
    """The text of a paper from its TeX files (path -> content); empty if there is none."""
    paper = Paper(files)
    if not paper.files:
        return ""
    text = expand(paper.flat(paper.main()))
    body = BEGIN.search(text)
    start = body.end() if body else 0
    finish = FINISH.search(text, start)
    text = text[start : finish.start() if finish else len(text)]
    if begin := first_section(text):
        head, text = text[:begin], text[begin:]
        if keep_abstract and (abstract := ABSTRACT.search(head)):
            text = f"{_closed(head, abstract)}\n\n{text}"
    if not keep_bibliography:
        text = remove_bibliography(text)
    text = PLACE.sub(lambda match: paper.kept[int(match[1])], _tidy(text))
    return text.strip()


def first_section(text: str) -> int:
    """Where the text of a paper begins: at its first section heading; 0 without one.

    Letters have headings for acknowledgements, appendices or single paragraphs alone. Where more than a front matter
    stands before the first of them, the text begins after the abstract (without one, the title).
    """
    section = SECTION.search(text)
    if section is None:
        return 0
    end = appendix.start() if (appendix := APPENDIX.search(text)) else len(text)
    for match in SECTION.finditer(text, section.start(), end):
        if not FINE_HEADING.match(match[0]) and not END_TITLE.match(text, match.end()):
            return section.start()
    head = text[: section.start()]
    front = max((match.end() for match in FRONT_END.finditer(head)), default=0)
    return front if len(head[front:].strip()) > LETTER_CHARS else section.start()


def _closed(head: str, abstract: re.Match[str]) -> str:
    if abstract[0].startswith("\\begin"):
        return abstract[0]
    depth = 1
    for brace in re.finditer(r"\\.|[{}]", head[abstract.end() :], re.S):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return head[abstract.start() : abstract.end() + brace.end()]
    return head[abstract.start() :]


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


def _tidy(text: str) -> str:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip(" \t") for line in lines))
