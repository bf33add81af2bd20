"""What a manifest says of the settings of a dataset."""

from __future__ import annotations

from typing import Any

import pytest

from corpus.data.manifest import differences

STEPS = [{"map": "langid", "keep": ["en"]}, {"map": "gopher_quality", "min_words": 200, "max_words": 100_000}]


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ({"maps": STEPS}, []),
        ({"maps": [STEPS[0], STEPS[1] | {"min_words": 100}]}, ["maps[1].min_words: 200 -> 100"]),
        ({"maps": [STEPS[0] | {"keep": ["de"]}, STEPS[1]]}, ['maps[0].keep: ["en"] -> ["de"]']),
        ({"maps": STEPS, "seed": 1}, ["seed: null -> 1"]),
    ],
)
def test_what_differs_is_named_by_its_own_setting(after: dict[str, Any], said: list[str]) -> None:
    assert differences({"maps": STEPS}, after) == said


def test_another_number_of_steps_is_shown_whole() -> None:
    (said,) = differences({"maps": STEPS}, {"maps": STEPS[:1]})
    assert said.startswith("maps: [{") and said.endswith('-> [{"keep":["en"],"map":"langid"}]')


def test_sections_and_steps_in_steps() -> None:
    before = {"domains": {"notes": {"stages": [{"filter": {"rules": ["c4", {"gopher_quality": {"min_words": 50}}]}}]}}}
    after = {"domains": {"notes": {"stages": [{"filter": {"rules": ["c4", {"gopher_quality": {"min_words": 40}}]}}]}}}
    assert differences(before, after) == [
        "domains.notes.stages[0].filter.rules[1].gopher_quality.min_words: 50 -> 40",
    ]
