"""Batch ramps: a golden table, the arithmetic against a twin that counts, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import UsageError
from tests.trainer.packed import learnable_rows, write_packed
from trainer.config.families.registry import PRESETS
from trainer.config.options import FitOptions
from trainer.config.resolve import resolve_config
from trainer.data.batch_ramp import BatchRamp, parse_ramp
from trainer.data.validation_sets import DataIdentity, PackedRows


def test_palm_540b() -> None:
    """512 rows to step 50,000, 1,024 to 115,000, 2,048 to 255,000: about 780 billion tokens (PaLM section 5)."""
    preset = PRESETS["palm-540b"]
    ramp = parse_ramp(preset.batch_ramp, preset.batch_size, 2048)
    golden = {1: 512, 50_000: 512, 50_001: 1024, 115_000: 1024, 115_001: 2048, 255_000: 2048}
    assert {step: ramp.rows_at(step) for step in golden} == golden
    assert ramp.rows_before(255_000) * 2048 == (50_000 * 512 + 65_000 * 1024 + 140_000 * 2048) * 2048
    assert round(ramp.rows_before(255_000) * 2048 / 1e9) == 776


def test_starts_in_tokens() -> None:
    # 10 tokens a row: 0.1K tokens are behind the fifth update of 2 rows, and 0.14K behind the second of 3 more
    assert parse_ramp("0:2,0.1K:3,0.14K:9", 1, 10) == BatchRamp((0, 5, 7), (2, 3, 9))
    assert parse_ramp("", 7, 10) == BatchRamp((0,), (7,))
    assert parse_ramp("0:512,25B:1024", 1, 2048).starts == (0, -(-25 * 10**9 // (512 * 2048)))


@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(1, 5)), min_size=1, max_size=4),
    st.integers(0, 30),
    st.integers(0, 90),
)
def test_a_ramp_equals_counting(stages: list[tuple[int, int]], steps: int, rows: int) -> None:
    starts = [sum(length for length, _ in stages[:k]) for k in range(len(stages))]
    ramp = BatchRamp(tuple(starts), tuple(size for _, size in stages))
    sizes = [size for length, size in stages for _ in range(length)] + [stages[-1][1]] * 100
    assert [ramp.rows_at(step) for step in range(1, 40)] == sizes[:39]
    assert ramp.rows_before(steps) == sum(sizes[:steps])
    assert ramp.steps_in(rows) == max(n for n in range(100) if sum(sizes[:n]) <= rows)
    assert ramp.steps_for(rows) == min(n for n in range(100) if sum(sizes[:n]) >= rows)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("512", "write START:SEQUENCES"),
        ("0:512,1.5:1024", "write START:SEQUENCES"),
        ("0:512,-3:1024", "write START:SEQUENCES"),
        ("5:512", "must start at 0"),
        ("0:2,9:4,9:8", "after the one before"),
        ("0:512,7:0", "at least 1 sequence"),
    ],
)
def test_impossible_ramps(text: str, match: str) -> None:
    with pytest.raises(UsageError, match=match) as caught:
        parse_ramp(text, 1, 16)
    assert "\n" not in str(caught.value)


@pytest.fixture
def ask(tmp_path: Path) -> tuple[FitOptions, DataIdentity]:
    packed = write_packed(tmp_path / "packed", learnable_rows(120, 16, 60), 60)
    settings = ("training.batch_ramp=0:2,10:5", "spikes.mode=stop")
    return FitOptions(packed, "llama-tiny", tmp_path / "run", settings=settings), PackedRows(packed).identity


def test_tokens_and_steps_of_a_run_with_a_ramp(ask: tuple[FitOptions, DataIdentity]) -> None:
    request, identity = ask
    config = resolve_config(request, identity, {})
    assert (config.training.steps, config.training.batch_size) == (30, 2)
    assert config.tokens_after(12) == (10 * 2 + 2 * 5) * 16
    config = resolve_config(replace(request, tokens=(20 + 5) * 16 + 1), identity, {})
    assert config.training.steps == 12
    with pytest.raises(UsageError, match="31 steps of 5 sequences need 125 of them and the packed set has 120"):
        resolve_config(replace(request, steps=31), identity, {})
    with pytest.raises(UsageError, match="give one of them"):
        resolve_config(replace(request, batch_size=8), identity, {})


def test_the_ramp_of_a_preset_gives_way_to_a_batch_size(tmp_path: Path) -> None:
    identity = DataIdentity("d", 10**6, 2048, 256000, "t", 2)
    request = FitOptions(tmp_path, "palm-540b", tmp_path, steps=100)
    assert resolve_config(request, identity, {}).training.batch_ramp == PRESETS["palm-540b"].batch_ramp
    config = resolve_config(replace(request, batch_size=64), identity, {})
    assert (config.training.batch_ramp, config.training.batch_size) == ("", 64)
