"""The main content of a page: which of its blocks a reader came for.

Blocks are worth their words, less what they link; short and linked ones cost. The content is the element whose blocks are
worth most together, without what its tag, role or class names as navigation, comments, advertisements and the like, unless
that holds a large part of the page's text: names of classes lie. What was looked at while these rules were chosen is one
half of the pages of docs/benchmarks.md, and other pages without truth.
"""

from __future__ import annotations

import numpy as np
from numba import types

from corpus.data.buffers import Array
from corpus.kernel import kernel
from pipelines.markup.html.blocks import TAG, TAGS, Blocks
from pipelines.markup.html.names import said

_I16 = types.Array(types.int16, 1, "C", readonly=True)
_I32 = types.Array(types.int32, 1, "C", readonly=True)
_I32_2D = types.Array(types.int32, 2, "C", readonly=True)
_U8 = types.Array(types.uint8, 1, "C", readonly=True)
_F8 = types.Array(types.float64, 1, "C")
_OUT_U8 = types.Array(types.uint8, 1, "C")
_CARD_WORDS, _MOST_CARDS = 60, 0.3
"""Words of a card, and the share of a page's good words in cards at which they are what it has."""
_SENTENCE = 8
"""Words from which on a heading says something without what is below it, as those of lists of pictures."""
_DROPPED = -5.0
"""The least that an element costs those that it is in: what is bad in it is not taken with them."""
_OTHER, _NEVER, _RARELY, _HEADING, _PARAGRAPH, _ITEM, _LIST, _ARTICLE, _WHOLE, _HEADER = range(10)
_ROLES = np.full(len(TAGS), _OTHER, np.uint8)
for _names, _role in (
    ("nav footer dialog menu", _NEVER), ("aside form fieldset figure", _RARELY), ("h1 h2 h3 h4 h5 h6", _HEADING),
    ("p", _PARAGRAPH), ("li td th dt dd", _ITEM), ("article", _ARTICLE), ("body main", _WHOLE), ("blockquote ul ol dl", _LIST),
    ("header", _HEADER),
):  # fmt: skip
    _ROLES[[TAG[_name] for _name in _names.split()]] = _role


@kernel(types.float64(types.int64, types.int64, types.int64))
def _worth(words: int, linked: int, role: int) -> float:
    """What a block is worth."""
    free = words - linked
    if words == 0:
        return 0.0
    if role == _HEADING:
        return 0.0 if linked * 2 < words else -2.0
    if linked * 2 > words:
        return -4.0 - linked
    if free < 4:
        return -2.0
    return min(free, 150) - 4.0 - linked


@kernel(types.int64(_I32, _F8))
def _sum_up(parents: Array[np.int32], values: Array[np.float64]) -> int:
    """Add what each element has to those it is in."""
    for element in range(len(parents) - 1, 0, -1):
        values[parents[element]] += values[element]
    return 0


@kernel(types.int64(_I16, _I32, _I32_2D, _I32_2D, _U8, _F8, _OUT_U8))
def _cards(
    tags: Array[np.int16],
    parents: Array[np.int32],
    spans: Array[np.int32],
    counts: Array[np.int32],
    roles: Array[np.uint8],
    good: Array[np.float64],
    negative: Array[np.uint8],
) -> int:
    """Mark in `negative` the cards that lead to other pages: a heading that is a link, with the few words around it."""
    elements = len(tags)
    words, headings = np.zeros(elements), np.zeros(elements)
    for block in range(len(spans)):
        words[spans[block, 2]] += counts[block, 0]
        headings[spans[block, 2]] += roles[tags[spans[block, 2]]] == _HEADING
    _sum_up(parents, words)
    _sum_up(parents, headings)
    card = np.zeros(elements, np.uint8)
    found, held = 0, 0.0
    for block in range(len(spans)):
        element = int(spans[block, 2])
        if roles[tags[element]] != _HEADING or counts[block, 1] * 2 <= counts[block, 0]:
            continue
        while (
            parents[element] > 0
            and headings[parents[element]] == 1
            and words[parents[element]] <= _CARD_WORDS
            and roles[tags[parents[element]]] != _WHOLE
        ):
            element = int(parents[element])
        if element != spans[block, 2] and not card[element]:
            card[element] = 1
            found += 1
            held += good[element]
    if found < 2 or held > _MOST_CARDS * good[0]:
        return 0
    for element in range(elements):
        if card[element]:
            negative[element] = 1
    return found


