"""Pages in headless Chromium: no request, no complaint, nothing serious by axe, the keyboard reaches all; a page for ten
million documents is small and opens at once."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus.data.manifest import CLEANED, Counts, FileEntry, Manifest, ShardEntry
from corpus.data.schema import DROPPED_SAMPLE_SCHEMA
from corpus.data.stored import Digests
from corpus.page.page import write_page
from corpus.quality.distribution import CHARACTERS, Distribution
from corpus.report import report
from corpus.report.comparison import Pair, comparison_page
from corpus.report.report import report_page
from corpus.report.run import CorpusRun
from corpus.report.sample import Sample
from tests.browser import draw_all, opened, serious, unreached

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("run"), pytest.mark.timeout(600)]
DOMAINS, STEPS, REASONS, FILES = 7, 5, 60, 3000


@pytest.fixture(scope="module")
def page_file(out: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a small run."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(report_page(CorpusRun(out), 1000), path)
    return path


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (360, "light"), (2560, "dark")])
def test_the_page_is_good(page_file: Path, width: int, scheme: str) -> None:
    with opened(page_file, width, scheme) as (page, asked, complaints):
        assert draw_all(page) > 8
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert serious(page) == []
        assert asked == [page_file.resolve().as_uri()]
        assert complaints == []


def test_a_comparison_is_good(out: Path, tmp_path: Path) -> None:
    other, file = tmp_path / "other", tmp_path / "comparison.html"
    shutil.copytree(out, other)
    recipe = other / "recipe.yaml"
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("0.1", "0.2"), encoding="utf-8")
    write_page(comparison_page(Pair.open(out, other)), file)
    with opened(file, 360, "dark") as (page, asked, complaints):
        assert draw_all(page) == 2
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert (serious(page), unreached(page)) == ([], 0)
        assert (asked, complaints) == ([file.resolve().as_uri()], [])


def test_the_keyboard_reaches_all(page_file: Path) -> None:
    with opened(page_file) as (page, _, _):
        draw_all(page)
        assert unreached(page) == 0


def test_the_switch_changes_colours_and_is_remembered(page_file: Path) -> None:
    with opened(page_file) as (page, _, complaints):
        draw_all(page)
        before = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.locator("#theme").press("Enter")
        page.wait_for_timeout(500)
        after = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.reload()
        assert before != after == page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert complaints == []


def _entry(path: Path, name: str) -> FileEntry:
    digests = Digests.of(path / name)
    return FileEntry(name, digests.size, digests.checksum, digests.blocks)


def _cleaned(path: Path, rng: random.Random, seen: int, domain: str, source: str, ingest: bool) -> Manifest:
    """A dataset of many shards whose rows are gone, with many reasons and a hundred long examples of each."""
    reasons = [f"{path.name}: reason {number}" for number in range(REASONS)]
    dropped = {reason: rng.randrange(1, seen // (4 * REASONS)) for reason in reasons}
    kept = seen - sum(dropped.values())
    (path / "_dropped").mkdir(parents=True)
    (path / "_log").mkdir()
    (path / CLEANED).touch()
    rows = [
        {"id": f"{domain}/{r}#{n}", "map": "", "reason": reason, "text": "words and lines\n" * 200}
        for r, reason in enumerate(reasons)
        for n in range(100)
    ]
    pq.write_table(pa.Table.from_pylist(rows, DROPPED_SAMPLE_SCHEMA), path / "_dropped" / "samples")
    inputs = [{"name": f"{domain}-{n:05d}.warc.wet.gz", "digest": f"{n:032x}"} for n in range(FILES if ingest else 0)]
    manifest = Manifest(
        kind="documents",
        stage="ingest" if ingest else "filter",
        config={},
        inputs=tuple(inputs or [{"name": "documents", "digest": source}]),
        counts={"documents": Counts(seen, kept, 0, dropped, 0)},
        totals={"documents": kept, "bytes": kept * 4000, "lines": kept * 40},
        shards=tuple(ShardEntry(f"{n:05d}.parquet", kept // 500, 10**8, "0" * 32, "0" * 16) for n in range(500)),
        files=(_entry(path, "_dropped/samples"),),
        extra={"domains": [domain]},
        versions={f"package-{n}": "1.0" for n in range(60)},
    )
    manifest.save(path)
    return manifest


def _many(run: CorpusRun, documents: int) -> Iterator[tuple[str, Sample]]:
    """Samples with hundreds of languages and licences."""
    for domain, dataset in run.last.items():
        rows = dataset.manifest.rows
        numbers = {name: Distribution() for name in (CHARACTERS, "language_score", "perplexity", "reference")}
        for place, found in enumerate(numbers.values()):
            found.add(np.random.default_rng(place).lognormal(5, 2, 20_000))
        languages = Counter({f"l{n}": rows // (n + 2) for n in range(170)})
        licences = Counter({f"licence-{n}": rows // (n + 2) for n in range(600)})
        yield domain, Sample(rows, rows, languages, licences, numbers=numbers)


def test_ten_million_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(0)
    for number in range(DOMAINS):
        seen, source = 12_000_000 // DOMAINS, ""
        for step in range(STEPS):
            path = tmp_path / "out" / "documents" / f"domain-{number}" / f"{step:02d}-step"
            made = _cleaned(path, rng, seen, f"domain-{number}", source, step == 0)
            seen, source = made.totals["documents"], made.digest
    run = CorpusRun(tmp_path / "out")
    assert sum(chain[0].manifest.totals["documents"] for chain in run.chains.values()) > 10_000_000
    monkeypatch.setattr(report, "samples_of", lambda run, documents: dict(_many(run, documents)))
    file = tmp_path / "report.html"
    assert write_page(report_page(run, 1000), file) < 5_000_000
    with opened(file) as (page, asked, complaints):
        timing = page.evaluate("performance.getEntriesByType('navigation')[0].toJSON()")
        page.locator(".chart[data-drawn]").first.wait_for()
        drawn = page.evaluate("performance.now()")
        print(
            f"loaded after {timing['loadEventEnd']:.0f} ms, the first chart after {drawn:.0f} ms, {file.stat().st_size:,} bytes"
        )
        assert (asked, complaints) == ([file.resolve().as_uri()], [])
