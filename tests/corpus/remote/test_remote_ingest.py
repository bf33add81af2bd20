"""Raw files behind URLs give what the same files on the disk give, whatever the network does."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from corpus.data.dataset import Dataset
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import DataError, LostError, UsageError
from corpus.ingest.config import IngestConfig
from corpus.ingest.stage import IngestStage
from corpus.remote import source
from corpus.remote.listing import forget_listings
from pipelines.readers.jsonl import JsonlReader
from tests.corpus.remote.http_server import Faults, serving

QUIET = RunOptions(quiet=True)


@pytest.fixture(autouse=True)
def _blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "BLOCK", 1 << 20)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    (folder / "b").mkdir(parents=True)
    draw = random.Random(1)
    for name in ("a.jsonl", "b/c d.jsonl", "b/e.jsonl"):
        size = 7000 if name == "a.jsonl" else 400
        lines = (json.dumps({"text": f"{name} {n} " + draw.randbytes(size).hex()}) for n in range(300))
        (folder / name).write_text("\n".join(lines) + "\n")
    (folder / "empty.jsonl").write_text("")
    (folder / "readme.md").write_text("no raw file")
    return folder


def ingest(where: str, output: Path, config: IngestConfig | None = None, cache: str = "") -> str:
    """The digest of what is made of `where`."""
    stage = IngestStage(JsonlReader(), (where,), config or IngestConfig(), cache=cache)
    assert list(stage.raw().ignored) == ["readme.md"] or not where.rstrip("/").endswith("raw")
    return run_stage(stage, output, QUIET).digest


@pytest.fixture
def local(raw: Path, tmp_path: Path) -> str:
    return ingest(str(raw), tmp_path / "local")


@pytest.mark.parametrize(
    "faults",
    [
        Faults(),
        Faults(unavailable=3),
        Faults(cut_after=200_000, cuts=9),
        Faults(ranges=False),
        Faults(ranges=False, cut_after=100_000, cuts=3),
        Faults(pause=0.02),
        Faults(etags=False),
    ],
    ids=["whole", "503", "cut", "no ranges", "no ranges, cut", "slow", "no versions"],
)
def test_http_gives_the_bytes_of_local_files(raw: Path, tmp_path: Path, local: str, faults: Faults) -> None:
    with serving(raw.parent, faults) as server:
        assert ingest(f"{server.url}/raw/", tmp_path / "out") == local
    assert faults.agents and all("corpusmill" in agent for agent in faults.agents)


def test_each_file_is_listed_once_and_read_once(raw: Path, tmp_path: Path) -> None:
    with serving(raw.parent) as server:
        ingest(f"{server.url}/raw/", tmp_path / "out")
        size = sum(path.stat().st_size for path in raw.rglob("*.jsonl"))
        assert server.faults.asked["/raw/"] == 1
        assert size <= server.faults.sent <= size + 100
        before = server.faults.sent
        forget_listings()
        ingest(f"{server.url}/raw/", tmp_path / "out")  # done: it is listed again and no file is read
        assert server.faults.sent <= before + 100


def test_a_file_that_is_shorter_than_said_is_no_data(raw: Path, tmp_path: Path) -> None:
    with (
        serving(raw.parent, Faults(too_long=1000)) as server,
        pytest.raises(LostError, match=r"raw/.* could not be read after 6 attempts \(.*bytes came\)"),
    ):
        ingest(f"{server.url}/raw/", tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_server_that_stays_away_is_said(raw: Path, tmp_path: Path) -> None:
    with serving(raw.parent, Faults(unavailable=100)) as server, pytest.raises(LostError, match="HTTP status 503"):
        ingest(f"{server.url}/raw/", tmp_path / "out")
    with pytest.raises(LostError, match="could not be read after 6 attempts"):
        ingest(f"{server.url}/raw/a.jsonl", tmp_path / "other")


def test_what_goes_wrong_half_way_is_taken_up_again(raw: Path, tmp_path: Path, local: str) -> None:
    output = tmp_path / "out"
    with serving(raw.parent) as server:
        stage = IngestStage(JsonlReader(), (f"{server.url}/raw/",))
        assert stage.raw().files
        server.faults.unavailable = 100
        with pytest.raises(LostError):
            run_stage(stage, output, QUIET)
        server.faults.unavailable = 0
        assert run_stage(stage, output, QUIET).digest == local


def test_a_file_that_changes_while_it_is_read_is_an_error(raw: Path, tmp_path: Path) -> None:
    with serving(raw.parent) as server:
        stage = IngestStage(JsonlReader(), (f"{server.url}/raw/",))
        assert stage.raw().files
        text = (raw / "a.jsonl").read_text()
        (raw / "a.jsonl").write_text(text.replace("a.jsonl", "z.jsonl"))
        with pytest.raises(DataError, match=r"a\.jsonl changed while it was read"):
            run_stage(stage, tmp_path / "out", QUIET)


def test_missing_and_forbidden_files_and_odd_urls_are_said(raw: Path, tmp_path: Path) -> None:
    with serving(raw.parent) as server:
        with pytest.raises(UsageError, match="does not exist: check the URL"):
            ingest(f"{server.url}/raw/no.jsonl", tmp_path / "out")
        server.faults.forbidden = True
        with pytest.raises(DataError, match="no right to use"):
            ingest(f"{server.url}/raw/a.jsonl", tmp_path / "out")
    for url, words in [
        ("http://user:secret@h/x", "netrc"),
        ("s4://bucket/x", "did you mean 's3'"),
        ("s3://", "names no host or bucket"),
        ("https://h/*.jsonl", "web servers do not know"),
    ]:
        with pytest.raises(UsageError, match=words) as caught:
            ingest(url, tmp_path / "out")
        assert "secret" not in caught.value.message


def test_no_secret_of_a_url_is_written(raw: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    with serving(raw.parent, Faults(unavailable=100)) as server:
        url = f"{server.url}/raw/a.jsonl?X-Signature=SECRET"
        with pytest.raises(LostError) as caught:
            ingest(url, output)
        assert "SECRET" not in caught.value.message
        server.faults.unavailable = 0
        stage = IngestStage(JsonlReader(), (url,))
        work = tmp_path / "work"
        work.mkdir()
        stage.begin(work)
        assert b"SECRET" not in (work / "listing.json").read_bytes()
        run_stage(stage, output, QUIET)
    assert Dataset.open(output).manifest.inputs[0]["name"] == "a.jsonl"
    for path in output.rglob("*"):
        assert path.is_dir() or b"SECRET" not in path.read_bytes()


def test_a_first_look_reads_the_beginning_alone(raw: Path, tmp_path: Path) -> None:
    with serving(raw.parent) as server:
        ingest(f"{server.url}/raw/a.jsonl", tmp_path / "out", IngestConfig(limit=3))
        assert server.faults.sent < (raw / "a.jsonl").stat().st_size
    assert Dataset.open(tmp_path / "out").manifest.counts["records"].kept == 3


def test_a_cache_is_filled_once_checked_and_mended(raw: Path, tmp_path: Path, local: str) -> None:
    cache = tmp_path / "cache"
    with serving(raw.parent) as server:
        assert ingest(f"{server.url}/raw/", tmp_path / "one", cache=str(cache)) == local
        before = server.faults.sent
        assert ingest(f"{server.url}/raw/", tmp_path / "two", cache=str(cache)) == local
        assert server.faults.sent <= before + 100
        for path in cache.rglob("*.jsonl"):
            path.write_bytes(path.read_bytes().replace(b"0", b"1"))
        assert ingest(f"{server.url}/raw/", tmp_path / "three", cache=str(cache)) == local
        assert server.faults.sent > before + 100_000


def test_workers_do_not_list_again(raw: Path, tmp_path: Path, local: str) -> None:
    with serving(raw.parent) as server:
        stage = IngestStage(JsonlReader(), (f"{server.url}/raw/",))
        assert run_stage(stage, tmp_path / "out", RunOptions(workers=2, always_pool=True, quiet=True)).digest == local
        assert server.faults.asked["/raw/"] == 1
