"""Line dedup against cc_net itself, its functions on real text. CORPUSMILL_CCNET names the folder it is installed in
(`python -m benchmarks.ccnet` makes one)."""

from __future__ import annotations

import gzip
import json
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from corpus.data.dataset import Dataset
from corpus.dedup.config import DedupConfig
from corpus.dedup.lines.stage import LineDedupStage
from corpus.engine.alarms import Alarms
from corpus.engine.runner import RunOptions, run_stage
from tests.corpus.dedup.lines_twin import ccnet_normalized


@pytest.fixture(scope="module")
def ccnet() -> Any:
    """The modules of cc_net."""
    folder = os.environ.get("CORPUSMILL_CCNET")
    if folder and folder not in sys.path:
        sys.path.append(folder)  # last: only what is not installed here comes from there
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
@pytest.mark.parametrize("key_bits", [64, 128])
@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.parametrize("folder", ["commoncrawl", "wikipedia", "books", "multilingual"])
def test_the_same_lines_stay(
    ccnet: Any,
    samples: Path,
    make_documents: Callable[..., Path],
    tmp_path: Path,
    folder: str,
    shards: int,
    key_bits: int,
) -> None:
    texts = real_texts(samples, folder)
    assert len(texts) > 8
    step = -(-len(texts) // shards)
    source = make_documents("in", texts, shard_rows=step)
    parts = [texts[start : start + step] for start in range(0, len(texts), step)]
    wanted = ccnet_dedup(ccnet, parts, tmp_path)
    settings = DedupConfig(preset="ccnet", scope="all", key_bits=key_bits)
    check(source, tmp_path / "out", settings, wanted)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("size", [1, 2])
def test_groups_of_shards(
    ccnet: Any, samples: Path, make_documents: Callable[..., Path], tmp_path: Path, size: int
) -> None:
    """CCNet looks for repeats in groups of shards (its `hash_in_mem`); ours are scopes."""
    texts = real_texts(samples, "commoncrawl")
    step = -(-len(texts) // 4)
    source = make_documents("in", texts, shard_rows=step)
    parts = [texts[start : start + step] for start in range(0, len(texts), step)]
    wanted: list[dict[str, Any] | None] = []
    for start in range(0, len(parts), size):
        wanted += ccnet_dedup(ccnet, parts[start : start + size], tmp_path)
    check(source, tmp_path / "out", DedupConfig(preset="ccnet", scope=f"shards:{size}"), wanted)


def check(source: Path, output: Path, settings: DedupConfig, wanted: Sequence[dict[str, Any] | None]) -> None:
    """The documents that stay, their text and CCNet's fields are those of cc_net."""
    options = RunOptions(quiet=True, alarms=Alarms(max_drop=1.0))
    run_stage(LineDedupStage((str(source),), settings), output, options)
    rows = {row["source"]["record"]: row for b in Dataset.open(output).batches() for row in b.to_pylist()}
    assert sorted(rows) == [number for number, document in enumerate(wanted) if document is not None]
    for number, row in rows.items():
        document = wanted[number]
        assert document is not None and row["text"] == document["raw_content"]
        fields = ("line_ids", "nlines", "length", "original_nlines", "original_length")
        assert json.loads(row["metadata"]) == {name: document[name] for name in fields}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("shards", [1, 3])
def test_empty_documents_and_blank_lines(
    ccnet: Any, make_documents: Callable[..., Path], tmp_path: Path, shards: int
) -> None:
    texts = ["", "one\n\ntwo", "", "three", "\n", "four\n\nfive\n", " ", "six\n \nseven", "", "\n\n"]
    step = -(-len(texts) // shards)
    for number, own in enumerate((texts, texts[:4], texts[:2], ["", "x", " "])):
        parts = [own[start : start + step] for start in range(0, len(own), step)]
        folder = tmp_path / str(number)
        folder.mkdir()
        wanted = ccnet_dedup(ccnet, parts, folder)
        source = make_documents(f"in{number}", own, shard_rows=step)
        check(source, folder / "out", DedupConfig(preset="ccnet", scope="all"), wanted)


@pytest.mark.filterwarnings("ignore")
def test_the_normal_form_is_that_of_ccnet(ccnet: Any) -> None:
    for code in [*range(0xD800), *range(0xE000, 0x110000)]:
        for line in (chr(code), f" a{chr(code)}Σ{chr(code)} "):
            assert ccnet.text_normalizer.normalize_for_dedup(line) == ccnet_normalized(line)
