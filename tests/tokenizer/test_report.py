"""The report of train-tokenizer against a slow count."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tokenizer.report
from tests.tokenizer.conftest import synthetic_texts
from tokenizer import proto
from tokenizer.model import Tokenizer
from tokenizer.report import Measured, Sampled, measure, report
from tokenizer.sample import CHUNK_SCHEMA

Row = tuple[str, str, str]
rows = st.lists(
    st.tuples(
        st.text(st.sampled_from("etao \n\t\u3000é日𝄞\x00"), min_size=1, max_size=30),
        st.sampled_from(["books", "c4"]),
        st.sampled_from(["en", "und"]),
    ),
    max_size=12,
)


def batch(found: list[Row]) -> pa.RecordBatch:
    columns = list(zip(*found, strict=True)) or [(), (), ()]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, CHUNK_SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=CHUNK_SCHEMA)


def slow(tokenizer: Tokenizer, found: list[Row], most: int) -> dict[tuple[str, str], Measured]:
    result: dict[tuple[str, str], Measured] = {}
    for text, domain, language in found:
        entry = result.setdefault((domain, language), Measured())
        if entry.bytes < most:
            ids = tokenizer.encode(text)
            entry.bytes += len(text.encode())
            entry.words += len(text.encode().split())
            entry.tokens += len(ids)
            entry.fallback += sum(tokenizer.model.pieces[number].type == proto.BYTE for number in ids)
    return dict(sorted(result.items()))


@given(first=rows, second=rows)
@settings(max_examples=60)
def test_sums_are_those_of_a_slow_count(tokenizers: dict[str, Tokenizer], first: list[Row], second: list[Row]) -> None:
    found = measure(tokenizers["llama"], [batch(first), batch(second)])
    assert found == slow(tokenizers["llama"], first + second, 1 << 30)


@pytest.mark.parametrize("name", ["llama", "unigram"])
def test_only_the_first_bytes_of_each_language_count(
    tokenizers: dict[str, Tokenizer], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer.report, "MEASURED_BYTES", 3000)
    found = [(text, "c4", ("en", "de", "und")[number % 3]) for number, text in enumerate(synthetic_texts(4))]
    expected = slow(tokenizers[name], found, 3000)
    assert measure(tokenizers[name], [batch(found[:50]), batch(found[50:])]) == expected
    assert all(3000 <= entry.bytes < 5000 for entry in expected.values())


def test_coverage_is_the_share_of_bytes_with_a_piece(tokenizers: dict[str, Tokenizer]) -> None:
    found = measure(tokenizers["palm"], [batch([("a" * 6 + "𝄞", "c4", "und")])])
    value = report(tokenizers["palm"], {"c4": Sampled(100, 60, 10)}, found, "reason")
    assert value["measured"]["coverage"] == 0.6 and value["measured"]["words"] == 1
    domain = value["domains"]["c4"]
    assert (domain["bytes_used"], domain["bytes_skipped"], domain["bytes_not_sampled"]) == (60, 10, 30)
    assert value["no_tokenizer_json_because"] == "reason"
