"""The models of all families, by name."""

from __future__ import annotations

from collections.abc import Mapping

from corpus.errors import UsageError
from corpus.option import nearest
from trainer.config.families.llama import LLAMA
from trainer.config.families.palm import PALM
from trainer.config.families.preset import Preset

PRESETS: Mapping[str, Preset] = {**LLAMA, **PALM}


def find_preset(name: str) -> Preset:
    """The preset of that name, or a UsageError that names the nearest."""
    if name not in PRESETS:
        raise UsageError(f"there is no model '{name}': {nearest(name, PRESETS)}")
    return PRESETS[name]