@kernel(types.int64(_I16, _I32, _U8, _I32, _U8, _F8, _OUT_U8, _OUT_U8))
def _named(
    tags: Array[np.int16],
    parents: Array[np.int32],
    names: Array[np.uint8],
    alike: Array[np.int32],
    roles: Array[np.uint8],
    good: Array[np.float64],
    negative: Array[np.uint8],
    positive: Array[np.uint8],
) -> int:
    """Mark what tags and names say: elements that are no content, unless they hold much of the page, and those that are."""
    together = np.zeros(len(tags))  # with those of its depth that have the same attributes
    for element in range(len(tags)):
        together[alike[element]] += good[element]
    for element in range(len(tags)):
        role, flags = roles[tags[element]], names[element]
        if flags & 8:
            large = good[element] > 0.6 * good[0]
        else:
            large = together[alike[element]] > 0.4 * good[0]
        positive[element] = role == _ARTICLE or flags & 2
        unseen = flags & 4 and good[element] <= 0.8 * good[0]  # more than that is a page that scripts show
        if (
            role == _NEVER
            or unseen
            or (
                not large
                and (
                    role == _RARELY
                    or (
                        (role == _HEADER or (flags & 16 and not flags & 2 and role < _HEADING)) and good[element] < 12.0
                    )
                )
            )
            or (flags & 1 and not flags & 2 and not large and role != _ARTICLE and role != _WHOLE)
        ):
            negative[element] = 1
    return 0


@kernel(types.int64(_I16, _I32, _U8, _F8, _U8, _U8, _OUT_U8))
def _best(
    tags: Array[np.int16],
    parents: Array[np.int32],
    roles: Array[np.uint8],
    value: Array[np.float64],
    negative: Array[np.uint8],
    positive: Array[np.uint8],
    reached: Array[np.uint8],
) -> int:
    """The element that is worth most with what it holds, which is summed up in `value`; mark those `reached` from the body
    without going through a negative one."""
    for element in range(len(tags) - 1, 0, -1):
        if not negative[element]:
            value[element] = max(value[element], _DROPPED)
            value[parents[element]] += value[element]
    best, most = 0, -1e18
    for element in range(len(tags)):
        reached[element] = not negative[element] and (element == 0 or reached[parents[element]])
        if not reached[element]:
            continue
        role, score = roles[tags[element]], value[element]
        if positive[element]:
            score = score * 1.2 + 10.0
        if _HEADING <= role <= _LIST:
            score *= 0.8
        if score >= most:
            best, most = element, score
    return best


@kernel(types.int64(_I16, _I32, _I32_2D, _I32_2D, _U8, _U8, types.int64, _OUT_U8))
def _take(
    tags: Array[np.int16],
    parents: Array[np.int32],
    spans: Array[np.int32],
    counts: Array[np.int32],
    roles: Array[np.uint8],
    negative: Array[np.uint8],
    best: int,
    chosen: Array[np.uint8],
) -> int:
    """Set `chosen` of the blocks of the content in `best`; the number of their words."""
    kept, lists = np.zeros(len(tags), np.uint8), np.zeros(len(tags), np.int64)
    words, linked = np.zeros(len(tags)), np.zeros(len(tags))
    kept[best] = 1
    for element in range(best + 1, len(tags)):
        kept[element] = kept[parents[element]] and not negative[element]
        role = roles[tags[element]]
        lists[element] = lists[parents[element]] if role == _ITEM else element if role == _LIST else 0
    for block in range(len(spans)):
        at = lists[spans[block, 2]]
        words[at] += counts[block, 0]
        linked[at] += counts[block, 1]
    total = 0
    for block in range(len(spans)):
        linking = counts[block, 1] > 0.8 * counts[block, 0] and roles[tags[spans[block, 2]]] != _HEADING
        at = lists[spans[block, 2]]
        if kept[spans[block, 2]] and (not linking or (at > 0 and linked[at] < 0.6 * words[at])):
            chosen[block] = 1
            total += counts[block, 0]
    return total


