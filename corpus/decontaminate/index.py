"""Evaluation sets in memory: the texts of JSON lines, their n-grams, and where documents have any of them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpus.data.buffers import text_buffers
from corpus.data.files import checksum
from corpus.decontaminate.mapped import MappedArrays, bucket_shift, bucket_starts
from corpus.decontaminate.ngrams import Codes, Hashes, Ints, cut_grams, distinct, find_grams, fold_table, word_room
from corpus.errors import DataError, UsageError
from corpus.ingest.compression import TruncatedStream, open_stream
from corpus.option import nearest

_SIEVE = 4
"""The sieve has 2^4 bits and more per n-gram, so that one word in sixteen or fewer of other texts passes it."""
EVERY_BIT = (1 << 64) - 1
"""The mask that weakens no hash."""


@dataclass(frozen=True, slots=True)
class Example:
    """A text of an evaluation set: its file's name, its line from 0, its field (`choices.0` for a list's first)."""

    file: str
    record: int
    field: str
    text: str


def read_examples(paths: Sequence[str], fields: Sequence[str]) -> Iterator[Example]:
    """The texts of JSON lines (also gzip or zstd): all strings of a record, or those below the `fields` given.

    Raises UsageError for a file that is missing or has none of the fields, DataError for a line that is no object.
    """
    for path in map(Path, paths):
        if not path.is_file():
            raise UsageError(f"{path} is no file: give evaluation sets as JSON lines.")
        found = False
        known: set[str] = set()
        for number, record in _records(path):
            known |= record.keys()
            for field in fields or record.keys():
                for name, text in strings_of(field, _below(record, field)):
                    found = True
                    yield Example(path.name, number, name, text)
        if not found:
            missing = [field for field in fields if field.partition(".")[0] not in known]
            hint = f" ({nearest(missing[0], known)})" if missing and known else ""
            what = f"text in {', '.join(fields)}" if fields else "text"
            raise UsageError(f"{path} has no {what}{hint}: give its fields of text with --field.")


def _records(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        with open_stream(path) as stream, io.TextIOWrapper(io.BufferedReader(stream), encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines):
                if not line.strip():
                    continue
                record = json.loads(line)
                if not isinstance(record, dict):
                    raise DataError(f"{path} line {number + 1} is no JSON object: give one object per line.")
                yield number, record
    except (ValueError, TruncatedStream) as error:
        raise DataError(f"{path} is no file of JSON lines ({error}): give one object per line.") from None


def _below(record: Any, field: str) -> Any:
    """The value of `a.b` in a record; None where there is none."""
    for key in field.split("."):
        if not isinstance(record, Mapping) or key not in record:
            return None
        record = record[key]
    return record


def strings_of(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """All strings of a value of JSON, each with its place (`choices.0`)."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from strings_of(f"{name}.{key}", inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from strings_of(f"{name}.{number}", inner)


def names_and_digests(paths: Sequence[str]) -> list[tuple[str, str]]:
    """Name and xxh3-128 of each file, in order; a UsageError for one that is missing."""
    for path in paths:
        if not Path(path).is_file():
            raise UsageError(f"{path} is no file: give evaluation sets as JSON lines.")
    return [(Path(path).name, checksum(Path(path))) for path in paths]


@dataclass(frozen=True)
class Index(MappedArrays):
    """The n-grams of evaluation texts, every one once, ascending by hash.

    `grams`: the folded texts; `begins`, `ends`: where each n-gram lies in them; `hashes`; `firsts` int64[2^bits + 1]: the
    first n-gram whose hash begins with those bits; `sieve`: a bit for each beginning of a hash that occurs.
    `texts`, `bounds`: the texts that hold n-gram g are texts[bounds[g] : bounds[g + 1]], ascending; `held`,
    `held_bounds`: the different n-grams of each text, likewise.
    """

    size: int
    mask: int
    grams: Codes
    begins: Ints
    ends: Ints
    hashes: Hashes
    firsts: Ints
    sieve: Hashes
    texts: Ints
    bounds: Ints
    held: Ints
    held_bounds: Ints

    @property
    def sizes(self) -> Ints:
        """How many different n-grams each text has."""
        return np.diff(self.held_bounds)

    def held_by(self, text: int) -> Ints:
        """The different n-grams of a text."""
        return self.held[self.held_bounds[text] : self.held_bounds[text + 1]]

    @classmethod
    def of(cls, texts: Sequence[str], size: int, mask: int = EVERY_BIT) -> Index:
        """The index of n-grams of `size` words; `mask` weakens the hash, for tests."""
        array = pa.array(list(texts), pa.large_string())
        grams, text, begins, ends, hashes = cut_grams(*text_buffers(array), size, mask)
        order = np.argsort(hashes, kind="stable")
        numbers, first = distinct(order, hashes, grams, begins, ends)
        pairs = np.unique(np.stack([numbers, text]), axis=1) if len(numbers) else np.empty((2, 0), np.int64)
        bounds = np.searchsorted(pairs[0], np.arange(len(first) + 1))
        kept = hashes[first]
        bits = min(34, max(6, len(first).bit_length() + _SIEVE))
        marks = kept >> np.uint64(64 - bits)
        sieve = np.zeros(1 << (bits - 6), np.uint64)
        np.bitwise_or.at(sieve, (marks >> np.uint64(6)).astype(np.int64), np.uint64(1) << (marks & np.uint64(63)))
        return cls(
            size,
            mask,
            grams,
            begins[first],
            ends[first],
            kept,
            bucket_starts(kept, each=1),
            sieve,
            np.ascontiguousarray(pairs[1]),
            bounds.astype(np.int64),
            np.ascontiguousarray(pairs[0][np.argsort(pairs[1], kind="stable")]),
            np.concatenate([[0], np.cumsum(np.bincount(pairs[1], minlength=len(texts)))]).astype(np.int64),
        )

    def gram(self, number: int) -> str:
        """The words of an n-gram."""
        return "".join(map(chr, self.grams[self.begins[number] : self.ends[number]].tolist()))

    def find(self, text: pa.Array) -> tuple[Ints, Ints, Ints, Ints]:
        """All positions where `text` (strings without nulls) has one of these n-grams: row, n-gram, first byte and end."""
        data, offsets = text_buffers(text)
        room = 1024
        fixed = (
            data,
            offsets,
            fold_table(),
            self.size,
            np.uint64(self.mask),
            *word_room(offsets),
            self.hashes,
            self.firsts,
        )
        shift = bucket_shift(self.firsts)
        sieve_shift = np.uint64(65 - (64 * len(self.sieve)).bit_length())
        while True:
            out: tuple[npt.NDArray[np.int64], ...] = tuple(np.empty(room, np.int64) for _ in range(4))
            count = find_grams(*fixed, shift, self.sieve, sieve_shift, self.grams, self.begins, self.ends, *out)
            if count <= room:
                row, gram, begin, end = (part[:count] for part in out)
                return row, gram, begin, end
            room = count
