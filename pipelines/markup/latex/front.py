"""What stands before the text of a paper: title, authors, abstract."""

import re

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
ABSTRACT_ENVIRONMENT = re.compile(r"\\begin\s*\{abstract\*?\}.*?\\end\s*\{abstract\*?\}", re.S)
FRONT = re.compile(
    r"(?:\s|\x01[0-9]+\x01)*(?:\\(?P<command>title|subtitle|shorttitle|runningtitle|titlerunning|author|authors|shortauthors|authorrunning|running"
    r"author|collaboration|email|ead|address|affil|affiliation|affiliations|altaffil|altaffiliation|institute|institution|and|date"
    r"|thanks|dedicatory|preprint|pacs|PACS|keywords|keyword|subjclass|msc|received|accepted|revised|orcid|homepage|urladdr"
    r"|correspondingauthor|corresponding|curraddr|noaffiliation|abstract|setcounter|pagestyle|thispagestyle|label|hypersetup)"
    r"(?![A-Za-z@])\*?|\\begin\s*\{(?P<environment>abstract\*?|frontmatter|titlepage|keywords?|IEEEkeywords|CCSXML|center)\}"
    r"|\\(?:maketitle|tableofcontents|newpage|clearpage|pagebreak|noindent|sloppy|frontmatter|mainmatter|onecolumn|twocolumn"
    r"|flushbottom|raggedbottom|bigskip|medskip|smallskip|par)(?![A-Za-z@]))"
)
ARGUMENT_OPEN = re.compile(r"\s*([\[{])")
BRACE = re.compile(r"\\.|[{}]", re.S)


def first_section(text: str) -> int:
    """Where the text of a paper begins: at its first section heading; behind the front matter without one.

    Letters have headings for acknowledgements, appendices or single paragraphs alone. Where more than a front matter
    stands before the first of them, the text begins after the abstract (without one, the title).
    """
    section = SECTION.search(text)
    if section is None:
        return front_matter(text)
    end = appendix.start() if (appendix := APPENDIX.search(text)) else len(text)
    for match in SECTION.finditer(text, section.start(), end):
        if not FINE_HEADING.match(match[0]) and not END_TITLE.match(text, match.end()):
            return section.start()
    head = text[: section.start()]
    front = max((match.end() for match in FRONT_END.finditer(head)), default=0)
    return front if len(head[front:].strip()) > LETTER_CHARS else section.start()


def body_start(text: str) -> int:
    """Where the words of a paper begin after title, authors and abstract: at the first heading, or before it where words of
    the paper stand there."""
    section = first_section(text)
    head = text[:section]
    last = max((match.end() for match in FRONT_END.finditer(head)), default=0)
    return last if last else min(section, front_matter(head))


def front_matter(text: str) -> int:
    """Where the front matter of a paper without headings ends: behind title, authors, abstract and what belongs to them."""
    at = 0
    while match := FRONT.match(text, at):
        if match["command"]:
            after = _arguments(text, match.end())
        elif match["environment"]:
            closer = re.compile(rf"\\end\s*\{{{re.escape(match['environment'])}\}}").search(text, match.end())
            after = closer.end() if closer else -1
        else:
            after = match.end()
        if after < 0:
            break
        at = after
    last = max((match.end() for match in FRONT_END.finditer(text, at)), default=at)
    between = ABSTRACT_ENVIRONMENT.sub("", text[at:last])
    return last if len(between.strip()) <= LETTER_CHARS and text[last:].strip() else at


def _arguments(text: str, at: int) -> int:
    """The place behind the optional and the braced arguments at `at`; -1 if one is not closed."""
    while match := ARGUMENT_OPEN.match(text, at):
        if match[1] == "[":
            end = text.find("]", match.end(), match.end() + 1000)
            at = end + 1
        else:
            at = _group_end(text, match.end())
        if at <= 0:
            return -1
    return at


def _group_end(text: str, at: int) -> int:
    depth = 1
    for brace in BRACE.finditer(text, at):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return brace.end()
    return -1


def abstract_of(head: str) -> str:
    """The abstract with its markup, out of what stands before the text; empty without one."""
    abstract = ABSTRACT.search(head)
    if abstract is None or abstract[0].startswith("\\begin"):
        return abstract[0] if abstract else ""
    end = _group_end(head, abstract.end())
    return head[abstract.start() : end if end >= 0 else len(head)]