@kernel(types.int64(_I16, _I32_2D, _I32_2D, _U8, _OUT_U8))
def _bare(
    tags: Array[np.int16],
    spans: Array[np.int32],
    counts: Array[np.int32],
    roles: Array[np.uint8],
    chosen: Array[np.uint8],
) -> int:
    """Take out headings of nothing: at the end, and where what followed was not chosen; the number of their words."""
    taken = 0
    lost, links, level = True, False, 0
    for block in range(len(spans) - 1, -1, -1):
        tag = int(tags[spans[block, 2]])
        if not chosen[block]:
            lost, links = True, counts[block, 1] * 2 > counts[block, 0]
        elif roles[tag] == _HEADING and (links or (lost and tag >= level and counts[block, 0] < _SENTENCE)):
            chosen[block] = 0
            taken += counts[block, 0]
        else:
            lost, links, level = False, False, tag if roles[tag] == _HEADING else 99
    return taken


@kernel(types.int64(_I16, _I32, _U8, _I32, _I32_2D, _I32_2D, _U8, _OUT_U8))
def _choose(
    tags: Array[np.int16],
    parents: Array[np.int32],
    names: Array[np.uint8],
    alike: Array[np.int32],
    spans: Array[np.int32],
    counts: Array[np.int32],
    roles: Array[np.uint8],
    chosen: Array[np.uint8],
) -> int:
    """Set `chosen` of the blocks of the content; the number of their words."""
    elements, blocks = len(tags), len(spans)
    worth, value, good = np.zeros(blocks), np.zeros(elements), np.zeros(elements)
    for block in range(blocks):
        element = spans[block, 2]
        worth[block] = _worth(counts[block, 0], counts[block, 1], roles[tags[element]])
        value[element] += worth[block]
        good[element] += max(0.0, worth[block])
    _sum_up(parents, good)
    negative, positive = np.zeros(elements, np.uint8), np.zeros(elements, np.uint8)
    reached = np.zeros(elements, np.uint8)
    _named(tags, parents, names, alike, roles, good, negative, positive)
    _cards(tags, parents, spans, counts, roles, good, negative)
    best = _best(tags, parents, roles, value, negative, positive, reached)
    total: int = _take(tags, parents, spans, counts, roles, negative, best, chosen)
    total -= _bare(tags, spans, counts, roles, chosen)
    # all that is not boilerplate, if that is much more; of a page of nothing else the links too
    least = -2.0 if total else -1e18
    rest = 0
    for block in range(blocks):
        if reached[spans[block, 2]] and worth[block] >= least:
            rest += counts[block, 0]
    if rest <= (2 if total < 150 else 4) * total:
        return total
    for block in range(blocks):
        chosen[block] = reached[spans[block, 2]] and worth[block] >= least
    return rest


def content_blocks(blocks: Blocks) -> Array[np.int64]:
    """The numbers of the blocks of the main content, ascending."""
    names, alike = said(blocks)
    chosen = np.zeros(len(blocks.spans), np.uint8)
    _choose(blocks.tags, blocks.parents, names, alike, blocks.spans, blocks.counts, _ROLES, chosen)
    return np.flatnonzero(chosen)
