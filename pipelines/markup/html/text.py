"""HTML of posts -> plain text that keeps the blocks: headings, paragraphs, lists, quotes, fenced code, table cells."""

import re
import threading
from dataclasses import dataclass

from lxml import etree

from pipelines.formats.xml import legal_references

MAX_CONTAINERS = 16  # deeper quotes and lists are not indented further
BLOCKS = frozenset(
    "p div h1 h2 h3 h4 h5 h6 blockquote ul ol pre hr table dl section article aside header footer figure details".split()
)
LINES = frozenset("li tr dt dd thead tbody tfoot caption figcaption summary".split())
DELETED = frozenset("script style head title template".split())
MAX_SCRIPT = 16  # characters; a longer superscript or subscript is small print
PLACEHOLDER_ALT = frozenset(("", "enter image description here", "alt text", "image", "screenshot"))
SPACE = re.compile(r"[\t\r\n\f\v\u00a0][ \t\r\n\f\v\u00a0]*| [ \t\r\n\f\v\u00a0]+")  # but single blanks, which stay
ANY_SPACE = re.compile(r"\r\n|[ \t\r\n\f\v\u00a0\x01]")
BREAK = "\x01"  # a <br> inside a paragraph; cannot occur in XML text and is removed from the input
KEPT = "\x02"  # a blank of inline code, which is not run together with its neighbours; as BREAK
STRUCK = frozenset(("s", "strike", "del"))
HEADING = re.compile("h[1-6]")
FORMULA = re.compile(r"\$\$|(?<!\\)\\\[|\\begin(\{[a-z]+\*?\})")
SIMPLE = re.compile(r"[\w.]+|[+\-*∗†‡′°]")
GROUP = re.compile(r"\([^()]*\)")


@dataclass(slots=True)
class Container:
    """A blockquote or list item that prefixes its lines."""

    tag: str
    first: str  # prefix of its first line
    rest: str  # prefix of the others
    used: bool = False


class TextBuilder:
    """Target of a SAX-like HTML parser; holds no tree, so that depth costs nothing."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        """Be as new."""
        self.lines: list[str] = []
        self.current: list[str] = []
        self.blank = False  # a blank line is due before the next line
        self.containers: list[Container] = []
        self.lists: list[int] = []  # per open list: -1 for bullets, else the next number
        self.pre = self.deleted = self.cells = self.heading = 0
        self.marks: list[tuple[str, int]] = []  # open inline code, sup and sub: where their text begins in `current`

    # What the parser calls.

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Opens an element."""
        if tag in DELETED:
            self.deleted += 1
        elif tag in BLOCKS or tag in LINES:
            self._start_block(tag, attributes)
        elif tag == "br":
            self.current.append("\n" if self.pre else " " if self.cells or self.heading else BREAK)
        elif tag in ("td", "th"):
            if self.cells:
                self.current.append(" | ")
            self.cells += 1
        elif tag == "img":
            alt = SPACE.sub(" ", attributes.get("alt", "")).strip()
            if alt.lower() not in PLACEHOLDER_ALT:
                self.current.append(alt)
        elif (tag in ("code", "sup", "sub") or tag in STRUCK) and not self.pre:
            self.marks.append(
                (
                    tag,
                    -1 if any(mark[0] == tag for mark in self.marks[:3]) or len(self.marks) > 2 else len(self.current),
                )
            )

    def end(self, tag: str) -> None:
        """Closes an element."""
        if tag in DELETED:
            self.deleted = max(0, self.deleted - 1)
        elif tag in BLOCKS or tag in LINES:
            self._end_block(tag)
        elif self.marks and self.marks[-1][0] == tag:
            _, begin = self.marks.pop()
            if begin >= 0:
                self.current[begin:] = [_marked(tag, "".join(self.current[begin:]))]

    def data(self, text: str) -> None:
        """Takes text whose entities are already decoded."""
        if not self.deleted:
            self.current.append(text)

    def close(self) -> str:
        """Returns the text, and is as new: a parser looks at its target's methods once, which costs as much as a short
        post."""
        self._flush()
        text = "\n".join(self.lines)
        self._begin()
        return text

    # Blocks.

    def _start_block(self, tag: str, attributes: dict[str, str]) -> None:
        self._flush()
        if tag in BLOCKS and not (tag in ("ul", "ol") and any(c.tag == "li" for c in self.containers)):
            self.blank = True
        if tag == "pre":
            self.pre += 1
        elif tag == "blockquote":
            self._open("blockquote", "> ", "> ")
        elif tag in ("ul", "ol"):
            begin = attributes.get("start", "1")
            self.lists.append(
                -1 if tag == "ul" else int(begin) if begin.isascii() and begin.isdigit() and len(begin) < 10 else 1
            )
        elif tag == "li":
            marker = "- "
            if self.lists and self.lists[-1] >= 0:
                marker = f"{self.lists[-1]}. "
                self.lists[-1] += 1
            self._open("li", marker, " " * len(marker))
        elif tag in ("tr", "table"):
            self.cells = 0
        elif HEADING.fullmatch(tag):
            self.heading = int(tag[1])

    def _end_block(self, tag: str) -> None:
        if tag == "pre" and self.pre:
            self._flush_code()
            self.pre -= 1
        else:
            self._flush()
        if tag in ("tr", "table"):
            self.cells = 0
        elif HEADING.fullmatch(tag):
            self.heading = 0
        if tag in ("ul", "ol") and self.lists:
            self.lists.pop()
        if tag in ("blockquote", "li"):
            while self.containers and any(c.tag == tag for c in self.containers):
                if self.containers.pop().tag == tag:
                    break
        if tag in BLOCKS and not (tag in ("ul", "ol") and any(c.tag == "li" for c in self.containers)):
            self.blank = True

    def _open(self, tag: str, first: str, rest: str) -> None:
        if len(self.containers) >= MAX_CONTAINERS:
            first = rest = ""
        self.containers.append(Container(tag, first, rest))
        if len(self.containers) > 4 * MAX_CONTAINERS:  # only unclosed garbage nests this deep
            del self.containers[MAX_CONTAINERS]

    # Lines.

    def _emit(self, lines: list[str]) -> None:
        if self.blank and self.lines:
            self.lines.append("".join(c.rest for c in self.containers if c.used).rstrip())
        self.blank = False
        for line in lines:
            prefix = "".join(c.rest if c.used else c.first for c in self.containers)
            for container in self.containers:
                container.used = True
            self.lines.append((prefix + line).rstrip())

    def _flush(self) -> None:
        if self.pre:
            self._flush_code()
            return
        if not self.current:
            self.marks.clear()
            return
        text = "".join(self.current)
        if not text or text.isspace():
            self.current.clear()
            self.marks.clear()
            return
        if "\n" in text:
            text = _formula_lines(text.strip("\n"))
        text = SPACE.sub(" ", text)
        self.current.clear()
        self.marks.clear()
        lines = [line.strip(" ").replace(KEPT, " ") for line in text.split(BREAK)]
        if any(lines):
            if self.heading:
                lines = ["#" * self.heading + " " + " ".join(filter(None, lines))]
            self._emit([line for index, line in enumerate(lines) if line or 0 < index < len(lines) - 1])

    def _flush_code(self) -> None:
        code = "".join(self.current).replace("\r\n", "\n").strip("\n").replace(BREAK, "\n").rstrip()
        self.current.clear()
        self.marks.clear()
        if code.strip():
            longest = max((len(run) for run in re.findall("`+", code)), default=0)
            fence = "`" * max(3, longest + 1)
            self._emit([fence, *code.split("\n"), fence])


