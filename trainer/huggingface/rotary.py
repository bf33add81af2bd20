"""Rotary positions in `config.json`: the keys of transformers 5 (`rope_parameters`), and those before, which others read."""

from __future__ import annotations

from typing import Any

from corpus.errors import DataError
from trainer.huggingface.layout import Config
from trainer.models.shape import ModelShape


def read_rotary(config: Config, share: float = 1.0) -> dict[str, Any]:
    """The fields of a shape that say its rotary positions. `share`: the rotated part of a head where nothing is said."""
    given: Config = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = given.get("rope_type", given.get("type", "default"))
    said = {**config, **given}
    base = said.get("rope_theta") or said.get("rotary_emb_base") or 10000.0
    rotated = said.get("partial_rotary_factor") or said.get("rotary_pct") or share
    fields: dict[str, Any] = {"rope_base": float(base), "rope_share": float(rotated)}
    if kind == "default":
        return fields
    if kind == "linear":
        return fields | {"rope_scaling": "linear", "rope_factor": float(given["factor"])}
    if kind == "llama3":
        return fields | {
            "rope_scaling": "llama3",
            "rope_factor": float(given["factor"]),
            "rope_low_factor": float(given["low_freq_factor"]),
            "rope_high_factor": float(given["high_freq_factor"]),
            "rope_original_length": int(given["original_max_position_embeddings"]),
        }
    raise DataError(f"config.json scales rotary positions by the rule {kind}, and the trainer has linear and llama3.")


def rotary_config(shape: ModelShape) -> dict[str, Any]:
    """The keys that say the rotary positions of a shape, but for the rotated part of a head."""
    config: dict[str, Any] = {"rope_theta": shape.rope_base}
    if shape.rope_scaling == "linear":
        config["rope_scaling"] = {"rope_type": "linear", "type": "linear", "factor": shape.rope_factor}
    if shape.rope_scaling == "llama3":
        config["rope_scaling"] = {
            "rope_type": "llama3",
            "factor": shape.rope_factor,
            "low_freq_factor": shape.rope_low_factor,
            "high_freq_factor": shape.rope_high_factor,
            "original_max_position_embeddings": shape.rope_original_length,
        }
    return config
