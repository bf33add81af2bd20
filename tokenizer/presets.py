"""How the papers made their tokenizers, as data.

Where a paper is silent the preset is lossless and BPE: text that has been through it comes back byte for byte (but for
a literal U+2581, which SentencePiece uses for the blank).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from corpus.errors import UsageError
from corpus.option import nearest


@dataclass(frozen=True, slots=True)
class Preset:
    """The settings of one paper's tokenizer.

    All presets share: no normalisation, no blank removed, pieces of blanks alone allowed, bytes for characters outside
    the vocabulary, and an end-of-document piece that is a control symbol, which no text can produce.
    """

    source: str
    """The paper and what it says."""
    vocab_size: int
    """Pieces, all special ones and the 256 bytes included."""
    model_type: str
    """`bpe` or `unigram`."""
    eod_piece: str
    """The control symbol that ends a document."""
    dummy_prefix: bool
    """Whether a blank is put before the text, so that its first word gets the ids it has inside a sentence."""
    split_digits: bool
    """Whether every digit is a piece of its own."""
    bos_piece: str = ""
    """The control symbol `<s>` where the model has one; it is never in the stream."""
    user_symbols: tuple[str, ...] = ()
    """Pieces that are matched before anything else and never merged; a text can hold them."""
    character_coverage: float = 0.99995
    """The share of the sample's characters that get a piece of their own; the others are written in bytes."""

    def to_json(self) -> dict[str, Any]:
        """The settings that decide the model's bytes, apart from size and type, which can be overridden."""
        return {
            "eod_piece": self.eod_piece,
            "bos_piece": self.bos_piece,
            "dummy_prefix": self.dummy_prefix,
            "split_digits": self.split_digits,
            "user_symbols": list(self.user_symbols),
            "character_coverage": self.character_coverage,
        }


_GALACTICA_SYMBOLS = (
    *("[START_REF]", "[END_REF]", "[START_SMILES]", "[END_SMILES]", "[START_I_SMILES]", "[END_I_SMILES]"),
    *("[START_AMINO]", "[END_AMINO]", "[START_DNA]", "[END_DNA]", "<work>", "</work>"),
    *("(", ")", "[", "]", "{", "}"),
)

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "llama": Preset(
            source="Touvron et al. 2023, section 2.1: BPE, numbers split into digits, unknown characters into bytes",
            vocab_size=32_000,
            model_type="bpe",
            eod_piece="</s>",
            dummy_prefix=True,
            split_digits=True,
            bos_piece="<s>",
        ),
        "palm": Preset(
            source="Chowdhery et al. 2022, section 2.2: 256k, lossless, digits split, [eod]; type not said",
            vocab_size=256_000,
            model_type="bpe",
            eod_piece="[eod]",
            dummy_prefix=False,
            split_digits=True,
        ),
        "chinchilla": Preset(
            source="Hoffmann et al. 2022, section 4.1: Gopher's (32,000, bytes) without NFKC; type not said",
            vocab_size=32_000,
            model_type="bpe",
            eod_piece="</s>",
            dummy_prefix=True,
            split_digits=False,
        ),
        "galactica": Preset(
            source="Taylor et al. 2022, sections 3.1 and 3.2: BPE of 50k, digits and brackets alone, task tokens",
            vocab_size=50_000,
            model_type="bpe",
            eod_piece="</s>",
            dummy_prefix=False,
            split_digits=True,
            bos_piece="<s>",
            user_symbols=_GALACTICA_SYMBOLS,
        ),
        "lamda": Preset(
            source="Thoppilan et al. 2022, section 3: SentencePiece BPE of 32k; normalisation not said",
            vocab_size=32_000,
            model_type="bpe",
            eod_piece="</s>",
            dummy_prefix=True,
            split_digits=False,
        ),
    }
)


def preset_named(name: str) -> Preset:
    """The preset `name`; an unknown one is a UsageError with the nearest."""
    if name not in PRESETS:
        raise UsageError(f"there is no tokenizer preset '{name}': {nearest(name, PRESETS)}")
    return PRESETS[name]
