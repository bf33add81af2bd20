"""Text and ids by the tokenizer that a run carries: a SentencePiece model, or a `tokenizer.json`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import sentencepiece

from corpus.data.tokenizer_json import without_prefix
from corpus.data.turns import Rendered, runs_of
from corpus.errors import DataError

_BLANK = "\u2581"
"""What stands for a blank in SentencePiece's pieces."""


class _Backend(Protocol):
    """What a kind of tokenizer does."""

    @property
    def blank_first(self) -> bool:
        """Whether a blank is put before a text."""

    @property
    def size(self) -> int:
        """How many ids it has."""

    @property
    def special(self) -> Mapping[str, int]:
        """The ids of the symbols that no text gives."""

    def encode(self, text: str, continued: bool = False) -> list[int]:
        """The ids of a text; special tokens that it spells are characters. No blank is put before one that goes on after
        others."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids that the tokenizer knows or does not."""

    def sizes(self) -> Iterator[tuple[int, int, bool]]:
        """Of each id that stands for text: itself, the bytes, and whether it begins with a blank."""


class TextCodec:
    """Encodes prompts and decodes what a model says."""

    def __init__(self, path: Path) -> None:
        """Load `tokenizer.model` or `tokenizer.json`; a DataError where it is missing or unreadable."""
        if not path.exists():
            raise DataError(f"{path} is missing: train on a packed set that carries its tokenizer (_tokenizer/).")
        self.backend: _Backend = _Library(path) if path.suffix == ".json" else _SentencePiece(path)

    def encode(self, text: str) -> list[int]:
        """The ids of `text`."""
        return self.backend.encode(text)

    def encode_turns(self, rendered: Rendered, eod: int) -> list[int]:
        """The ids of the turns of a conversation, as a training set of them has."""
        ids: list[int] = []
        for run, _ in runs_of(rendered.text.encode(), rendered.turns, self.backend.special, eod):
            if isinstance(run, int):
                ids.append(run)
            else:
                ids += self.backend.encode(run.decode(), continued=bool(ids))
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`; ids the tokenizer does not know (a padded vocabulary's) are left out."""
        return self.backend.decode([int(value) for value in ids])


class _SentencePiece:
    def __init__(self, path: Path) -> None:
        try:
            self.model = sentencepiece.SentencePieceProcessor(model_file=str(path))
        except (OSError, RuntimeError) as error:
            raise DataError(f"{path} is not a SentencePiece model ({error}).") from None

    @cached_property
    def blank_first(self) -> bool:
        return "".join(self.model.encode("a", out_type=str)).startswith(_BLANK)

    def encode(self, text: str, continued: bool = False) -> list[int]:
        ids: list[int] = (self._bare if continued else self.model).encode(text)
        return ids

    @cached_property
    def special(self) -> dict[str, int]:
        pieces = range(self.model.get_piece_size())
        return {self.model.id_to_piece(number): number for number in pieces if self.model.is_control(number)}

    @cached_property
    def _bare(self) -> sentencepiece.SentencePieceProcessor:
        """The model that puts no blank before a text, for those that go on after others: of a field that is there twice
        (`normalizer_spec { add_dummy_prefix: false }`) the last counts."""
        data = self.model.serialized_model_proto() + b"\x1a\x02\x18\x00"
        return sentencepiece.SentencePieceProcessor(model_proto=data)

    @cached_property
    def size(self) -> int:
        return int(self.model.get_piece_size())

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self.model.decode([value for value in ids if value < self.size])
        return text

    def sizes(self) -> Iterator[tuple[int, int, bool]]:
        for number in range(self.size):
            if self.model.is_byte(number):
                yield number, 1, False
            elif not self.model.is_control(number) and not self.model.is_unknown(number):
                piece = self.model.id_to_piece(number)
                yield number, len(piece.replace(_BLANK, " ").encode()), piece.startswith(_BLANK)


class _Library:
    """A `tokenizer.json`, as tokenization reads it: nothing is added to a text, and no text gives a special token."""

    def __init__(self, path: Path) -> None:
        from tokenizers import Tokenizer

        try:
            data = path.read_bytes()
            self.library: Any = Tokenizer.from_buffer(data)
            self._config = json.loads(data)
        except Exception as error:  # the library raises nothing more special
            raise DataError(f"{path} is no usable tokenizer ({str(error).splitlines()[0]}).") from None
        self.library.no_truncation()
        self.library.no_padding()
        self.library.encode_special_tokens = True

    @cached_property
    def blank_first(self) -> bool:
        first: str = self.library.encode("a", add_special_tokens=False).tokens[0]
        return first.startswith((_BLANK, "\u0120"))

    @cached_property
    def special(self) -> dict[str, int]:
        added = self.library.get_added_tokens_decoder()
        return {token.content: int(number) for number, token in added.items() if token.special}

    @cached_property
    def _bare(self) -> Any:
        """The tokenizer that puts no blank before a text."""
        from tokenizers import Tokenizer

        bare = Tokenizer.from_str(json.dumps(without_prefix(json.loads(self.library.to_str()))))
        bare.encode_special_tokens = True
        return bare

    def encode(self, text: str, continued: bool = False) -> list[int]:
        library = self._bare if continued else self.library
        ids: list[int] = library.encode(text, add_special_tokens=False).ids
        return ids

    @cached_property
    def size(self) -> int:
        return 1 + max(map(int, self.library.get_vocab(with_added_tokens=True).values()))

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self.library.decode([value for value in ids if value < self.size], skip_special_tokens=True)
        return text

    def sizes(self) -> Iterator[tuple[int, int, bool]]:
        added = self.library.get_added_tokens_decoder()
        letters = '"ByteLevel"' in json.dumps([self._config.get("decoder"), self._config.get("pre_tokenizer")])
        for piece, number in self.library.get_vocab(with_added_tokens=True).items():
            if number in added:
                if not added[number].special:
                    yield number, len(piece.encode()), False
            elif letters:  # each character of such a piece stands for a byte
                yield number, len(piece), piece.startswith("\u0120")
            elif piece.startswith("<0x") and len(piece) == 6:
                yield number, 1, False
            else:
                yield number, len(piece.replace(_BLANK, " ").encode()), piece.startswith(_BLANK)


def token_bytes(path: Path, vocabulary: int) -> npt.NDArray[np.int64]:
    """For every id the bytes of UTF-8 text that it stands for, inside a document and as its first: int64 [2, vocabulary].

    The pieces of a text without unknown characters add up to its bytes. Control pieces, such as the end of a document,
    the unknown one, and ids beyond the tokenizer's stand for none. Where the tokenizer puts a blank before a text, the
    first piece has one byte less, for that blank is none of the text's.
    """
    backend = TextCodec(path).backend
    sizes = np.zeros((2, vocabulary), np.int64)
    for number, size, blank in backend.sizes():
        if number < vocabulary:
            sizes[:, number] = size
            sizes[1, number] -= backend.blank_first and blank
    return sizes
