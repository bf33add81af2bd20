"""A run's model in the formats of other programs: Hugging Face transformers (`hf`) and llama.cpp (`gguf`).

This is the only part of the trainer that knows of the `tokenizer` package: an export needs the vocabulary piece by piece.
"""
