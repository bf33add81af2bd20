"""A download is whole, resumed and checked, and asks politely."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpus.cli import cli
from corpus.errors import DataError, LostError, UsageError
from pipelines.download.downloader import NOTES, Download
from pipelines.download.urls import UrlsSource
from pipelines.download.web import Web
from tests.corpus.remote.http_server import Faults, serving


@pytest.fixture
def site(tmp_path: Path) -> Path:
    root = tmp_path / "site"
    (root / "a").mkdir(parents=True)
    for number in range(6):
        (root / "a" / f"{number}.txt").write_bytes(bytes([65 + number]) * 100_000)
    return root


def listed(tmp_path: Path, url: str, lines: list[str] | None = None) -> UrlsSource:
    path = tmp_path / "list.txt"
    path.write_text("# files\n\n" + "\n".join(lines or [f"{url}/a/{n}.txt" for n in range(6)]) + "\n")
    return UrlsSource((str(path),))


def fetch(source: UrlsSource, raw: Path, **options: object) -> str:
    return str(Download(source, raw, rate=1000, **options).run())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "faults",
    [Faults(), Faults(unavailable=4), Faults(cuts=6, cut_after=70_000), Faults(ranges=False, cuts=3, cut_after=70_000)],
    ids=["whole", "503", "cut", "no ranges"],
)
def test_files_come_whole_and_once(site: Path, tmp_path: Path, faults: Faults) -> None:
    with serving(site, faults) as server:
        source = listed(tmp_path, server.url)
        assert "6 files fetched, 0.6 MB" in fetch(source, tmp_path / "raw")
        folder = tmp_path / "raw" / "urls" / server.url.removeprefix("http://") / "a"
        assert {p.name: p.read_bytes() for p in folder.iterdir()} == {
            p.name: p.read_bytes() for p in (site / "a").iterdir()
        }
        asked = sum(server.faults.asked.values())
        assert "6 were there" in fetch(source, tmp_path / "raw")
        assert sum(server.faults.asked.values()) == asked
        (folder / "3.txt").write_bytes(b"cut")
        assert "1 file fetched" in fetch(source, tmp_path / "raw")
        assert all("corpusmill" in agent for agent in server.faults.agents)


def test_what_was_begun_goes_on_unless_the_file_is_another(site: Path, tmp_path: Path) -> None:
    with serving(site) as server:
        source = listed(
            tmp_path, server.url, [f"{server.url}/a/0.txt md5:{hashlib.md5(b'A' * 100_000).hexdigest()} x/0"]
        )
        download = Download(source, tmp_path / "raw", rate=1000)
        folder = tmp_path / "raw" / "urls" / "x"
        folder.mkdir(parents=True)
        entry = download.web.entry(f"{server.url}/a/0.txt")
        assert entry is not None
        (folder / ".0.part").write_bytes(b"A" * 60_000)
        (folder / ".0.part.json").write_text(json.dumps({"identity": entry.identity}))
        before = server.faults.sent
        assert "0.0 MB" in str(download.run()) and server.faults.sent - before < 41_000
        assert [p.name for p in folder.iterdir()] == ["0"]
        (tmp_path / "raw" / NOTES / "urls.jsonl").unlink()
        (folder / ".0.part").write_bytes(b"B" * 60_000)
        (folder / ".0.part.json").write_text(json.dumps({"identity": "of another"}))
        assert "0.1 MB" in fetch(source, tmp_path / "raw") and (folder / "0").read_bytes() == b"A" * 100_000


def test_a_checksum_that_differs_leaves_nothing(site: Path, tmp_path: Path) -> None:
    with serving(site) as server:
        source = listed(tmp_path, server.url, [f"{server.url}/a/0.txt sha256:{'0' * 64}"])
        with pytest.raises(LostError, match="is not as the source says"):
            fetch(source, tmp_path / "raw")
        assert not [p for p in (tmp_path / "raw").rglob("*") if p.is_file()]


def test_robots_txt_is_kept_to(site: Path, tmp_path: Path) -> None:
    (site / "robots.txt").write_text("User-agent: *\nDisallow: /a/2\nDisallow: /a/4\nCrawl-delay: 0.01\n")
    with serving(site) as server:
        said = fetch(listed(tmp_path, server.url), tmp_path / "raw")
        assert "4 files fetched" in said and "robots.txt forbids 2" in said
        assert server.faults.asked["/a/2.txt"] == 0
        (site / "robots.txt").write_text("User-agent: *\nDisallow: /\n")
        with pytest.raises(UsageError, match=r"nothing was fetched.*robots\.txt forbids 6"):
            fetch(listed(tmp_path, server.url), tmp_path / "other")


def test_requests_keep_their_distance(site: Path) -> None:
    with serving(site) as server:
        web = Web(rate=50)
        begun = time.monotonic()
        for _ in range(6):
            web.wait(f"{server.url}/a/0.txt")
        assert time.monotonic() - begun >= 5 / 50 - 0.01
        web.wait("http://elsewhere/x")


def test_limit_dry_run_and_missing_files(site: Path, tmp_path: Path) -> None:
    with serving(site) as server:
        source = listed(tmp_path, server.url, [f"{server.url}/a/{n}.txt" for n in (0, 9, 1)])
        assert "1 are not there" in fetch(source, tmp_path / "raw")
        assert "1 file fetched" in fetch(source, tmp_path / "one", limit=1)
        command = [
            "download",
            "urls",
            "--list",
            str(tmp_path / "list.txt"),
            "-o",
            str(tmp_path / "dry"),
            "--dry-run",
            "--rate",
            "99",
        ]
        said = CliRunner().invoke(cli, command)
        assert said.exit_code == 0 and "100,000" in said.output and "3 files, 0.000 GB" in said.output, said.output
        assert not (tmp_path / "dry").exists()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("not-a-url", "line 3: not-a-url is no URL"),
        ("https://h/x a b", "then a name without blanks"),
        ("https://h/x ../x", "is no name of a file"),
        ("https://u:secret@h/x", "netrc"),
    ],
)
def test_bad_lists(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        fetch(listed(tmp_path, "", [line]), tmp_path / "raw")
    assert "secret" not in caught.value.message


def test_two_urls_of_one_name_and_a_source_with_bad_names(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="would be called x"):
        fetch(listed(tmp_path, "", ["https://h/1 x", "https://h/2 x"]), tmp_path / "raw")
    with pytest.raises(DataError, match="which is no name"):
        fetch(listed(tmp_path, "", ["https://h/1 .hidden"]), tmp_path / "raw")
    assert CliRunner().invoke(cli, ["download", "urls", "-o", str(tmp_path)]).exit_code == 2
