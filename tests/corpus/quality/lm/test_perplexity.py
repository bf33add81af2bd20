"""The rule perplexity, and the cutoffs that it parts documents by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

import corpus
from corpus.cli import cli
from corpus.data.buffers import text_buffers
from corpus.data.manifest import Manifest
from corpus.engine.document_map import DocumentBatch
from corpus.engine.document_stage import MapStage
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import DataError, UsageError
from corpus.quality.filter import FilterConfig
from corpus.quality.lm.cutoffs import read_cutoffs
from corpus.quality.lm.models import find_models, load_model
from corpus.quality.rules.perplexity import Perplexity
from tests.corpus.quality.lm.texts import made_texts

MakeDocuments = Callable[..., Path]


def batch(texts: Sequence[str], languages: Sequence[str | None]) -> DocumentBatch:
    return DocumentBatch(
        pa.record_batch({"text": pa.array(texts, pa.large_string()), "language": pa.array(languages, pa.string())})
    )


@pytest.fixture
def cutoffs(models: Path, tmp_path: Path) -> Path:
    """Cutoffs that part the first made texts, in CCNet's form."""
    values = sorted(scores(models, made_texts(9, seed=2)))
    path = tmp_path / "cutoff.csv"
    path.write_text(f",de,en\n0,10,1\n30,70,{values[3]}\n60,140,{values[6]}\n")
    return path


def scores(models: Path, texts: Sequence[str]) -> list[Any]:
    return load_model(find_models(models)["en"]).perplexities(*text_buffers(pa.array(texts, pa.large_string())), True)


def test_documents_get_perplexity_and_bucket(models: Path, cutoffs: Path) -> None:
    texts = [*made_texts(9, seed=2), "", "ein Text", "no language"]
    languages = ["en"] * 10 + ["de", None]
    out = Perplexity(models=str(models), cutoffs=str(cutoffs)).apply(batch(texts, languages))
    values, buckets = (out.columns[name].to_pylist() for name in ("perplexity", "bucket"))
    assert values == [*scores(models, texts[:9]), None, None, None]
    low, high = sorted(values[:9])[3], sorted(values[:9])[6]
    expected = ["head" if value < low else "middle" if value < high else "tail" for value in values[:9]]
    assert buckets == [*expected, "all", "all", "all"] and set(expected) == {"head", "middle", "tail"}
    assert out.reasons is None or not any(out.reasons)
    plain = Perplexity(models=str(models)).apply(batch(texts, languages)).columns
    assert plain["perplexity"].to_pylist() == values and set(plain["bucket"].to_pylist()) == {"all"}


def test_only_buckets_to_keep_stay(models: Path, cutoffs: Path) -> None:
    texts = [*made_texts(9, seed=2), "ein Text"]
    step = Perplexity(models=str(models), cutoffs=str(cutoffs), keep=("middle", "all"))
    out = step.apply(batch(texts, ["en"] * 9 + ["de"]))
    for name, reason in zip(out.columns["bucket"].to_pylist(), out.reasons or [], strict=True):
        assert reason == (None if name in ("middle", "all") else f"perplexity: {name}")
    assert {"perplexity: tail", "perplexity: head"} < set(out.reasons or [])


def test_behaviours_differ_at_line_ends(models: Path) -> None:
    texts = ["one line", "one\nline"]
    scores = {}
    for behaviour in ("corrected", "faithful"):
        step = Perplexity(models=str(models), behaviour=behaviour, language="en")  # type: ignore[arg-type]
        scores[behaviour] = step.apply(batch(texts, [None, "en"])).columns["perplexity"].to_pylist()
    assert scores["corrected"][0] == scores["faithful"][0] and scores["corrected"][1] != scores["faithful"][1]
    glued = Perplexity(models=str(models)).apply(batch(["oneline"], ["en"])).columns["perplexity"].to_pylist()
    assert scores["faithful"][1] == glued[0]


def test_the_configuration_has_checksums_instead_of_paths(models: Path, cutoffs: Path) -> None:
    config = Perplexity(models=str(models), cutoffs=str(cutoffs)).config()
    assert len(config["cutoffs"]) == 32 and config["models"].keys() == {"models.en.ngrams", "models.en.pieces"}
    assert all(len(checksum) == 32 for checksum in config["models"].values())
    assert str(models) not in str(config)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({}, "perplexity.models=DIR"),
        ({"models": "m", "keep": ("tal",), "cutoffs": "c"}, "keep is tal: did you mean 'tail'"),
        ({"models": "m", "keep": ("tail",)}, "needs cutoffs"),
        ({"models": "m", "head": 70}, "above middle"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        FilterConfig(rules=({"perplexity": settings},))


@pytest.mark.parametrize("text", ["", "nothing", ",en\n30,1\n", ",en\n30,1\n60,x\n", ",en,de\n30,1\n60,1\n", "\x00"])
def test_cutoffs_of_another_form_are_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cutoff.csv"
    path.write_text(text)
    with pytest.raises(DataError, match="no file of cutoffs"):
        read_cutoffs(path, 30, 60)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)))


