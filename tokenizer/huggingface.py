"""`tokenizer.json` for Hugging Face: the same ids from `tokenizers` and `transformers`, or a reason why they cannot be.

*Why the ids of a BPE model are the same.* SentencePiece joins two neighbours if the piece they make is in the
vocabulary, best score first, the leftmost of equals first; Hugging Face has a list of pairs and joins the earliest in
the list first. The list here holds every pair that makes a piece, in the order of the pieces' scores. Where a piece can
be made of several pairs their order does not matter, for only one of them is ever met: joins inside a stretch of text
come in the order in which they come when the stretch stands alone, so that the last join of a piece is always the same.
What is left are different pieces of one score, whose order depends on the place in the text; a trained model has none.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from corpus.data.files import write_atomic
from corpus.errors import DataError
from tokenizer import proto
from tokenizer.merges import BLANK
from tokenizer.model import Tokenizer

TOKENIZER_JSON = "tokenizer.json"
"""What `tokenizers.Tokenizer.from_file` reads."""
CONFIG_JSON = "tokenizer_config.json"
"""What `transformers.AutoTokenizer.from_pretrained` reads along with it."""
FILES = (TOKENIZER_JSON, CONFIG_JSON)


def write(
    path: Path | str,
    directory: Path | str,
    eod_piece: str | None = None,
    nearly: bool = False,
    first_piece: str | None = None,
) -> str:
    """Write `tokenizer.json` and `tokenizer_config.json` of a SentencePiece model (a file, or the output of
    train-tokenizer) into `directory`, which is made where it does not exist.

    `first_piece` is put before every text: what a trained model saw there. A model whose rules Hugging Face cannot follow is a DataError, and so is one whose ids may differ (see
    `differences`) unless `nearly`; nothing is written then. Returns the differences, empty where there are none.
    """
    tokenizer = Tokenizer.load(path, eod_piece)
    if reason := why_not(tokenizer.model):
        raise DataError(f"{tokenizer.path} cannot be given as {TOKENIZER_JSON}, since {reason}: use the model itself.")
    found = differences(tokenizer.model)
    if found and not nearly:
        raise DataError(
            f"{tokenizer.path} would get other ids from {TOKENIZER_JSON} in places, since {found}: use the model itself,"
            " or accept that with --nearly."
        )
    folder = Path(directory)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / TOKENIZER_JSON, _dump(tokenizer_json(tokenizer.model, first_piece)))
        write_atomic(folder / CONFIG_JSON, _dump(transformers_config(tokenizer, first_piece)))
    except OSError as error:
        raise DataError(f"{folder} cannot be written ({error.strerror}): choose another directory.") from None
    return found


def why_not(model: proto.Model) -> str:
    """Why a model cannot be said in `tokenizer.json`, as the end of a sentence; empty where it can."""
    try:
        texts = [piece.text.decode() for piece in model.pieces]
    except UnicodeDecodeError:
        return "a piece is no valid UTF-8"
    types = {piece.type for piece in model.pieces}
    normal = {text: piece.score for text, piece in zip(texts, model.pieces, strict=True) if piece.type == proto.NORMAL}
    user = _texts(model, proto.USER_DEFINED)
    special = set(texts) - set(normal) - set(user)
    missing = {character for text in normal for character in text} - normal.keys()
    scores = [score for text, score in normal.items() if len(text) > 1]
    spelled = {character for text in special for character in text}
    bpe = model.model_type == proto.BPE
    reasons = (
        (model.model_type not in (proto.BPE, proto.UNIGRAM), "its type is neither bpe nor unigram"),
        (not model.escape_whitespaces or model.whitespace_as_suffix, "it treats blanks in another way"),
        (proto.UNUSED in types, "it has unused pieces"),
        (not all(texts), "a piece is empty"),
        (model.dummy_prefix and bool(user), "a blank goes before the text and user-defined symbols stand in it"),
        (bool(model.charsmap) and bool(user), "its user-defined symbols are not normalised as the rest is"),
        (
            model.remove_extra_whitespaces and any(" " in text or BLANK in text for text in user),
            "a user-defined symbol holds a blank, and blanks are removed",
        ),
        (bpe and len(set(scores)) < len(scores), "two pieces have the same score, so that the leftmost goes first"),
        (bpe and bool(missing), "a piece is built of a character that is no piece"),
        (bpe and any(len(text) == 1 for text in special), "a special piece is a single character"),
        (
            not bpe and bool(spelled - normal.keys()),
            "a special piece is spelled with characters that are no pieces, so that a text would give it",
        ),
    )
    return next((reason for holds, reason in reasons if holds), "")


def differences(model: proto.Model) -> str:
    """Where the ids of `tokenizer.json` may differ from the model's, as the end of a
    sentence; empty where they never do."""
    found = []
    if model.model_type == proto.UNIGRAM:
        found.append(
            "SentencePiece adds a unigram model's scores up in 32 bits and Hugging Face in 64, so that near-ties can"
            " fall the other way"
        )
    if model.charsmap:
        found.append(
            f"Hugging Face applies the normalisation rules ({model.normalization}) to one letter with its marks at a"
            " time, SentencePiece to the longest match, so that long combinations (decomposed Hangul among them) differ"
        )
    return "; ".join(found)


def tokenizer_json(model: proto.Model, first_piece: str | None = None) -> dict[str, Any]:
    """The value of `tokenizer.json` for a model for which `why_not` finds nothing.

    Control symbols are in the vocabulary but are no added tokens: no text gives them, as with SentencePiece.
    """
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": number,
                "content": piece.text.decode(),
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": True,
                "special": False,
            }
            for number, piece in enumerate(model.pieces)
            if piece.type == proto.USER_DEFINED and b" " not in piece.text  # a model never sees U+0020 itself
        ],
        "normalizer": {"type": "Sequence", "normalizers": _normalizers(model)},
        "pre_tokenizer": None,
        "post_processor": None if first_piece is None else _before(model, first_piece),
        "decoder": {"type": "Sequence", "decoders": _decoders(model)},
        "model": _bpe(model) if model.model_type == proto.BPE else _unigram(model),
    }


def _before(model: proto.Model, piece: str) -> dict[str, Any]:
    ids = [number for number, entry in enumerate(model.pieces) if entry.text == piece.encode()]
    return template(piece, *ids)


def template(piece: str, *ids: int) -> dict[str, Any]:
    """The post-processor that puts a piece before every text."""
    symbol = {"SpecialToken": {"id": piece, "type_id": 0}}
    texts: list[dict[str, Any]] = [{"Sequence": {"id": name, "type_id": number}} for number, name in enumerate("AB")]
    return {
        "type": "TemplateProcessing",
        "single": [symbol, texts[0]],
        "pair": [symbol, texts[0], symbol, texts[1]],
        "special_tokens": {piece: {"id": piece, "ids": list(ids), "tokens": [piece]}},
    }


def transformers_config(tokenizer: Tokenizer, first_piece: str | None = None) -> dict[str, Any]:
    """The value of `tokenizer_config.json`. `split_special_tokens` lets a text that spells a control symbol stay text.
    No id is added at either end but `first_piece`: documents are ended by whoever encodes them."""
    controls = _texts(tokenizer.model, proto.CONTROL)
    unknown = _texts(tokenizer.model, proto.UNKNOWN)
    bos = tokenizer.processor.bos_id()
    named = {"eos_token": tokenizer.eod_piece, "unk_token": unknown[0] if unknown else None}
    if first_piece is not None:
        named["bos_token"] = first_piece
    elif bos >= 0:
        named["bos_token"] = tokenizer.model.pieces[bos].text.decode()
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **{name: text for name, text in named.items() if text is not None},
        "extra_special_tokens": [text for text in controls if text not in named.values()],
        "add_bos_token": first_piece is not None,
        "add_eos_token": False,
        "split_special_tokens": True,
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
    }
    if found := differences(tokenizer.model):
        config["differences_from_sentencepiece"] = found
    return config


def _normalizers(model: proto.Model) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    if model.charsmap:
        rules = base64.b64encode(model.charsmap).decode("ascii")
        steps.append({"type": "Precompiled", "precompiled_charsmap": rules})
    if model.remove_extra_whitespaces:
        steps += [_replace({"Regex": r"\A +"}, ""), _replace({"Regex": " {2,}"}, " ")]
    if model.dummy_prefix:
        steps.append({"type": "Prepend", "prepend": BLANK})
    steps.append(_replace({"String": " "}, BLANK))
    if model.remove_extra_whitespaces:
        steps.append(_replace({"Regex": rf"{BLANK}+\z"}, ""))
    return steps


def _decoders(model: proto.Model) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = [_replace({"String": BLANK}, " "), {"type": "ByteFallback"}, {"type": "Fuse"}]
    if model.dummy_prefix:
        steps.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return steps


def _replace(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


def _bpe(model: proto.Model) -> dict[str, Any]:
    unknown = _texts(model, proto.UNKNOWN)
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": unknown[0] if unknown else None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": True,
        "byte_fallback": model.byte_fallback,
        "ignore_merges": False,
        "vocab": {piece.text.decode(): number for number, piece in enumerate(model.pieces)},
        "merges": _merges(model),
    }


def _merges(model: proto.Model) -> list[list[str]]:
    """Every pair of pieces that makes a piece, best score first."""
    scores = {piece.text.decode(): piece.score for piece in model.pieces if piece.type == proto.NORMAL}
    ordered = sorted((text for text in scores if len(text) > 1), key=lambda text: -scores[text])
    return [
        [text[:at], text[at:]]
        for text in ordered
        for at in range(1, len(text))
        if text[:at] in scores and text[at:] in scores
    ]


def _unigram(model: proto.Model) -> dict[str, Any]:
    """Special pieces get a score that every spelling by single characters beats, so that no text gives them."""
    normal = [piece.score for piece in model.pieces if piece.type == proto.NORMAL]
    longest = max(len(piece.text) for piece in model.pieces)
    lowest = (longest + 1) * (min(normal, default=0.0) - 1.0)
    unknown = [number for number, piece in enumerate(model.pieces) if piece.type == proto.UNKNOWN]
    return {
        "type": "Unigram",
        "unk_id": unknown[0] if unknown else None,
        "vocab": [
            [piece.text.decode(), piece.score if piece.type == proto.NORMAL else lowest] for piece in model.pieces
        ],
        "byte_fallback": model.byte_fallback,
    }


def _texts(model: proto.Model, kind: int) -> list[str]:
    return [piece.text.decode() for piece in model.pieces if piece.type == kind]


def _dump(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"  # indented it takes ten times as long
