"""The text a tokenizer is trained on: whole documents chosen by the hash of their id, weighted by domain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from corpus.errors import DataError, UsageError
from corpus.mixture.plan.weights import load_mixture
from corpus.option import nearest

CHUNK_CHARACTERS = 8192
"""The most characters of a chunk. SentencePiece skips longer lines without a word, and is slow on endless words."""
RESERVED = "\u2585"
"""SentencePiece leaves out every line that holds this character, which stands for the unknown inside its trainer."""

CHUNK_SCHEMA = pa.schema(
    [
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("domain", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
    ]
)
"""One row is a chunk of a chosen document as the trainer gets it."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a document, at most `CHUNK_CHARACTERS` long."""

    text: str
    first: bool


def domain_bytes(batch: pa.RecordBatch) -> dict[str, int]:
    """UTF-8 bytes of text per domain in a batch with the columns `text` and `domain`."""
    table = pa.table({"domain": batch.column("domain"), "bytes": pc.binary_length(batch.column("text"))})
    sums = table.group_by("domain").aggregate([("bytes", "sum")]).to_pydict()
    return {str(name): int(size or 0) for name, size in zip(sums["domain"], sums["bytes_sum"], strict=True)}


def parse_weights(weights: tuple[str, ...]) -> dict[str, float]:
    """`domain=share` strings, or the one name of a weights file or recipe, as a mapping; shares are relative and need
    not add up to 1."""
    if len(weights) == 1 and "=" not in weights[0]:
        return _mixture_shares(weights[0])
    shares: dict[str, float] = {}
    for entry in weights:
        name, _, value = entry.partition("=")
        try:
            share = float(value)
        except ValueError:
            raise UsageError(
                f"weight '{entry}' is not of the form DOMAIN=SHARE: write for example wikipedia=0.045."
            ) from None
        if not name or not 0 <= share < float("inf"):
            raise UsageError(
                f"weight '{entry}' needs a domain and a share of 0 or more: write for example wikipedia=0.045."
            )
        if name in shares:
            raise UsageError(f"domain '{name}' has two weights: give it one.")
        shares[name] = share
    return shares


def _mixture_shares(name: str) -> dict[str, float]:
    mixture = load_mixture(name)
    if not mixture.has_shares:
        raise UsageError(f"{name} gives epochs and no shares: write the weights as --weights DOMAIN=SHARE.")
    return {weight.domain: float(weight.share or 0) for weight in mixture.weights}


def sampling_rates(sizes: Mapping[str, int], shares: Mapping[str, float], budget: int) -> dict[str, float]:
    """The probability with which a document of each domain is taken, so that about `budget` bytes come together.

    `sizes` are the bytes there are. A domain that has less than its share gives all it has, and the others fill its
    place in proportion to theirs. Without `shares` every domain has the same rate. A domain with documents but without
    a share is a UsageError; one with a share but without documents is left out.
    """
    if not shares:
        shares = {name: float(size) for name, size in sizes.items()}
    for name in sorted(sizes):
        if name not in shares:
            raise UsageError(f"domain '{name}' of the documents has no weight: add it ({nearest(name, shares)})")
    rates = dict.fromkeys(sizes, 0.0)
    open_ = sorted(name for name in sizes if sizes[name] > 0 and shares[name] > 0)
    left = float(budget)
    while open_:
        # relative to the largest, so that their sum is no infinity
        largest = max(shares[name] for name in open_)
        total = sum(shares[name] / largest for name in open_)
        wanted = {name: left * (shares[name] / largest) / total for name in open_}
        full = [name for name in open_ if wanted[name] >= sizes[name]]
        if not full:
            rates |= {name: wanted[name] / sizes[name] for name in open_}
            break
        for name in full:
            rates[name] = 1.0
            left -= sizes[name]
        open_ = [name for name in open_ if name not in full]
    if not any(rates.values()):
        raise DataError("there is no text to train a tokenizer on: check the documents, and the weights.")
    return rates


def choose(batch: pa.RecordBatch, rates: Mapping[str, float], seed: int) -> npt.NDArray[np.bool_]:
    """Which documents of a batch (columns `id`, `domain`) are in the sample: those whose seeded hash of id, as a
    fraction of 2^64, is below the rate of their domain. The choice of one document does not depend on the others."""
    limits = {name: round(rate * 2.0**64) for name, rate in rates.items()}
    chosen = (
        xxhash.xxh3_64_intdigest(key.encode("utf-8"), seed) < limits[domain]
        for key, domain in zip(batch.column("id").to_pylist(), batch.column("domain").to_pylist(), strict=True)
    )
    return np.fromiter(chosen, dtype=np.bool_, count=batch.num_rows)


def chunks(text: str) -> Iterator[Chunk]:
    """Cut a document so that SentencePiece skips nothing of it.

    Nothing but U+2585 is lost. Cuts fall before a blank or after a newline where there is one: words stay whole.
    """
    first = True
    for part in text.split(RESERVED):
        start = 0
        while start < len(part):
            end = _cut(part, start)
            yield Chunk(part[start:end], first)
            start, first = end, False


def _cut(text: str, start: int) -> int:
    limit = start + CHUNK_CHARACTERS
    if limit >= len(text):
        return len(text)
    blank = text.rfind(" ", start + 1, limit + 1)
    newline = text.rfind("\n", start, limit) + 1
    best = max(blank, newline)
    return best if best > start else limit


def for_training(text: str, first: bool, dummy_prefix: bool) -> str:
    """A chunk as the trainer should see it. Where the model puts a blank before every text, a chunk from the middle of
    a document that begins with a blank gives its own up, so that the word there is seen as it is in the document."""
    return text[1:] if dummy_prefix and not first and text.startswith(" ") else text
