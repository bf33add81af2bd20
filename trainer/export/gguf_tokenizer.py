"""A SentencePiece BPE model in a GGUF file, as llama.cpp's LLaMA tokenizer reads it."""

from __future__ import annotations

from typing import Any

from tokenizer import proto
from trainer.export.request import ExportRequest

_PADDING_SCORE = -1000.0
"""Score of the rows that fill the vocabulary up: no merge makes them."""


def add_tokenizer(writer: Any, model: proto.Model, request: ExportRequest, vocabulary: int) -> None:
    """Add the pieces with their scores and types, and what goes before a text, if anything does."""
    import gguf

    padding = vocabulary - len(model.pieces)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([piece.text for piece in model.pieces] + [b"[PAD%d]" % n for n in range(padding)])
    writer.add_token_scores([piece.score for piece in model.pieces] + [_PADDING_SCORE] * padding)
    # SentencePiece and llama.cpp give the types of pieces the same numbers
    writer.add_token_types([piece.type for piece in model.pieces] + [int(gguf.TokenType.UNUSED)] * padding)
    unknown = [number for number, piece in enumerate(model.pieces) if piece.type == proto.UNKNOWN]
    if unknown:
        writer.add_unk_token_id(unknown[0])
    writer.add_bos_token_id(request.first)
    writer.add_eos_token_id(request.eod)
    writer.add_add_bos_token(request.begun)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(model.dummy_prefix)
    writer.add_remove_extra_whitespaces(model.remove_extra_whitespaces)


def differences(model: proto.Model) -> str:
    """Where llama.cpp's ids differ from the tokenizer's own, as a sentence; empty where they do not."""
    found = []
    if model.remove_extra_whitespaces:
        found.append("keeps runs of blanks, which the tokenizer joins")
    if model.charsmap:
        found.append(f"does not apply the tokenizer's normalisation ({model.normalization})")
    return f"llama.cpp {' and '.join(found)}: such texts get other ids there" if found else ""
