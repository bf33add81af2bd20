"""The tensors of a checkpoint, as they are handed over to be saved."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

Groups = Mapping[str, Mapping[str, Tensor]]
"""Tensors by group ("model", "optimizer", "random") and name."""
