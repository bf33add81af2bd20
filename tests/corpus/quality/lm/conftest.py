"""A small language model, trained once."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.engine.runner import RunOptions, run_stage
from corpus.quality.lm.stage import TrainLmConfig, TrainLmStage
from tests.corpus.quality.lm.texts import made_texts
from tests.datasets import write_documents


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model of `en`."""
    folder = tmp_path_factory.mktemp("models")
    texts = [*made_texts(200), "ünï café naïve – “so” 漢 字 №½ don’t"] * 2
    documents = write_documents(folder / "_docs", texts)
    stage = TrainLmStage((str(documents),), TrainLmConfig("en", vocab_size=250))
    run_stage(stage, folder / "lm" / "en", RunOptions(quiet=True))
    return folder / "lm"
