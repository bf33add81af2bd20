"""Decisions beside datatrove's filters, document by document on real pages, with words by white space in both."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from corpus.quality.rules.c4 import C4
from corpus.quality.rules.gopher import GopherQuality, GopherRepetition
from tests.corpus.quality import twins
from tests.corpus.quality.batches import batch_of, reasons

pytest.importorskip("regex", reason="datatrove's filters want the package regex")


@pytest.fixture(scope="module")
def pages() -> list[str]:
    """The samples' web pages and C4 articles."""
    samples = _samples()
    records = gzip.decompress((samples / "commoncrawl/derived_pages.warc.wet.gz").read_bytes()).split(b"WARC/1.0\r\n")
    bodies = (record.partition(b"\r\n\r\n")[2] for record in records if b"WARC-Type: conversion" in record)
    texts = [body.decode("utf-8", "replace").rstrip("\r\n") for body in bodies]
    for path in sorted((samples / "c4").glob("*.json.gz")):
        texts += [json.loads(line)["text"] for line in gzip.open(path)]
    assert len(texts) > 400
    return texts


def _samples() -> Path:
    import os

    folder = os.environ.get("CORPUSMILL_SAMPLES")
    if not folder:
        pytest.skip("CORPUSMILL_SAMPLES is not set")
    return Path(folder)


def decision(peer: Any, text: str) -> tuple[str, str | None]:
    """What a filter of datatrove leaves of a text, and why it goes."""
    from datatrove.data import Document

    document = Document(text=text, id="x")
    found = peer.filter(document)
    return document.text, None if found is True else found[1]


QUALITY = {
    "too few words": "gopher_short_doc",
    "too many words": "gopher_long_doc",
    "short words": "gopher_below_avg_threshold",
    "long words": "gopher_above_avg_threshold",
    "hash signs": "gopher_too_many_hashes",
    "ellipses": "gopher_too_many_ellipsis",
    "bullet lines": "gopher_too_many_bullets",
    "lines ending in ellipsis": "gopher_too_many_end_ellipsis",
    "words without letters": "gopher_below_alpha_threshold",
    "too few stop words": "gopher_enough_stop_words",
}
REPETITION = {
    "duplicate paragraphs": "dup_para_frac",
    "characters in duplicate paragraphs": "dup_para_char_frac",
    "duplicate lines": "dup_line_frac",
    "characters in duplicate lines": "dup_line_char_frac",
    **{f"top {n}-gram": f"top_{n}_gram" for n in (2, 3, 4)},
    **{f"duplicate {n}-grams": f"duplicated_{n}_n_grams" for n in range(5, 11)},
}


def test_gopher_quality_beside_datatrove(pages: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from datatrove.pipeline.filters import gopher_quality_filter as reference

    monkeypatch.setattr(reference, "split_into_words", lambda text, language: text.split())
    peer = reference.GopherQualityFilter()
    differ = 0
    for text, reason in zip(pages, reasons(GopherQuality(), pages), strict=True):
        theirs = decision(peer, text)[1]
        if theirs != (reason and QUALITY[reason]):
            differ += 1  # stop words in capitals do not count there
            assert (reason, theirs) == (None, "gopher_enough_stop_words")
            assert decision(peer, text.lower())[1] is None
    assert differ < 0.02 * len(pages)


@pytest.mark.slow
def test_gopher_repetition_beside_datatrove(pages: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from datatrove.pipeline.filters import gopher_repetition_filter as reference

    monkeypatch.setattr(reference, "split_into_words", lambda text, language: text.split())
    peer = reference.GopherRepetitionFilter()
    same: Counter[str | None] = Counter()
    for text, reason in zip(pages, reasons(GopherRepetition(), pages), strict=True):
        theirs = decision(peer, text)[1]
        if theirs == (reason and REPETITION[reason]):
            same[reason] += 1
            continue  # else blank lines are lines there
        assert (reason, theirs) == (None, "dup_line_frac")
        lines = twins.lines_of(text)
        assert reference.find_duplicates(lines)[0] <= 0.3 * len(lines) and "\n" in text
    assert len(same) > 3 and sum(same.values()) > 0.8 * len(pages)


def test_c4_beside_datatrove(pages: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from datatrove.pipeline.filters import c4_filters as reference

    monkeypatch.setattr(reference, "END_PUNCTUATION", (".", "?", "!", '"'))  # a single quote is no mark of the paper's
    monkeypatch.setattr(reference, "split_into_sentences", lambda line, language: [1] * twins.sentences(line))
    rule, peer = C4(max_page=10**9), reference.C4QualityFilter(min_num_sentences=3, min_words_per_line=5)
    out = rule.apply(batch_of(pages))
    for text, reason, left in zip(pages, reasons(rule, pages), out.columns["text"].to_pylist(), strict=True):
        kept, theirs = decision(peer, text)
        more = {line for line in kept.split("\n") if len(line.split()) < 5}
        if more:
            continue  # words are counted there before citation marks go
        assert theirs == (reason and reason.replace(" ", "_"))
        assert reason is not None or left.strip() == kept  # a mark at the start of the page leaves a blank here