def _formula_lines(text: str) -> str:
    """Keeps the line ends inside displayed formulas: a formula may hold TeX comments, and its rows are easier to read."""
    pieces: list[str] = []
    last = 0
    unclosed: set[str] = set()
    for match in FORMULA.finditer(text):
        closer = f"\\end{match[1]}" if match[1] else "$$" if match[0] == "$$" else "\\]"
        if match.start() < last or closer in unclosed:
            continue
        end = text.find(closer, match.end())
        if end < 0:
            unclosed.add(closer)
            continue
        pieces.append(text[last : match.start()])
        last = end + len(closer)
        pieces.append(text[match.start() : last].replace("\n", BREAK))
    return "".join([*pieces, text[last:]])


def _marked(tag: str, text: str) -> str:
    """Inline code in backquotes, struck text in ~~, a superscript as ^x or ^(x y), a subscript as _x or _(x y)."""
    stripped = SPACE.sub(" ", text.replace(BREAK, " ")).strip()
    if not stripped:
        return text
    if tag == "code":
        code = ANY_SPACE.sub(KEPT, text.strip("\r\n" + BREAK))
        longest = max((len(run) for run in re.findall("`+", code)), default=0)
        fence = "`" * (longest + 1)
        pad = KEPT if longest or code[0] == code[-1] == KEPT else ""  # Markdown takes one blank off both ends
        return f"{fence}{pad}{code}{pad}{fence}"
    if tag in STRUCK:
        return f"~~{stripped}~~" + " " * text[-1:].isspace()
    sign = "^" if tag == "sup" else "_"
    if stripped[0] in (sign, "[") or len(stripped) > MAX_SCRIPT:  # written out by hand, a footnote mark, small print
        return text
    marked = f"{sign}{stripped}" if SIMPLE.fullmatch(stripped) or GROUP.fullmatch(stripped) else f"{sign}({stripped})"
    return marked + " " * (text[-1:].isspace())


def html_to_text(html: str) -> str:
    """Plain text of an HTML fragment; entities are decoded exactly once, nothing is raised for broken HTML."""
    html = html.replace("\x00", "").replace(BREAK, "").replace(KEPT, "")
    if not html.strip():
        return ""
    if "<" not in html and "&" not in html:
        return SPACE.sub(" ", html).strip()
    if "&#" in html:
        html = legal_references(html)
    parser = _parsers.__dict__.pop("free", None)
    if parser is None:
        parser = etree.HTMLParser(target=TextBuilder(), huge_tree=True, recover=True, remove_comments=True)
    text: str = etree.fromstring("<div>" + html, parser)
    _parsers.free = parser  # not where it raised
    return text


_parsers = threading.local()
