"""Chinchilla (Hoffmann et al. 2022, arXiv 2203.15556): Gopher's form, AdamW, four times the tokens."""

from __future__ import annotations

from collections.abc import Mapping

from trainer.config.families.gopher import gopher_shape
from trainer.config.families.preset import Preset, paper

# Table 4. The batch grows from 1.5M tokens to 3M midway; the warm-up is Gopher's
CHINCHILLA: Mapping[str, Preset] = {
    "chinchilla-70b": paper(gopher_shape(80, 8192, 64, 128), 1e-4, 768, warmup=1500 * 768 * 2048),
}
