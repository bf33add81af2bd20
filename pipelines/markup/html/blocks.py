"""The blocks of a page: runs of text with the block elements around them, as arrays.

Resiliparse parses the page and writes its tree as well-formed HTML again; a kernel reads that, since it can take nesting,
quoting and closing tags for granted. White space is that of a browser: runs are one space, `<br>` is a line end, and `pre`
keeps its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import types

from corpus.data.buffers import Array
from corpus.kernel import kernel

TAGS = (
    "body p div h1 h2 h3 h4 h5 h6 blockquote ul ol li pre hr table tr td th dl dt dd section article aside header footer nav"
    " main figure figcaption form fieldset address details summary center tbody thead tfoot caption menu dialog"
).split()
"""Elements that begin and end a block; an element's tag is its place here."""
TAG = {name: number for number, name in enumerate(TAGS)}
RAW = "script style noscript iframe textarea".split()
"""Elements that end at their first closing tag, whatever is in them; no reader sees it."""
DROPPED = "svg template select button video audio object canvas math datalist".split()
"""Elements whose content no reader sees as text."""
_LINK, _BREAK, _DROPPED, _RAW = 100, 101, 102, 103
_MAX_NAME = 8

_U8 = types.Array(types.uint8, 1, "C", readonly=True)
_I32 = types.Array(types.int32, 1, "C", readonly=True)
_U64 = types.Array(types.uint64, 1, "C", readonly=True)
_I16 = types.Array(types.int16, 1, "C", readonly=True)
_OUT_U8 = types.Array(types.uint8, 1, "C")
_OUT_I16 = types.Array(types.int16, 1, "C")
_OUT_I32 = types.Array(types.int32, 1, "C")
_OUT_2D = types.Array(types.int32, 2, "C")


def _packed(name: str) -> int:
    """The first 8 bytes of a tag's name and its length as a number."""
    return int.from_bytes(name.encode()[:_MAX_NAME].ljust(_MAX_NAME, b"\0"), "little") * 31 + len(name) & (1 << 64) - 1


_NAMES = sorted(
    [(_packed(name), number) for name, number in TAG.items()]
    + [(_packed("a"), _LINK), (_packed("br"), _BREAK)]
    + [(_packed(name), _DROPPED) for name in DROPPED]
    + [(_packed(name), _RAW) for name in RAW]
)
_KEYS = np.array([key for key, _ in _NAMES], dtype=np.uint64)
_KINDS = np.array([kind for _, kind in _NAMES], dtype=np.int16)
_PRE, _HR = TAG["pre"], TAG["hr"]


@kernel(types.UniTuple(types.int64, 2)(_U8, types.int64))
def _name(html: Array[np.uint8], at: int) -> tuple[int, int]:
    """The tag's name at `at` as `_packed` gives it, and where it ends."""
    value = np.uint64(0)
    size = 0
    while at + size < len(html):
        c = html[at + size]
        if c == 0x20 or c == 0x3E or c == 0x2F or c == 0x09 or c == 0x0A:
            break
        if size < 8:
            value |= np.uint64(c) << np.uint64(8 * size)
        size += 1
    return int(np.int64(value * np.uint64(31) + np.uint64(size))), at + size


@kernel(types.int64(_U8, types.int64))
def _tag_end(html: Array[np.uint8], at: int) -> int:
    """Where the tag that goes on at `at` ends, after its `>`; values are in double quotes, which names may hold too."""
    quoted = False
    while at < len(html):
        c = html[at]
        if c == 0x22:
            quoted = not quoted and html[at - 1] == 0x3D
        elif c == 0x3E and not quoted:
            return at + 1
        at += 1
    return at


