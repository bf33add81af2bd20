"""Small SentencePiece models for the tests of exports."""

from __future__ import annotations

from pathlib import Path

import sentencepiece

VOCABULARY = 300
TEXT = "the cat sat on a mat and the dog ran to the red house by the sea while birds sang old songs of 1984 days"


def tokenizer(directory: Path, kind: str, symbols: list[str]) -> Path:
    """A SentencePiece model with byte fallback, a control symbol and user-defined ones."""
    text = directory / "text.txt"
    words = TEXT.split()
    text.write_text("".join(" ".join(words[i:] + words[:i]) + "\n" for i in range(len(words))) * 5)
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(directory / kind),
        vocab_size=VOCABULARY if kind == "bpe" else 290,
        model_type=kind,
        byte_fallback=True,
        normalization_rule_name="identity",
        user_defined_symbols=symbols,
        control_symbols=["<mask>"],
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return directory / f"{kind}.model"
