"""Line dedup against cc_net itself (PyPI `cc-net`, installed with `--no-deps`): its functions on real text."""

from __future__ import annotations

import gzip
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from corpus.data.dataset import Dataset
from corpus.dedup.lines import DedupConfig, DedupStage
from corpus.stage.runner import RunOptions, run_stage
from tests.corpus.dedup_twin import ccnet_normalized


@pytest.fixture(scope="module")
def ccnet() -> Any:
    """The modules of cc_net."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import cc_net.dedup  # type: ignore[import-not-found]
            import cc_net.text_normalizer
        except ImportError as error:
            pytest.skip(f"cc_net is not installed ({error})")
    return cc_net


def real_texts(samples: Path, folder: str) -> list[str]:
    """Documents of one kind from the samples: web pages, encyclopedia sections, books, or parallel translations."""
    if folder == "wikipedia":
        text = (samples / "text" / "wikitext-2" / "valid.txt").read_text(encoding="utf-8")
        return text.split("\n = ")
    if folder == "books":
        paths = sorted((samples / "books_clean_ref").rglob("*.txt"))[:12]
        return [path.read_text(encoding="utf-8", errors="replace") for path in paths]
    if folder == "multilingual":
        paths = sorted((samples / "multilingual" / "ntrex128").glob("*.txt"))
        return [path.read_bytes().decode()[:20_000] for path in paths]
    raw = gzip.decompress((samples / "commoncrawl" / "derived_pages.warc.wet.gz").read_bytes()).decode(
        "utf-8", "replace"
    )
    return [record.partition("\r\n\r\n")[2].rstrip("\r\n") for record in raw.split("WARC/1.0\r\n")[2:]]


def ccnet_dedup(ccnet: Any, shards: Sequence[Sequence[str]], folder: Path) -> list[dict[str, Any] | None]:
    """cc_net's two passes over one group of shards."""
    files = []
    for number, texts in enumerate(shards):
        collector = ccnet.dedup.HashesCollector("raw_content", output=folder / f"{number}.bin")
        for text in texts:
            collector.do({"raw_content": text})
        collector.close()
        files.append(folder / f"{number}.bin")
    remover = ccnet.dedup.DuplicatesRemover("raw_content", files)
    remover._prepare()
    return [remover.do({"raw_content": text}) for texts in shards for text in texts]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.parametrize("folder", ["commoncrawl", "wikipedia", "books", "multilingual"])
def test_the_same_lines_stay(
    ccnet: Any, samples: Path, make_documents: Callable[..., Path], tmp_path: Path, folder: str, shards: int
) -> None:
    texts = real_texts(samples, folder)
    assert len(texts) > 8
    step = -(-len(texts) // shards)
    source = make_documents("in", texts, shard_rows=step)
    parts = [texts[start : start + step] for start in range(0, len(texts), step)]
    wanted = ccnet_dedup(ccnet, parts, tmp_path)
    stage = DedupStage((str(source),), DedupConfig(blank_lines="key"))
    run_stage(stage, tmp_path / "out", RunOptions(quiet=True))
    rows = {row["source"]["record"]: row for b in Dataset.open(tmp_path / "out").batches() for row in b.to_pylist()}
    assert sorted(rows) == [number for number, document in enumerate(wanted) if document is not None]
    for number, row in rows.items():
        document = wanted[number]
        assert document is not None and row["text"] == document["raw_content"]
        fields = ("line_ids", "nlines", "length", "original_nlines", "original_length")
        assert json.loads(row["metadata"]) == {name: document[name] for name in fields}


@pytest.mark.filterwarnings("ignore")
def test_the_normal_form_is_that_of_ccnet(ccnet: Any) -> None:
    for code in [*range(0xD800), *range(0xE000, 0x110000)]:
        for line in (chr(code), f" a{chr(code)}Σ{chr(code)} "):
            assert ccnet.text_normalizer.normalize_for_dedup(line) == ccnet_normalized(line)
