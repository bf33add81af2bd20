"""The map fim: what is cut can be put together again, shares are as asked, and markers become one id each."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import corpus
from corpus.cli import cli
from corpus.engine.document_map import DocumentBatch
from corpus.errors import UsageError
from pipelines.recipes.fim import FillInTheMiddle
from tests.datasets import write_documents

PRE, MID, SUF = "<fim_prefix>", "<fim_middle>", "<fim_suffix>"


def mapped(fim: FillInTheMiddle, texts: list[str]) -> list[tuple[str, str | None]]:
    rows = pa.RecordBatch.from_pydict({"id": [f"d{n}" for n in range(len(texts))], "text": texts})
    columns = fim.apply(DocumentBatch(rows)).columns
    return list(zip(columns["text"].to_pylist(), columns["fim"].to_pylist(), strict=True))


def whole(text: str, order: str | None) -> str:
    """The text that was cut."""
    if order == "psm":
        before, rest = text.removeprefix(PRE).split(SUF)
        suffix, middle = rest.split(MID)
        return before + middle + suffix
    if order == "spm":
        suffix, rest = text.removeprefix(PRE + SUF).split(MID)
        return rest + suffix
    return text


@given(st.lists(st.text(max_size=30), max_size=40), st.integers(0, 5))
def test_nothing_is_lost(texts: list[str], seed: int) -> None:
    texts = [text for text in texts if "<" not in text]
    made = mapped(FillInTheMiddle(rate=0.8, seed=seed), texts)
    assert [whole(text, order) for text, order in made] == texts
    assert all(order is None for (_, order), text in zip(made, texts, strict=True) if len(text) < 3)


def test_shares_and_places() -> None:
    texts = ["".join(chr(97 + n % 26) for n in range(100))] * 4000
    made = mapped(FillInTheMiddle(rate=0.6, spm_rate=0.25), texts)
    orders = [order for _, order in made]
    assert orders.count(None) == pytest.approx(1600, abs=120)
    assert orders.count("spm") == pytest.approx(600, abs=90)
    middles = [text.rpartition(MID)[2] for text, order in made if order == "psm"]
    # two places drawn from 0 to 100: a third of the text lies between them
    assert sum(map(len, middles)) / len(middles) == pytest.approx(34, abs=2)
    assert min(map(len, middles)) < 3 and max(map(len, middles)) > 90
    assert made == mapped(FillInTheMiddle(rate=0.6, spm_rate=0.25), texts)
    assert made != mapped(FillInTheMiddle(rate=0.6, spm_rate=0.25, seed=1), texts)


def test_what_holds_a_marker_stays() -> None:
    texts = [f"a text with {MID} in it"] * 50
    assert mapped(FillInTheMiddle(rate=1.0), texts) == [(text, None) for text in texts]


@pytest.mark.parametrize("markers", [("a", "b"), ("a", "a", "b"), ("a", "", "b")])
def test_three_markers_are_wanted(markers: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="give three of them"):
        FillInTheMiddle(markers=markers)


def test_markers_are_ids_in_the_stream(tmp_path: Path) -> None:
    texts = [f"def name_{n}(a, b):\n    return a + {n} * b  # sums\n" * 3 for n in range(60)]
    write_documents(tmp_path / "docs", texts, domain="github")

    def call(*words: str | Path) -> None:
        result = CliRunner().invoke(cli, [*map(str, words), "--workers", "1", "--quiet"])
        assert result.exit_code == 0, result.output

    symbols = [word for marker in (PRE, MID, SUF) for word in ("--symbol", marker)]
    call("map", "fim", tmp_path / "docs", "--rate", "0.7", "--output", tmp_path / "cut")
    call("train-tokenizer", tmp_path / "docs", "--vocab-size", "320", *symbols, "--output", tmp_path / "tok")
    call("tokenize", tmp_path / "cut", "--tokenizer", tmp_path / "tok", "--output", tmp_path / "tokens")
    documents = corpus.open(tmp_path / "cut").to_table(["text", "fim"])
    orders = documents.column("fim").to_pylist()
    assert {"psm", "spm", None} == set(orders)
    import sentencepiece

    model = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "tok" / "tokenizer.model"))
    ids = [model.piece_to_id(marker) for marker in (PRE, MID, SUF)]
    assert model.unk_id() not in ids
    rows = corpus.open(tmp_path / "tokens").to_table(["ids"]).column("ids").to_pylist()
    for row, order in zip(rows, orders, strict=True):
        assert [row.count(number) for number in ids] == ([0, 0, 0] if order is None else [1, 1, 1])
        if order is not None:
            first = [token for token in row if token in ids]
            assert first == ([ids[0], ids[2], ids[1]])
