"""A few words of LaTeX, such as a title or a name, as plain text."""

import re
import unicodedata

from pipelines.markup.latex.arguments import bracket, group, skip_blank

ACCENTS = {
    "`": "\u0300", "'": "\u0301", "^": "\u0302", "~": "\u0303", "=": "\u0304", "u": "\u0306", ".": "\u0307",
    '"': "\u0308", "r": "\u030a", "H": "\u030b", "v": "\u030c", "d": "\u0323", "c": "\u0327", "k": "\u0328", "b": "\u0331",
}  # fmt: skip
LETTERS = {
    "ss": "ß", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "aa": "å", "AA": "Å", "o": "ø", "O": "Ø", "l": "ł", "L": "Ł",
    "i": "ı", "j": "ȷ", "dh": "ð", "DH": "Ð", "th": "þ", "TH": "Þ", "dj": "đ", "DJ": "Đ", "textendash": "–",
    "textemdash": "—", "textquoteright": "’", "textquoteleft": "‘", "LaTeX": "LaTeX", "TeX": "TeX", "S": "§",
    "textbackslash": "\\", "ldots": "…", "dots": "…",
}  # fmt: skip
GONE = frozenset(  # with their arguments: what stands at a title or name and is no part of it
    "thanks footnote footnotetext footnotemark tnoteref fnref corref tnotetext fntext cortext label inst orcid orcidlink orcidID "
    "orcidicon email ead textsuperscript vspace hspace fontsize thanksref fnmsep authormark color altaffilmark "
    "affilnum IEEEmembership thanksmark includegraphics".split()
)
FIRST_GONE = frozenset(("href", "textcolor"))
"""Whose first argument goes and whose second is text."""
ASIDE_CHARS = 4000  # of an argument that goes
ACCENTED_CHARS = 40  # of what stands under an accent
COMMAND = re.compile(r"\\([A-Za-z@]+)\*?|\\(.)|\$[^$]{0,400}\$|[{}~]|--+", re.S)
SUPERSCRIPT = re.compile(r"\$\s*(?:\{\})?\s*\^[^$]*\$")


def plain_text(latex: str) -> str:
    """The text on one line: accents composed, commands and braces gone, their arguments kept, formulas as they are."""
    text = _plain(SUPERSCRIPT.sub("", latex))
    return re.sub(r"\s+([,;:.])", r"\1", " ".join(unicodedata.normalize("NFC", text).split()))


def _plain(text: str) -> str:
    pieces: list[str] = []
    at = 0
    while match := COMMAND.search(text, at):
        pieces.append(text[at : match.start()])
        at = match.end()
        name = match[1] or match[2]
        if name is None:
            piece = {"~": " ", "--": "–", "---": "—"}.get(match[0], match[0])
            pieces.append("" if match[0] in "{}" else piece)
        elif name in ACCENTS and (match[2] or not text[at : at + 1].isalpha()):
            base, at = _accented(text, at)
            pieces.append(base + ACCENTS[name] if base else "")
        elif name == "(":
            end = text.find("\\)", at)
            formula, at = (text[at:end], end + 2) if end >= 0 else ("", at)
            pieces.append(f"${formula}$" if formula else "")
        elif name in LETTERS:
            pieces.append(LETTERS[name])
            at = _past_blanks(text, at) if match[1] else at
        elif name in GONE:
            at = _past_arguments(text, at)
        elif name in FIRST_GONE:
            at = _past_one(text, skip_blank(text, at))
        elif match[1]:
            after = _past_blanks(text, at)
            pieces.append("" if after > at or text[at : at + 1] in ("{", "\\", "") else " ")
            at = after
        else:
            pieces.append(" " if name in "\\ ,;:!/\n" else name)
    return "".join([*pieces, text[at:]])


def _accented(text: str, at: int) -> tuple[str, int]:
    """The letter under an accent and the place after it."""
    at = _past_blanks(text, at)
    inside, after = group(text[at : at + ACCENTED_CHARS], 0)
    if inside is None:
        dotless = re.compile(r"\\([ij])(?![A-Za-z])\s*").match(text, at)
        if dotless:
            return dotless[1], dotless.end()
        return text[at : at + 1], min(len(text), at + 1)
    inside = inside.strip()
    return (inside[1:] if inside in ("\\i", "\\j") else _plain(inside)), at + after


def _past_blanks(text: str, at: int) -> int:
    while text[at : at + 1] in (" ", "\t", "\n"):
        at += 1
    return at


def _past_arguments(text: str, at: int) -> int:
    while (after := _past_one(text, at)) > at:
        at = after
    return at


def _past_one(text: str, at: int) -> int:
    """The place after the argument at `at`, else `at`."""
    window = text[at : at + ASIDE_CHARS]  # unclosed ones would each be looked for to the end
    after = max(bracket(window, 0)[1], group(window, 0)[1])
    return at + after if after > 0 else at
