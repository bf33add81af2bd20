"""Freed memory is given back before the gradient of a large embedding is made, and only then."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from corpus.system import give_memory_back
from trainer.config.families.registry import PRESETS
from trainer.models import memory
from trainer.models.initialisation import initialise
from trainer.models.model import LanguageModel

_HOLES = """
import ctypes, torch
from pathlib import Path
from trainer.models.memory import _trim

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

ctypes.CDLL(None).mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD: what follows comes from the heap
ctypes.CDLL(None).mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD: and stays there
freed = []
kept = []
for _ in range(64):
    freed.append(torch.zeros(1 << 20))
    kept.append(torch.zeros(1 << 10))  # holds the heap's end, so that what is freed stays in it
full = resident()
freed.clear()
before = resident()
_trim(torch.zeros(1))
print(full - before < 64e6, before - resident() > 200e6, all(not part.any() for part in kept))
"""


def _model() -> LanguageModel:
    shape = replace(PRESETS["llama-tiny"].shape, vocabulary=64, sequence_length=8)
    model = LanguageModel(shape)
    initialise(model, 0)
    return model


@pytest.mark.parametrize("large", [False, True])
def test_only_a_large_embedding_gives_memory_back(monkeypatch: pytest.MonkeyPatch, large: bool) -> None:
    model = _model()
    monkeypatch.setattr(memory, "LARGE", model.embedding.numel() * 4 + (not large))
    calls = []
    monkeypatch.setattr(memory, "give_memory_back", lambda: calls.append(0))
    model(torch.zeros(1, 8, dtype=torch.long)).sum().backward()
    assert calls == ([0] if large else [])


def test_nothing_happens_without_a_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LARGE", 0)
    with torch.no_grad():
        assert _model()(torch.zeros(1, 8, dtype=torch.long)).isfinite().all()


@pytest.mark.skipif(not give_memory_back(), reason="this C library cannot give memory back")
def test_holes_of_the_heap_are_given_back() -> None:
    found = subprocess.run([sys.executable, "-c", _HOLES], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["True", "True", "True"]
