"""The table of memory: the numbers of the papers, and what is measured of small models."""

from __future__ import annotations

import pytest

from trainer.config.families.registry import find_preset
from trainer.config.memory_options import MemoryOptions
from trainer.config.memory_table import memory_table, table_lines

SEVEN = find_preset("llama-7b").shape


def test_alpacas_sum_of_a_7b_model() -> None:
    """The README of Stanford Alpaca counts 7·4·4 = 112 GB of states, and 28 GB for LoRA."""
    lines = list(memory_table(SEVEN, MemoryOptions()))
    by_name = {line.name: line for line in lines}
    assert by_name["all weights, fp32"].states == 16 * 6_738_415_616
    assert by_name["all weights, fp32"].states / 1e9 == pytest.approx(112, rel=0.05)
    assert by_name["LoRA, fp32"].states / 1e9 == pytest.approx(28, rel=0.05)
    assert by_name["LoRA, fp32"].states == 4 * 6_738_415_616 + 16 * 4_194_304


def test_each_way_takes_less_than_the_one_before() -> None:
    lines = list(memory_table(SEVEN, MemoryOptions(gpus=8)))
    for number in (2, 3, 4, 7, 8):
        assert lines[number].total < lines[number - 1].total, lines[number]
    assert lines[4].host == 16 * 6_738_415_616 // 8 and lines[4].states < 1e9


def test_activations_are_those_of_the_formula() -> None:
    """LLaMA-7B at 4,096 tokens: 0.53 GiB a layer in 16 bits, 0.031 GiB where they are made again."""
    lines = list(memory_table(SEVEN, MemoryOptions(sequence_length=4096, micro_batch_size=1)))
    logits = 6 * 4096 * 32000
    assert (lines[1].activations - logits) / 32 / 2**30 == pytest.approx(0.53, abs=0.005)
    assert (lines[2].activations - logits) / 2**30 == pytest.approx(32 * 0.03125 + 0.53, abs=0.01)


def test_the_table_as_text() -> None:
    lines = list(table_lines("llama-7b", SEVEN, MemoryOptions(rank=16, targets=("all",))))
    assert "39,976,960 (0.59%)" in lines[0]
    assert len(lines) == 2 + 9
