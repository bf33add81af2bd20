"""The events of a post -> its lines of text: paragraphs, headings, lists, quotes and code as `text.py` writes them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from corpus.kernel import kernel
from pipelines.markup.html.post_events import BREAK, CLOSE, CODE, END, H1, H6, LI, NESTED, OL, OPEN, PRE, QUOTE, UL

_U8 = types.Array(types.uint8, 1, "C", readonly=True)
_BYTES = types.uint8[::1]
_I64 = types.int64[::1]

_KEPT = 2  # a blank of inline code
_OUT, _CUR, _BLANK, _PRE, _HEADING, _NC, _NL, _LINES, _CODE = range(9)
_MARGIN = 512  # bytes that are free in a buffer before anything is written that is not copied


@kernel(types.int64(_BYTES, types.int64))
def _space(text: Any, at: Any) -> Any:
    """Bytes of the white space at `at`, 0 if there is none."""
    byte = text[at]
    if byte == 32 or byte == 10 or byte == 9:
        return 1
    return 2 if byte == 0xC2 and text[at + 1] == 0xA0 else 0


@kernel(types.void(_BYTES, _I64, types.int64))
def _trim(out: Any, state: Any, start: Any) -> Any:
    """Take white space off the end of the line that begins at `start`."""
    at = state[_OUT]
    while at > start:
        if out[at - 1] == 32 or out[at - 1] == 9 or out[at - 1] == 10:
            at -= 1
        elif at - 1 > start and out[at - 1] == 0xA0 and out[at - 2] == 0xC2:
            at -= 2
        else:
            break
    state[_OUT] = at


@kernel(types.int64(_BYTES, types.int64, types.int64))
def _put_number(out: Any, at: Any, number: Any) -> Any:
    """Write a number; where it ends."""
    digits, rest = 1, number
    while rest > 9:
        rest //= 10
        digits += 1
    for place in range(at + digits - 1, at - 1, -1):
        out[place] = 48 + number % 10
        number //= 10
    return at + digits


@kernel(types.void(_BYTES, _I64, _I64, types.boolean))
def _prefix(out: Any, state: Any, containers: Any, blank: Any) -> Any:
    """Begin a line with the marks of its quotes and items; `blank`: of those alone that have had a line."""
    if state[_LINES]:
        out[state[_OUT]] = 10
        state[_OUT] += 1
    state[_LINES] += 1
    start = state[_OUT]
    for number in range(state[_NC]):
        marker, used = containers[2 * number], containers[2 * number + 1]
        at = state[_OUT]
        if blank and not used:
            continue
        if marker == -2:
            out[at], out[at + 1] = 62, 32
            state[_OUT] = at + 2
            continue
        end = at + 1 if marker == -1 else _put_number(out, at, marker)
        out[end if marker >= 0 else at] = 46 if marker >= 0 else 45
        end += 1 if marker >= 0 else 0
        out[end] = 32
        end += 1
        if used:
            for place in range(at, end):
                out[place] = 32
        state[_OUT] = end
    if blank:
        _trim(out, state, start)


@kernel(types.void(_BYTES, _I64, _I64, _BYTES, types.int64, types.int64))
def _line(out: Any, state: Any, containers: Any, text: Any, begin: Any, end: Any) -> Any:
    """Write a line of text with its marks."""
    _prefix(out, state, containers, False)
    for number in range(state[_NC]):
        containers[2 * number + 1] = 1
    at = state[_OUT]
    start = at
    while start > 0 and out[start - 1] != 10:
        start -= 1
    source, target = text[begin:end], out[at : at + end - begin]
    for place in range(source.size):
        byte = source[place]
        target[place] = 32 if byte == _KEPT else byte
    state[_OUT] = at + end - begin
    _trim(out, state, start)


@kernel(types.void(_BYTES, _I64, _I64))
def _due(out: Any, state: Any, containers: Any) -> Any:
    """Write the blank line that is due before the next line."""
    if state[_BLANK] and state[_LINES]:
        _prefix(out, state, containers, True)
    state[_BLANK] = 0


@kernel(types.int64(_BYTES, types.int64, types.int64))
def _ticks(text: Any, begin: Any, end: Any) -> Any:
    """The longest run of backquotes."""
    longest = run = 0
    for place in range(begin, end):
        run = run + 1 if text[place] == 96 else 0
        longest = max(longest, run)
    return longest


@kernel(types.boolean(_BYTES, types.int64, types.int64))
def _formulas(text: Any, begin: Any, end: Any) -> Any:
    """Keep the line ends inside `$$…$$` and `\\[…\\]`; False if there are environments, which are left to the parser."""
    open_dollars = open_brackets = True
    at = begin
    while at < end - 1:
        byte, following = text[at], text[at + 1]
        if byte == 92 and following == 98 and end - at > 6 and text[at + 2] == 101 and text[at + 3] == 103:
            return False
        dollars = byte == 36 and following == 36
        brackets = byte == 92 and following == 91 and not (at > begin and text[at - 1] == 92)
        if not ((dollars and open_dollars) or (brackets and open_brackets)):
            at += 2 if dollars else 1
            continue
        first, second = (36, 36) if dollars else (92, 93)
        closer = at + 2
        while closer < end - 1 and not (text[closer] == first and text[closer + 1] == second):
            closer += 1
        if closer >= end - 1:
            open_dollars, open_brackets = open_dollars and not dollars, open_brackets and not brackets
            at += 2
            continue
        for place in range(at, closer):
            if text[place] == 10:
                text[place] = BREAK
        at = closer + 2
    return True


@kernel(types.boolean(_BYTES, _I64, _I64, _BYTES))
def _flush_code(out: Any, state: Any, containers: Any, text: Any) -> Any:
    """Write a block of code in its fence; False if the output has no room."""
    begin, end = 0, state[_CUR]
    state[_CUR] = 0
    if state[_OUT] + end + 2 * _MARGIN > out.size:
        return False
    while begin < end and text[begin] == 10:
        begin += 1
    while end > begin:
        if text[end - 1] == 32 or text[end - 1] == 10 or text[end - 1] == 9:
            end -= 1
        elif text[end - 1] == 0xA0 and end - 2 >= begin and text[end - 2] == 0xC2:
            end -= 2
        else:
            break
    if begin == end:
        return True
    fence = max(3, _ticks(text, begin, end) + 1)
    fences = np.full(fence, 96, dtype=np.uint8)
    _due(out, state, containers)
    _line(out, state, containers, fences, 0, fence)
    start = begin
    for place in range(begin, end + 1):
        if place == end or text[place] == 10:
            if state[_OUT] + place - start + 2 * fence + _MARGIN > out.size:
                return False
            _line(out, state, containers, text, start, place)
            start = place + 1
    _line(out, state, containers, fences, 0, fence)
    return True


@kernel(types.boolean(_BYTES, _I64, _I64, _BYTES, types.int64, types.int64))
def _heading(out: Any, state: Any, containers: Any, text: Any, begin: Any, end: Any) -> Any:
    while begin < end and text[begin] == 32:
        begin += 1
    while end > begin and text[end - 1] == 32:
        end -= 1
    for place in range(begin, end):
        if text[place] == BREAK:  # of a formula
            return False
    if begin == end:
        return True
    if state[_OUT] + end - begin + _MARGIN > out.size:
        return False
    line = np.full(state[_HEADING] + 1 + end - begin, 35, dtype=np.uint8)
    line[state[_HEADING]] = 32
    for place in range(begin, end):
        line[state[_HEADING] + 1 + place - begin] = text[place]
    _due(out, state, containers)
    _line(out, state, containers, line, 0, line.size)
    return True


@kernel(types.boolean(_BYTES, _I64, _I64, _BYTES, types.int64, types.int64))
def _paragraph(out: Any, state: Any, containers: Any, text: Any, begin: Any, end: Any) -> Any:
    """Write the lines of a text whose blanks are single, parted by line breaks; a heading is one line."""
    if state[_HEADING]:
        return _heading(out, state, containers, text, begin, end)
    start = begin
    while start < end and (text[start] == 32 or text[start] == BREAK):
        start += 1
    if start == end:
        return True
    start = begin
    _due(out, state, containers)
    first = True
    for place in range(begin, end + 1):
        if place < end and text[place] != BREAK:
            continue
        a, b = start, place
        while a < b and text[a] == 32:
            a += 1
        while b > a and text[b - 1] == 32:
            b -= 1
        if a < b or not (first or place == end):
            if state[_OUT] + b - a + _MARGIN > out.size:
                return False
            _line(out, state, containers, text, a, b)
        first = False
        start = place + 1
    return True


@kernel(types.boolean(_BYTES, _I64, _I64, _BYTES))
def _flush(out: Any, state: Any, containers: Any, text: Any) -> Any:
    """Write the text of a paragraph; False if it is left to the parser."""
    if state[_PRE]:
        return _flush_code(out, state, containers, text)
    begin, end = 0, state[_CUR]
    state[_CUR] = 0
    place, lines = 0, False
    while place < end and _space(text, place) > 0:
        place += _space(text, place)
    if place >= end:
        return True
    for number in range(end):
        lines |= text[number] == 10
    if lines:
        while begin < end and text[begin] == 10:
            begin += 1
        while end > begin and text[end - 1] == 10:
            end -= 1
        if not _formulas(text, begin, end):
            return False
    write = place = begin
    while place < end:  # runs of white space are one blank
        byte = text[place]
        if byte > 32 and byte != 0xC2:
            text[write] = byte
            place += 1
        elif _space(text, place) > 0:
            while place < end and _space(text, place) > 0:
                place += _space(text, place)
            text[write] = 32
        else:
            text[write] = byte
            place += 1
        write += 1
    return _paragraph(out, state, containers, text, begin, write)


@kernel(types.boolean(_I64, _BYTES))
def _close_code(state: Any, text: Any) -> Any:
    """Put inline code into backquotes; False if there is no room."""
    begin, end = state[_CODE], state[_CUR]
    state[_CODE] = -1
    something, place = False, begin
    while place < end:
        step = _space(text, place)
        something |= step == 0 and text[place] != BREAK
        place += max(1, step)
    if not something:
        return True
    first = begin
    while first < end and (text[first] == 10 or text[first] == BREAK):
        first += 1
    while end > first and (text[end - 1] == 10 or text[end - 1] == BREAK):
        end -= 1
    longest = _ticks(text, first, end)
    size = end - first
    if begin + size + 2 * longest + _MARGIN > text.size:
        return False
    code = text[first:end].copy()
    write = place = 0
    while place < size:
        step = 1 if code[place] == BREAK else _space(code, place)
        code[write] = _KEPT if step else code[place]
        place += max(1, step)
        write += 1
    pad = longest > 0 or (code[0] == _KEPT and code[write - 1] == _KEPT)
    at = begin
    for number in range(2):
        if number and pad:
            text[at] = _KEPT
            at += 1
        for _ in range(longest + 1):
            text[at] = 96
            at += 1
        if number:
            break
        if pad:
            text[at] = _KEPT
            at += 1
        for place in range(write):
            text[at] = code[place]
            at += 1
    state[_CUR] = at
    return True


@kernel(types.void(_I64, _I64, types.int64))
def _blank_around(state: Any, containers: Any, tag: Any) -> Any:
    """Note that a blank line is due around a block; around lists inside of items there is none."""
    if tag in (UL, OL):
        for number in range(state[_NC]):
            if containers[2 * number] != -2:
                return
    state[_BLANK] = 1


@kernel(types.void(_I64, _I64, _I64, types.int64, types.int64))
def _open_block(state: Any, containers: Any, lists: Any, tag: Any, number: Any) -> Any:
    """Do what the start of a block means, after the flush; `number` is that of an ordered list."""
    if tag != LI:
        _blank_around(state, containers, tag)
    if tag == PRE:
        state[_PRE] = 1
    elif H1 <= tag <= H6:
        state[_HEADING] = tag
    elif tag in (UL, OL):
        lists[state[_NL]] = -1 if tag == UL else number
        state[_NL] += 1
    elif tag in (QUOTE, LI):
        marker = -2
        if tag == LI:
            marker = lists[state[_NL] - 1]
            if marker >= 0:
                lists[state[_NL] - 1] += 1
        containers[2 * state[_NC]] = marker
        containers[2 * state[_NC] + 1] = 0
        state[_NC] += 1


@kernel(types.void(_I64, _I64, types.int64))
def _close_block(state: Any, containers: Any, tag: Any) -> Any:
    """Do what the end of a block means, after the flush."""
    state[_PRE] = state[_HEADING] = 0
    if tag in (UL, OL):
        state[_NL] -= 1
    elif tag in (QUOTE, LI):
        state[_NC] -= 1
    if tag != LI:
        _blank_around(state, containers, tag)


@kernel(types.int64(_U8, _BYTES, _BYTES))
def lines(events: Any, out: Any, text: Any) -> Any:
    """Write the lines of a post to `out`; their size, or -1 if it is left to the parser. `text` is for the paragraph that is being
    read; both are larger than the events."""
    state, containers, lists = np.zeros(9, np.int64), np.zeros(2 * NESTED + 2, np.int64), np.zeros(64, np.int64)
    at = 0
    while at < events.size:
        if state[_CUR] + _MARGIN >= text.size or state[_OUT] + _MARGIN > out.size:
            return -1
        byte = events[at]
        at += 1
        if byte == CODE:
            state[_CODE] = state[_CUR]
        elif byte == END:
            if not _close_code(state, text):
                return -1
        elif byte in (OPEN, CLOSE):
            tag, number = np.int64(events[at]) - 32, 0
            at += 1
            if not _flush(out, state, containers, text):
                return -1
            if byte == CLOSE:
                _close_block(state, containers, tag)
                continue
            if tag == OL:
                for _ in range(5):
                    number = 64 * number + events[at] - 32
                    at += 1
            _open_block(state, containers, lists, tag, number)
        else:
            begin, write = at - 1, state[_CUR]
            end = min(events.size, begin + text.size - write - _MARGIN)
            while at < end and (events[at] > END or events[at] == BREAK):
                at += 1
            text[write : write + at - begin] = events[begin:at]
            state[_CUR] = write + at - begin
    return state[_OUT] if _flush(out, state, containers, text) else -1
