"""Names that options and settings had in earlier versions: whoever still writes one is told the new one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from corpus.option import nearest

RENAMED: Mapping[str, str] = {
    "model.width": "model.d_model",
    "model.key_heads": "model.n_kv_heads",
    "training.recompute": "training.activation_checkpointing",
    "ledger": "skip-log",
}


def instead(key: str, known: Iterable[str]) -> str:
    """What to add to an error about the unknown `key`: its new name, or the nearest of `known`."""
    return f"it is called '{RENAMED[key]}' now." if key in RENAMED else nearest(key, known)