@kernel(types.int64(_U8, types.int64, types.int64, types.boolean))
def _close(html: Array[np.uint8], at: int, name: int, raw: bool) -> int:
    """Where the element of this name that is open at `at` ends, after its closing tag; a `raw` one has none inside."""
    depth = 1
    while at < len(html):
        if html[at] != 0x3C:
            at += 1
            continue
        closing = at + 1 < len(html) and html[at + 1] == 0x2F
        found, after = _name(html, at + 2 if closing else at + 1)
        if found == name and (closing or not raw):
            depth += -1 if closing else 1
            if depth == 0:
                return int(_tag_end(html, after))
        at = after if after > at else at + 1
    return at


@kernel(types.UniTuple(types.int64, 3)(_U8, _U64, _I16, _OUT_I16, _OUT_I32, _OUT_2D, _OUT_2D, _OUT_2D, _OUT_U8))
def _scan(
    html: Array[np.uint8],
    keys: Array[np.uint64],
    kinds: Array[np.int16],
    tags: Array[np.int16],
    parents: Array[np.int32],
    attributes: Array[np.int32],
    spans: Array[np.int32],
    counts: Array[np.int32],
    text: Array[np.uint8],
) -> tuple[int, int, int]:
    """Fill in the arrays of `Blocks`; the numbers of elements, blocks and bytes of text."""
    elements, blocks, size = 1, 0, 0
    current = 0
    tags[0] = 0
    parents[0] = -1
    begin = 0
    words = linked = wide = wide_linked = 0
    links, verbatim = 0, 0
    space = inside = False
    at = 0
    while at <= len(html):
        end_of_page = at == len(html)
        c = 0x3C if end_of_page else html[at]
        if c != 0x3C:
            # one character of text
            step, value = 1, int(c)
            if c == 0x26:  # the five entities that are written
                rest = len(html) - at
                if rest > 4 and html[at + 1] == 0x61 and html[at + 4] == 0x3B:
                    step, value = 5, 0x26
                elif rest > 3 and html[at + 1] == 0x6C and html[at + 3] == 0x3B:
                    step, value = 4, 0x3C
                elif rest > 3 and html[at + 1] == 0x67 and html[at + 3] == 0x3B:
                    step, value = 4, 0x3E
                elif rest > 5 and html[at + 1] == 0x6E and html[at + 2] == 0x62 and html[at + 5] == 0x3B:
                    step, value = 6, 0x20
                elif rest > 5 and html[at + 1] == 0x71 and html[at + 5] == 0x3B:
                    step, value = 6, 0x22
            elif c >= 0xF0:
                step = 4
            elif c >= 0xE0:
                step = 3
                if at + 2 < len(html):
                    value = (c & 15) << 12 | (html[at + 1] & 63) << 6 | (html[at + 2] & 63)
            elif c >= 0xC0:
                step = 2
                if c == 0xC2 and at + 1 < len(html) and html[at + 1] == 0xA0:
                    value = 0x20
            if verbatim:
                if value == 0x20 or value == 0x0A or value == 0x09:
                    inside = False
                elif not inside:
                    inside = True
                    words += 1
                    linked += links
                if (step > 3 and c == 0x26) or value == 0x20:
                    text[size] = value
                    size += 1
                else:
                    for i in range(step):
                        if at + i < len(html):
                            text[size] = html[at + i] if c != 0x26 else value
                            size += 1
                            if c == 0x26:
                                break
                at += step
                continue
            if value == 0x20 or value == 0x0A or value == 0x09 or value == 0x0D or value == 0x0C:
                space = True
                inside = False
                at += step
                continue
            if space and size > begin and text[size - 1] != 0x0A:
                text[size] = 0x20
                size += 1
            space = False
            if not inside:
                inside = True
                words += 1
                linked += links
            if value >= 0xE00 and (value < 0xE80 or 0x3040 <= value <= 0x9FFF or 0xAC00 <= value <= 0xD7AF):
                wide += 1
                wide_linked += links
            if c == 0x26:
                text[size] = value
                size += 1
            else:
                for i in range(step):
                    if at + i < len(html):
                        text[size] = html[at + i]
                        size += 1
            at += step
            continue
        kind, after, closing = np.int64(-1), at + 1, False
        if not end_of_page:
            if at + 3 < len(html) and html[at + 1] == 0x21:  # a comment
                at += 4
                while at < len(html) and not (html[at] == 0x3E and html[at - 1] == 0x2D and html[at - 2] == 0x2D):
                    at += 1
                at += 1
                continue
            closing = at + 1 < len(html) and html[at + 1] == 0x2F
            name, after = _name(html, at + 2 if closing else at + 1)
            place = np.searchsorted(keys, np.uint64(name))
            if place < len(keys) and keys[place] == np.uint64(name):
                kind = np.int64(kinds[place])
        if end_of_page or 0 <= kind < _LINK:  # a block ends
            while size > begin and (text[size - 1] == 0x20 or text[size - 1] == 0x0A):
                size -= 1
            if size > begin and words:
                spans[blocks, 0], spans[blocks, 1], spans[blocks, 2] = begin, size, current
                counts[blocks, 0] = words + wide // 2
                counts[blocks, 1] = linked + wide_linked // 2
                blocks += 1
            else:
                size = begin
            begin = size
            words = linked = wide = wide_linked = 0
            space = inside = False
        if end_of_page:
            break
        end = _tag_end(html, after)
        if kind >= _DROPPED:
            if not closing:
                end = _close(html, end, name, kind == _RAW)
        elif kind == _BREAK:
            if size > begin:
                text[size] = 0x0A
                size += 1
            space = inside = False
        elif kind == _LINK:
            links = 0 if closing else 1
        elif kind >= 0 and closing:
            if tags[current] == kind and parents[current] >= 0:
                if kind == _PRE and verbatim:
                    verbatim -= 1
                current = parents[current]
        elif kind >= 0 and kind != _HR:
            tags[elements] = kind
            parents[elements] = current
            attributes[elements, 0], attributes[elements, 1] = after, end - 1
            current = elements
            elements += 1
            if kind == _PRE:
                verbatim += 1
        at = end
    return elements, blocks, size


