"""RedPajama's limits for source code, and against the twin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.quality.rules.code import Code
from tests.corpus.quality import twins
from tests.corpus.quality.batches import reasons
from tests.corpus.quality.texts import texts


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("x" * 1000 + "\n" * 30, None),
        ("x" * 1001 + "\n" * 30, "long line"),
        ("x" * 99 + "\n", None),
        ("x" * 100 + "\n", "long lines on average"),
        ("x" * 100, None),
        ("a---", None),
        ("a----", "few alphanumeric characters"),
        ("é---", None),
        ("é----", "few alphanumeric characters"),
    ],
)
def test_code_limits(text: str, reason: str | None) -> None:
    assert reasons(Code(), [text]) == [reason]


@given(st.lists(texts, min_size=1, max_size=4))
def test_code_decides_as_its_twin(values: list[str]) -> None:
    for rule in (Code(), Code(max_line=5, max_mean_line=3, min_alphanumeric=0.5)):
        assert reasons(rule, values) == [twins.code(rule, text) for text in values]
