"""Golden numbers of the papers' training, as far as a preset holds them."""

from __future__ import annotations

import pytest

from trainer.config.families.registry import PRESETS
from trainer.data.batch_ramp import parse_ramp

# BLOOM: the launchers; Llama 3: section 3.4.1; GLM-130B: Table 11; LLaMA and OPT go to a tenth
LAST_RATES = {
    "bloom-560m": 1e-5,
    "bloom-1b1": 1e-5,
    "bloom-1b7": 1e-5,
    "bloom-3b": 1e-5,
    "bloom-7b1": 1e-5,
    "bloom-176b": 6e-6,
    "llama-7b": 3e-5,
    "llama3-8b": 3e-5,
    "llama3-405b": 8e-7,
    "glm-130b": 8e-6,
    "opt-30b": 1e-5,
}


@pytest.mark.parametrize("name", LAST_RATES)
def test_the_rate_ends_where_the_paper_says(name: str) -> None:
    preset = PRESETS[name]
    assert preset.optimizer.lr * preset.schedule.final == pytest.approx(LAST_RATES[name], rel=1e-9)


def test_the_batch_of_glm_grows_to_its_last_size_over_the_first_fortieth() -> None:
    """Table 11: from 192 to 4,224 sequences over 2.5 % of 400 billion tokens."""
    preset = PRESETS["glm-130b"]
    ramp = parse_ramp(preset.batch_ramp, preset.batch_size, preset.shape.sequence_length)
    assert ramp.rows == (192, 528, 864, 1200, 1536, 1872, 2208, 2544, 2880, 3216, 3552, 3888, 4224)
    tokens = ramp.rows_before(ramp.starts[-1]) * preset.shape.sequence_length
    assert tokens == pytest.approx(10e9, rel=1e-3)
