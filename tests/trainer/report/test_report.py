"""`trainer report` and `trainer compare` say what the directories of runs say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpus.errors import UsageError
from corpus.page.page import html
from corpus.page.parts import Chart, Facts, Fold, Page, Part, Table
from trainer.cli import main
from trainer.report.comparison import comparison_page, open_runs
from trainer.report.report import report_page
from trainer.report.trained import TrainedRun, thinned
from trainer.report.watch import watch
from trainer.run.metrics import metrics_line
from trainer.run.sampling import GREEDY


def every(parts: Sequence[Part]) -> Iterator[Part]:
    """All parts, those inside others too, and the tables of charts."""
    for part in parts:
        yield part
        if isinstance(part, Fold):
            yield from every(part.parts)
        if isinstance(part, Chart):
            yield part.table


def table(page: Page, caption: str) -> Table:
    """The first table of a page whose caption begins so."""
    parts = [part for section in page.sections for part in every(section.parts)]
    return next(part for part in parts if isinstance(part, Table) and part.caption.startswith(caption))


@pytest.fixture(scope="module")
def page(trained: Path) -> Page:
    return report_page(TrainedRun(trained), (), GREEDY, print)


def test_the_page_has_what_the_run_measured(trained: Path, page: Page) -> None:
    run = TrainedRun(trained)
    wanted = "loss validation optimizer speed noise spikes story settings"
    assert [section.id for section in page.sections] == wanted.split()
    assert (run.step, run.steps, run.finished) == (100, 100, True)
    last = run.validation[-1]
    assert last["step"] == 100
    assert ("web", last["domains"]["web"]["loss"]) in [row[:2] for row in table(page, "After step 100").rows]
    losses = dict(run.values("loss"))
    assert len(losses) == 100
    for step, loss in table(page, "Loss").rows:
        assert losses[int(step or 0)] == loss
    assert table(page, "Loss").rows[-1][0] == 100


def test_spikes_changes_and_checkpoints_are_told(trained: Path, page: Page) -> None:
    run = TrainedRun(trained)
    assert run.undone and len(run.skip_log.entries) == 1
    (spikes,) = [section for section in page.sections if section.id == "spikes"]
    (fold,) = [part for part in spikes.parts if isinstance(part, Fold)]
    assert fold.title == f"Step {run.skip_log.entries[0].step:,}: rewind"
    assert any(isinstance(part, Table) and part.rows for part in fold.parts)
    said = [row for row in table(page, "What happened").rows if row[1] == "change"]
    assert any("4.5" in str(row[2]) for row in said)
    changed = [row for row in table(page, "Settings").rows if row[2]]
    assert ("spikes.loss_threshold", "4.6", "4.5") in changed
    assert [row[0] for row in table(page, "Checkpoints").rows] == [step for step, _ in run.checkpoints()]


def test_thinned_points_keep_the_greatest_and_the_least() -> None:
    points = [(step, 1.0) for step in range(5000)]
    points[1234], points[4000] = (1234, 99.0), (4000, -5.0)
    kept = thinned(points, 100)
    assert len(kept) <= 100 and (1234, 99.0) in kept and (4000, -5.0) in kept
    assert kept == sorted(kept)
    assert thinned(points[:10], 100) == points[:10]


def test_commands_write_pages(trained: Path, tmp_path: Path) -> None:
    file = tmp_path / "run.html"
    result = CliRunner().invoke(main, ["report", str(trained), "-o", str(file)])
    assert result.exit_code == 0, result.output
    assert "Training report" in file.read_text(encoding="utf-8")
    other = tmp_path / "run"
    shutil.copytree(trained, other)
    both = tmp_path / "both.html"
    result = CliRunner().invoke(main, ["compare", str(trained), str(other), "-o", str(both)])
    assert result.exit_code == 0, result.output
    assert f"{trained.parent.name}/run" in both.read_text(encoding="utf-8")
    for wrong in ([str(trained)], [str(trained), str(trained)], [str(trained), str(tmp_path / "none")]):
        assert CliRunner().invoke(main, ["compare", *wrong]).exit_code == 2


def test_a_comparison_tells_settings_apart(trained: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    (other / "changes.json").unlink()
    page = comparison_page(open_runs([trained, other]))
    rows = {row[0]: row[1:] for row in table(page, "2 of").rows}
    assert rows["spikes.loss_threshold"] == ("4.5", "4.6")
    assert rows["training.steps"] == ("100", "80")
    with pytest.raises(UsageError, match="two or more"):
        open_runs([trained])


def test_watch_follows_a_run_and_ends_with_it(trained: Path, tmp_path: Path) -> None:
    copy, file = tmp_path / "run", tmp_path / "page.html"
    shutil.copytree(trained, copy)
    lines = (trained / "metrics.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    lengths = iter([50, 50, 90, len(lines)])
    (copy / "metrics.jsonl").write_text("".join(lines[:20]), encoding="utf-8")
    seen: list[bool] = []

    def go_on(seconds: float) -> None:
        seen.append('http-equiv="refresh" content="7"' in file.read_text(encoding="utf-8"))
        (copy / "metrics.jsonl").write_text("".join(lines[: next(lengths)]), encoding="utf-8")

    def make(run: TrainedRun, refresh: int) -> Page:
        return Page(f"step {run.step}", "", Facts([]), [], "", refresh)

    said: list[str] = []
    watch(copy, file, 7, make, said.append, go_on)
    assert seen == [True] * 4
    assert len(said) == 4  # the same length twice is no news
    assert "step 100" in file.read_text(encoding="utf-8")
    assert 'http-equiv="refresh"' not in file.read_text(encoding="utf-8")

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    (copy / "metrics.jsonl").write_text("".join(lines[:20]), encoding="utf-8")
    watch(copy, file, 7, make, said.append, interrupt)
    assert 'http-equiv="refresh"' not in file.read_text(encoding="utf-8")


def test_watch_waits_for_the_last_evaluation_and_checkpoint(trained: Path, tmp_path: Path) -> None:
    copy, file = tmp_path / "run", tmp_path / "page.html"
    shutil.copytree(trained, copy)
    lines = (trained / "metrics.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    assert json.loads(lines[-1])["kind"] == "validation"
    (copy / "metrics.jsonl").write_text("".join(lines[:-1]), encoding="utf-8")
    assert not TrainedRun(copy).finished
    last = copy / "checkpoints" / "step-000100"
    last.rename(tmp_path / "kept")
    moves = iter(
        [lambda: (copy / "metrics.jsonl").write_text("".join(lines)), lambda: (tmp_path / "kept").rename(last)]
    )
    slept: list[float] = []

    def go_on(seconds: float) -> None:
        slept.append(seconds)
        next(moves)()

    watch(copy, file, 7, lambda run, refresh: Page("", "", Facts([]), [], "", refresh), [].append, go_on)
    assert len(slept) == 2


def test_a_checkpoint_that_goes_meanwhile_is_passed_over(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = TrainedRun(trained).checkpoints()
    real = Path.rglob
    monkeypatch.setattr(Path, "rglob", lambda self, pattern: [*real(self, pattern), self / "gone"])
    monkeypatch.setattr(Path, "is_file", lambda self: True)
    assert [step for step, _ in TrainedRun(trained).checkpoints()] == [step for step, _ in whole]


def test_an_infinite_perplexity_is_no_bar_to_the_page(trained: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(trained, copy)
    lines = (trained / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    *before, last = lines
    record = json.loads(last)
    for entry in (record, *record["domains"].values()):
        entry |= {"loss": 800.0, "perplexity": float("inf")}
    record.pop("check", None)
    (copy / "metrics.jsonl").write_text(
        "\n".join([*before, metrics_line(record).rstrip("\n")]) + "\n", encoding="utf-8"
    )
    text = html(report_page(TrainedRun(copy), (), GREEDY, print))
    assert "Perplexity of validation" in text


def test_means_are_named_after_what_they_are(trained: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(trained, copy)
    runs = open_runs([trained, copy])
    mixed = "mixture" in runs[0].validation[-1]
    first = table(comparison_page(runs), "Perplexity").rows[0][0]
    assert first == ("mean by the mixture" if mixed else "mean over all tokens")


def test_a_run_that_has_not_begun(trained: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(trained, copy)
    for name in ("metrics.jsonl", "skip_log.json", "changes.json"):
        (copy / name).unlink()
    page = report_page(TrainedRun(copy), (), GREEDY, print)
    assert [section.id for section in page.sections] == ["loss", "validation", "story", "settings"]
    assert json.dumps([section.title for section in page.sections])
