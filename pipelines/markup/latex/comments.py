"""Comments, text that TeX never reads, and verbatim text, which no later step may touch."""

import re

from pipelines.markup.latex.arguments import bracket, escaped

VERBATIM = "verbatim|Verbatim|BVerbatim|LVerbatim|lstlisting|minted|alltt|filecontents|verbatimtab|CodeChunk|CodeInput"
COMMENT = re.compile(
    rf"\\(?:begin\{{(?:(?P<env>(?:{VERBATIM})\*?)\}}|comment\}})|(?:verb|lstinline|mintinline)(?![A-Za-z])\*?"
    r"|(?:url|path|nolinkurl|href)[ \t]*\{)|(?P<comment>%[^\n]*(?:\n|\Z))",
    re.S,
)
VERB = re.compile(r"([^A-Za-z\s{\[])[^\n]*?\1")
URL = re.compile(r"(?:[^{}\\\n]|\\.|\{[^{}\n]*\})*\}")
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
        begin, end = match.span()
        if escaped(text, begin, position):
            position = begin + 1
            continue
        position, token = end, match[0]
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
            options = bracket(text, position)[1]  # captions have macros, and TeX reads them
            if options >= 0 and options <= end:
                pieces.append(text[last:options])
                begin = last = options
            else:
                end += len(closer)
        elif token.startswith(("\\verb", "\\lstinline", "\\mintinline")):
            verb = VERB.match(text, position)
            end = verb.end() if verb else -1
        else:  # an address
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
