"""train-classifier: which documents are chosen, the report, the rule that uses the model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpus.data.dataset import Dataset
from corpus.data.manifest import Manifest
from corpus.engine.document_map import DocumentBatch
from corpus.engine.document_stage import MapStage
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import DataError, UsageError
from corpus.quality.classifier import REPORT, TrainClassifierConfig, TrainClassifierStage, summary
from corpus.quality.filter import FilterConfig
from corpus.quality.langid import shipped_model
from corpus.quality.rules.cited import Cited, normalized
from corpus.quality.rules.reference import Reference

CITED = "history treaty century province archive language river parliament census museum".split()
RANDOM = "buy cheap login click download free casino shipping cart discount".split()
BOTH = "the of and in to is was for on with".split()
QUIET = RunOptions(quiet=True)


def prose(words: list[str], seed: int, length: int) -> str:
    random = np.random.default_rng(seed)
    return " ".join(random.choice([*words, *BOTH, *BOTH], size=length))


@pytest.fixture
def sides(make_documents: Callable[..., Path]) -> tuple[Path, Path]:
    """Long positives, short and long negatives; ten are among both."""
    positive = [prose(CITED, n, 60 + n % 80) for n in range(300)]
    negative = [prose(RANDOM, 1000 + n, 8 if n % 2 else 60 + n % 80) for n in range(900)]
    ids = [f"cc/{n}" for n in range(900)]
    for n in range(10):
        ids[n] = f"wiki/{n}"
    return (
        make_documents("positive", positive, shard_rows=100, id=[f"wiki/{n}" for n in range(300)]),
        make_documents("negative", negative, shard_rows=250, id=ids),
    )


def trained(sides: tuple[Path, Path], output: Path, options: RunOptions = QUIET, **settings: object) -> Manifest:
    config = TrainClassifierConfig(**({"dim": 16, "rate": 0.5} | settings))  # type: ignore[arg-type]  # of several types
    return run_stage(TrainClassifierStage(tuple(map(str, sides)), 1, config), output, options)


def test_model_and_report(sides: tuple[Path, Path], tmp_path: Path) -> None:
    manifest = trained(sides, tmp_path / "model")
    report = json.loads((tmp_path / "model" / REPORT).read_text(encoding="utf-8"))
    assert report["auc"] > 0.99 and report["calibration_error"] < 0.3
    numbers = report["documents"]
    totals = {name: sum(number.values()) for name, number in numbers.items()}
    assert totals["positive"] == totals["negative"] >= 200
    counts = manifest.counts["documents"]
    assert not counts.missing and counts.dropped["also positive"] == 10
    assert counts.kept == 2 * totals["positive"]
    assert "AUC" in "\n".join(summary(manifest.extra["classifier"]))
    again = trained(sides, tmp_path / "again", RunOptions(quiet=True, workers=2, always_pool=True))
    assert again.extra == manifest.extra
    assert [entry.name for entry in manifest.files] == ["model.bin", REPORT]
    assert (tmp_path / "again/model.bin").read_bytes() == (tmp_path / "model/model.bin").read_bytes()


def test_without_matching_short_negatives_count(sides: tuple[Path, Path], tmp_path: Path) -> None:
    matched = trained(sides, tmp_path / "a", documents=100).counts["documents"]
    assert matched.kept <= 200
    free = trained(sides, tmp_path / "b", match_length=False).counts["documents"]
    assert free.kept == 600


def test_too_few_documents(make_documents: Callable[..., Path], tmp_path: Path) -> None:
    few = make_documents("few", ["a b c"] * 3), make_documents("other", ["d e f"] * 3, domain="x")
    with pytest.raises(DataError, match="give more"):
        trained(few, tmp_path / "model")
    with pytest.raises(DataError, match="only 0 positive and 0 negative"):
        trained((few[0], make_documents("none", [])), tmp_path / "none-model")


def test_the_rule(sides: tuple[Path, Path], make_documents: Callable[..., Path], tmp_path: Path) -> None:
    trained(sides, tmp_path / "model")
    texts = [prose(CITED, 7, 50), prose(RANDOM, 8, 50), prose(CITED, 9, 50).replace(" ", "\n"), "", prose(BOTH, 1, 30)]
    source = make_documents("in", texts * 2, shard_rows=3)
    maps = FilterConfig(rules=("reference",), set=(f"reference.model={tmp_path / 'model'}",)).maps()
    manifest = run_stage(MapStage((str(source),), "filter", maps=maps), tmp_path / "out", QUIET)
    rows = [row for batch in Dataset.open(tmp_path / "out").batches() for row in batch.to_pylist()]
    assert [row["text"] for row in rows][:2] == [texts[0], texts[2]]
    assert all(0.5 <= row["reference"] <= 1 for row in rows)
    assert manifest.counts["documents"].dropped["reference: low score"] >= 2
    assert manifest.config["maps"][0]["threshold"] == 0.5 and manifest.config["maps"][0]["label"] == "positive"
    assert [column.name for column in manifest.columns] == ["reference"]
    rule = Reference(model=str(tmp_path / "model"), preset="redpajama-v1")
    assert rule.least == 0.25 and set(rule.config()) == {field.name for field in dataclasses.fields(rule)}
    assert Reference(model=str(tmp_path / "model"), preset="redpajama-v1", threshold=0.4).least == 0.4


@pytest.fixture
def crawl(make_documents: Callable[..., Path]) -> tuple[Path, Path]:
    """Pages of which every third is cited and like an encyclopedia; and German and English articles of one."""
    texts = [prose(CITED if n % 3 == 0 else RANDOM, n, 60 + n % 40) for n in range(600)]
    urls = [f"https://www.site{n}.test/" for n in range(600)]
    articles = [prose(CITED, 2000 + n, 60 + n % 40) for n in range(400)]
    return (
        make_documents("wiki", articles, id=[f"w/{n}" for n in range(400)], language=["en", "de"] * 200),
        make_documents("pages", texts, shard_rows=170, id=[f"c/{n}" for n in range(600)], url=urls),
    )


def links(folder: Path, number: int) -> Path:
    path = folder / f"links-{number}.txt"
    path.write_text("".join(f"http://site{3 * n}.test\n" for n in range(number)), encoding="utf-8")
    return path


def test_cited_documents_are_the_positive_ones(crawl: tuple[Path, Path], tmp_path: Path) -> None:
    settings = {"cited": str(links(tmp_path, 200)), "min_positives": 150, "language": "en"}
    manifest = trained(crawl, tmp_path / "model", **settings)
    report = manifest.extra["classifier"]
    assert (report["cited"], report["positives"]) == (200, "cited") and report["auc"] > 0.99
    assert "the 200 documents that are cited" in summary(report)[0]
    assert sum(report["documents"]["positive"].values()) <= 200
    counts = manifest.counts["documents"]
    assert not counts.missing and counts.dropped["another language"] == 200
    again = trained(crawl, tmp_path / "again", RunOptions(quiet=True, workers=2, always_pool=True), **settings)
    assert (tmp_path / "again/model.bin").read_bytes() == (tmp_path / "model/model.bin").read_bytes()
    assert again.digest == manifest.digest
    # without documents given as positive it is the same
    alone = TrainClassifierStage(
        (str(crawl[1]),),
        0,
        TrainClassifierConfig(dim=16, rate=0.5, **settings),  # type: ignore[arg-type]  # of several types
    )
    run_stage(alone, tmp_path / "alone", QUIET)
    assert (tmp_path / "alone/model.bin").read_bytes() == (tmp_path / "model/model.bin").read_bytes()


def test_too_few_cited_documents_give_way_to_those_given(crawl: tuple[Path, Path], tmp_path: Path) -> None:
    settings = {"cited": str(links(tmp_path, 20)), "min_positives": 150, "language": "en"}
    manifest = trained(crawl, tmp_path / "model", **settings)
    report = manifest.extra["classifier"]
    assert (report["cited"], report["positives"]) == (20, "given") and "20 are cited" in summary(report)[0]
    assert manifest.counts["documents"].dropped["also positive"] == 20  # cited ones are not negative either
    assert sum(report["documents"]["positive"].values()) > 150


def test_no_model_of_too_few_documents(crawl: tuple[Path, Path], tmp_path: Path) -> None:
    manifest = trained(crawl, tmp_path / "model", cited=str(links(tmp_path, 20)), min_documents=5000)
    said = "\n".join(summary(manifest.extra["classifier"]))
    assert "fewer than 5,000" in said and "judge nothing" in said
    rule = Reference(model=str(tmp_path / "model"))
    found = rule.apply(DocumentBatch(pa.RecordBatch.from_pydict({"text": ["a", "b"]})))
    assert found.reasons is None and found.columns["reference"].null_count == 2
    assert rule.config()["model"] == "" and "judges nothing" in rule.notice()


def test_wrong_models(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no model"):
        FilterConfig(rules=("reference",))
    with pytest.raises(UsageError, match="does not exist"):
        Reference(model=str(tmp_path / "none")).prepare()
    with pytest.raises(UsageError, match="say which label"):
        Reference(model=str(shipped_model())).prepare()
    with pytest.raises(UsageError, match="'eng' is no label"):
        Reference(model=str(shipped_model()), label="eng").prepare()


def test_what_is_cited_stays(make_documents: Callable[..., Path], tmp_path: Path) -> None:
    listed = tmp_path / "cited.txt"
    listed.write_text("http://www.Example.org/a?b=1#top\n\nhttps://x.test/Page/\n", encoding="utf-8")
    urls = ["https://example.org/a?b=1", "http://x.test/Page", "http://x.test/page", "http://x.test/", None, ""]
    source = make_documents("in", [f"text {n}" for n in range(6)], url=urls)
    maps = FilterConfig(rules=("cited",), set=(f"cited.list={listed}",)).maps()
    manifest = run_stage(MapStage((str(source),), "filter", maps=maps), tmp_path / "out", QUIET)
    rows = [row for batch in Dataset.open(tmp_path / "out").batches() for row in batch.to_pylist()]
    assert [row["text"] for row in rows] == ["text 0", "text 1"]
    assert manifest.counts["documents"].dropped == {"cited: not in the list": 4}
    assert set(Cited(list=str(listed)).config()) == {"list"}
    assert normalized("HTTPS://WWW.A.b/C/#d") == "a.b/C" and normalized("ftp://a") == "ftp:" + "//a"
    with pytest.raises(UsageError, match="has no list"):
        FilterConfig(rules=("cited",))
    with pytest.raises(UsageError, match="is no list of URLs"):
        Cited(list=str(tmp_path / "none")).files()
    (tmp_path / "empty.txt").write_text("\n", encoding="utf-8")
    with pytest.raises(DataError, match="has no URLs"):
        Cited(list=str(tmp_path / "empty.txt")).prepare()
