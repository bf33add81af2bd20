"""How papers took evaluation texts out: GPT-3 (arXiv 2005.14165, appendix C) and PaLM (arXiv 2204.02311, section 8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "gpt3": {"ngram": 13, "share": 0.0, "mode": "cut", "most_documents": 10},
    "palm": {"ngram": 8, "share": 0.7, "mode": "drop", "most_documents": 0},
}
"""`ngram`: words; `share`: part of a text's n-grams that one document must have (0: a single one)."""
