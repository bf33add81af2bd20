"""The slow, obvious twin of line dedup: plain Python over strings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from corpus.dedup.lines.normalize import CCNET_DELETED


def ccnet_normalized(line: str) -> str:
    """What CCNet compares lines by."""
    line = "".join("0" if char.isdecimal() else char for char in line.strip().lower())
    return "".join(c for c in line if c not in CCNET_DELETED and not (ord(c) < 32 or 127 <= ord(c) < 160))


_WORD = (1 << 64) - 1
_P1, _P2, _P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_P4, _P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
_SALTS = ((0x636F727075736D6C, _P2), (0x6D696C6C636F7270, _P5))


def twin_key(data: bytes, word: int = 0) -> int:
    """One word of the key of `data`: XXH64's round on 8-byte lanes, the last one closed by a one bit."""
    state, factor = _SALTS[word]
    padded = data + b"\x01"
    padded += bytes(-len(padded) % 8)
    for at in range(0, len(padded), 8):
        lane = int.from_bytes(padded[at : at + 8], "little") * factor & _WORD
        state ^= (lane << 31 | lane >> 33) * _P1 & _WORD
        state = ((state << 27 | state >> 37) * _P1 + _P4) & _WORD
    state = (state ^ state >> 33) * _P2 & _WORD
    state = (state ^ state >> 29) * _P3 & _WORD
    state ^= state >> 32
    return state if state > 1 else state + 2


def exact(line: str) -> str:
    return line


def lower(line: str) -> str:
    """What C4 compares lines by."""
    return line.strip().lower()


@dataclass
class TwinDocument:
    """A rewritten document: the numbers of its kept lines, its text, and its lines by fate."""

    line_ids: list[int]
    text: str
    duplicates: int
    blanks: int


def twin_dedup(
    texts: Sequence[str],
    normalize: Callable[[str], str] = ccnet_normalized,
    keep: str = "none",
    blank_is_key: bool = False,
    alone: bool = False,
    ranks: Sequence[str] = (),
) -> list[TwinDocument]:
    """Line dedup over one scope: `texts` in order, or by `ranks`. CCNet does not look at an empty document: it is dropped."""
    documents = [
        [(line, _key(line, normalize, blank_is_key and text != "")) for line in text.split("\n")] for text in texts
    ]
    holders: dict[str, int] = {}
    for lines in documents:
        for key in {key for _, key in lines if key is not None}:
            holders[key] = holders.get(key, 0) + 1
    repeated = set() if alone else {key for key, number in holders.items() if number > 1}
    met: set[str] = set()
    results: list[TwinDocument | None] = [None] * len(texts)
    for place in sorted(range(len(texts)), key=lambda place: ranks[place] if ranks else place):
        lines = documents[place]
        seen: set[str] = set()
        kept: list[int] = []
        duplicates = blanks = 0
        blank = -1
        for number, (_, key) in enumerate(lines):
            if key is None:
                blanks += 1
                blank = number if blank < 0 else blank
                continue
            gone = key in seen or (key in repeated and (keep == "none" or key in met))
            seen.add(key)
            met.add(key)
            duplicates += gone
            if not gone:
                if blank >= 0 and kept:
                    kept.append(blank)
                    blanks -= 1
                blank = -1
                kept.append(number)
        results[place] = TwinDocument(kept, "\n".join(lines[number][0] for number in kept), duplicates, blanks)
    return [document for document in results if document is not None]


def _key(line: str, normalize: Callable[[str], str], blank_is_key: bool) -> str | None:
    return normalize(line) if line.strip() or blank_is_key else None
