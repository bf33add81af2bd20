"""train-lm against KenLM: its estimator lmplz (CORPUSMILL_LMPLZ, `python -m benchmarks.lmplz` builds it) on the pieces of
real text, and the perplexities of held-out text by its library."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

from corpus.engine.runner import RunOptions, run_stage
from corpus.quality.lm.normalize import normalize
from corpus.quality.lm.stage import TrainLmConfig, TrainLmStage
from tests.corpus.quality.lm.kneser_ney import read_arpa
from tests.datasets import write_documents

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def kenlm() -> Any:
    return pytest.importorskip("kenlm")


@pytest.fixture(scope="module")
def lmplz() -> str:
    path = os.environ.get("CORPUSMILL_LMPLZ", "")
    if not path:
        pytest.skip("CORPUSMILL_LMPLZ is not set")
    return path


@pytest.fixture(scope="module")
def texts(samples: Path) -> tuple[list[str], list[str]]:
    """Text to train on, and text held out."""
    books = [path.read_text(encoding="utf-8") for path in sorted((samples / "books_clean_ref").glob("*.txt"))]
    return books[:-1], books[-1].split("\n\n")


def perplexity(model: Any, sentences: list[list[str]]) -> float:
    total = sum(model.score(" ".join(sentence)) for sentence in sentences)
    return float(10 ** (-total / sum(len(sentence) + 1 for sentence in sentences)))


def test_the_model_is_lmplzs(
    kenlm: Any, lmplz: str, texts: tuple[list[str], list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("kenlm")
    train, held_out = texts
    documents = write_documents(folder / "docs", train)
    config = TrainLmConfig("en", vocab_size=8000)
    run_stage(TrainLmStage((str(documents),), config), folder / "lm", RunOptions(quiet=True))
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "lm" / "sp.model"))

    def pieces(lines: list[str]) -> list[list[str]]:
        return [found for line in lines if (found := processor.encode_as_pieces(normalize(line)))]

    sentences = pieces([line for text in train for line in text.split("\n")])
    text = "".join(" ".join(sentence) + "\n" for sentence in sentences)
    command = [lmplz, "-o", "5", "-S", "500M", "--discount_fallback", "--arpa", str(folder / "lmplz.arpa")]
    subprocess.run(command, input=text.encode(), check=True, capture_output=True)
    ours, theirs = read_arpa(folder / "lm" / "lm.arpa"), read_arpa(folder / "lmplz.arpa")
    assert ours.keys() == theirs.keys()
    # lmplz counts the last n-gram of each order with its plain count among those that decide the discounts
    assert max(abs(ours[gram][0] - theirs[gram][0]) for gram in theirs) < 0.01
    models = [kenlm.Model(str(path)) for path in (folder / "lm" / "lm.arpa", folder / "lmplz.arpa")]
    for unseen in (pieces(held_out), pieces(["the whale and 漢字 \u0394", "x"])):
        found, expected = (perplexity(model, unseen) for model in models)
        assert found == pytest.approx(expected, rel=1e-3)
