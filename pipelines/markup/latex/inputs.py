"""Files that a paper takes in while it is expanded: inputs in their places, definitions out of its own styles."""

import re

from pipelines.markup.latex.expander import GROWTH, Expander
from pipelines.markup.latex.frames import Frame
from pipelines.markup.latex.names import DEFINERS
from pipelines.markup.latex.sources import BEGIN, CLASS, CONDITIONAL, FINISH, MAX_CHARS, MAX_INPUT_DEPTH, Sources

ONE = frozenset("input include subfile subfileinclude InputIfFileExists".split())
TWO = frozenset("import includefrom inputfrom subimport subincludefrom subinputfrom".split())
STYLES = {
    "usepackage": ".sty",
    "RequirePackage": ".sty",
    "documentclass": ".cls",
    "LoadClass": ".cls",
    "documentstyle": ".sty",
}
TARGET = re.compile(r"\s*(?:\{([^{}]{0,300})\}|([^\s{}\\%\x00\x01]+)[ \t]?)")
FOLDER = re.compile(r"\*?\s*\{([^{}]{0,300})\}\s*\{([^{}]{0,300})\}")
STYLE = re.compile(r"\s*(?:\[[^\[\]]{0,2000}\]\s*)?\{([^{}]{0,1000})\}")
STYLE_CHARS = 200_000  # a longer style is a package, not the paper's own
PUBLISHED = re.compile(r"\\Provides(?:Package|Class)\s*\{[^{}]*\}\s*\[\s*[12][0-9]{3}[/-]")
DEFINER = re.compile(rf"\\({'|'.join(sorted(DEFINERS, key=len, reverse=True))})(?![A-Za-z@])")
BRANCH = re.compile(r"\\(?:(if(?!f(?![A-Za-z@]))[A-Za-z@]*)|(fi))(?![A-Za-z@])")


class Inputs:
    """Reads the files that commands of a paper name, for an expander."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._styles: set[str] = set()
        self._chars = 0

    def __call__(self, expander: Expander, name: str) -> bool:
        """Does what a command that reads a file says; False if it is none, or has no name of a file behind it."""
        if name == "endinput":
            return _end_input(expander)
        if name in STYLES:
            self._take_styles(expander, STYLES[name])
            return False
        if name not in ONE and name not in TWO:
            return False
        frame = expander.frames.top
        match = (FOLDER if name in TWO else TARGET).match(frame.text, frame.at)
        if match is None or (name != "input" and name in ONE and match[2]):
            return False
        folder, asked = (match[1], match[2]) if name in TWO else ("", match[1] or match[2] or "")
        if "\\" in folder + asked:
            folder, asked = expander.now(folder) or "", expander.now(asked) or ""
        if not asked.strip():
            return False
        frame.at = match.end()
        self._open(expander, folder, asked, new_page=name not in ("input", "InputIfFileExists"))
        return True

    def _open(self, expander: Expander, folder: str, asked: str, new_page: bool) -> None:
        opened = [frame.file for frame in expander.frames.stack if frame.file]
        found = self._sources.find(folder, asked, opened[-1])
        if found is None:
            self._sources.miss(asked)
            return
        if found in opened or len(opened) > MAX_INPUT_DEPTH or self._chars > MAX_CHARS:
            return
        text = self._sources.text(found)
        self._chars += len(text)
        if CLASS.search(text) and (begin := BEGIN.search(text)):  # a subfile: its body alone
            finish = FINISH.search(text, begin.end())
            text = text[begin.end() : finish.start() if finish else len(text)]
        text += "" if text.endswith("\n") else "\n"  # its last line ends, too
        expander.limit += GROWTH * len(text)
        top = expander.frames.top
        expander.frames.push(Frame(f"\n\n{text}\n\n" if new_page else text, top.depth, top.letter, found))

    def _take_styles(self, expander: Expander, suffix: str) -> None:
        """Takes the plain definitions out of styles that lie beside the paper and are no published packages."""
        frame = expander.frames.top
        match = STYLE.match(frame.text, frame.at)
        for name in match[1].split(",") if match else ():
            found = self._sources.style(name.strip() + suffix)
            if found is None or found in self._styles:
                continue
            self._styles.add(found)
            text = self._sources.text(found)
            if len(text) <= STYLE_CHARS and not PUBLISHED.search(text):
                _read_style(expander, text, found)


def _read_style(expander: Expander, text: str, name: str) -> None:
    """Reads definitions that stand outside of groups and conditions of a style."""
    frame = Frame(text, letter=True, file=name)
    expander.frames.push(frame)
    expander.table.style = True
    depth, at = 0, 0
    for match in DEFINER.finditer(text):
        if match.start() < frame.at:
            continue
        for branch in BRANCH.finditer(text, at, match.start()):
            depth = max(depth + (1 if branch[1] else -1), 0)
        at = match.start()
        if depth == 0 and frame.group_end(match.start()) < 0:
            frame.at = match.end()
            if expander.table.define(match[1], frame, match.start()):
                at = frame.at
    expander.table.style = False
    expander.frames.pop()


def _end_input(expander: Expander) -> bool:
    """Ends the innermost file behind the present line; not out of a condition that nobody knows."""
    frame = next(frame for frame in reversed(expander.frames.stack) if frame.file)
    before = frame.text[: frame.at]
    if len(CONDITIONAL.findall(before)) > before.count("\\fi"):
        expander.failures += 1
        return False
    end = frame.text.find("\n", frame.at)
    if end >= 0:
        frame.cut(end)
    return True
