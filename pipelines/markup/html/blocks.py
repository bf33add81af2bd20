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
_WORDS, _LINKED, _WIDE, _WIDE_LINKED, _SPACE, _INSIDE = range(6)
"""Counts of the block that is read; whether a space is due, and whether a word has begun."""

_U8 = types.Array(types.uint8, 1, "C", readonly=True)
_I32 = types.Array(types.int32, 1, "C", readonly=True)
_U64 = types.Array(types.uint64, 1, "C", readonly=True)
_I16 = types.Array(types.int16, 1, "C", readonly=True)
_OUT_U8 = types.Array(types.uint8, 1, "C")
_OUT_I16 = types.Array(types.int16, 1, "C")
_OUT_I32 = types.Array(types.int32, 1, "C")
_OUT_I64 = types.Array(types.int64, 1, "C")
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
        if raw and not closing:  # `a<b` of a script begins no tag
            at += 1
            continue
        found, after = _name(html, at + 2 if closing else at + 1)
        if found == name:
            depth += -1 if closing else 1
            if depth == 0:
                return int(_tag_end(html, after))
        at = after if after > at else at + 1
    return at


@kernel(types.UniTuple(types.int64, 2)(_U8, types.int64))
def _character(html: Array[np.uint8], at: int) -> tuple[int, int]:
    """How many bytes the character at `at` takes, and its code point where it is told apart here, else its first byte. The
    five entities that are written are characters."""
    c, rest = int(html[at]), len(html) - at
    if c == 0x26:
        if rest > 4 and html[at + 1] == 0x61 and html[at + 4] == 0x3B:
            return 5, 0x26
        if rest > 3 and html[at + 1] == 0x6C and html[at + 3] == 0x3B:
            return 4, 0x3C
        if rest > 3 and html[at + 1] == 0x67 and html[at + 3] == 0x3B:
            return 4, 0x3E
        if rest > 5 and html[at + 1] == 0x6E and html[at + 2] == 0x62 and html[at + 5] == 0x3B:
            return 6, 0x20
        if rest > 5 and html[at + 1] == 0x71 and html[at + 5] == 0x3B:
            return 6, 0x22
        return 1, c
    if c >= 0xF0:
        return min(4, rest), c
    if c >= 0xE0:
        return min(3, rest), (c & 15) << 12 | (html[at + 1] & 63) << 6 | (html[at + 2] & 63) if rest > 2 else c
    if c >= 0xC0:
        return min(2, rest), 0x20 if c == 0xC2 and rest > 1 and html[at + 1] == 0xA0 else c
    return 1, c


@kernel(
    types.UniTuple(types.int64, 2)(
        _U8, types.int64, types.int64, types.boolean, types.boolean, _OUT_U8, types.int64, _OUT_I64
    )
)
def _text(
    html: Array[np.uint8],
    at: int,
    begin: int,
    link: bool,
    verbatim: bool,
    text: Array[np.uint8],
    size: int,
    run: Array[np.int64],
) -> tuple[int, int]:
    """Append the characters up to the next tag to `text`, which is filled to `size` and whose block has its beginning at
    `begin`, and count in `run`; where the tag is, and the new size."""
    words, linked, wide, wide_linked, space, inside = run
    while at < len(html) and html[at] != 0x3C:
        c = html[at]
        step, value = 1, np.int64(c)
        if c == 0x26 or c >= 0x80:
            step, value = _character(html, at)
        white = value == 0x20 or value == 0x0A or value == 0x09 or (not verbatim and (value == 0x0D or value == 0x0C))
        if white:
            inside = 0
        elif not inside:
            inside = 1
            words += 1
            linked += link
        if not verbatim:
            if white:
                space = 1
                at += step
                continue
            if space and size > begin and text[size - 1] != 0x0A:
                text[size] = 0x20
                size += 1
            space = 0
            if value >= 0xE00 and (value < 0xE80 or 0x3040 <= value <= 0x9FFF or 0xAC00 <= value <= 0xD7AF):
                wide += 1
                wide_linked += link
        if step == 1 or c == 0x26 or value == 0x20:
            text[size] = value
            size += 1
        else:
            for i in range(step):
                text[size + i] = html[at + i]
            size += step
        at += step
    run[0], run[1], run[2], run[3], run[4], run[5] = words, linked, wide, wide_linked, space, inside
    return at, size


@kernel(
    types.UniTuple(types.int64, 2)(
        types.int64, types.int64, types.int64, types.int64, _OUT_U8, _OUT_2D, _OUT_2D, _OUT_I64
    )
)
def _end(
    block: int,
    element: int,
    begin: int,
    size: int,
    text: Array[np.uint8],
    spans: Array[np.int32],
    counts: Array[np.int32],
    run: Array[np.int64],
) -> tuple[int, int]:
    """End block number `block` of `element`, unless it is empty; the number of the next, and the size of the text."""
    while size > begin and (text[size - 1] == 0x20 or text[size - 1] == 0x0A):
        size -= 1
    if size > begin and run[_WORDS]:
        spans[block, 0], spans[block, 1], spans[block, 2] = begin, size, element
        counts[block, 0] = run[_WORDS] + run[_WIDE] // 2
        counts[block, 1] = run[_LINKED] + run[_WIDE_LINKED] // 2
        block += 1
    else:
        size = begin
    run[:] = 0
    return block, size


@kernel(types.int64(_U8, types.int64))
def _comment_end(html: Array[np.uint8], at: int) -> int:
    """Where the comment that begins at `at` ends."""
    at += 4
    while at < len(html) and not (html[at] == 0x3E and html[at - 1] == 0x2D and html[at - 2] == 0x2D):
        at += 1
    return at + 1


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
    run = np.zeros(6, np.int64)
    elements, blocks, size, begin, at = 1, 0, 0, 0, 0
    current, verbatim, link = 0, 0, False
    tags[0], parents[0] = 0, -1
    while True:
        at, size = _text(html, at, begin, link, verbatim > 0, text, size, run)
        if at >= len(html):
            break
        if at + 3 < len(html) and html[at + 1] == 0x21:
            at = _comment_end(html, at)
            continue
        closing = at + 1 < len(html) and html[at + 1] == 0x2F
        name, after = _name(html, at + 2 if closing else at + 1)
        place = np.searchsorted(keys, np.uint64(name))
        kind = np.int64(kinds[place]) if place < len(keys) and keys[place] == np.uint64(name) else np.int64(-1)
        at = _tag_end(html, after)
        if 0 <= kind < _LINK:
            blocks, size = _end(blocks, current, begin, size, text, spans, counts, run)
            begin = size
            if closing and tags[current] == kind and parents[current] >= 0:
                verbatim -= kind == _PRE and verbatim > 0
                current = parents[current]
            elif not closing and kind != _HR:
                tags[elements], parents[elements] = kind, current
                attributes[elements, 0], attributes[elements, 1] = after, at - 1
                current = elements
                elements += 1
                verbatim += kind == _PRE
        elif kind >= _DROPPED and not closing:
            at = _close(html, at, name, kind == _RAW)
        elif kind == _BREAK:
            if size > begin:
                text[size] = 0x0A
                size += 1
            run[_SPACE] = run[_INSIDE] = 0
        elif kind == _LINK:
            link = not closing
    blocks, size = _end(blocks, current, begin, size, text, spans, counts, run)
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
