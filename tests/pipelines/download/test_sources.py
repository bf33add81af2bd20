"""Every source finds its files where the real one has them: servers on this machine have their layout."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from corpus.cli import cli
from corpus.data.dataset import Dataset
from corpus.errors import UsageError
from corpus.ingest.files import find_files
from pipelines.download.arxiv import ArxivSource
from pipelines.download.c4 import C4Source
from pipelines.download.commoncrawl import CommonCrawlSource
from pipelines.download.downloader import NOTES, Download
from pipelines.download.enterprise import EnterpriseSource
from pipelines.download.gutenberg import GutenbergSource
from pipelines.download.stackexchange import StackExchangeSource
from pipelines.download.the_stack import TheStackSource
from pipelines.download.wikipedia import WikipediaSource
from tests.corpus.remote.http_server import Faults, serving
from tests.corpus.remote.object_store import Bucket
from tests.corpus.transfer.hub_server import serving_hub


def put(root: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def names(raw: Path) -> list[str]:
    """What was fetched, below the folder of raw files."""
    return sorted(p.relative_to(raw).as_posix() for p in raw.rglob("*") if p.is_file() and NOTES not in p.parts)


def fetch(source: Any, tmp_path: Path, base: str, **options: Any) -> list[str]:
    Download(source, tmp_path / "raw", base, rate=1000, **options).run()
    return names(tmp_path / "raw")


def crawl(root: Path) -> list[str]:
    paths = [
        f"crawl-data/CC-MAIN-2023-06/segments/1674764494{s}/wet/CC-MAIN-0-{n:05d}.warc.wet.gz"
        for s in ("826.88", "852.95")
        for n in range(2)
    ]
    put(root, {path: gzip.compress(path.encode()) for path in paths})
    put(root, {"crawl-data/CC-MAIN-2023-06/wet.paths.gz": gzip.compress("\n".join(paths).encode() + b"\n")})
    return paths


def test_common_crawl(tmp_path: Path) -> None:
    paths = crawl(tmp_path / "site")
    with serving(tmp_path / "site") as server:
        source = CommonCrawlSource(("CC-MAIN-2023-06",))
        assert fetch(source, tmp_path / "all", server.url) == [p.replace("crawl-data", "commoncrawl") for p in paths]
        one = CommonCrawlSource(("CC-MAIN-2023-06",), segments=("1674764494852.95",))
        assert fetch(one, tmp_path / "segment", server.url) == [
            p.replace("crawl-data", "commoncrawl") for p in paths[2:]
        ]
        with pytest.raises(UsageError, match="has no segment 1"):
            fetch(CommonCrawlSource(("CC-MAIN-2023-06",), segments=("1",)), tmp_path, server.url)
        with pytest.raises(Exception, match=r"CC-MAIN-1999-01/wet\.paths\.gz does not exist"):
            fetch(CommonCrawlSource(("CC-MAIN-1999-01",)), tmp_path, server.url)
    with pytest.raises(UsageError, match="give --crawl"):
        CommonCrawlSource()


def wiki(root: Path, name: str, date: str, status: str, parts: int = 1) -> None:
    files = {}
    for n in range(1, parts + 1):
        file = f"{name}-{date}-pages-articles{n if parts > 1 else ''}.xml.bz2"
        data = file.encode() * 50
        put(root, {f"{name}/{date}/{file}": data})
        url = f"/{name}/{date}/{file}"
        files[file] = {"size": len(data), "url": url, "sha1": hashlib.sha1(data).hexdigest(), "md5": "no"}
    jobs = {"articlesdump": {"status": status, "files": files}, "metahistory7zdump": {"status": "waiting"}}
    put(root, {f"{name}/{date}/dumpstatus.json": json.dumps({"version": "0.8", "jobs": jobs}).encode()})


def test_wikipedia_takes_the_latest_dump_that_is_done(tmp_path: Path) -> None:
    root = tmp_path / "site"
    wiki(root, "enwiki", "20230301", "done", 11)
    wiki(root, "enwiki", "20230401", "in-progress")
    wiki(root, "zh_yuewiki", "20230401", "done")
    with serving(root) as server:
        found = [file.name for file in Download(WikipediaSource(("en",)), tmp_path, server.url, rate=1000).files()]
        assert found[:2] == [f"enwiki-20230301-pages-articles{n}.xml.bz2" for n in (1, 2)] and len(found) == 11
        assert fetch(WikipediaSource(("en", "zh-yue")), tmp_path, server.url, limit=12) == sorted(
            f"wikipedia/{name}" for name in (*found, "zh_yuewiki-20230401-pages-articles.xml.bz2")
        )
        with pytest.raises(UsageError, match="has no finished dump"):
            fetch(WikipediaSource(("en",), "20230401"), tmp_path, server.url)
        with pytest.raises(UsageError, match="give eight digits"):
            fetch(WikipediaSource(("en",), "2023"), tmp_path, server.url)


def test_a_dump_whose_file_is_damaged_is_an_error(tmp_path: Path) -> None:
    root = tmp_path / "site"
    wiki(root, "enwiki", "20230301", "done")
    path = next(root.rglob("*.bz2"))
    path.write_bytes(path.read_bytes()[::-1])
    with serving(root) as server, pytest.raises(Exception, match="its sha1 differs"):
        fetch(WikipediaSource(("en",)), tmp_path, server.url)


def test_enterprise(tmp_path: Path) -> None:
    root = tmp_path / "site"
    for date, wikis in (("20230301", ("en", "de")), ("20230401", ("de",))):
        for language in wikis:
            name = f"{language}wiki-NS0-{date}-ENTERPRISE-HTML.json.tar.gz"
            put(root, {f"runs/{date}/{name}": name.encode()})
            put(root, {f"runs/{date}/{name}.md5sum": hashlib.md5(name.encode()).hexdigest().encode() + b"  x\n"})
    with serving(root) as server:
        base = f"{server.url}/runs"
        assert fetch(EnterpriseSource(("de",)), tmp_path / "a", base) == [
            "wikipedia/dewiki-NS0-20230401-ENTERPRISE-HTML.json.tar.gz"
        ]
        assert ["20230301" in n for n in fetch(EnterpriseSource(("en", "de")), tmp_path / "b", base)] == [True] * 2
        with pytest.raises(UsageError, match="no run has all languages"):
            fetch(EnterpriseSource(("fr",)), tmp_path / "c", base)


def test_gutenberg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "site"
    put(root, {f"1/2/{n}/{n}{end}.zip": f"{n}{end}".encode() for n in (12, 13, 14) for end in ("", "-0", "-8")})
    put(
        root, {"cache/epub/feeds/rdf-files.tar.bz2": b"catalogue", "robots.txt": b"User-agent: *\nDisallow: /ebooks/\n"}
    )
    with serving(root) as server:
        pages = {
            "harvest?filetypes[]=txt&langs[]=en": [
                "12/12.zip",
                "12/12-8.zip",
                "13/13.zip",
                "harvest?offset=20&amp;langs[]=en",
            ],
            "harvest?offset=20&langs[]=en": ["13/13-0.zip", "14/14.zip"],
        }

        def page(web: Any, url: str) -> str:
            links = pages[url.rpartition("/")[2]]
            return "".join(
                f'<p><a href="{link if "harvest" in link else f"{server.url}/1/2/{link}"}">x</a></p>' for link in links
            )

        monkeypatch.setattr("pipelines.download.web.Web.page", page)
        assert fetch(GutenbergSource(), tmp_path, server.url) == [
            *("books/12/12-8.zip", "books/13/13-0.zip", "books/14/14.zip", "books/rdf-files.tar.bz2"),
        ]


def test_stackexchange(tmp_path: Path) -> None:
    sizes = {
        "math.stackexchange.com.7z": 500, "stackoverflow.com-Posts.7z": 900, "stackoverflow.com-Users.7z": 90,
        "stackoverflow.com-Votes.7z": 900, "math.meta.stackexchange.com.7z": 80, "beer.stackexchange.com.7z": 10,
    }  # fmt: skip
    root = tmp_path / "site"
    lines = []
    for name, size in sizes.items():
        data = name[:1].encode() * size
        put(root, {f"stackexchange/{name}": data})
        digest = f"<md5>{hashlib.md5(data).hexdigest()}</md5><sha1>{hashlib.sha1(data).hexdigest()}</sha1>"
        lines.append(f'<file name="{name}" source="original"><size>{size}</size>{digest}</file>')
    listing = f"<files>{''.join(lines)}<file name='stackexchange_files.xml'/></files>"
    put(root, {"stackexchange/stackexchange_files.xml": listing.encode()})
    with serving(root) as server:
        base = f"{server.url}/stackexchange"
        assert [n.partition("/")[2] for n in fetch(StackExchangeSource(largest=2), tmp_path / "two", base)] == [
            *("math.stackexchange.com.7z", "stackoverflow.com-Posts.7z", "stackoverflow.com-Users.7z"),
        ]
        assert len(fetch(StackExchangeSource(), tmp_path / "all", base)) == 4
        assert len(fetch(StackExchangeSource(meta=True), tmp_path / "meta", base)) == 5
        with pytest.raises(UsageError, match="did you mean 'beer"):
            fetch(StackExchangeSource(sites=("bear.stackexchange.com",)), tmp_path, base)


def test_arxiv_from_its_bucket(tmp_path: Path, bucket: Bucket) -> None:
    entries = []
    for month, number in (("9912", 1), ("0001", 1), ("0001", 2), ("2301", 1)):
        name, data = f"src/arXiv_src_{month}_{number:03d}.tar", f"{month} {number}".encode() * 9
        bucket.client.put_object(Bucket=bucket.name, Key=name, Body=data)
        digest = hashlib.md5(data).hexdigest()
        entries.append(
            f"<file><content_md5sum>0</content_md5sum><filename>{name}</filename><md5sum>{digest}</md5sum>"
            f"<num_items>9</num_items><seq_num>{number}</seq_num><size>{len(data)}</size><yymm>{month}</yymm></file>"
        )
    manifest = f'<arXivSRC type="src">{"".join(reversed(entries))}<timestamp>x</timestamp></arXivSRC>'
    bucket.client.put_object(Bucket=bucket.name, Key="src/arXiv_src_manifest.xml", Body=manifest.encode())
    found = [file.name for file in Download(ArxivSource(), tmp_path, bucket.url, rate=1000).files()]
    assert [name[10:14] for name in found] == ["9912", "0001", "0001", "2301"]
    assert fetch(ArxivSource("0001", "0012"), tmp_path, bucket.url) == [
        f"arxiv/arXiv_src_0001_{n:03d}.tar" for n in (1, 2)
    ]
    with pytest.raises(UsageError, match="no papers from 2401"):
        fetch(ArxivSource("2401", "2402"), tmp_path, bucket.url)
    with pytest.raises(UsageError, match="--from is 13"):
        fetch(ArxivSource("13"), tmp_path, bucket.url)


def hub(root: dict[str, bytes]) -> None:
    for name in (
        "en/c4-train.00000-of-00002.json.gz",
        "en/c4-train.00001-of-00002.json.gz",
        "en/c4-validation.json.gz",
    ):
        root[name] = gzip.compress(b'{"text": "Some words of a page.", "url": "http://e.org", "timestamp": "2019"}\n')


def test_data_sets_of_the_hub_on_a_mirror(tmp_path: Path) -> None:
    files: dict[str, bytes] = {}
    hub(files)
    put(tmp_path / "site" / "c4", files)
    put(
        tmp_path / "site" / "stack",
        {"data/c++/train-0.parquet": b"1", "data/ada/train-0.parquet": b"2", "README.md": b""},
    )
    with serving(tmp_path / "site", Faults(unavailable=2)) as server:
        assert fetch(C4Source(), tmp_path / "a", f"{server.url}/c4") == [f"c4/{name}" for name in list(files)[:2]]
        assert fetch(TheStackSource(), tmp_path / "b", f"{server.url}/stack") == [
            "github/data/ada/train-0.parquet",
            "github/data/c++/train-0.parquet",
        ]
        assert fetch(TheStackSource(("ada",)), tmp_path / "c", f"{server.url}/stack") == [
            "github/data/ada/train-0.parquet"
        ]
        with pytest.raises(UsageError, match="there are no such files"):
            fetch(C4Source("xx"), tmp_path / "d", f"{server.url}/c4")


@pytest.mark.slow
def test_data_sets_of_the_hub(tmp_path: Path) -> None:
    with serving_hub() as server:
        hub(server.repos.setdefault("allenai/c4", {}))
        environment = os.environ | {"HF_ENDPOINT": server.url, "HF_TOKEN": "hf_SECRET", "HF_HOME": str(tmp_path)}
        command = [
            sys.executable,
            "-c",
            "from corpus.cli import main; main()",
            "download",
            "c4",
            "-o",
            str(tmp_path / "raw"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100)
        assert done.returncode == 0, done.stderr
    assert len(names(tmp_path / "raw")) == 2


def _line(number: int, line: int) -> str:
    return (
        json.dumps({"text": f"the {line * 7919 % 1000} words of line {line} in file {number}, and more of them"}) + "\n"
    )


@pytest.mark.slow
def test_a_recipe_fetches_what_it_names_and_runs(tmp_path: Path) -> None:
    site = tmp_path / "site"
    put(site, {f"{n}.jsonl": "".join(_line(n, k) for k in range(40)).encode() for n in range(3)})
    with serving(site) as server:
        (tmp_path / "list.txt").write_text("".join(f"{server.url}/{n}.jsonl {n}.jsonl\n" for n in range(3)))
        recipe = {
            "domains": {"notes": {"reader": "jsonl", "download": {"urls": {"lists": [str(tmp_path / "list.txt")]}}}},
            "tokenizer": {"preset": "llama", "vocab_size": 300},
            "packing": {"sequence_length": 16},
            "mixture": {"notes": {"share": 100, "epochs": 1}},
            "validation": {"fraction": 0.2},
        }
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(recipe))
        raw, out = str(tmp_path / "raw"), str(tmp_path / "out")
        command = ["run", str(path), "--input", raw, "--output", out, "--download"]
        dry = CliRunner().invoke(cli, [*command, "--dry-run"])
        assert dry.exit_code == 0 and "3 files" in dry.output and not Path(raw).exists(), dry.output
        done = CliRunner().invoke(cli, [*command, "--download-limit", "2", "--workers", "1", "--allow-missing"])
        assert done.exit_code == 0, done.output
    assert names(Path(raw)) == ["notes/0.jsonl", "notes/1.jsonl"]
    assert Dataset.open(Path(out) / "packed").manifest.rows
    assert "download" not in Path(out, "recipe.yaml").read_text()
    recipe["domains"]["notes"]["download"] = {"url": {}}  # type: ignore[index]
    path.write_text(yaml.safe_dump(recipe))
    wrong = CliRunner().invoke(cli, command)
    assert wrong.exit_code == 2 and "did you mean 'urls'" in wrong.output, wrong.output


def test_llama_names_a_source_for_every_domain(tmp_path: Path) -> None:
    from pipelines.recipes.download import recipe_downloads
    from pipelines.recipes.recipe import load_recipe

    recipe = load_recipe("llama")
    assert [d.folder.name for d in recipe_downloads(recipe, tmp_path)] == list(recipe.domains)


FETCHED = {
    "commoncrawl": "crawl-data/CC-MAIN-2023-06/segments/1/wet/CC-MAIN-0-00000.warc.wet.gz",
    "c4": "en/c4-train.00000-of-00002.json.gz",
    "the-stack": "data/ada/train-0.parquet",
    "wikipedia": "enwiki-20230301-pages-articles1.xml.bz2",
    "gutenberg": "13/13-0.zip",
    "arxiv": "arXiv_src_0001_001.tar",
    "stackexchange": "math.stackexchange.com.7z",
}
"""A name of a file of each source, as the tests above fetch them."""


def test_domains_read_what_is_fetched_for_them(tmp_path: Path) -> None:
    from pipelines.recipes.recipe import load_recipe, make_reader

    for domain, entry in load_recipe("llama").domains.items():
        patterns = entry.patterns or make_reader(domain, entry).patterns
        put(tmp_path / domain, {FETCHED[name]: b"" for name in entry.download})
        assert len(find_files([str(tmp_path / domain)], patterns).files) == len(entry.download) > 0
