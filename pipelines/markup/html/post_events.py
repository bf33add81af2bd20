"""HTML as sites of questions and answers write it -> a line of events: its text, and where its blocks begin and end.

Taken are paragraphs, headings, lists, quotes, code, links, emphasis and pictures that are nested and closed as they should
be: of these a parser has nothing to repair. Whatever else is there leaves the post to the parser.

Events are UTF-8. OPEN and CLOSE are followed by the number of a block's tag, from 32 on, and the start of a numbered list by its
first number in five digits of base 64, from 32 on; CODE and END are around inline code, BREAK is a line break.
"""

from __future__ import annotations

from html import unescape
from typing import Any

import numpy as np
from numba import types

from corpus.kernel import kernel

_U8 = types.Array(types.uint8, 1, "C", readonly=True)
_BYTES = types.uint8[::1]
_I64 = types.int64[::1]
_TABLE = types.Array(types.uint8, 2, "C", readonly=True)

BREAK, OPEN, CLOSE, CODE, END = 1, 3, 4, 5, 6
P, H1, H6, PRE, QUOTE, UL, OL, LI, HR = 0, 1, 6, 7, 8, 9, 10, 11, 12
_CODE, _BR, _IMG, _FIRST_INLINE = 13, 14, 15, 16
_BLOCKS = "p h1 h2 h3 h4 h5 h6 pre blockquote ul ol li hr"
_NAMES = f"{_BLOCKS} code br img a em strong b i kbd span u small tt".split()
_COUNT = len(_NAMES)
_DEPTH, NESTED = 64, 12
_MARGIN = 64


