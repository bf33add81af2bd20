"""A trained SentencePiece model: text to ids and back, with an end-of-document id that no text can produce."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import sentencepiece
import xxhash

from corpus.data.buffers import text_buffers
from corpus.data.dataset import check_listed
from corpus.data.manifest import MANIFEST
from corpus.data.schema import NARROW_VOCABULARY, id_type
from corpus.errors import DataError, UsageError
from tokenizer import proto
from tokenizer.end_of_document import control_piece, end_piece, in_a_row, put_ends
from tokenizer.merges import read_merges, why_not

if TYPE_CHECKING:
    from tokenizer.encode import Encoder

LONG_TEXT = 100_000
"""Characters from which on the fast encoder is worth its start for a single text; SentencePiece needs a hundred bytes
of memory for every one."""
MODEL_FILE = "tokenizer.model"
"""The model's name in the output of train-tokenizer."""

Ids = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """A loaded model. Make one with `Tokenizer.load`."""

    path: Path
    """The model file."""
    digest: str
    """xxh3-128 of the model file, 32 hexadecimal digits."""
    eod_piece: str
    """The control symbol that ends a document."""
    eod_id: int
    """Its id."""
    model: proto.Model
    """The vocabulary and the settings of the model."""
    processor: Any
    """The `sentencepiece.SentencePieceProcessor`."""

    @classmethod
    def load(cls, path: Path | str, eod_piece: str | None = None) -> Tokenizer:
        """Load a `.model` file, or the one in the output directory of train-tokenizer.

        `eod_piece` names the control symbol that ends a document; by default it is the model's own end of sentence.
        A file that is no model is a DataError; a piece that is missing or that a text can produce is a UsageError.
        """
        file = model_file(path)
        data = _read(file)
        try:
            model = proto.read_model(data)
            processor = sentencepiece.SentencePieceProcessor(model_proto=data)
        except (proto.ModelFormatError, RuntimeError) as error:
            reason = str(error) if isinstance(error, proto.ModelFormatError) else "SentencePiece refuses it"
            raise DataError(
                f"{file} is no usable tokenizer model ({reason}): give a SentencePiece .model file or the output of"
                " train-tokenizer."
            ) from None
        piece, number = end_piece(file, model, processor, eod_piece)
        return cls(file, xxhash.xxh3_128_hexdigest(data), piece, number, model, processor)

    def __getstate__(self) -> dict[str, Any]:
        """All but what is made again where it is needed: the lock and the memory of encoders stay here."""
        made = ("_encoder", "_bare_encoder", "_bare_processor")
        return {name: value for name, value in self.__dict__.items() if name not in made}

    def control(self, piece: str) -> int:
        """The id of a control symbol that may begin documents; another piece is a UsageError."""
        return control_piece(self.path, self.model, piece, "begin")

    @property
    def vocab_size(self) -> int:
        """The number of pieces."""
        return len(self.model.pieces)

    @property
    def wide(self) -> bool:
        """Whether ids need uint32: the vocabulary is over 65,536."""
        return self.vocab_size > NARROW_VOCABULARY

    def encode(self, text: str, eod: bool = False) -> list[int]:
        """The ids of a text as SentencePiece gives them, and the end-of-document id if `eod`.

        Meant for single texts; `encode_batch` is much faster for many. A lone surrogate is a DataError.
        """
        if not isinstance(text, str):
            raise TypeError(f"a text is a str, not {type(text).__name__}")
        if len(text) >= LONG_TEXT:
            ids: list[int] = self.encode_batch([text], eod)[0].as_py()
            return ids
        ids = self.processor.encode(_utf8(text))
        return [*ids, self.eod_id] if eod else ids

    def encode_batch(
        self, texts: pa.Array | pa.ChunkedArray | Iterable[str], eod: bool = False, continued: bool = False
    ) -> pa.ListArray:
        """The ids of many texts: `list<uint16>`, or `list<uint32>` over 65,536 pieces, one list a text.

        `continued` texts go on after others, so that none has the blank that the model puts before a text.
        `texts` is an Arrow array of strings of any kind (slices and chunks too; null is taken as empty), or an iterable
        of `str`. Text that is no valid Unicode is a DataError, and so are over 2^31 - 1 ids in one batch.
        """
        array = _as_array(texts)
        bare = continued and self.model.dummy_prefix
        encoder = self._bare_encoder if bare else self._encoder
        if encoder is None:
            processor = self._bare_processor if bare else self.processor
            encoded = [processor.encode(text, return_type="numpy") for text in array.to_pylist()]
            return self._arrow(*in_a_row(encoded, self.eod_id if eod else None, self._kind))
        data, offsets = text_buffers(array)
        ids, ends = encoder.encode(data, offsets, 1 if eod else 0, self._kind)
        if eod:
            put_ends(ids, ends, self.eod_id)
        return self._arrow(ids, np.concatenate((np.zeros(1, dtype=np.int64), ends)))

    def prepare(self) -> None:
        """Load all that encoding needs: kernels and tables, which the first batch would load else."""
        self.encode_batch([""])

    @cached_property
    def slow_because(self) -> str:
        """Why SentencePiece itself encodes the batches, as the end of a sentence; empty where the fast encoder does."""
        return why_not(self.model)

    @cached_property
    def _encoder(self) -> Encoder | None:
        if self.slow_because:
            return None
        from tokenizer.encode import Encoder  # compiles; not needed to train or to decode

        return Encoder(read_merges(self.model))

    @cached_property
    def _bare_encoder(self) -> Encoder | None:
        """The encoder of texts that have no blank before them."""
        if self.slow_because:
            return None
        from tokenizer.encode import Encoder

        return Encoder(replace(read_merges(self.model), prefix=False))

    @cached_property
    def _bare_processor(self) -> Any:
        data = self.processor.serialized_model_proto() + proto.NO_DUMMY_PREFIX
        return sentencepiece.SentencePieceProcessor(model_proto=data)

    @cached_property
    def special_ids(self) -> Mapping[str, int]:
        """The control symbols, which no text can produce, and their ids."""
        pieces = enumerate(self.model.pieces)
        return {piece.text.decode(): number for number, piece in pieces if piece.type == proto.CONTROL}

    def decode(self, ids: Sequence[int] | Ids) -> str:
        """The text of `ids`; control symbols have none, and bytes that are no character become U+FFFD.

        An id outside the vocabulary is a DataError. Lossless models give back what was encoded, but for U+2581.
        """
        numbers = [operator.index(number) for number in ids]
        for number in numbers:
            if not 0 <= number < self.vocab_size:
                raise DataError(
                    f"id {number} is not in the vocabulary of {self.vocab_size}: use the tokenizer that made it."
                )
        text: str = self.processor.decode(numbers)
        return text

    @property
    def _kind(self) -> type[np.generic]:
        return np.uint32 if self.wide else np.uint16

    def _arrow(self, ids: npt.NDArray[Any], offsets: npt.NDArray[np.int64]) -> pa.ListArray:
        if offsets[-1] > np.iinfo(np.int32).max:
            raise DataError(
                f"{offsets[-1]} ids in one batch are too many for Arrow lists: encode fewer texts at a time."
            )
        kind = pa.list_(pa.field("item", id_type(self.wide), nullable=False))
        return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(ids), type=kind)


