"""Runs one tokenizer over one file of texts, inside the environment that has it:

    python tokenize_peer.py NAME MODEL TOKENIZER_JSON TEXTS IDS CORES

TEXTS is a JSON list of strings. The ids go to IDS, native uint32 in a row, and the number of ids of every text to
IDS.lengths, native uint64. Neither loading nor a first short text are in the times. A tokenizer that gives arrays gets
all texts at once, one that gives lists about a megabyte at a time; the time ends when the ids are there in the form in
which the package gives them fastest. Prints one JSON object. Only `corpusmill` imports anything of this project.
"""

from __future__ import annotations

import array
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass
class Peer:
    """One tokenizer."""

    encode: Callable[[Any], Any]
    """From texts in the form of `give` to ids in any form."""
    give: Callable[[list[str]], Any] = list
    """From strings to what `encode` takes fastest; not in the times."""
    rows: Callable[[Any], list[Any]] = list
    """From what `encode` gives to a list of ids for every text; not in the times."""
    whole: bool = False
    """Whether all texts are given at once."""
    counts: Callable[[], dict[str, int]] = dict
    """What the tokenizer counts."""


def corpusmill(model: str, tokenizer_json: str, cores: int) -> Peer:
    import pyarrow as pa

    from tokenizer.model import Tokenizer

    tokenizer = Tokenizer.load(model)
    encoder = tokenizer._encoder
    assert encoder is not None
    return Peer(
        tokenizer.encode_batch,
        lambda texts: pa.array(texts, pa.large_string()),
        lambda lists: [row.values.to_numpy() for row in lists],
        whole=True,
        counts=lambda: {"chunks": encoder.chunks, "misses": encoder.misses},
    )


def sentencepiece(model: str, tokenizer_json: str, cores: int) -> Peer:
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor(model_file=model)
    if cores > 1:
        return Peer(lambda texts: processor.encode(texts, num_threads=cores))
    return Peer(lambda texts: [processor.encode(text, return_type="numpy") for text in texts])


def tokenizers(model: str, tokenizer_json: str, cores: int) -> Peer:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(tokenizer_json)
    return Peer(lambda texts: [found.ids for found in tokenizer.encode_batch_fast(texts, add_special_tokens=False)])


def gigatoken(model: str, tokenizer_json: str, cores: int) -> Peer:
    import gigatoken as package
    import numpy

    tokenizer = package.Tokenizer.from_sentencepiece(model)
    return Peer(
        lambda texts: tokenizer.encode_batch(texts, parallel=cores > 1),
        lambda texts: [text.encode() for text in texts],
        lambda found: [numpy.asarray(row) for row in found],
        whole=True,
    )


def kitoken(model: str, tokenizer_json: str, cores: int) -> Peer:
    from kitoken import Kitoken

    return Peer(Kitoken.from_sentencepiece_file(model).encode_all)


def tokie(model: str, tokenizer_json: str, cores: int) -> Peer:
    from tokie import Tokenizer

    tokenizer = Tokenizer.from_json(tokenizer_json)

    def rows(found: Any) -> list[Any]:
        ids, lengths = found
        ends = lengths.cumsum()
        return [ids[end - length : end] for end, length in zip(ends.tolist(), lengths.tolist(), strict=True)]

    return Peer(lambda texts: tokenizer.encode_batch_flat(texts, add_special_tokens=False), rows=rows, whole=True)


PEERS = {peer.__name__: peer for peer in (corpusmill, sentencepiece, tokenizers, gigatoken, kitoken, tokie)}


def batches(texts: list[str], size: int) -> Iterator[list[str]]:
    """Slices of `size` characters or a little more."""
    batch: list[str] = []
    held = 0
    for text in texts:
        batch.append(text)
        held += len(text)
        if held >= size:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def main() -> None:
    name, model, tokenizer_json, texts_file, ids_file, cores = sys.argv[1:]
    with open(texts_file, encoding="utf-8") as file:
        texts = json.load(file)
    began = time.perf_counter()
    peer = PEERS[name](model, tokenizer_json, int(cores))
    peer.encode(peer.give(["a b"]))
    result: dict[str, float] = {"load": time.perf_counter() - began}
    inputs = [peer.give(batch) for batch in batches(texts, 1 << 60 if peer.whole else 1_000_000)]
    before = peer.counts()
    with open(ids_file, "wb") as ids, open(ids_file + ".lengths", "wb") as lengths:

        def save(found: Any) -> None:
            for row in peer.rows(found):
                if hasattr(row, "astype"):
                    row.astype("uint32").tofile(ids)
                else:
                    array.array("I", row).tofile(ids)
                array.array("Q", [len(row)]).tofile(lengths)

        result["first"] = _timed(peer, inputs, int(cores), save)
    result.update({key: value - before[key] for key, value in peer.counts().items()})
    if result["first"] < 10:
        result["second"] = _timed(peer, inputs, int(cores), lambda found: None)
    print(json.dumps(result))


def _timed(peer: Peer, inputs: list[Any], cores: int, keep: Callable[[Any], None]) -> float:
    """Seconds to encode all inputs: of the processor on one core, where others may be at work, of the wall on more."""
    clock = time.process_time if cores == 1 else time.perf_counter
    spent = 0.0
    for batch in inputs:
        began = clock()
        found = peer.encode(batch)
        spent += clock() - began
        keep(found)
    return spent


if __name__ == "__main__":
    main()
