"""RedPajama v1's rules for papers, as its cleaner applies them, faults and all: what its published set went through.

Each file is taken by itself and cut before its first heading; a file without one goes. A paper is lost where one file is no
UTF-8, or a macro's value has a letter that its replacement cannot hold. The rules are named in `FAULTS`.
"""

import re
from collections.abc import Mapping

FAULTS = (
    "a file without a heading goes, and \\paragraph is none",
    "\\input is not followed; files stand in the order of the archive",
    "the character before an inline comment goes with it, a percent sign at a line's end stays",
    "percent signs in addresses and programs cut the line",
    "of macros that stand side by side every second one is left; those with arguments are never expanded",
    "a macro whose value is not ASCII loses the paper",
    "everything after \\appendix goes",
)
HEADING = re.compile(
    r"\\(?:chapter|part|section|subsection|subsubsection)\b\*?(?:\[.*?\])?\{.*?\}"
    r"|\\paragraph\b\*?(?:\[.*?\])?\{.*?\}\\subparagraph\b\*?(?:\[.*?\])?\{.*?\}",
    re.S,
)
LINE_COMMENT = re.compile(r"^%.*\n?", re.M)
INLINE_COMMENT = re.compile(r"[^\\]%.+$", re.M)
END = re.compile(
    r"\\appendix|\\begin\{references\}|\\begin\{REFERENCES\}|\\begin\{thebibliography\}|\\bibliography\{.*\}", re.S
)
MACROS = (
    re.compile(r"\\newcommand\b\*?\{(\\[a-zA-Z0-9]+?)\}\{(.*?)\}$", re.M),
    re.compile(r"\\def\s*(\\[a-zA-Z0-9]+?)\s*\{(.*?)\}$", re.M),
)


class LostPaper(Exception):
    """The rules lose the paper; the message is the reason."""


def clean_faithful(files: Mapping[str, bytes]) -> str:
    """The text that RedPajama v1 has of a paper; `files` are its TeX files in the order of their archive.

    `LostPaper` where it drops the paper.
    """
    try:
        texts = [data.decode("utf-8") for name, data in files.items() if name.lower().endswith(".tex")]
    except UnicodeDecodeError:
        raise LostPaper("not UTF-8") from None
    macros: dict[str, str] = {}
    for text in texts:
        for form in MACROS:
            macros.update((match[1], match[2]) for match in form.finditer(text))
    return "\n".join(_cleaned(text, macros) for text in texts)


def _cleaned(text: str, macros: Mapping[str, str]) -> str:
    heading = HEADING.search(text)
    if heading is None:
        return ""
    text = LINE_COMMENT.sub("", text[heading.start() :])
    text = INLINE_COMMENT.sub("", text)
    end = END.search(text)
    text = text[: end.start()] if end else text
    for name, value in macros.items():
        if not value.isascii():
            raise LostPaper("macro that is not ASCII")
        calls = re.split(rf"{re.escape(name)}([^a-zA-Z0-9])", text)
        text = calls[0] + "".join(value + piece for piece in map("".join, zip(calls[1::2], calls[2::2], strict=True)))
    return text
