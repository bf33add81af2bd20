"""What is to be known of a `tokenizer.json` besides what the `tokenizers` library does with it."""

from __future__ import annotations

from typing import Any


def without_prefix(config: dict[str, Any]) -> dict[str, Any]:
    """The contents of a `tokenizer.json` that puts no blank before a text; `config` is changed."""
    for name in ("normalizer", "pre_tokenizer"):
        _clear(config[name])
    return config


def _clear(part: Any) -> None:
    """Take the blank before a text out of a normalizer or pre-tokenizer."""
    if not isinstance(part, dict):
        return
    for inner in [*part.get("normalizers", ()), *part.get("pretokenizers", ())]:
        _clear(inner)
    if part.get("type") == "Prepend":
        part["prepend"] = ""
    if part.get("type") == "Metaspace":
        part["prepend_scheme"] = "never"
    if part.get("type") == "ByteLevel":
        part["add_prefix_space"] = False
