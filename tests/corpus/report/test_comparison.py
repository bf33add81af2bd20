"""`corpus compare` tells what two corpora have in common, and why the one has not what the other has."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

from corpus.cli import cli
from corpus.engine.alarms import Alarms
from corpus.engine.document_stage import MapStage
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import UsageError
from corpus.page.names import told_apart
from corpus.page.parts import Chart, Example, Fold, Page, Table
from corpus.quality.filter import FilterConfig
from corpus.report.comparison import Pair, comparison_page
from corpus.report.run import CorpusRun
from corpus.report.texts import NEVER_READ, Overlap, Reasons, hashed, places
from tests.datasets import write_documents

pytestmark = pytest.mark.xdist_group("run")


def make(folder: Path, texts: dict[str, str], least: int) -> Path:
    """A corpus of one domain made stage by stage: documents by their ids, those shorter than `least` dropped."""
    ids, kept = zip(*texts.items(), strict=True)
    source = write_documents(folder / "documents" / "c4" / "00-ingest", kept, id=ids, piece_rows=5)
    stage = MapStage((str(source),), "filter", maps=FilterConfig(rules=(f"min_chars:{least}",)).maps())
    run_stage(stage, folder / "documents" / "c4" / "01-filter", RunOptions(quiet=True, alarms=Alarms(max_drop=1.0)))
    return folder


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Two corpora: ids 0 to 29 and 10 to 39, text 25 to 27 other, the second without texts of fewer than 40 characters."""
    folder = tmp_path_factory.mktemp("pair")
    texts = {f"c4/a.jsonl#{n}": f"line one of {n}\nline two\n" + "x" * n for n in range(40)}
    first = {id: text for n, (id, text) in enumerate(texts.items()) if n < 30}
    second = {id: text for n, (id, text) in enumerate(texts.items()) if n >= 10}
    for n in (25, 26, 27):
        second[f"c4/a.jsonl#{n}"] = f"line one of {n}\nline 2\n" + "x" * n
    return Pair.open(make(folder / "one", first, 0), make(folder / "two", second, 40))


def tables(page: Page) -> dict[str, Table]:
    """All tables by their captions."""
    found: dict[str, Table] = {}
    left = [part for section in page.sections for part in section.parts]
    while left:
        part = left.pop()
        if isinstance(part, Fold):
            left += part.parts
        elif isinstance(part, Chart):
            left.append(part.table)
        elif isinstance(part, Table):
            found[part.caption] = part
    return found


def test_each_document_is_counted_on_its_side(pair: Pair) -> None:
    page = comparison_page(pair)
    one, two = (
        {row["id"]: row["text"] for b in run.last["c4"].batches() for row in b.to_pylist()} for run in pair.runs
    )
    both = one.keys() & two.keys()
    same = sum(one[id] == two[id] for id in both)
    (row,) = tables(page)["Documents to train on, by their ids"].rows
    assert row == ("c4", same, len(both) - same, len(one) - len(both), len(two) - len(both))
    assert len(both) - same > 0


def test_reasons_are_those_of_the_other(pair: Pair) -> None:
    page = comparison_page(pair)
    found = dict(row for row in tables(page)["Why two has not what one has"].rows)
    dropped = sum(1 for n in range(10, 30) if len(f"line one of {n}\nline two\n") + n < 40)
    assert found.pop(NEVER_READ) == 10
    ((reason, number),) = found.items()
    assert "min_chars" in str(reason) and number == dropped > 0
    (documents,) = [section for section in page.sections if section.id == "documents"]
    folds = {part.title: part for part in documents.parts if isinstance(part, Fold)}
    examples = [part for part in folds["c4: other text in two"].parts if isinstance(part, Example)]
    for example in examples:
        marks = {line.mark: line.text for line in example.lines if line.mark}
        assert marks == {"removed": "line two", "added": "line 2"}
    only = [part for part in folds["c4: only in one"].parts if isinstance(part, Example)]
    assert only and all("not in two" in part.title for part in only)


def test_equal_corpora_have_all_in_common(out: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    page = comparison_page(Pair.open(out, copy))
    rows = tables(page)["Documents to train on, by their ids"].rows
    assert [row[0] for row in rows] == list(CorpusRun(out).chains)
    assert all(row[2:] == (0, 0, 0) for row in rows)
    assert "same" in json.dumps([getattr(part, "text", "") for section in page.sections for part in section.parts])
    file = tmp_path / "both.html"
    result = CliRunner().invoke(cli, ["compare", str(out), str(copy), "-o", str(file)])
    assert result.exit_code == 0 and file.exists(), result.output
    assert CliRunner().invoke(cli, ["compare", str(out), str(out)]).exit_code == 2


def test_places_are_those_of_a_search() -> None:
    rng = random.Random(0)
    wanted = np.unique(np.array([rng.randrange(500) for _ in range(80)], np.uint64))
    some = np.array([rng.randrange(500) for _ in range(300)], np.uint64)
    met, at = places(some, wanted)
    assert met.tolist() == [n for n, value in enumerate(some.tolist()) if value in set(wanted.tolist())]
    assert wanted[at].tolist() == some[met].tolist()
    assert not len(places(some, wanted[:0])[0])


def test_the_first_reason_counts() -> None:
    wanted = np.sort(hashed(pa.array(["a", "b", "c"])))
    reasons = Reasons(wanted)
    _, at = places(hashed(pa.array(["b"])), wanted)
    reasons.note(at, ["first"])
    reasons.note(at, ["second"])
    assert (reasons.reason("b"), reasons.reason("a")) == ("first", NEVER_READ)
    assert reasons.counts() == [(NEVER_READ, 2), ("first", 1)]


def test_equal_datasets_are_not_read(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = pair.first.last["c4"]
    monkeypatch.setattr("corpus.report.texts.Texts.of", lambda dataset: pytest.fail("it was read"))
    assert Overlap.of(dataset, dataset).equal == dataset.manifest.rows


def test_names_are_told_apart(tmp_path: Path) -> None:
    assert told_apart([tmp_path / "a" / "run", tmp_path / "b" / "run"]) == ["a/run", "b/run"]
    assert told_apart([tmp_path / "a", tmp_path / "b"]) == ["a", "b"]
    with pytest.raises(UsageError, match="twice"):
        Pair.open(tmp_path, tmp_path)
