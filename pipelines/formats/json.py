"""Values of JSON files that are not lines: arrays, pretty-printed objects, objects that hold a list; streamed.

Where a value ends is found by a kernel that knows strings, nesting and what may follow a string, so that a damaged value
is noticed near its damage; `json` itself decodes what was found. After damage reading goes on at the next object that
begins like the last good one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numba import types

from corpus.data.buffers import Array
from corpus.ingest.compression import QUARANTINE_BYTES, Damage, Stream, TruncatedStream
from corpus.kernel import kernel

MAX_VALUE_BYTES = 512 * 1024 * 1024
"""A longer value is set aside instead of being held in memory."""
HEAD_BYTES = 1024 * 1024
"""What is looked at to tell lines from one value."""

_BOM = b"\xef\xbb\xbf"
_MORE, _BAD, _LONG = -1, -2, -3
_PEEK_BYTES = 64
_OVERLAP_BYTES = 4096
_SPACES = b" \t\r\n"
_LIST_OF_OBJECTS = re.compile(rb"\[\s*\{")
_KEY = re.compile(rb'\{\s*"((?:[^"\\]|\\.)*)"')
_U8 = types.Array(types.uint8, 1, "C", readonly=True)
_I64 = types.Array(types.int64, 1, "C")


@dataclass(frozen=True, slots=True)
class Value:
    """The bytes of a record; `offset` counts in the decompressed stream."""

    offset: int
    data: bytes


@kernel(types.int64(_U8, types.int64, _I64))
def _scan(data: Array[np.uint8], start: int, state: Array[np.int64]) -> int:
    """The end of the value at `start` (no white space), or -1 where it goes on after the data, or -2 where it is broken.

    `state` is int64[5], zeros at first: depth, in a string, where to go on, a string has just ended, and a bit for each
    open bracket of the outermost 63, 1 for an array. With it a scan goes on where the data had ended.
    """
    depth, inside, closed, kinds = int(state[0]), int(state[1]), int(state[3]), int(state[4])
    i = max(int(state[2]), start)
    size = len(data)
    while i < size:
        c = data[i]
        if inside:
            if c == 0x5C:
                if i + 1 >= size:
                    break
                i += 2
                continue
            if c == 0x22:
                inside = 0
                closed = 1
                if depth == 0:
                    return i + 1
            elif c < 0x20:
                return -2
            i += 1
            continue
        if c == 0x20 or c == 0x0A or c == 0x0D or c == 0x09:
            if depth == 0:
                return i
            i += 1
            continue
        if closed and c != 0x2C and c != 0x3A and c != 0x5D and c != 0x7D:
            return -2
        closed = 0
        if depth == 0 and i > start and (c == 0x22 or c == 0x7B or c == 0x5B):
            return i  # garbage, with a value right after it
        if c == 0x22:
            inside = 1
        elif c == 0x7B or c == 0x5B:
            depth += 1
            if depth < 64:
                kinds = kinds << 1 | (c == 0x5B)
        elif c == 0x7D or c == 0x5D:
            if depth == 0:
                return i
            if depth < 64:
                if (kinds & 1) != (c == 0x5D):
                    return -2
                kinds >>= 1
            depth -= 1
            if depth == 0:
                return i + 1
        elif c == 0x2C and depth == 0:
            return i
        i += 1
    state[0], state[1], state[2], state[3], state[4] = depth, inside, i, closed, kinds
    return -1


def scan(data: bytes, start: int, state: Array[np.int64] | None = None) -> int:
    """Where the value at `start` ends, -1 if it goes on after `data`, -2 if it is broken."""
    return int(_scan(np.frombuffer(data, np.uint8), start, np.zeros(5, np.int64) if state is None else state))


def is_lines(head: bytes, whole: bool, wanted: Sequence[str]) -> bool:
    """Whether a file is one of JSON lines, by its first `HEAD_BYTES`, which are all of it if `whole`.

    It is none if it begins with an array, with an object that goes over several lines, or with one that is all there is
    and holds a list of objects and none of the `wanted` keys.
    """
    head = head.removeprefix(_BOM)
    start = len(head) - len(head.lstrip(_SPACES))
    first = head[start : start + 1]
    if first == b"[":
        return False
    if first != b"{":
        return True
    state = np.zeros(5, np.int64)
    end = scan(head, start, state)
    if end == _BAD:
        return True
    value = head[start : end if end >= 0 else int(state[2])]
    if b"\n" in value.rstrip(_SPACES):
        # a torn line is followed by another object, and the lines of one object are not
        return re.search(rb"[^\s,\[:{]\s*\n\s*[{\[]", value) is not None and end == _MORE
    if end >= 0 and (not whole or head[end:].strip()):
        return True
    opened = _opening(value, 0, frozenset(key.encode() for key in wanted))
    return opened is None or (end == _MORE and whole)


def _opening(data: bytes, start: int, wanted: frozenset[bytes]) -> int | None:
    """Where the list of objects begins in the object at `start`, if none of the wanted keys stands before it.

    None if the object has no such list as a value, or `data` ends before it is seen.
    """
    at = start + 1
    while True:
        at = _skip(data, at, b" \t\r\n,")
        if data[at : at + 1] != b'"':
            return None
        end = scan(data, at)
        if end < 0 or data[at + 1 : end - 1] in wanted:
            return None
        at = _skip(data, end, b" \t\r\n:")
        if _LIST_OF_OBJECTS.match(data, at):
            return at
        at = scan(data, at)
        if at < 0:
            return None


def _skip(data: bytes, at: int, characters: bytes) -> int:
    while at < len(data) and data[at] in characters:
        at += 1
    return at


class Values:
    """Iterates over the values of a stream that is no JSON lines: the elements of arrays, and of the lists of objects in
    objects that have none of the `wanted` keys before; else whole objects.

    `Damage` stands for what is broken; where the stream itself breaks off, `damage` is its error.
    """

    def __init__(self, stream: Stream, wanted: Sequence[str]) -> None:
        self._stream = stream
        self._wanted = frozenset(key.encode() for key in wanted)
        self._data = b""
        self._at = 0
        self._start = 0  # of the data in the stream
        self._ended = False
        self._depth = 0  # of the arrays and objects that were opened
        self._key: bytes | None = None  # first key of the last good object
        self._state = np.zeros(5, np.int64)
        self.damage: TruncatedStream | None = None

    def __iter__(self) -> Iterator[Value | Damage]:
        self._more()
        if self._data.startswith(_BOM):
            self._at = len(_BOM)
        while self._next(b" \t\r\n,"):
            first = self._data[self._at : self._at + 1]
            if first in b"]}":
                self._depth = max(0, self._depth - 1)
                self._at += 1
            elif first == b"[":
                self._depth += 1
                self._at += 1
            elif (self._depth and first == b'"' and self._member()) or (
                self._depth == 0 and first == b"{" and self._open()
            ):
                continue
            else:
                yield self._value()
        if self._depth and self.damage is None:
            yield Damage(self._start + self._at, 0, "JSON breaks off", b"")

    def _open(self) -> bool:
        """Open the object at the position where it holds a list of objects to read."""
        while True:
            found = _opening(self._data, self._at, self._wanted)
            if found is not None:
                self._depth = 2
                self._at = found + 1
                return True
            if len(self._data) - self._at > HEAD_BYTES or scan(self._data, self._at) != _MORE or not self._more():
                return False

    def _member(self) -> bool:
        """Pass a further member of an opened object, or open it where it is a list of objects too; False if it is none."""
        end = self._end()
        if end < 0:
            return False
        length = end - self._at
        while _skip(self._data, self._at + length, _SPACES) == len(self._data) and self._more():
            pass
        colon = _skip(self._data, self._at + length, _SPACES)
        if self._data[colon : colon + 1] != b":":
            return False
        self._at = colon + 1
        if not self._next(_SPACES):
            return True
        while len(self._data) - self._at < _PEEK_BYTES and self._more():
            pass
        if _LIST_OF_OBJECTS.match(self._data, self._at):
            self._depth += 1
            self._at += 1
            return True
        end = self._end()
        self._at = end if end >= 0 else self._at + 1
        return True

    def _value(self) -> Value | Damage:
        end = self._end()
        if end == _MORE and self.damage is None and self._data[self._at] not in b'{["':
            end = len(self._data)  # a number or name at the very end
        if end < 0 or end == self._at:
            reasons = {_LONG: "JSON value too long", _MORE: "JSON breaks off"}
            return self._resync(reasons.get(end, "not JSON"))
        data = self._data[self._at : end]
        key = _KEY.match(data)
        self._key = key[1] if key else self._key
        value = Value(self._start + self._at, data)
        self._at = end
        return value

    def _end(self) -> int:
        """The end of the value at the position, as much as it needs being held; or what `_scan` says, or -3: too long."""
        self._state[:] = 0
        while (end := scan(self._data, self._at, self._state)) == _MORE:
            if len(self._data) - self._at > MAX_VALUE_BYTES:
                return _LONG
            if not self._more():
                break
        return end

    def _resync(self, reason: str) -> Damage:
        """Pass what is broken, up to the next object that begins as the last good one did, or the end."""
        begin = self._start + self._at
        kept = self._data[self._at : self._at + QUARANTINE_BYTES]
        key = rb'"' + re.escape(self._key) + rb'"' if self._key is not None else rb'"'
        start = re.compile(rb"(?<=[\s,\[])\{\s*" + key)
        self._at += 1
        while (found := start.search(self._data, self._at)) is None:
            self._at = max(self._at, len(self._data) - _OVERLAP_BYTES)
            if not self._more():
                self._at = len(self._data)
                break
        else:
            self._at = found.start()
        length = self._start + self._at - begin
        return Damage(begin, length, reason, kept[:length])

    def _next(self, characters: bytes) -> bool:
        """Pass `characters`; False at the end of the stream."""
        while True:
            self._at = _skip(self._data, self._at, characters)
            if self._at < len(self._data):
                return True
            if not self._more():
                return False

    def _more(self) -> bool:
        """Hold more of the stream than now, as much again as is held; False at its end."""
        if self._ended:
            return False
        held = self._data[self._at :]
        pieces, wanted = [held], max(1, len(held))
        while wanted > 0 and not self._ended:
            try:
                piece = self._stream.read1()
            except TruncatedStream as error:
                self.damage = error
                piece = b""
            self._ended = not piece
            pieces.append(piece)
            wanted -= len(piece)
        self._state[2] -= self._at
        self._start += self._at
        self._data, self._at = b"".join(pieces), 0
        return len(self._data) > len(held)


def transposed(row: Mapping[str, object]) -> list[dict[str, object]] | None:
    """The rows of an object that holds them column by column: lists of one length, or objects with the same keys.

    None where it does not: lists of objects are records themselves.
    """
    columns = list(row.values())
    if not columns:
        return None
    first = columns[0]
    if isinstance(first, list):
        if not first or not all(isinstance(column, list) and len(column) == len(first) for column in columns):
            return None
        if all(isinstance(entry, dict) for entry in first):
            return None
        lists = columns
    elif isinstance(first, dict):
        if not first or not all(isinstance(column, dict) and column.keys() == first.keys() for column in columns):
            return None
        lists = [[column[key] for key in first] for column in columns if isinstance(column, dict)]
    else:
        return None
    return [dict(zip(row, values, strict=True)) for values in zip(*lists, strict=True)]