def test_from_reference_to_buckets_by_commands(make_documents: MakeDocuments, models: Path, tmp_path: Path) -> None:
    documents = make_documents("docs", made_texts(60, seed=7), language=["en"] * 59 + ["de"])
    scored, cutoffs, sorted_ = tmp_path / "scored", tmp_path / "cutoffs", tmp_path / "sorted"
    rule = ("--rules", "perplexity", "--set", f"perplexity.models={models}")
    early = run("lm-cutoffs", documents, "--output", cutoffs)
    assert early.exit_code == 2 and "filter --rules perplexity" in early.output
    assert run("filter", documents, *rule, "--output", scored, "--quiet").exit_code == 0
    measured = run("lm-cutoffs", scored, "--output", cutoffs)
    assert measured.exit_code == 0 and "en: 59 documents" in measured.output
    extra = ("--set", f"perplexity.cutoffs={cutoffs}", "--set", "perplexity.keep=head,middle")
    done = run("filter", scored, *rule, *extra, "--output", sorted_, "--quiet")
    assert done.exit_code == 0, done.output
    rows = list(corpus.open(sorted_))
    assert {row["bucket"] for row in rows} == {"head", "middle"}
    assert sum(row["bucket"] == "head" for row in rows) == pytest.approx(0.3 * 59, abs=2)
    assert Manifest.load(sorted_).counts["documents"].dropped.keys() == {"perplexity: tail", "perplexity: all"}


def test_batches_and_tasks_change_nothing(make_documents: MakeDocuments, models: Path, tmp_path: Path) -> None:
    texts = made_texts(40, seed=8)
    found = []
    for number, pieces in enumerate((40, 7)):
        documents = make_documents(f"docs{number}", texts, shard_rows=pieces, language=["en"] * 40)
        stage = MapStage((str(documents),), "filter", maps=(Perplexity(models=str(models)),))
        run_stage(stage, tmp_path / f"out{number}", RunOptions(quiet=True))
        found.append([row["perplexity"] for row in corpus.open(tmp_path / f"out{number}")])
    assert found[0] == found[1] and None not in found[0]


def test_cutoffs_of_documents_that_are_scored_on_the_way(
    make_documents: MakeDocuments, models: Path, tmp_path: Path
) -> None:
    documents = make_documents("docs", made_texts(60, seed=7), language=["en"] * 59 + ["de"], shard_rows=25)
    rule = ("--rules", "perplexity", "--set", f"perplexity.models={models}")
    assert run("filter", documents, *rule, "--output", tmp_path / "scored", "--quiet").exit_code == 0
    assert run("lm-cutoffs", tmp_path / "scored", "--output", tmp_path / "a", "--quiet").exit_code == 0
    done = run("lm-cutoffs", documents, "--models", models, "--output", tmp_path / "b", "--workers", 2)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "a/cutoffs.csv").read_bytes() == (tmp_path / "b/cutoffs.csv").read_bytes()
    manifest = Manifest.load(tmp_path / "b")
    assert manifest.counts["documents"].dropped == {"no perplexity": 1} and not manifest.counts["documents"].missing
    part = run("lm-cutoffs", documents, "--models", models, "--output", tmp_path / "c", "--sample-documents", 30)
    measured = Manifest.load(tmp_path / "c").counts["documents"]
    assert part.exit_code == 0 and 10 < measured.kept < 50


def test_too_few_documents_give_no_cutoffs(make_documents: MakeDocuments, models: Path, tmp_path: Path) -> None:
    documents = make_documents("docs", made_texts(20, seed=7), language=["en"] * 20)
    few = run("lm-cutoffs", documents, "--models", models, "--output", tmp_path / "few", "--min-documents", 21)
    assert few.exit_code == 0 and "en: 20 documents, fewer than 21: no cutoffs" in few.output
    step = Perplexity(models=str(models), cutoffs=str(tmp_path / "few"), keep=("head", "all"))
    out = step.apply(batch(made_texts(3), ["en"] * 3))
    assert out.columns["bucket"].to_pylist() == ["all"] * 3 and "too few documents" in step.notice()
    assert None not in out.columns["perplexity"].to_pylist()
