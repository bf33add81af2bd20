"""What a run is said to cost follows what it is asked to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from corpus.errors import UsageError
from trainer.config.cost import memory_bytes, plan_lines
from trainer.config.hardware import Hardware
from trainer.config.options import FitOptions
from trainer.config.resolve import resolve_config
from trainer.data.validation_sets import DataIdentity

DATA = DataIdentity("d", rows=120, sequence_length=64, vocabulary=100, tokenizer="t", eod=2)


def memory(device: str = "cpu", ranks: int = 1, sharded: bool = False, **settings: str) -> int:
    more = tuple(f"training.{name}={value}" for name, value in settings.items())
    request = FitOptions(Path("d"), "llama-tiny", Path("o"), 5, settings=("model.layers=9", *more))
    return memory_bytes(resolve_config(request, DATA, {}), Hardware(device, 0, ranks, sharded))


def test_the_memory_is_that_of_the_run() -> None:
    assert memory(activation_checkpointing="full") < memory(activation_checkpointing="selective") < memory()
    assert memory(ranks=4, sharded=True) < memory(ranks=4) < memory()
    assert memory(precision="bf16") < memory()
    assert memory("cuda", document_mask="true") < memory(document_mask="true")


def test_the_plan_says_whose_memory_it_is() -> None:
    config = resolve_config(FitOptions(Path("d"), "llama-tiny", Path("o"), 5), DATA, {})
    assert "memory," in next(line for line in plan_lines(config) if line.startswith("cost"))
    assert "memory a rank," in next(line for line in plan_lines(config, Hardware(ranks=2)) if line.startswith("cost"))


def test_shards_of_a_large_model_fit_where_there_are_enough_of_them() -> None:
    data = DataIdentity("d", rows=4096, sequence_length=2048, vocabulary=32000, tokenizer="t", eod=2)
    settings = ("training.precision=bf16", "training.activation_checkpointing=full", "training.micro_batch_size=1")
    config = resolve_config(FitOptions(Path("d"), "llama-65b", Path("o"), 2, settings=settings), data, {})
    needed = {ranks: memory_bytes(config, Hardware("cuda", 0, ranks, sharded=True)) / 1e9 for ranks in (8, 16, 64)}
    # 65.3 billion parameters of 16 bytes, over 8, 16 and 64 ranks: 130.6, 65.3 and 16.3 GB, and the blocks at work
    assert needed[8] > 131 and 66 < needed[16] < 80 and 17 < needed[64] < 32
    offloaded = memory_bytes(config, Hardware("cuda", 0, 8, sharded=True, offloaded=True)) / 1e9
    assert offloaded < needed[64]


def test_a_paper_model_takes_its_papers_tokenizer() -> None:
    """Pythia's tokenizer has 50,254 entries, and its embedding 50,304 rows."""
    data = replace(DATA, rows=10**6, sequence_length=2048, vocabulary=50_254)
    config = resolve_config(FitOptions("d", "pythia-70m", Path("o"), 5), data, {})
    assert config.model.vocabulary == 50_304
    assert "vocabulary 50,304, 50 more than the tokenizer's" in plan_lines(config)[0]
    with pytest.raises(UsageError, match="vocabulary of 50,304 and the packed set one of 50,305"):
        resolve_config(FitOptions("d", "pythia-70m", Path("o"), 5), replace(data, vocabulary=50_305), {})
