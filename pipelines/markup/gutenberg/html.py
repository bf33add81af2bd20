"""A book as HTML -> its text as a Gutenberg plain text would have it: paragraphs, verse by lines, headings apart.

A paragraph becomes one line. Page numbers, pictures and what is not displayed go.
"""

import re

from lxml import etree

_START = re.compile(
    r"\s*(?:<\?xml[^>]{0,200}\?>\s*)?(?:<!--.{0,2000}?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)
_LATER = re.compile(r"^[ \t]*<(?:!doctype\s+html|html)\b", re.I | re.M)
LATER_CHARS = 30_000  # of a plain header before the HTML
_CHARSET = re.compile(
    rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w-]{2,30})|<\?xml[^>]{0,100}?encoding=["']([\w-]{2,30})""", re.I
)
_CHARSET_BYTES = 4096
_DROPPED = frozenset("script style title head template noscript img map object audio video nav svg link meta".split())
_PAGE = re.compile(
    r"(?:^|[\s_-])(?:pagenum(?:ber)?|pageno|page-?number|page_number|pgnum|pb|pagebreak|lineno|linenum)s?(?:$|[\s_-])",
    re.I,
)
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)
_BLOCK_STYLE = re.compile(r"display\s*:\s*block", re.I)
_HEADINGS = frozenset("h1 h2 h3 h4 h5 h6".split())
_PARAGRAPHS = frozenset("p blockquote pre table ul ol dl hr center section header footer figure".split()) | _HEADINGS
_BLOCKS = frozenset("body div li dd dt tr caption tbody thead tfoot address article figcaption".split())
_SPACE = re.compile(r"[ \t\r\n\f\v]+")
_VERSE_LINE = re.compile(r"(?:^|\s)(?:i\d{1,2}|line|verse|indent\d{0,2})(?:$|\s)")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")


def html_start(text: str) -> int | None:
    """Where the HTML page begins in a text, perhaps below a plain header; None if the text is no page."""
    if _START.match(text, 1 if text.startswith("\ufeff") else 0):
        return 0
    later = _LATER.search(text, 0, LATER_CHARS)
    return later.start() if later is not None and "</html" in text[-5000:].lower() else None


def charset(data: bytes) -> str | None:
    """The encoding that a page declares."""
    match = _CHARSET.search(data, 0, _CHARSET_BYTES)
    return None if match is None else (match[1] or match[2]).decode("ascii", "replace")


def book_text(source: str) -> tuple[str, dict[str, str]]:
    """(text, fields of its head): title, author and language where <meta name="dc.…"> or <html lang> state them."""
    source = _CONTROLS.sub("", source)
    parser = etree.HTMLParser(huge_tree=True, recover=True, remove_comments=True, remove_pis=True, encoding="utf-8")
    root = etree.fromstring(source.encode("utf-8", "replace"), parser) if source.strip() else None
    if root is None:
        return "", {}
    fields = _fields(root)
    writer = _Writer()
    todo: list[tuple[etree._Element, bool]] = [(root, False)]
    while todo:
        element, ended = todo.pop()
        if ended:
            writer.end(element.tag)
        elif not _is_dropped(element):
            writer.start(element)
            writer.text(element.text)
            todo.append((element, True))
            todo.extend((child, False) for child in reversed(element))
            continue
        writer.text(element.tail)
    return writer.close(), fields


def _fields(root: etree._Element) -> dict[str, str]:
    fields: dict[str, str] = {}
    for meta in root.iter("meta"):
        name = (meta.get("name") or meta.get("property") or "").lower()
        key = {"dc.title": "title", "dc.creator": "author", "dc.language": "language", "og:title": "title"}.get(name)
        value = " ".join((meta.get("content") or "").split())
        if key and value:
            fields.setdefault(key, value)
    if language := root.get("lang") or root.get("{http://www.w3.org/XML/1998/namespace}lang"):
        fields.setdefault("language", language)
    return fields


def _is_dropped(element: etree._Element) -> bool:
    tag = element.tag
    if not isinstance(tag, str) or tag in _DROPPED:
        return True
    name, style = element.get("class"), element.get("style")
    return bool((name and _PAGE.search(name)) or (style and _HIDDEN.search(style)))


class _Writer:
    """Takes elements and texts in their order."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.current: list[str] = []
        self.pre = self.cells = self.tables = 0

    def start(self, element: etree._Element) -> None:
        """Opens an element."""
        tag = element.tag
        if tag in _HEADINGS:
            self._blank(3)
        elif tag in _PARAGRAPHS:
            self._blank(1)
        elif tag in _BLOCKS or (tag == "span" and self._stands_alone(element)):
            self._flush()
        elif tag == "br":
            self.current.append("\n" if not self.tables else " ")
        elif tag in ("td", "th"):
            self.current.append("  " if self.cells else "")
            self.cells += 1
        self.pre += tag == "pre"
        self.tables += tag == "table"
        if tag == "tr":
            self.cells = 0

    def _stands_alone(self, element: etree._Element) -> bool:
        name, style = element.get("class"), element.get("style")
        return bool((name and _VERSE_LINE.search(name)) or (style and _BLOCK_STYLE.search(style)))

    def end(self, tag: str) -> None:
        """Closes an element."""
        if tag == "tr":
            self._flush(row=True)
        elif tag == "table":
            self._flush(row=True)
            self.tables -= 1
            self._blank(1)
        elif tag == "pre":
            self._blank(1)
            self.pre -= 1
        elif tag in _PARAGRAPHS:
            self._blank(1)
        elif tag in _BLOCKS:
            self._flush()

    def text(self, text: str | None) -> None:
        """Takes the text between elements."""
        if text:
            self.current.append(text if self.pre else _SPACE.sub(" ", text))

    def _flush(self, row: bool = False) -> None:
        if self.tables and not row and not self.pre:
            self.current.append(" ")
            return
        text = "".join(self.current)
        self.current.clear()
        if self.pre:
            if text.strip():
                self.lines += [line.rstrip() for line in text.strip("\n").split("\n")]
            return
        for line in text.split("\n"):
            shown = line.strip(" \u00a0").replace("\u00a0", " ")
            if shown:
                indent = (
                    (len(line.replace(" ", "")) - len(line.replace(" ", "").lstrip("\u00a0")))
                    if line[:1] in " \u00a0"
                    else 0
                )
                self.lines.append(" " * min(indent, 40) + (shown if row else re.sub(" {2,}", " ", shown)))

    def _blank(self, number: int) -> None:
        """Ends the line; at least `number` blank lines follow."""
        self._flush()
        if self.tables:
            return
        have = 0
        while have < len(self.lines) and not self.lines[-1 - have]:
            have += 1
        if have < len(self.lines):
            self.lines += [""] * (number - have)

    def close(self) -> str:
        """The text."""
        self.tables = 0
        self._flush()
        return "\n".join(self.lines).strip("\n")
