"""What a new run on a GPU takes where nothing is said; no GPU is needed to plan for one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from trainer.config.config import RunConfig
from trainer.config.cost import memory_bytes, plan_lines
from trainer.config.gpu_defaults import fitting_rows, gathering, planned_bytes
from trainer.config.hardware import Hardware
from trainer.config.history import History
from trainer.config.options import FitOptions
from trainer.config.resolve import resolve_config
from trainer.config.resume import resumed_config
from trainer.data.validation_sets import DataIdentity

DATA = DataIdentity("d", rows=4096, sequence_length=2048, vocabulary=32000, tokenizer="t", eod=2)
LARGE = Hardware("cuda", 80 << 30)


def config(hardware: Hardware, *settings: str, batch: int = 96) -> RunConfig:
    options = FitOptions(Path("d"), "llama-125m", Path("o"), 5, batch_size=batch, settings=settings)
    return resolve_config(options, DATA, {}, hardware=hardware)


def test_a_gpu_gets_bf16_and_compiled_blocks_and_a_cpu_stays_as_it_was() -> None:
    training = config(LARGE).training
    assert (training.precision, training.compile, training.micro_batch_size) == ("bf16", True, 16)
    assert config(Hardware()).training == config(Hardware("cpu", 80 << 30)).training
    training = config(Hardware()).training
    assert (training.precision, training.compile, training.micro_batch_size) == ("fp32", False, 0)


def test_what_is_asked_for_stays() -> None:
    asked = ("training.precision=fp32", "training.compile=false", "training.micro_batch_size=0")
    training = config(LARGE, *asked).training
    assert (training.precision, training.compile, training.micro_batch_size) == ("fp32", False, 0)


def test_a_run_that_goes_on_elsewhere_keeps_its_arithmetic() -> None:
    options = FitOptions(Path("d"), "llama-125m", Path("o"), 5, batch_size=96)
    began = config(LARGE)
    assert resumed_config(History(began), options, DATA, {}, "", 2) == began
    began = config(Hardware())
    assert resumed_config(History(began), options, DATA, {}, "", 2) == began


@pytest.mark.parametrize("batch", [1, 7, 96, 100])
@pytest.mark.parametrize("gigabytes", [2, 6, 12, 80])
def test_the_sequences_at_once_fit_by_the_plan_and_no_more_would(batch: int, gigabytes: int) -> None:
    hardware = Hardware("cuda", gigabytes << 30)
    planned = config(hardware, batch=batch)
    micro, allowed = planned.training.micro_batch_size, 0.9 * hardware.memory
    parts = -(-batch // micro)
    assert micro == -(-batch // parts), "equal parts"
    if micro == 1:
        assert planned_bytes(planned, 2, hardware) > allowed or batch == 1
        return
    assert memory_bytes(planned, hardware) <= allowed
    assert micro * DATA.sequence_length <= 32768
    if parts > 1:
        more = -(-batch // (parts - 1))
        assert planned_bytes(planned, more, hardware) > allowed or more * DATA.sequence_length > 32768


def test_ranks_share_the_batch_and_their_shards_leave_room() -> None:
    assert fitting_rows(config(Hardware()), Hardware("cuda", 80 << 30, ranks=16)) == 6
    small = 6 << 30
    alone, sharded = Hardware("cuda", small, 8), Hardware("cuda", small, 8, sharded=True)
    assert fitting_rows(config(Hardware()), alone) < fitting_rows(config(Hardware()), sharded)


def test_a_plan_larger_than_the_device_is_said_before_anything_is_allocated() -> None:
    lines = plan_lines(config(Hardware("cuda", 1 << 30)), Hardware("cuda", 1 << 30))
    assert any("more than the 1,074 MB of the device" in line for line in lines)
    assert not any("of the device" in line for line in plan_lines(config(LARGE), LARGE))


def test_sharded_weights_are_gathered_in_the_products_numbers_and_kept_where_there_is_room() -> None:
    assert gathering(config(Hardware()), Hardware(ranks=2, sharded=True)).dtype is None
    wide = gathering(config(LARGE), Hardware("cuda", 80 << 30, 2, sharded=True))
    assert (wide.dtype, wide.kept) == (torch.bfloat16, True)
    narrow = Hardware("cuda", 1 << 30, 2, sharded=True)
    assert not gathering(config(narrow), narrow).kept
    exact = config(LARGE, "training.precision=fp32")
    assert gathering(exact, Hardware("cuda", 80 << 30, 2, sharded=True)).dtype is None