def _table(rows: list[bytes], width: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Byte strings with their lengths before them."""
    table = np.zeros((len(rows), width), dtype=np.uint8)
    for number, row in enumerate(rows):
        table[number, : len(row) + 1] = [len(row), *row]
    return table


TAGS = _table([name.encode() for name in _NAMES], 12)
_REFERENCES = "lt gt amp quot nbsp #39 mdash ndash hellip lsquo rsquo ldquo rdquo deg copy reg middot times minus plusmn eacute ouml uuml auml".split()
REFERENCES = _table([f"{name};".encode() for name in _REFERENCES], 12)
MEANT = _table([unescape(f"&{name};").encode() for name in _REFERENCES], 4)
PLACEHOLDERS = _table([b"enter image description here", b"alt text", b"image", b"screenshot"], 32)
"""What editors put in the place of a picture's text."""


@kernel(types.int64(_U8, types.int64))
def _character(html: Any, at: Any) -> Any:
    """Bytes of the character at `at`: 0 if it is one that the parser has to look at, -2 for a no-break space."""
    byte = html[at]
    if byte < 128:
        return 1 if 32 <= byte < 127 or byte == 10 or byte == 9 else 0
    if byte < 0xE0:
        if byte == 0xC2 and html[at + 1] < 0xA1:
            return -2 if html[at + 1] == 0xA0 else 0
        return 2
    if byte < 0xF0:
        second, third = html[at + 1], html[at + 2]
        if byte == 0xE2:  # spaces of all widths, ends of lines and paragraphs
            odd = second == 0x80 and (third < 0x8B or third == 0xA8 or third == 0xA9 or third == 0xAF)
            return 0 if odd or (second == 0x81 and third == 0x9F) else 3
        if (byte == 0xE1 and second == 0x9A and third == 0x80) or (byte == 0xE3 and second == 0x80 and third == 0x80):
            return 0
        return 0 if byte == 0xEF and second == 0xBF and third >= 0xBE else 3
    return 4


@kernel(types.int64(_TABLE, _U8, types.int64, types.int64))
def _row(table: Any, html: Any, begin: Any, end: Any) -> Any:
    """The row of a table that stands between two places; -1 if none."""
    for row in range(table.shape[0]):
        same = table[row, 0] == end - begin
        for number in range(end - begin):
            if not same:
                break
            same = table[row, number + 1] == html[begin + number]
        if same:
            return row
    return -1


@kernel(types.int64(_U8, types.int64, types.int64, _I64))
def _attributes(html: Any, at: Any, tag: Any, found: Any) -> Any:
    """The place after a start tag whose attributes begin at `at`, -1 if it is left to the parser; `found`: begin and end of
    the text of a picture, or the first number of a list."""
    found[0] = found[1] = 0
    found[2] = 1
    size = html.size - 4
    while at < size:
        while at < size and (html[at] == 32 or html[at] == 10 or html[at] == 9):
            at += 1
        if html[at] == 62:
            return at + 1
        if html[at] == 47 and html[at + 1] == 62:
            return at + 2 if tag in (_BR, HR, _IMG) else -1
        name = at
        while at < size and (97 <= html[at] <= 122 or html[at] == 45):
            at += 1
        if at == name or html[at] != 61 or (html[at + 1] != 34 and html[at + 1] != 39):
            return -1
        quote, begin = html[at + 1], at + 2
        length = at - name
        at = begin
        while at < size and html[at] != quote:
            step = _character(html, at)
            if step == 0 or html[at] == 60:
                return -1
            at += abs(step)
        alt = tag == _IMG and length == 3 and html[name] == 97 and html[name + 1] == 108 and html[name + 2] == 116
        if alt:
            if found[1]:
                return -1
            found[0], found[1] = begin, at
            for place in range(begin, at):
                if html[place] == 38:
                    return -1
        if tag == OL and length == 5 and html[name] == 115 and html[name + 3] == 114:  # start
            if at - begin == 0 or at - begin > 9:
                return -1
            found[2] = 0
            for place in range(begin, at):
                if not 48 <= html[place] <= 57:
                    return -1
                found[2] = 10 * found[2] + html[place] - 48
        at += 1
        if html[at] != 32 and html[at] != 62 and html[at] != 47 and html[at] != 10:
            return -1
    return -1


@kernel(types.int64(_U8, _BYTES, types.int64, types.int64, types.int64, _TABLE))
def _picture(html: Any, text: Any, start: Any, begin: Any, end: Any, placeholders: Any) -> Any:
    """Add the text of a picture at `start`, its blanks single, unless it is one that editors put in; where it ends."""
    at = start
    place = begin
    while place < end:
        blank = html[place] == 32 or html[place] == 10 or html[place] == 9
        wide = html[place] == 0xC2 and html[place + 1] == 0xA0
        if not (blank or wide):
            text[at] = html[place]
            at += 1
        elif at > start and text[at - 1] != 32:
            text[at] = 32
            at += 1
        place += 2 if wide else 1
    if at > start and text[at - 1] == 32:
        at -= 1
    for row in range(placeholders.shape[0]):
        same = placeholders[row, 0] == at - start
        for number in range(at - start):
            if not same:
                break
            byte = text[start + number]
            same = placeholders[row, number + 1] == (byte + 32 if 65 <= byte <= 90 else byte)
        if same:
            return start
    return at


@kernel(types.boolean(_I64, types.int64, types.int64))
def _may_open(stack: Any, depth: Any, tag: Any) -> Any:
    """Whether a tag may stand where it does, so that a parser repairs nothing."""
    top = stack[depth - 1] if depth else -1
    if tag == LI:
        return top in (UL, OL)
    if top in (UL, OL):
        return False
    if tag <= OL or tag == HR:
        return top == -1 or top in (LI, QUOTE)
    if tag == _CODE or tag >= _FIRST_INLINE:
        for number in range(depth):
            if stack[number] == tag:
                return False
    return True


@kernel(types.int64(_U8, types.int64, _BYTES, types.int64, _TABLE, _TABLE))
def _reference(html: Any, at: Any, text: Any, write: Any, references: Any, meant: Any) -> Any:
    """Write the character of the reference whose name begins at `at`; the row of its meaning, -1 if it is not known."""
    end = at
    while end < at + 7 and (97 <= html[end] <= 122 or 48 <= html[end] <= 57 or html[end] == 35):
        end += 1
    row = _row(references, html, at, end + 1) if html[end] == 59 else -1
    if row >= 0:
        for number in range(meant[row, 0]):
            text[write + number] = meant[row, number + 1]
    return row


@kernel(types.int64(_BYTES, types.int64, types.int64, types.int64, types.int64))
def _event(text: Any, write: Any, event: Any, tag: Any, number: Any) -> Any:
    """Write the beginning or end of a block; where it ends."""
    text[write], text[write + 1] = event, 32 + tag
    write += 2
    if event == OPEN and tag == OL:
        for place in range(5):
            text[write] = 32 + ((number >> (6 * (4 - place))) & 63)
            write += 1
    return write


@kernel(types.int64(_I64, types.int64, types.int64))
def _open(stack: Any, depth: Any, tag: Any) -> Any:
    """How many elements of a tag are open; of -1 headings."""
    number = 0
    for place in range(depth):
        number += stack[place] == tag or (tag == -1 and H1 <= stack[place] <= H6)
    return number


@kernel(types.int64(_U8, _BYTES, _TABLE, _I64, types.int64, _I64, _TABLE))
def _start(html: Any, text: Any, tags: Any, stack: Any, depth: Any, place: Any, placeholders: Any) -> Any:
    """Take the start tag whose name begins at `place[0]`, and write to `place[1]`; both go on. The depth after it, or -1."""
    found = np.zeros(3, np.int64)
    at, write = place[0], place[1]
    end = at
    while 97 <= html[end] <= 122 or 49 <= html[end] <= 54:
        end += 1
    tag = _row(tags, html, at, end)
    if tag < 0:
        return -1
    at = _attributes(html, end, tag, found)
    nested = _open(stack, depth, QUOTE) + _open(stack, depth, LI)
    if at < 0 or not _may_open(stack, depth, tag) or depth + 1 == _DEPTH or nested >= NESTED:
        return -1
    code = _open(stack, depth, PRE) > 0
    if tag <= HR:
        write = _event(text, write, OPEN, tag, found[2])
    elif tag == _CODE and not code:
        text[write] = CODE
        write += 1
    elif tag == _BR:
        text[write] = 10 if code else 32 if _open(stack, depth, -1) else BREAK
        write += 1
    elif tag == _IMG:
        write = _picture(html, text, write, found[0], found[1], placeholders)
    if tag == HR:
        write = _event(text, write, CLOSE, tag, 0)
    elif tag != _BR and tag != _IMG:
        stack[depth] = tag
        depth += 1
    place[0], place[1] = at, write
    return depth


@kernel(types.int64(_U8, _BYTES, _TABLE, _TABLE, _TABLE, _TABLE))
def events(html: Any, text: Any, tags: Any, references: Any, meant: Any, placeholders: Any) -> Any:
    """Write the events of `html`, which four bytes 0 follow, to `text`, which is three times as long and 64 bytes; their size, or -1 if
    the post is left to the parser."""
    stack, place = np.zeros(_DEPTH, np.int64), np.zeros(2, np.int64)
    at = write = depth = 0
    size = html.size - 4
    while at < size:
        byte = html[at]
        lists = depth > 0 and (stack[depth - 1] == UL or stack[depth - 1] == OL)
        if byte == 60 and html[at + 1] == 47:
            at += 2
            end = at
            while 97 <= html[end] <= 122 or 49 <= html[end] <= 54:
                end += 1
            tag = _row(tags, html, at, end)
            if tag < 0 or depth == 0 or stack[depth - 1] != tag or html[end] != 62:
                return -1
            depth -= 1
            at = end + 1
            if tag <= HR:
                write = _event(text, write, CLOSE, tag, 0)
            elif tag == _CODE and not _open(stack, depth, PRE):
                text[write] = END
                write += 1
        elif byte == 60:
            place[0], place[1] = at + 1, write
            depth = _start(html, text, tags, stack, depth, place, placeholders)
            if depth < 0:
                return -1
            at, write = place[0], place[1]
        elif byte == 38:
            row = _reference(html, at + 1, text, write, references, meant)
            if row < 0 or lists:
                return -1
            at += 1 + references[row, 0]
            write += meant[row, 0]
        else:
            step = abs(_character(html, at))
            if step == 0 or (byte > 32 and lists):
                return -1
            for _ in range(step):
                text[write] = html[at]
                write += 1
                at += 1
    return -1 if depth else write
