"""A page in headless Chromium: what it asks for, what it says, what axe finds, whether the keyboard reaches all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FOCUSABLE = "a[href], button, summary, [tabindex='0']"


def chromium() -> str:
    """Where Debian's Chromium is; without it the test is skipped."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    pytest.importorskip("playwright")
    return path


@contextmanager
def opened(path: Path, width: int = 1280, scheme: str = "light") -> Iterator[tuple[Any, list[str], list[str]]]:
    """The page, the addresses that it asked for, and what it complained about."""
    executable = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        asked: list[str] = []
        complaints: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text) if message.type != "log" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path.resolve().as_uri())
        yield page, asked, complaints
        browser.close()


def draw_all(page: Any) -> int:
    """Scroll to each chart and wait until it is drawn; how many there are."""
    charts = page.locator(".chart")
    for place in range(charts.count()):
        charts.nth(place).scroll_into_view_if_needed()
        page.locator(f".chart[data-spec='{place}'][data-drawn]").wait_for()
    return int(charts.count())


def serious(page: Any) -> list[str]:
    """What axe finds that is serious or worse, everything unfolded."""
    from axe_playwright_python.sync_playwright import Axe

    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    found = Axe().run(page).response["violations"]
    return [
        f"{entry['id']}: {entry['nodes'][0]['html'][:200]}"
        for entry in found
        if entry["impact"] in ("serious", "critical")
    ]


def unreached(page: Any) -> int:
    """How many things to be reached by the Tab key are not, everything unfolded."""
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    number = page.evaluate(
        "(of) => { const all = [...document.querySelectorAll(of)]; all.forEach((item, at) => { item.dataset.place = at; });"
        " document.activeElement.blur(); scrollTo(0, 0); return all.length; }",
        FOCUSABLE,
    )
    seen: set[str] = set()
    for _ in range(number + 2):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.dataset.place ?? ''"))
    return int(number) - len(seen - {""})
