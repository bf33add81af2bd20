"""The pages of runs in headless Chromium."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from corpus.page.page import write_page
from tests.browser import draw_all, opened, serious, unreached
from trainer.report.comparison import comparison_page, open_runs
from trainer.report.report import report_page
from trainer.report.trained import TrainedRun
from trainer.run.sampling import GREEDY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_pages_of_runs_are_good(trained: Path, tmp_path: Path, width: int, scheme: str) -> None:
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    pages = {
        "report.html": report_page(TrainedRun(trained), (), GREEDY, print),
        "comparison.html": comparison_page(open_runs([trained, other])),
    }
    for name, page in pages.items():
        write_page(page, tmp_path / name)
        with opened(tmp_path / name, width, scheme) as (tab, asked, complaints):
            assert draw_all(tab) >= 3
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            assert serious(tab) == []
            assert unreached(tab) == 0
            assert asked == [(tmp_path / name).resolve().as_uri()]
            assert complaints == []