def model_file(path: Path | str) -> Path:
    """The model file that `path` means: itself, or `tokenizer.model` in a finished output of train-tokenizer."""
    path = Path(path)
    if path.is_dir():
        if not (path / MANIFEST).exists():
            raise UsageError(f"{path} is no finished output of train-tokenizer: run it again, or give a .model file.")
        path = path / MODEL_FILE
    if not path.exists():
        raise UsageError(f"{path} does not exist: give a SentencePiece .model file or the output of train-tokenizer.")
    return check_listed(path)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror}): change its permissions.") from None


def _as_array(texts: pa.Array | pa.ChunkedArray | Iterable[str]) -> pa.Array:
    """The texts as one string or large_string array without nulls, of valid UTF-8."""
    if isinstance(texts, str | bytes):
        raise TypeError("texts is one string: give a list of them, or use encode")
    if isinstance(texts, pa.ChunkedArray):
        # together the chunks may hold more than the offsets of `string` reach
        texts = (texts.cast(pa.large_string()) if pa.types.is_string(texts.type) else texts).combine_chunks()
    array = texts if isinstance(texts, pa.Array) else _from_strings(texts)
    if not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        if not _is_text(array.type):
            raise TypeError(f"texts is an array of {array.type}, not of strings")
        array = array.cast(pa.large_string())
    if array.null_count:
        array = pc.fill_null(array, "")
    try:
        array.validate(full=True)
    except pa.ArrowInvalid as error:
        raise DataError(f"the texts are no valid Unicode ({error}): repair them before they are encoded.") from None
    return array


def _from_strings(texts: Iterable[str]) -> pa.Array:
    strings = list(texts)
    for text in strings:
        if not isinstance(text, str):
            raise TypeError(f"a text is a str, not {type(text).__name__}")
    try:
        return pa.array(strings, pa.large_string())
    except UnicodeEncodeError as error:
        raise _surrogate(error) from None


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_null(kind) or str(kind) in ("string", "large_string", "string_view")


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise _surrogate(error) from None


def _surrogate(error: UnicodeEncodeError) -> DataError:
    return DataError(
        f"a text holds the lone surrogate U+{ord(error.object[error.start]):04X} at character {error.start}, which is no"
        " Unicode: repair it before it is encoded, for example with text.encode('utf-8', 'replace').decode()."
    )