@kernel(types.int32[::1](_I32))
def _depths(parents: Array[np.int32]) -> Array[np.int32]:
    """How many elements each is in."""
    depths = np.zeros(len(parents), np.int32)
    for element in range(1, len(parents)):
        depths[element] = depths[parents[element]] + 1
    return depths


@dataclass(frozen=True, slots=True)
class Blocks:
    """Of each element: int16 `tags` (in `TAGS`), int32 `parents` (before their children, -1 for the body), and where its
    attributes are in `html`. Of each block: int32[…, 3] `spans`, its bytes in `text` and its element, and int32[…, 2]
    `counts`, its words (two characters of scripts without spaces are one) and those in links."""

    html: bytes
    text: bytes
    tags: Array[np.int16]
    parents: Array[np.int32]
    attributes: Array[np.int32]
    spans: Array[np.int32]
    counts: Array[np.int32]

    def depths(self) -> Array[np.int32]:
        """In how many elements each is."""
        depths: Array[np.int32] = _depths(self.parents)
        return depths

    def block(self, number: int) -> str:
        """The text of a block."""
        begin, end = self.spans[number, 0], self.spans[number, 1]
        return self.text[begin:end].decode("utf-8", "replace")


def blocks_of(body: str) -> Blocks:
    """The blocks of the body of a page, given as well-formed HTML."""
    html = body.encode("utf-8", "replace")
    data = np.frombuffer(html, np.uint8)
    most = html.count(b"<") + 2
    tags = np.empty(most, np.int16)
    parents, attributes = np.empty(most, np.int32), np.zeros((most, 2), np.int32)
    spans, counts = np.empty((most, 3), np.int32), np.empty((most, 2), np.int32)
    text = np.empty(len(data) + most, np.uint8)
    elements, blocks, size = _scan(data, _KEYS, _KINDS, tags, parents, attributes, spans, counts, text)
    return Blocks(
        html, text[:size].tobytes(), tags[:elements], parents[:elements], attributes[:elements], spans[:blocks],
        counts[:blocks],
    )  # fmt: skip
