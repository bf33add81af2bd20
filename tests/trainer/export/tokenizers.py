"""Small SentencePiece models for the tests of exports."""

from __future__ import annotations

import json
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


END = "<|endoftext|>"


def library_tokenizer(directory: Path, byte_level: bool = True) -> Path:
    """A `tokenizer.json` with END as its first id, as those of GPT-2 and GPT-NeoX or of Llama 1 are, with a template of its own."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    library = Tokenizer(models.BPE(byte_fallback=not byte_level, unk_token=None))
    if byte_level:
        library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        library.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    else:
        library.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
        library.decoder = decoders.Sequence(
            [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
        alphabet = []
    symbols = [END, "<s>"] + ([] if byte_level else [f"<0x{byte:02X}>" for byte in range(256)])
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=symbols, initial_alphabet=alphabet)
    library.train_from_iterator([TEXT] * 5, trainer)
    library.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    value = json.loads(library.to_str())
    if not byte_level:  # bytes are pieces, and no special tokens
        value["added_tokens"] = value["added_tokens"][:2]
    path = directory / "tokenizer.json"
    path.write_text(json.dumps(value))
    return path
