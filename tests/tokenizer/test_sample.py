"""Choosing and cutting the text that a tokenizer is trained on."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import DataError, UsageError
from tokenizer.sample import (
    CHUNK_CHARACTERS,
    RESERVED,
    choose,
    chunks,
    domain_bytes,
    for_training,
    parse_weights,
    sampling_rates,
)
from tokenizer.train import TrainTokenizerConfig


def test_rates_without_weights_are_equal() -> None:
    assert sampling_rates({"a": 100, "b": 300}, {}, 40) == pytest.approx({"a": 0.1, "b": 0.1})
    assert sampling_rates({"a": 100, "b": 300}, {}, 4000) == {"a": 1.0, "b": 1.0}


def test_rates_follow_the_weights_and_fill_up_what_a_small_domain_lacks() -> None:
    assert sampling_rates({"a": 1000, "b": 1000}, {"a": 3, "b": 1, "absent": 9}, 400) == pytest.approx(
        {"a": 0.3, "b": 0.1}
    )
    rates = sampling_rates({"a": 10, "b": 1000, "c": 1000}, {"a": 2, "b": 1, "c": 1}, 410)
    assert rates == pytest.approx({"a": 1.0, "b": 0.2, "c": 0.2})


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 10**9), min_size=1),
    st.lists(st.floats(0.01, 100), min_size=6, max_size=6),
    st.integers(1, 10**9),
)
def test_rates_spend_the_budget(sizes: dict[str, int], weights: list[float], budget: int) -> None:
    rates = sampling_rates(sizes, dict(zip("abcdef", weights, strict=True)), budget)
    assert all(0 < rate <= 1 for rate in rates.values())
    spent = sum(rates[name] * sizes[name] for name in sizes)
    assert spent == pytest.approx(min(budget, sum(sizes.values())), rel=1e-6)


def test_weights_of_any_size_are_relative() -> None:
    assert sampling_rates({"a": 1000, "b": 1000}, {"a": 1e308, "b": 1e308}, 400) == pytest.approx({"a": 0.2, "b": 0.2})
    assert sampling_rates({"a": 10, "b": 1000}, {"a": 1e308, "b": 1e-308}, 110) == pytest.approx({"a": 1.0, "b": 0.1})


def test_a_domain_without_weight_and_no_text_are_errors() -> None:
    with pytest.raises(UsageError, match=r"'books' of the documents has no weight.*did you mean 'book'"):
        sampling_rates({"books": 1}, {"book": 1}, 10)
    with pytest.raises(DataError, match="no text"):
        sampling_rates({"books": 0}, {}, 10)
    with pytest.raises(DataError, match="no text"):
        sampling_rates({"books": 5}, {"books": 0}, 10)


def test_weights_are_parsed_and_checked() -> None:
    assert parse_weights(("a=0.5", "b=2")) == {"a": 0.5, "b": 2.0}
    for bad in ("a=x", "=1", "a=-1", "a=nan", "a=inf"):
        with pytest.raises(UsageError, match="write for example"):
            parse_weights((bad,))
    with pytest.raises(UsageError, match="two weights"):
        parse_weights(("a=1", "a=2"))
    with pytest.raises(UsageError, match="write for example"):
        parse_weights(("a=1", "b"))


def test_weights_may_be_the_mixture_of_a_recipe(tmp_path: Path) -> None:
    shares = parse_weights(("llama",))
    assert sum(shares.values()) == pytest.approx(1) and shares["wikipedia"] == pytest.approx(0.045)
    path = tmp_path / "weights.yaml"
    path.write_text("a: 25\nb: {share: 75, max_epochs: 2}\n")
    assert TrainTokenizerConfig(weights=(str(path),)).weights == ("a=0.25", "b=0.75")
    path.write_text("a: {epochs: 2}\n")
    with pytest.raises(UsageError, match="epochs and no shares"):
        parse_weights((str(path),))
    with pytest.raises(UsageError, match="no recipe 'absent'"):
        parse_weights(("absent",))


def test_a_choice_depends_on_the_id_alone() -> None:
    ids = [f"books/f#{number}" for number in range(4000)]
    batch = pa.record_batch({"id": ids, "domain": ["books"] * 4000})
    mask = choose(batch, {"books": 0.25}, 0)
    assert 900 < mask.sum() < 1100
    assert (choose(batch.slice(1000), {"books": 0.25}, 0) == mask[1000:]).all()
    assert (mask <= choose(batch, {"books": 0.5}, 0)).all()
    assert (choose(batch, {"books": 0.25}, 1) != mask).any()
    assert choose(batch, {"books": 1.0}, 0).all() and not choose(batch, {"books": 0.0}, 0).any()


def test_bytes_are_counted_per_domain() -> None:
    batch = pa.record_batch({"text": ["ab", "ü", ""], "domain": ["x", "y", "z"]})
    assert domain_bytes(batch) == {"x": 2, "y": 2, "z": 0}


@given(st.text(alphabet=st.sampled_from(["a", " ", "\n", "é", RESERVED]), max_size=50), st.integers(1, 2000))
def test_chunks_lose_nothing_but_the_reserved_character(piece: str, repeat: int) -> None:
    text = piece * repeat
    cut = list(chunks(text))
    assert "".join(chunk.text for chunk in cut) == text.replace(RESERVED, "")
    assert all(0 < len(chunk.text) <= CHUNK_CHARACTERS for chunk in cut)
    assert [chunk.first for chunk in cut] == [number == 0 for number in range(len(cut))]


def test_chunks_keep_words_whole() -> None:
    text = " ".join(f"word{number}" for number in range(20_000))
    cut = [chunk.text for chunk in chunks(text)]
    assert len(cut) > 10
    assert [word for chunk in cut for word in chunk.split()] == text.split()
    assert all(chunk.startswith(" ") for chunk in cut[1:])
    assert for_training(" word", False, True) == "word"
    assert for_training(" word", True, True) == for_training(" word", False, False) == " word"
