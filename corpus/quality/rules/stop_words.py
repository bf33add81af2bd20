"""Stop words by language (codes of lid.176), for Gopher's rule that a text has at least two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

StopWordLists = Literal["gopher", "fineweb-2"]

GOPHER = ("the", "be", "to", "of", "and", "that", "have", "with")
"""The eight of English (Rae et al. 2021, arXiv 2112.11446, appendix A1.1)."""
FINEWEB_2 = {
    "de": "der und die in von im den des mit das er dem als wurde für",
    "es": "de la en el y a que del los se por un con una las su",
    "fr": "de la le et à en des du les est un une il dans par au",
    "it": "di e il la in a del che è della un per nel con da i una",
    "ja": "の に を は た て が と で 年 し 月 れ さ",
    "nl": "de van in het een en is op voor met door zijn werd hij uit",
    "pl": "w i na z do się roku od a jest przez po jako oraz o został był nie",
    "pt": "de a e o em do da que um no uma com para na é foi",
    "ru": "в и на с года по году из был к не от что за для его как а он также до после",
    "sv": "i och är av en som den med på till att för",
    "zh": "的 年 在 月 是 和 日 了 於 為 有 被 人 中 为 他 與 後 也 而 由",
}
"""Those of FineWeb-2 (Penedo et al. 2025, arXiv 2506.20920, and its `configs/`) that our words can be: frequent words of
each language's Wikipedia."""


def stop_word_lists(name: StopWordLists) -> Mapping[str, tuple[str, ...]]:
    """The lists by language. Languages without one need no stop words."""
    others = {language: tuple(words.split()) for language, words in FINEWEB_2.items()} if name == "fineweb-2" else {}
    return {"en": GOPHER} | others
