"""The rule sets by name, and presets of them. To add one: a file next to this one, and a line here (or a plug-in)."""

from __future__ import annotations

from collections.abc import Mapping

from corpus.registry import Registry

PRESETS: Mapping[str, tuple[str, ...]] = {
    "gopher": ("gopher_quality", "gopher_repetition"),
    "c4-paper": ("c4_paper",),
    "length": ("min_chars",),
}
"""Names for several rule sets, or for one with its usual limit."""
RULES = Registry(
    "filter rule",
    "corpusmill.rules",
    {
        "gopher_quality": "corpus.quality.rules.gopher:GopherQuality",
        "gopher_repetition": "corpus.quality.rules.gopher:GopherRepetition",
        "c4": "corpus.quality.rules.c4:C4",
        "c4_paper": "corpus.quality.rules.c4:C4Paper",
        "fineweb": "corpus.quality.rules.fineweb:FineWeb",
        "pii": "corpus.quality.rules.pii:Pii",
        "badwords": "corpus.quality.rules.badwords:BadWords",
        "reference": "corpus.quality.rules.reference:Reference",
        "cited": "corpus.quality.rules.cited:Cited",
        "code": "corpus.quality.rules.code:Code",
        "min_chars": "corpus.quality.rules.length:MinChars",
        "max_chars": "corpus.quality.rules.length:MaxChars",
        "perplexity": "corpus.quality.rules.perplexity:Perplexity",
        "languages": "corpus.quality.rules.languages:Languages",
    },
    reserved=PRESETS,
)
"""The rule sets by name."""
