"""Where a Project Gutenberg text begins and ends between header and licence, and what the header says of it."""

import re

from pipelines.markup.gutenberg.notes import without_credits

HEADER_CHARS = 100_000  # where a header can end
MARK = r"^[ \t]*\*{3} ?%s (?:OF )?(?:THE |THIS )?PROJECT GUTENBERG(?:'S)? (?:E-?BOOK|E-?TEXT)[^\n]*"
START = re.compile(MARK % "START", re.I | re.M)
END = re.compile(MARK % "END", re.I | re.M)
BARE = r"^[ \t]*\*{3} ?%s (?:OF )?(?:THE |THIS )?E-?(?:BOOK|TEXT)\b[^\n]*"
BARE_START = re.compile(BARE % "START", re.I | re.M)
BARE_END = re.compile(BARE % "END", re.I | re.M)
CLOSED = re.compile(r"(?:\n[^\n]+){1,3}?\*{3}[ \t]*$", re.M)  # the rest of a start mark whose title goes over lines
SMALL_START = re.compile(r"^(?:\*{3}START\*\*THE SMALL PRINT!|\*\*The Legal Small Print\*\*)[^\n]*", re.I | re.M)
OLD_HEADER = re.compile(r"^The Project Gutenberg E-?(?:text|book) of [^\n]*", re.I | re.M)
OLD_HEADER_CHARS = 12_000  # it was moved to the end of some files; the small print follows within this
SMALL_END = re.compile(r"^\*END[^\n]*THE SMALL PRINT![^\n]*", re.I | re.M)
OLD_END = re.compile(
    r"^[ \t]*(?:\*+ *)?(?:End of (?:the |this )?Project Gutenberg|\*{3} START: FULL LICENSE)[^\n]*", re.I | re.M
)
LAST_LINE = re.compile(
    r"\n[ \t]*(?:\*+ *)?End of (?:the |this )?(?:Project Gutenberg)[^\n]*(?:\n[^\n]+){0,3}\s*\Z", re.I
)
OLD_TITLE = re.compile(r"^\W*The Project Gutenberg E-?(?:text|book) of (?P<title>[^\n]*\w\.?)", re.I | re.M)
FIELD = re.compile(
    r"^(title|author|language|release date|posting date|character set encoding)[ \t]*:[ \t]*(.*)", re.I | re.M
)
MONTHS = "january february march april may june july august september october november december".split()
DATE = re.compile(r"([A-Za-z]{3,9})\.? +(?:(\d{1,2}), *)?(\d{4})|(\d{4})-(\d\d)-(\d\d)")
COPYRIGHTED = re.compile(r"This is a COPYRIGHTED Project Gutenberg", re.I)
NUMBER = re.compile(r"\[[ \t]*e-?(?:book|text)[ \t]*(?:#|no\.?|number)?[ \t]*(\d+)[ \t]*\]", re.I)
LANGUAGES = {
    name: code
    for code, name in (
        pair.split(":")
        for pair in "af:afrikaans ar:arabic bg:bulgarian br:breton ca:catalan cs:czech cy:welsh da:danish de:german "
        "el:greek en:english eo:esperanto es:spanish et:estonian fa:farsi fi:finnish fr:french fy:frisian ga:irish "
        "gl:galician grc:ancient_greek he:hebrew hr:croatian hu:hungarian ia:interlingua is:icelandic it:italian "
        "iu:inuktitut ja:japanese ko:korean la:latin lt:lithuanian mi:maori nap:neapolitan nl:dutch no:norwegian "
        "oc:occitan pl:polish pt:portuguese ro:romanian ru:russian sa:sanskrit sco:scots sl:slovenian sr:serbian "
        "sv:swedish te:telugu tl:tagalog uk:ukrainian yi:yiddish zh:chinese".split()
    )
}


def strip_gutenberg(text: str, keep_credits: bool = False) -> tuple[str, str]:
    """Splits a text with `\\n` line ends into (header, book); a text without Gutenberg's marks is all book."""
    begin, end = 0, len(text)
    if start := START.search(text, 0, HEADER_CHARS) or _bare_start(text):
        begin = start.end()
        if not start.group().rstrip().endswith("***") and (rest := CLOSED.match(text, begin)):
            begin = rest.end()
    elif (small := SMALL_END.search(text, 0, HEADER_CHARS)) and len(text) - small.end() > len(text) // 10:
        begin = small.end()
    marks = [mark.start() for mark in END.finditer(text, begin)]
    if not marks and begin:
        marks = [mark.start() for mark in BARE_END.finditer(text, max(begin, len(text) // 2))]
    if marks:
        end = marks[-1]
    elif old := OLD_END.search(text, max(begin, len(text) // 2)):
        end = old.start()
    if bottom := SMALL_START.search(text, max(begin, len(text) // 2), end):
        end = bottom.start()
        if header := OLD_HEADER.search(text, max(begin, len(text) // 2, end - OLD_HEADER_CHARS), end):
            end = header.start()
    body = text[begin:end]
    if begin or end < len(text):
        body = LAST_LINE.sub("", body)
        if not keep_credits:
            body = without_credits(body)
    lines = body.rstrip().split("\n")
    first = next((index for index, line in enumerate(lines) if line.strip()), len(lines))
    return text[:begin], "\n".join(lines[first:])


def _bare_start(text: str) -> re.Match[str] | None:
    """A start mark that does not name the project: it counts below fields of a header, or where an end mark is, too."""
    start = BARE_START.search(text, 0, HEADER_CHARS)
    if start and (FIELD.search(text, 0, start.start()) or BARE_END.search(text, start.end())):
        return start
    return None


def header_fields(header: str) -> dict[str, str]:
    """Title, author, language, date (ISO 8601) and number of a Gutenberg header; a value may go on over indented lines.

    The headers of the 1990s have no fields; title and author then come from their first line.
    """
    fields: dict[str, str] = {}
    current = ""
    for line in header.split("\n"):
        if match := FIELD.match(line):
            current = match.group(1).lower()
            if current in fields:
                current = ""
            else:
                fields[current] = match.group(2).strip()
        elif current in ("title", "author") and line[:1] in " \t" and line.strip():
            fields[current] = f"{fields[current]} {line.strip()}".strip()
        else:
            current = ""
    number = NUMBER.search(header)
    if "title" not in fields and (old := OLD_TITLE.search(header)):
        before, by, after = old["title"].rpartition(", by " if ", by " in old["title"] else " by ")
        fields = {"author": after if by else "", **fields, "title": before or after}
    result = {key: " ".join(fields[key].split()) for key in ("title", "author", "language") if fields.get(key)}
    if date := _iso_date(fields.get("release date") or fields.get("posting date") or ""):
        result["date"] = date
    return {**result, "id": number.group(1)} if number else result


def _iso_date(text: str) -> str:
    """`May 1, 2009 [EBook #4711]` as 2009-05-01, `July, 1997` as 1997-07; empty if there is none."""
    match = DATE.search(text.replace(",", ", ")) or DATE.search(re.sub(r",(?= *\d{4})", " ", text))
    if match is None:
        return ""
    if match[4]:
        return match[0]
    month = next((number for number, name in enumerate(MONTHS, 1) if name.startswith(match[1].lower())), 0)
    return f"{match[3]}-{month:02}" + (f"-{int(match[2]):02}" if match[2] else "") if month else ""
