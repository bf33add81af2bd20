"""Where JSON values end, against the decoder of the standard library."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipelines.formats.json import is_lines, scan, transposed

VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES, st.sampled_from([None, 1]), st.booleans(), st.sampled_from([b"", b"  ", b", 7", b"\n]", b"}"]))
def test_the_end_of_a_value(value: Any, indent: int | None, ascii: bool, after: bytes) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii)
    data = b"[" + text.encode() + after
    end = scan(data, 1)
    if end < 0:  # a number may go on
        assert not after and text[0] not in '"{['
        end = len(data)
    assert json.loads(data[1:end]) == json.JSONDecoder().raw_decode(text)[0]
    state = np.zeros(5, np.int64)
    found = -1
    for size in range(2, len(data) + 1):  # as pieces arrive
        found = scan(data[:size], 1, state)
        if found != -1:
            break
    assert found in (-1, end)


def test_what_is_broken_is_noticed() -> None:
    for broken in (b'{"a": "b"c"}', b'["a\n"]', b'{"a": [1}', b'[{"a": 1]', b'["a" "b"]'):
        assert scan(broken, 0) == -2
    deep = b"[" * 100 + b"]" * 100
    assert scan(deep + b"]", 0) == len(deep)


def test_lines_and_other_layouts() -> None:
    lines = [
        b'{"text": 1}\n{"text": 2}',
        b'{"text": [{}]}',
        b'{"a": "b\n{"a": 1}',
        b"",
        b"text",
        b'{"a": 1',
        b'{"a": 1}\n',
    ]
    others = [b' [{"a": 1}]', b'{\n "a": 1\n}', b'{"d": [{"a": 1}]}', b'\xef\xbb\xbf{"n": 1, "d": [ {"a": 1}]}\n']
    assert [is_lines(head, True, ("text",)) for head in lines] == [True] * len(lines)
    assert [is_lines(head, True, ("text",)) for head in others] == [False] * len(others)


def test_columns_to_rows() -> None:
    assert transposed({"a": [1, 2], "b": ["x", None]}) == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]
    assert transposed({"a": {"0": 1, "5": 2}, "b": {"5": 4, "0": 3}}) == [{"a": 1, "b": 3}, {"a": 2, "b": 4}]
    for row in ({}, {"a": [1], "b": [1, 2]}, {"a": [{}]}, {"a": {"0": 1}, "b": {"1": 1}}, {"a": "x"}, {"a": []}):
        assert transposed(row) is None
