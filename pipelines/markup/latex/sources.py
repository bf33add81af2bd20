"""The files of a paper: which one is the root, and its inputs in their places."""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.markup.latex.comments import strip_comments, strip_false

MAX_INPUT_DEPTH = 16
MAX_CHARS = 32 << 20  # of a paper with its inputs
INPUT = re.compile(
    r"\\(?:(?:input|include|subfile|subfileinclude)(?![A-Za-z@])\s*(?:\{(?P<file>[^{}]{0,300})\}|(?P<bare>[^\s{}\\%]+))"
    r"|(?:sub)?(?:import|includefrom|inputfrom)\*?\s*\{(?P<folder>[^{}]{0,300})\}\s*\{(?P<inner>[^{}]{0,300})\})"
)
CONDITIONAL = re.compile(r"\\if[A-Za-z@]*")
CLASS = re.compile(r"\\document(?:class|style)(?![A-Za-z])")
PLAIN = re.compile(r"\\(?:bye|magnification)(?![A-Za-z])")
BEGIN = re.compile(r"\\begin\s*\{document\}")
FINISH = re.compile(r"\\end\s*\{document\}|\\bye(?![A-Za-z])")
HEADING = re.compile(r"\\(?:part|chapter|section|subsection)(?![A-Za-z@])")
PART = re.compile(r"\\documentclass\s*(?:\[[^\]]*\])?\s*\{(?:standalone|subfiles|letter)\}")
# What says at the head of a file that arXiv is to leave it alone; a paper of such files alone is withdrawn.
IGNORED = re.compile(r"\s*%+[ \t]*auto-ignore")
WITHDRAWN = re.compile(r"\b(?:paper|article|manuscript|submission)\s+(?:has|is)\s+(?:been\s+)?withdrawn\b", re.I)
NOTICE_CHARS = 3000  # a notice of withdrawal is no longer
STYLES = (".sty", ".cls")
NO_ROOT = (".txt", ".bbl", ".def", ".cfg", ".clo", ".tikz", ".pgf")
FAR_LARGER = 8  # times the best complete document: a file of chapters without a class is then the paper
MAX_FLAT = 1 << 40  # what files that are taken twice and twice again may add up to


@dataclass
class _Extent:
    """What a file is with its inputs in their places."""

    chars: int
    document: bool
    complete: bool  # the document begins in it


