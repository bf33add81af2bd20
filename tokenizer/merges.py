"""What the fast encoder knows of a BPE model: symbols of characters, merges in order, and where text may be cut.

*Where text may be cut.* SentencePiece merges neighbouring symbols, best score first, the leftmost of equals first. A
merge makes a piece of the vocabulary, so two characters that stand next to each other in no piece are never in one
symbol: what happens on one side of such a place does not touch the other, and the two sides can be encoded apart. That
is all the argument there is; it holds for every BPE model whose normaliser leaves characters alone.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tokenizer import proto

BLANK = "\u2581"
"""The character that stands for a blank inside pieces."""
MOST_PIECES = 1 << 20
"""The largest vocabulary whose ids the encoder's tables hold."""
_CODE_POINTS = 0x110000


@dataclass(frozen=True, slots=True)
class Merges:
    """A model as arrays. A *symbol* is a piece's id, or a number from the vocabulary's size on for a character that is
    inside pieces without being one."""

    prefix: bool
    """Whether a blank is put before every text."""
    characters: npt.NDArray[np.int32]
    """[0x110000] symbol of a code point, -1 for those in no piece."""
    byte_ids: npt.NDArray[np.int32]
    """[256] id of the piece for a byte."""
    ranks: npt.NDArray[np.int32]
    """[pieces] order of merging: less is earlier, equal scores have equal ranks."""
    left: npt.NDArray[np.int64]
    """[merges] left symbol."""
    right: npt.NDArray[np.int64]
    """[merges] right symbol."""
    merged: npt.NDArray[np.int64]
    """[merges] id of the piece the two make."""
    joins: npt.NDArray[np.int64]
    """[pairs, 2] code points that are neighbours in some piece, the blank as U+0020."""
    user: tuple[tuple[bytes, int], ...]
    """User-defined symbols, longest first, with their ids."""


def why_not(model: proto.Model) -> str:
    """Why the fast encoder cannot be used with a model, as the end of a sentence; empty where it can."""
    types = {piece.type for piece in model.pieces}
    blank = [piece.type for piece in model.pieces if piece.text == BLANK.encode()]
    user = [piece.text for piece in model.pieces if piece.type == proto.USER_DEFINED]
    reasons = (
        (model.model_type != proto.BPE, f"its type is {proto.TYPE_NAMES.get(model.model_type, 'unknown')}, not bpe"),
        (bool(model.charsmap), f"its normaliser ({model.normalization}) rewrites characters"),
        (model.remove_extra_whitespaces, "it removes blanks"),
        (not model.escape_whitespaces or model.whitespace_as_suffix, "it treats blanks in another way"),
        (not model.byte_fallback, "it has no bytes for unknown characters, whose runs are one piece"),
        (proto.UNUSED in types, "it has unused pieces"),
        (blank != [proto.NORMAL], "the blank is no piece of its own"),
        (any(b" " in text or BLANK.encode() in text for text in user), "a user-defined symbol holds a blank"),
        (len(model.pieces) > MOST_PIECES, f"it has more than {MOST_PIECES} pieces"),
        (not all(_decodes(piece.text) for piece in model.pieces), "a piece is no valid UTF-8"),
    )
    return next((reason for holds, reason in reasons if holds), "")


def read_merges(model: proto.Model) -> Merges:
    """The arrays of a model for which `why_not` finds nothing."""
    normal = {piece.text.decode(): number for number, piece in enumerate(model.pieces) if piece.type == proto.NORMAL}
    user = {piece.text: number for number, piece in enumerate(model.pieces) if piece.type == proto.USER_DEFINED}
    symbols = dict(normal)
    for text in normal:
        for character in text:
            symbols.setdefault(character, len(model.pieces) + len(symbols) - len(normal))
    left, right, merged = _merges(normal, symbols)
    characters = np.full(_CODE_POINTS, -1, dtype=np.int32)
    for text, symbol in symbols.items():
        if len(text) == 1:
            characters[ord(text)] = symbol
    # the text's blank is the pieces' blank; a piece that holds U+0020 itself can never be met
    characters[0x20] = characters[ord(BLANK)]
    byte_ids = np.zeros(256, dtype=np.int32)
    for number, piece in enumerate(model.pieces):
        if piece.type == proto.BYTE:
            byte_ids[int(piece.text[3:5], 16)] = number
    return Merges(
        prefix=model.dummy_prefix,
        characters=characters,
        byte_ids=byte_ids,
        ranks=_ranks(model),
        left=left,
        right=right,
        merged=merged,
        joins=_joins([*normal, *(text.decode() for text in user)]),
        user=tuple(sorted(user.items(), key=lambda item: (-len(item[0]), item[0]))),
    )


def _decodes(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _merges(
    normal: dict[str, int], symbols: dict[str, int]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Every way to make a piece from two symbols."""
    rows: list[int] = []
    find = symbols.get
    for text, number in normal.items():
        for at in range(1, len(text)):
            before = find(text[:at])
            if before is None:
                continue
            after = find(text[at:])
            if after is not None:
                rows += (before, after, number)
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return table[:, 0].copy(), table[:, 1].copy(), table[:, 2].copy()


def _ranks(model: proto.Model) -> npt.NDArray[np.int32]:
    """Places in the order in which SentencePiece compares scores: as floats, with -0 below 0."""
    bits = np.array([piece.score for piece in model.pieces], dtype=np.float32).view(np.int32).astype(np.int64)
    ordered = np.where(bits < 0, -(bits & 0x7FFFFFFF) - 1, bits)
    _, ranks = np.unique(-ordered, return_inverse=True)
    return ranks.astype(np.int32)


def _joins(texts: list[str]) -> npt.NDArray[np.int64]:
    pairs = {pair for text in texts for pair in itertools.pairwise(text)}
    points = [(ord(a.replace(BLANK, " ")), ord(b.replace(BLANK, " "))) for a, b in pairs]
    return np.array(sorted(points), dtype=np.int64).reshape(-1, 2)
