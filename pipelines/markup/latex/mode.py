"""Whether what was written last is in math mode."""

import re
from collections.abc import Sequence

MATH = (
    "equation|equation\\*|align|align\\*|gather|gather\\*|multline|multline\\*|eqnarray|eqnarray\\*|displaymath|math|flalign|"
    "flalign\\*|alignat|alignat\\*|dmath|dmath\\*|IEEEeqnarray|IEEEeqnarray\\*"
)
MARK = re.compile(
    rf"\\begin\s*\{{(?:{MATH})\}}|\\end\s*\{{(?:{MATH})\}}|\\(?P<text>(?:text(?:rm|it|bf|sf|tt|sc|up|normal)?|mbox|hbox"
    r"|fbox|makebox|parbox|intertext|shortintertext|tag|label|footnote|caption)(?![A-Za-z])\*?\s*\{)|\\[\\${}()\[\]\n]|\$\$?|[{}]|\n[ \t]*\n",
    re.S,
)


class MathMode:
    """Follows the mode over a growing list of pieces; each piece is read once, when the mode is asked for."""

    def __init__(self, pieces: Sequence[str]) -> None:
        self._pieces, self._read = pieces, 0
        self._modes = [False]

    def ask(self) -> bool:
        """Whether the end of the pieces is in math mode."""
        text = "".join(self._pieces[self._read :])
        self._read = len(self._pieces)
        for match in MARK.finditer(text):
            self._take(match)
        return self._modes[-1]

    def _take(self, match: re.Match[str]) -> None:
        mark, modes = match[0], self._modes
        if match["text"]:
            modes.append(False)
        elif mark == "{":
            modes.append(modes[-1])
        elif mark == "}":
            if len(modes) > 1:
                modes.pop()
        elif mark in ("$", "$$"):
            modes[-1] = not modes[-1]
        elif mark in ("\\(", "\\[") or mark.startswith("\\begin"):
            modes[-1] = True
        elif mark in ("\\)", "\\]") or mark.startswith("\\end"):
            modes[-1] = False
        elif mark[0] == "\n":  # a paragraph's end: no formula goes over it
            del modes[1:]
            modes[0] = False
