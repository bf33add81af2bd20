"""`corpus report` says what the manifests, drops and rows of a run say."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpus.cli import cli
from corpus.data.columns import Column
from corpus.data.dataset import Dataset
from corpus.data.run_state import clean
from corpus.decontaminate.stage import DecontaminateConfig, DecontaminateStage
from corpus.engine.alarms import Alarms
from corpus.engine.document_stage import MapStage
from corpus.engine.runner import RunOptions, run_stage
from corpus.heldout.config import ChoiceConfig
from corpus.heldout.side import side_stage
from corpus.heldout.stage import ChoiceStage
from corpus.page.figures import size
from corpus.page.parts import Chart, Example, Fold, Part, Section, Table, Text
from corpus.quality.distribution import CHARACTERS, Distribution
from corpus.quality.filter import FilterConfig
from corpus.report.comparison import Pair, comparison_page
from corpus.report.documents import cutoffs, licences_section, scores_section
from corpus.report.drops import before_and_after, drops_section
from corpus.report.flow import steps_of
from corpus.report.report import report_page
from corpus.report.run import CorpusRun, drop_entries, whole
from corpus.report.sample import NO_LICENCE, even_bars, log_bars, sample_of, samples_of
from corpus.report.tokens import validation_section
from tests.datasets import write_documents

pytestmark = pytest.mark.xdist_group("run")


@pytest.fixture(scope="module")
def run(out: Path) -> CorpusRun:
    return CorpusRun(out)


def every(parts: Iterator[Part] | list[Part]) -> Iterator[Part]:
    """All parts, those inside others too."""
    for part in parts:
        yield part
        if isinstance(part, Fold):
            yield from every(list(part.parts))


def table(section: Section, caption: str) -> Table:
    """The table with this caption."""
    found = [part.table if isinstance(part, Chart) else part for part in every(list(section.parts))]
    return next(part for part in found if isinstance(part, Table) and part.caption.startswith(caption))


def filtered(source: Path, output: Path, *rules: str) -> Path:
    """What a filter leaves of a dataset."""
    stage = MapStage((str(source),), "filter", maps=FilterConfig(rules=rules).maps())
    run_stage(stage, output, RunOptions(quiet=True, alarms=Alarms(max_drop=1.0)))
    return output


def warnings(section: Section) -> list[str]:
    """The texts of a section that stand out."""
    return [part.text for part in section.parts if isinstance(part, Text) and part.warning]


def test_stages_that_no_run_made_are_told_in_their_order(tmp_path: Path) -> None:
    texts = ["word " * n for n in range(1, 61)]
    raw = write_documents(tmp_path / "st" / "raw", texts)
    clean = filtered(raw, tmp_path / "st" / "clean", "min_chars:151")
    filtered(clean, tmp_path / "st" / "best", "min_chars:201")
    run = CorpusRun(tmp_path / "st")
    ((domain, chain),) = run.chains.items()
    assert [dataset.path.name for dataset in chain] == ["raw", "clean", "best"]
    assert run.last[domain].manifest.rows == 20 and run.warnings == []
    page = report_page(run, 100)
    assert "60 raw records of 1 domains became 20 documents" in page.lead
    filtered(raw, tmp_path / "st" / "another", "min_chars:251")
    (said,) = warnings(report_page(CorpusRun(tmp_path / "st"), 100).sections[0])
    assert "another, best" in said


def test_unrelated_stages_of_a_domain_are_told_apart(tmp_path: Path) -> None:
    for name, rows in (("first", 5), ("second", 7)):
        raw = write_documents(tmp_path / "st" / f"{name}-raw", [f"text {name} {n}" for n in range(rows)])
        filtered(raw, tmp_path / "st" / f"{name}-clean", "min_chars:1")
    run = CorpusRun(tmp_path / "st")
    names = [[dataset.path.name for dataset in chain] for chain in run.chains.values()]
    assert names == [["first-raw", "first-clean"], ["second-raw", "second-clean"]]
    assert all("-raw" in domain for domain in run.chains)
    assert "12 raw records of 2 domains became 12 documents" in report_page(run, 100).lead


def test_a_finished_run_that_lost_datasets_says_so(tmp_path: Path) -> None:
    for name in ("one", "two"):
        raw = write_documents(tmp_path / name / "documents" / "c4" / "00-ingest", ["a text", "another"])
        filtered(raw, tmp_path / name / "documents" / "c4" / "01-filter", "min_chars:1")
        (tmp_path / name / "_log").mkdir()
        outputs = ["documents/c4/00-ingest", "documents/c4/01-filter"]
        plan = json.dumps({"outputs": outputs, "kept": outputs})
        (tmp_path / name / "_log" / "plan.json").write_text(plan, encoding="utf-8")
        (tmp_path / name / "_log" / "run.json").write_text("{}", encoding="utf-8")
    assert CorpusRun(tmp_path / "one").finished
    shutil.rmtree(tmp_path / "one" / "documents" / "c4" / "01-filter")
    run = CorpusRun(tmp_path / "one")
    assert not run.finished
    (said,) = warnings(report_page(run, 100).sections[0])
    assert "documents/c4/01-filter" in said and "was finished" in said
    (compared,) = warnings(comparison_page(Pair.open(tmp_path / "one", tmp_path / "two")).sections[0])
    assert compared == f"one: {said}"


def test_a_sample_is_told_in_words(tmp_path: Path) -> None:
    path = write_documents(tmp_path / "out" / "documents" / "c4" / "00-ingest", ["a text"])
    manifest = Dataset.open(path).manifest
    marks = {"sample": {"limit": 20, "share": 0.5, "passed_over": 3}}
    dataclasses.replace(manifest, extra={**manifest.extra, **marks}).save(path)
    (said,) = warnings(report_page(CorpusRun(tmp_path / "out"), 100).sections[0])
    assert "--limit 20" in said and "--sample 0.5" in said and "{" not in said


def test_steps_add_up_to_the_manifests(run: CorpusRun) -> None:
    steps = steps_of(run)
    assert {step.domain for step in steps} == {"commoncrawl", "wikipedia", "books"}
    for step in steps:
        assert step.seen == step.kept + step.merged + step.dropped + step.quarantined + step.elsewhere
    for domain, chain in run.chains.items():
        own = [step for step in steps if step.domain == domain]
        for before, after in itertools.pairwise(own):
            if not after.validation:
                assert after.seen == before.kept
        assert own[0].seen == whole(chain[0].manifest).seen


def test_each_drop_is_told_once_with_its_map(run: CorpusRun) -> None:
    (dedup,) = [d for d in run.chains["commoncrawl"] if d.manifest.stage == "dedup"]
    entries = list(drop_entries(dedup))
    assert sum(number for _, _, number in entries) == sum(whole(dedup.manifest).dropped.values())
    assert {map for map, _, _ in entries} <= {"", "langid", "min_chars"}


def test_drops_have_examples(run: CorpusRun) -> None:
    section = drops_section(run)
    counted = sum(n for d in run.of_kind("documents") for _, _, n in drop_entries(d))
    assert sum(int(row[-1] or 0) for row in table(section, "Drops by reason").rows) == counted
    assert "by the rule or map within the step" in table(section, "Reasons of this step").head
    examples = [part for part in every(list(section.parts)) if isinstance(part, Example)]
    assert any("not json" in line.text for part in examples for line in part.lines)


def test_removed_lines_are_those_of_the_document(run: CorpusRun) -> None:
    (dedup,) = [d for d in run.chains["commoncrawl"] if d.manifest.stage == "dedup"]
    rows = {row["id"]: row["text"] for batch in dedup.batches() for row in batch.to_pylist()}
    before = {r["id"]: r["text"] for b in run.chains["commoncrawl"][0].batches() for r in b.to_pylist()}
    examples = before_and_after(run, dedup)
    for example in examples:
        assert "\n".join(line.text for line in example.lines) == before[example.title]
        assert "\n".join(line.text for line in example.lines if not line.mark) == rows[example.title]
        assert any(line.mark == "removed" and line.note for line in example.lines)


def test_samples_count_what_is_there(run: CorpusRun) -> None:
    dataset = run.last["commoncrawl"]
    found = sample_of(dataset, 10**6)
    assert found is not None and found.read == found.documents == dataset.manifest.rows
    texts = [text for batch in dataset.batches(["text"]) for text in batch.column("text").to_pylist()]
    lengths = found.numbers[CHARACTERS]
    assert (lengths.number, lengths.least, lengths.most) == (len(texts), min(map(len, texts)), max(map(len, texts)))
    part = sample_of(dataset, 20)
    assert part is not None and 0 < part.read < found.read
    assert "spread evenly" in part.said


def test_licences_are_counted_with_what_can_be_attributed(tmp_path: Path) -> None:
    columns = (Column("licence", "string", "Its licence."), Column("author", "string", "Who wrote it."))
    source = [{"file": f"{n // 2}.tar", "record": n} for n in range(6)]
    licences, authors = ["mit", "mit", "bsd", None, "mit", "mit"], ["a", "", None, "b", "c", "d"]
    place = write_documents(
        tmp_path / "docs", list("abcdef"), open_columns=columns, licence=licences, author=authors, source=source
    )
    found = sample_of(Dataset.open(place), 100)
    assert found is not None
    assert found.licences == {"mit": 4, "bsd": 1, NO_LICENCE: 1}
    assert found.attributed == {("mit", "author"): 3, (NO_LICENCE, "author"): 1}
    assert found.sources == {("mit", "0.tar"): 2, ("bsd", "1.tar"): 1, ("mit", "2.tar"): 2}
    section = licences_section({"c4": found})
    assert section is not None
    assert ("0.tar", "mit", 2) in table(section, "Raw files by licence").rows


def test_a_domain_without_documents_is_shown(tmp_path: Path) -> None:
    write_documents(tmp_path / "out" / "documents" / "c4" / "00-ingest", [])
    write_documents(tmp_path / "out" / "documents" / "web" / "00-ingest", ["one", "two"], domain="web")
    page = report_page(CorpusRun(tmp_path / "out"), 100)
    (documents,) = [section for section in page.sections if section.id == "documents"]
    assert [row[0] for row in table(documents, "Characters").rows] == ["web"]


def test_evaluation_texts_are_counted_by_their_sets(tmp_path: Path) -> None:
    words = [f"word{n}" for n in range(40)]
    source = write_documents(tmp_path / "in", [" ".join(words), "nothing of it " * 20])
    for name, text in (("seen", " ".join(words)), ("unseen", " ".join(f"other{n}" for n in range(40)))):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"text": text}) + "\n", encoding="utf-8")
    config = DecontaminateConfig(against=(str(tmp_path / "seen.jsonl"), str(tmp_path / "unseen.jsonl")))
    quiet = RunOptions(quiet=True, alarms=Alarms(max_drop=1.0))
    run_stage(DecontaminateStage((str(source),), config), tmp_path / "out" / "clean", quiet)
    section = validation_section(CorpusRun(tmp_path / "out"))
    assert section is not None
    assert [row[:3] for row in table(section, "Evaluation texts").rows] == [("clean", 2, 1)]
    assert sorted(row[2:] for row in table(section, "By evaluation set").rows) == [(1, 0), (1, 1)]


def test_validation_has_the_text_of_what_is_left_of_it(tmp_path: Path) -> None:
    made = ["\n".join(f"line {line} of {number}" for line in range(8)) for number in range(100)]
    source = write_documents(
        tmp_path / "out" / "documents" / "c4" / "00-ingest", [*made, *(f"{text}\nmore" for text in made)]
    )
    quiet = RunOptions(quiet=True, alarms=Alarms(max_drop=1.0))
    twice = tmp_path / "out" / "validation-choice"
    run_stage(ChoiceStage((str(source),), ChoiceConfig(validation="50%", min_bytes=0)), twice, quiet)
    left = tmp_path / "out" / "documents" / "c4" / "01-validation"
    run_stage(side_stage((str(source),), twice, "c4", "validation"), left, quiet)
    section = validation_section(CorpusRun(tmp_path / "out"))
    assert section is not None
    validation = table(section, "Validation")
    (row,) = (dict(zip(validation.head, row, strict=True)) for row in validation.rows)
    texts = [text for batch in Dataset.open(left).batches(["text"]) for text in batch["text"].to_pylist()]
    assert row["validation documents"] == len(texts) < int(str(row["held out"]))
    assert row["text"] == size(sum(len(text.encode()) for text in texts))


def test_bars_hold_all_numbers() -> None:
    import numpy as np

    found = Distribution()
    found.add(np.array([0.5, 1.0, 1.5, 7.0, 300.0]))
    assert log_bars(found) == [(0.5, 1.0, 1), (1.0, 2.0, 2), (2.0, 4.0, 0), (4.0, 8.0, 1)] + [
        (2.0**power, 2.0 ** (power + 1), int(power == 8)) for power in range(3, 9)
    ]
    assert sum(count for _, _, count in even_bars(found, found.least, found.most)) == 5
    assert even_bars(found, 2.0, 2.0) == [(2.0, 2.0, 5)]


def test_zeros_are_counted_where_they_have_no_bar(tmp_path: Path) -> None:
    columns = (Column("stars", "int64", "Stars."),)
    stars = [0] * 40 + [1] * 58 + [2000, 3000]
    write_documents(tmp_path / "out" / "c4" / "00-ingest", ["text"] * 100, open_columns=columns, stars=stars)
    run = CorpusRun(tmp_path / "out")
    section = scores_section(run, samples_of(run, 1000))
    assert section is not None
    (chart,) = [part for part in section.parts if isinstance(part, Chart) and part.title == "stars"]
    assert "40 with 0" in chart.says and "No rule of this run cuts by it" in chart.says


def test_a_column_of_a_rule_is_not_said_to_cut_nothing(tmp_path: Path) -> None:
    columns = (Column("min_chars_n", "int64", "Characters."),)
    raw = write_documents(
        tmp_path / "out" / "c4" / "00-ingest", ["text", "longer text"], open_columns=columns, min_chars_n=[4, 11]
    )
    filtered(raw, tmp_path / "out" / "c4" / "01-filter", "min_chars:5")
    run = CorpusRun(tmp_path / "out")
    section = scores_section(run, samples_of(run, 1000))
    assert section is not None
    (chart,) = [part for part in section.parts if isinstance(part, Chart)]
    assert chart.title == "min_chars_n" and "No rule" not in chart.says


def test_few_documents_are_looked_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    short = json.dumps({"line_ids": [0], "original_nlines": 3, "original_length": 11})
    long = json.dumps({"line_ids": [0], "original_nlines": 3, "original_length": 10**6})
    source = write_documents(tmp_path / "out" / "c4" / "00-ingest", ["one line"] * 200, metadata=[long] + [short] * 199)
    dataset = Dataset.open(filtered(source, tmp_path / "out" / "c4" / "01-dedup", "min_chars:1"))
    asked: list[str] = []
    monkeypatch.setattr("corpus.report.drops.find_row", lambda dataset, id: asked.append(id))
    before_and_after(CorpusRun(tmp_path / "out"), dataset)
    assert asked and len(asked) < 100 and "c4/made.jsonl#0" not in asked


def test_the_page_has_all_sections(run: CorpusRun) -> None:
    page = report_page(run, 1000)
    ids = [section.id for section in page.sections]
    wanted = "flow drops lines duplicates documents scores tokenizer mixture validation licences resources origin"
    assert ids == wanted.split()
    packed = Dataset.open(run.path / "packed").manifest
    mixture = next(section for section in page.sections if section.id == "mixture")
    assert table(mixture, "The mixture").head[-1] == "bytes of ids"
    assert {row[0] for row in table(mixture, "The mixture").rows} == {e["domain"] for e in packed.extra["domains"]}
    assert cutoffs(run)["language_score"] == {"langid of commoncrawl": 0.1}
    assert all(
        len(row) == len(t.head)
        for s in page.sections
        for t in every(list(s.parts))
        if isinstance(t, Table)
        for row in t.rows
    )


def test_the_command_writes_the_page(out: Path, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    result = CliRunner().invoke(cli, ["report", str(out), "-o", str(file)])
    assert result.exit_code == 0, result.output
    text = file.read_text(encoding="utf-8")
    for dataset in CorpusRun(out).datasets:
        assert dataset.digest in text
    result = CliRunner().invoke(cli, ["report", str(tmp_path / "none")])
    assert result.exit_code == 2 and "corpus run" in result.output


def test_a_cleaned_and_an_unfinished_run_are_told(out: Path, tmp_path: Path) -> None:
    copy = tmp_path / "out"
    shutil.copytree(out, copy)
    clean(copy, dry_run=False)
    page = report_page(CorpusRun(copy), 1000)
    assert [section.id for section in page.sections][:2] == ["flow", "drops"]
    shutil.rmtree(copy / "packed")
    (copy / "_log" / "run.json").unlink()
    page = report_page(CorpusRun(copy), 1000)
    assert any(isinstance(part, Text) and "not finished" in part.text for part in page.sections[0].parts)
    assert "mixture" not in [section.id for section in page.sections]
    assert re.search(r"raw records of 3 domains", page.lead)
