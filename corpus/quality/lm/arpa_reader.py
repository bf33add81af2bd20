"""Reads ARPA files into tables."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from corpus.data.buffers import Array
from corpus.errors import DataError
from corpus.quality.lm.counts import MOST_ORDER
from corpus.quality.lm.tables import DONE, HOLE, PROBLEMS, Tables

_HEADER_BYTES = 1 << 12
_LEAST_LINE = 4
"""Bytes of the shortest line: a digit, a tab, a word, a line feed."""
_COUNT = re.compile(rb"ngram\s+(\d+)\s*=\s*(\d+)")


def read_arpa(path: Path) -> Tables | str:
    """The model of an ARPA file, or why KenLM has to read it. A DataError says what is wrong with a broken one."""
    if path.stat().st_size == 0:
        raise _broken(path, "it is empty")
    data: Array[np.uint8] = np.memmap(path, np.uint8, "r")
    counts, at = _header(path, data)
    if not 2 <= len(counts) <= MOST_ORDER:
        return f"its order is {len(counts)}"
    if counts[0] >= 1 << 28 or max(counts) >= 1 << 31:
        return "it is very large"
    if sum(counts) * _LEAST_LINE > len(data):
        raise _broken(path, "it ends before all of its n-grams")
    tables = Tables(counts, len(data))
    for n, count in enumerate(counts, 1):
        at = _section(path, data, at, b"\\%d-grams:" % n)
        problem, at, number = tables.read(data, n, count, at)
        if problem == HOLE:
            return "it has n-grams without the shorter ones that they end with"
        if problem != DONE:
            raise _broken(path, f"{PROBLEMS[problem]}, {n}-gram {number + 1:,} of {count:,}")
    _section(path, data, at, b"\\end\\")
    if missing := tables.close():
        raise _broken(path, f"it has no 1-gram {missing}")
    return tables


def _header(path: Path, data: Array[np.uint8]) -> tuple[list[int], int]:
    """How many n-grams of each order a file says that it has, and the place after that."""
    head = bytes(data[:_HEADER_BYTES]).decode("utf-8", "replace")
    begin = head.find("\\data\\")
    if begin < 0 or any(line.strip() and not line.startswith("#") for line in head[:begin].splitlines()):
        raise _broken(path, "it does not begin with \\data\\")
    counts: list[int] = []
    after = len(bytes(data[:_HEADER_BYTES]).partition(b"\\data\\")[0]) + len("\\data\\")
    for line in bytes(data[after:_HEADER_BYTES]).split(b"\n")[1:]:
        found = _COUNT.fullmatch(line.strip())
        if not found or int(found[1]) != len(counts) + 1:
            break
        counts.append(int(found[2]))
    if not counts or not counts[0]:
        raise _broken(path, "it does not say how many n-grams it has")
    return counts, after


def _section(path: Path, data: Array[np.uint8], at: int, title: bytes) -> int:
    """The place after the line `title`, before which are blank lines and, in the header, the counts."""
    head = bytes(data[at : at + _HEADER_BYTES])
    found = re.compile(rb"(?:\s|ngram [^\n]*\n)*" + re.escape(title) + rb"[ \t]*\r?(?:\n|$)").match(head)
    if not found:
        raise _broken(path, f"{title.decode()} is not where it should be")
    return at + found.end()


def _broken(path: Path, why: str) -> DataError:
    return DataError(f"{path} is no whole ARPA file ({why}): copy or make the model again.")
