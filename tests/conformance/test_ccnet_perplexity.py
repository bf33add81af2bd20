"""Perplexities and buckets against cc_net's own functions on real text. CORPUSMILL_CCNET names the folder it is installed
in; with CORPUSMILL_LMPLZ its models are binary files, as CCNet's are."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from corpus.engine.runner import RunOptions, run_stage
from corpus.quality.lm.stage import TrainLmConfig, TrainLmStage
from corpus.quality.rules.perplexity import Perplexity
from tests.conformance.test_ccnet import real_texts
from tests.corpus.quality.lm.test_perplexity import batch
from tests.datasets import write_documents

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ccnet() -> Iterator[Any]:
    """cc_net's module of perplexities."""
    folder = os.environ.get("CORPUSMILL_CCNET")
    if folder and folder not in sys.path:
        sys.path.append(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import cc_net.perplexity  # type: ignore[import-not-found]
        except ImportError as error:
            pytest.skip(f"cc_net is not installed ({error})")
        yield cc_net.perplexity


@pytest.fixture(scope="module")
def models(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models by CCNet's names, trained on books; binary where KenLM's program is there."""
    folder = tmp_path_factory.mktemp("models")
    texts = [path.read_text(encoding="utf-8") for path in sorted((samples / "books_clean_ref").glob("*.txt"))[:5]]
    documents = write_documents(folder / "docs", texts)
    config = TrainLmConfig("en", vocab_size=6000)
    run_stage(TrainLmStage((str(documents),), config), folder / "lm" / "en", RunOptions(quiet=True))
    named = folder / "ccnet"
    named.mkdir()
    shutil.copy(folder / "lm" / "en" / "sp.model", named / "en.sp.model")
    binary = (
        Path(os.environ.get("CORPUSMILL_LMPLZ", "")).with_name("build_binary")
        if os.environ.get("CORPUSMILL_LMPLZ")
        else None
    )
    if binary is not None and binary.exists():
        command = [binary, folder / "lm" / "en" / "lm.arpa", named / "en.arpa.bin"]
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
    else:
        shutil.copy(folder / "lm" / "en" / "lm.arpa", named / "en.arpa.bin")
    return folder


@pytest.mark.parametrize("folder", ["lm", "ccnet"])
@pytest.mark.parametrize("texts", ["commoncrawl", "wikipedia", "multilingual", "books"])
def test_perplexity_and_bucket_of_every_document_are_cc_nets(
    ccnet: Any, models: Path, samples: Path, folder: str, texts: str
) -> None:
    from cc_net import perplexity

    cutoffs = Path(perplexity.__file__).parent / "data" / "cutoff.csv"
    pages = [*real_texts(samples, texts)[:400], "", "x", "\u00a0"]
    languages = ["en"] * (len(pages) - 1) + ["de"]
    pieces = ccnet.MultiSentencePiece({"en": models / "ccnet" / "en.sp.model"}, "text", "tokenized", normalize=True)
    scorer = ccnet.DocLM({"en": models / "ccnet" / "en.arpa.bin"}, "tokenized", normalize=False)
    buckets = ccnet.PerplexityBucket(cutoffs)
    for part in (pieces, scorer, buckets):
        part._prepare()
    theirs = [
        buckets.do(scorer.do(pieces.do({"text": page, "language": language})))
        for page, language in zip(pages, languages, strict=True)
    ]
    step = Perplexity(models=str(models / folder), cutoffs=str(cutoffs), behaviour="faithful")
    ours = step.apply(batch(pages, languages)).columns
    assert ours["perplexity"].to_pylist() == [document.get("perplexity") for document in theirs]
    assert ours["bucket"].to_pylist() == [document["bucket"] for document in theirs]