class Sources:
    """The files of one paper, by path inside it, without comments; `kept` is the verbatim text that place marks stand for.

    `missing` names the inputs that the paper lacks, in the order in which they were met.
    """

    def __init__(self, files: Mapping[str, str]) -> None:
        self.kept: list[str] = []
        self.ignored = frozenset(name for name, text in files.items() if IGNORED.match(text))
        self._styles: dict[str, str] = {}
        self.files: dict[str, str] = {}
        for name, text in files.items():
            text = text.replace("\x00", "").replace("\x01", "")  # these stand for what is put back at the end
            if name.lower().endswith(STYLES):
                self._styles[name] = text
            else:
                self.files[name] = strip_false(strip_comments(text, self.kept))
        self.files_of_styles: dict[str, str] = {}
        self.missing: list[str] = []
        self._inputs: dict[str, list[str]] = {}
        self._extents: dict[str, _Extent] = {}
        self._summed: set[str] = set()

    def withdrawn(self) -> bool:
        """Whether nothing is left of the paper but the word that it is withdrawn."""
        roots = [name for name in self.files if name not in self.ignored and not name.lower().endswith(NO_ROOT)]
        text = "".join(self.files[name] for name in roots[:2])
        return not roots or (len(roots) == 1 and len(text) < NOTICE_CHARS and WITHDRAWN.search(text) is not None)

    def roots(self) -> list[str]:
        """The files that may be the paper's top file, the best first; empty if there is none.

        They are judged with their inputs in their places: first that the document begins there and is no part of
        another (`standalone`, `subfiles`), then by name (`arxiv`, then `main`, `ms`, `paper`), then by place and length.
        """
        names = [name for name in self.files if name not in self.ignored and not name.lower().endswith(NO_ROOT)]
        names = names or [name for name in self.files if name not in self.ignored]
        used = {found for name in self.files for found in self._used_by(name) if found != name}
        ranked = sorted(names, key=lambda name: self._rank(name, name in used))
        if ranked and self._extent(ranked[0]).complete:
            least = FAR_LARGER * self._extent(ranked[0]).chars
            loose = [name for name in names if not self._extent(name).document and name not in used]
            larger = [name for name in loose if self._extent(name).chars >= least and HEADING.search(self.files[name])]
            if larger:
                best = max(larger, key=lambda name: (self._extent(name).chars, name))
                ranked.remove(best)
                ranked.insert(0, best)
        return ranked

    def others(self, root: str) -> list[str]:
        """The further complete documents beside `root`: supplements, replies, older versions."""
        taken, queue = {root}, [root]
        while queue:
            for name in self._used_by(queue.pop()):
                if name not in taken:
                    taken.add(name)
                    queue.append(name)
        used = {found for name in self.files for found in self._used_by(name) if found != name}
        return [
            name
            for name in self.files
            if name not in taken | used | self.ignored
            and CLASS.search(self.files[name])
            and not PART.search(self.files[name])
            and self._extent(name).complete
        ]

    def _rank(self, name: str, used: bool) -> tuple[bool, bool, bool, int, int, int, str]:
        text, extent = self.files[name], self._extent(name)
        stem = posixpath.splitext(posixpath.basename(name))[0].lower()
        return (
            not extent.document,
            used or PART.search(text) is not None,
            not extent.complete,
            0 if "arxiv" in stem else 1 if stem in ("main", "ms", "paper", "article", "manuscript") else 2,
            name.count("/"),
            -extent.chars,
            name,
        )

    def _used_by(self, name: str) -> list[str]:
        found = self._inputs.get(name)
        if found is None:
            text = self.files[name]
            found = [
                file
                for match in INPUT.finditer(text)
                if (file := self.find(*asked_for(match), name)) and file in self.files
            ]
            self._inputs[name] = found
        return found

    def _extent(self, root: str) -> _Extent:
        """Sums up a file with its inputs; each file is looked at once, and one that takes itself counts as nothing."""
        stack = [root]
        while stack:
            name = stack[-1]
            extent = self._extents.get(name)
            if extent is None:
                text = self.files[name]
                document = CLASS.search(text) is not None or PLAIN.search(text) is not None
                self._extents[name] = _Extent(len(text), document, BEGIN.search(text) is not None)
                stack += [inner for inner in self._used_by(name) if inner not in self._extents]
                continue
            stack.pop()
            if name in self._summed:
                continue
            self._summed.add(name)
            for inner in self._used_by(name):
                if inner != name and inner in self._summed:
                    part = self._extents[inner]
                    extent.chars = min(extent.chars + part.chars, MAX_FLAT)
                    extent.document |= part.document and not PART.search(self.files[inner])
                    extent.complete |= part.complete
        return self._extents[root]

    def text(self, name: str) -> str:
        """A file without its comments."""
        if name not in self.files:
            self.files_of_styles.setdefault(name, strip_comments(self._styles[name], self.kept))
            return self.files_of_styles[name]
        return self.files[name]

    def style(self, name: str) -> str | None:
        """The style or class of that name that lies with the paper."""
        return (
            name if name in self._styles else next((path for path in self._styles if path.endswith(f"/{name}")), None)
        )

    def miss(self, asked: str) -> None:
        """Notes an input that is not in the paper."""
        if asked not in self.missing:
            self.missing.append(asked)

    def find(self, folder: str, asked: str, current: str) -> str | None:
        """The file that `\\input{asked}` in the file `current` means, as TeX looks: with `.tex` first, from the top, then
        beside the file."""
        if not asked.strip():
            return None
        path = posixpath.join(folder.strip(), " ".join(asked.split()).strip('"'))
        for base in ("", posixpath.dirname(current)):
            for suffix in (".tex", "", ".ltx", ".latex", ".TEX"):
                name = posixpath.normpath(posixpath.join(base, path + suffix))
                if name in self.files or name in self._styles:
                    return name
        return None


def asked_for(match: re.Match[str]) -> tuple[str, str]:
    """The folder and the name that an input command gives."""
    return match["folder"] or "", match["file"] or match["bare"] or match["inner"] or ""
