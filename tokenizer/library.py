"""Vocabularies of others: a `tokenizer.json`, whose ids the `tokenizers` library gives.

Special tokens are no part of texts: where a text spells one, it is encoded as the characters that it is, so that no page can
write an end of document. For the same reason nothing is added to a text, whatever the file's template says.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from corpus.data.buffers import text_buffers
from corpus.data.manifest import MANIFEST
from corpus.data.schema import NARROW_VOCABULARY, id_type
from corpus.data.tokenizer_json import without_prefix
from corpus.errors import DataError, UsageError
from corpus.option import nearest
from tokenizer.end_of_document import in_a_row
from tokenizer.model import model_file

FILE = "tokenizer.json"
_SLICE = 1 << 20
"""Bytes of text that are encoded at a time: the library holds a hundred bytes and more for each token."""


def vocabulary_file(path: Path | str) -> Path:
    """The file that `path` means: a SentencePiece model, or the `tokenizer.json` that it is or that lies in it. In an output
    of train-tokenizer it is the model."""
    path = Path(path)
    if path.is_dir() and not (path / MANIFEST).exists() and (path / FILE).is_file():
        return path / FILE
    return model_file(path)


@dataclass(frozen=True, eq=False)
class LibraryTokenizer:
    """A loaded `tokenizer.json`. Make one with `LibraryTokenizer.load`."""

    path: Path
    digest: str
    """xxh3-128 of the file, 32 hexadecimal digits."""
    eod_piece: str
    eod_id: int
    vocab_size: int
    """One more than the largest id: ids need not be without gaps."""
    library: Any
    """The `tokenizers.Tokenizer`."""
    special: dict[str, int]
    """Its special tokens."""

    slow_because: ClassVar[str] = ""

    @classmethod
    def load(cls, file: Path, eod_piece: str | None) -> LibraryTokenizer:
        """Load a `tokenizer.json`; `eod_piece` names the special token that ends documents.

        A file that cannot be loaded is a DataError, a token that is missing, not special or that a text can produce a
        UsageError, and so is a model with dropout, which is random.
        """
        # a worker is a process, and there are as many as were asked for
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        from tokenizers import Tokenizer

        data = file.read_bytes()
        try:
            library = Tokenizer.from_buffer(data)
            config = json.loads(data)
        except Exception as error:  # the library raises nothing more special
            raise DataError(f"{file} is no usable tokenizer ({str(error).splitlines()[0]}): give another.") from None
        if config["model"].get("dropout"):
            raise UsageError(f"{file} leaves merges out at random (dropout): set its model.dropout to null.")
        library.no_truncation()
        library.no_padding()
        library.encode_special_tokens = True
        size = max(library.get_vocab(with_added_tokens=True).values()) + 1
        special = {token["content"]: int(token["id"]) for token in config["added_tokens"] if token["special"]}
        if eod_piece is None:
            names = ", ".join(list(special)[:8]) or "it has none"
            raise UsageError(f"name the special token of {file} that ends a document with --eod-piece ({names}).")
        number = _special(file, library, special, eod_piece, "end")
        return cls(file, xxhash.xxh3_128_hexdigest(data), eod_piece, number, size, library, special)

    def control(self, piece: str) -> int:
        """The id of a special token that may begin documents; another token is a UsageError."""
        return _special(self.path, self.library, self.special, piece, "begin")

    @property
    def wide(self) -> bool:
        """Whether ids need uint32."""
        return self.vocab_size > NARROW_VOCABULARY

    def prepare(self) -> None:
        """There is nothing left to load."""

    @cached_property
    def special_ids(self) -> Mapping[str, int]:
        """The special tokens and their ids."""
        added = self.library.get_added_tokens_decoder()
        return {token.content: int(number) for number, token in added.items() if token.special}

    @cached_property
    def _bare(self) -> Any:
        """The library's tokenizer without the blank that it may put before a text."""
        from tokenizers import Tokenizer

        bare = Tokenizer.from_str(json.dumps(without_prefix(json.loads(self.library.to_str()))))
        bare.encode_special_tokens = True
        return bare

    def encode_batch(self, texts: pa.Array, eod: bool = False, continued: bool = False) -> pa.ListArray:
        """The ids of a string column without nulls: `list<uint16>` or `list<uint32>`, one list a text, each with the
        end-of-document id after it if `eod`. `continued` texts go on after others: no blank is put before them."""
        library = self._bare if continued else self.library
        kind = np.uint32 if self.wide else np.uint16
        encoded: list[npt.NDArray[Any]] = []
        for begin, stop in _slices(texts):
            found = library.encode_batch_fast(texts[begin:stop].to_pylist(), add_special_tokens=False)
            encoded += [np.array(one.ids, kind) for one in found]
        ids, offsets = in_a_row(encoded, self.eod_id if eod else None, kind)
        if offsets[-1] > np.iinfo(np.int32).max:
            raise DataError(
                f"{offsets[-1]} ids in one batch are too many for Arrow lists: encode fewer texts at a time."
            )
        type_ = pa.list_(pa.field("item", id_type(self.wide), nullable=False))
        return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(ids), type=type_)


def _special(file: Path, library: Any, special: dict[str, int], wanted: str, what: str) -> int:
    """The id of a special token that shall `what` (begin or end) documents; no text may produce it."""
    names = ", ".join(list(special)[:8]) or "it has none"
    if wanted not in special:
        if library.token_to_id(wanted) is None:
            raise UsageError(f"{file} has no token '{wanted}': {nearest(wanted, special)}")
        raise UsageError(
            f"'{wanted}' cannot {what} documents in {file}: it is no special token, so a page could write it; name a special"
            f" token ({names})."
        )
    number = special[wanted]
    if any(
        number in library.encode(text, add_special_tokens=False).ids
        for text in (wanted, f"a {wanted} b", f"a{wanted}b")
    ):
        raise UsageError(
            f"'{wanted}' cannot {what} documents in {file}: a page that writes it gets its id; name another."
        )
    return number


def _slices(texts: pa.Array) -> list[tuple[int, int]]:
    """Ranges of texts of about `_SLICE` bytes each."""
    _, bounds = text_buffers(texts)
    found, begin = [], 0
    while begin < len(texts):
        stop = max(begin + 1, int(np.searchsorted(bounds, bounds[begin] + _SLICE, "right")) - 1)
        found.append((begin, stop))
        begin = stop
    return found
