"""The commoncrawl domain: WET files, one gzip member per record, a warcinfo record first."""

from __future__ import annotations

import base64
import hashlib
import uuid
from pathlib import Path
from random import Random

from demo.archive import gz, write
from demo.web import LANGUAGES, Page, english_page, foreign_page, junk_page, sites

FILES = 4
ENGLISH = 740
FOREIGN = 112
JUNK = 40
DUPLICATES = 40
_DATE = "2020-02-17T04:{:02d}:{:02d}Z"
_INFO = (
    "Software-Info: demo.wet\r\nExtracted-Date: Mon, 17 Feb 2020 04:00:00 GMT\r\nisPartOf: CC-MAIN-2020-05\r\n"
    "operator: corpusmill demonstration\r\ndescription: Invented pages for January 2020\r\npublisher: corpusmill\r\n"
)


def _id(rng: Random) -> str:
    return f"<urn:uuid:{uuid.UUID(int=rng.getrandbits(128), version=4)}>"


def record(headers: list[tuple[str, str]], body: bytes) -> bytes:
    """One WARC record: version line, headers, blank line, body, two line ends."""
    lines = ["WARC/1.0", *(f"{key}: {value}" for key, value in headers), f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body + b"\r\n\r\n"


def conversion(page: Page, number: int, rng: Random) -> bytes:
    """The `conversion` record of one page."""
    body = "\n".join(page.lines).encode() + b"\n"
    digest = base64.b32encode(hashlib.sha1(body, usedforsecurity=False).digest()).decode()
    headers = [
        ("WARC-Type", "conversion"),
        ("WARC-Target-URI", page.url),
        ("WARC-Date", _DATE.format(number // 60 % 60, number % 60)),
        ("WARC-Record-ID", _id(rng)),
        ("WARC-Refers-To", _id(rng)),
        ("WARC-Block-Digest", f"sha1:{digest}"),
        ("WARC-Identified-Content-Language", page.language),
        ("Content-Type", "text/plain"),
    ]
    return record(headers, body)


def pages(rng: Random) -> list[Page]:
    """All pages in crawl order: English, foreign and junk pages mixed, duplicates anywhere after their original."""
    hosts = list(sites(rng, 64))
    kinds = ["eng"] * ENGLISH + list(LANGUAGES) * (FOREIGN // len(LANGUAGES)) + ["junk"] * JUNK
    rng.shuffle(kinds)
    made: list[Page] = []
    for number, kind in enumerate(kinds):
        host, own = rng.choice(hosts), Random(f"page {number}")
        if kind == "eng":
            made.append(english_page(host, number, own))
        elif kind == "junk":
            made.append(junk_page(host, number, own))
        else:
            made.append(foreign_page(kind, host, number, own))
    originals = rng.sample([page for page in made if page.language == "eng" and len(page.lines) > 8], DUPLICATES)
    for page in originals:
        copy = Page(page.url.replace("https://www.", "https://m."), page.language, page.lines, page.boilerplate)
        made.insert(rng.randint(made.index(page) + 1, len(made)), copy)
    return made


def build(directory: Path) -> dict[str, object]:
    """Writes the WET files, the last one cut inside its last record, and a stray file; says what was planted."""
    rng = Random("commoncrawl")
    made = pages(rng)
    per_file = -(-len(made) // FILES)
    for index in range(FILES):
        name = f"CC-MAIN-20200117000000-20200117030000-{index:05d}.warc.wet.gz"
        info = [
            ("WARC-Type", "warcinfo"),
            ("WARC-Date", _DATE.format(0, 0)),
            ("WARC-Filename", name),
            ("WARC-Record-ID", _id(rng)),
            ("Content-Type", "application/warc-fields"),
        ]
        members = [gz(record(info, _INFO.encode()))]
        for number, page in enumerate(made[index * per_file : (index + 1) * per_file]):
            members.append(gz(conversion(page, index * per_file + number, rng)))
        if index == FILES - 1:
            members[-1] = members[-1][: len(members[-1]) // 2]
        write(directory / name, b"".join(members))
    write(directory / "README.txt", b"A stray file that is no WET file; the reader counts it as ignored.\n")
    readable = made[:-1]
    lines = [line for page in readable for line in page.lines]
    return {
        "files": FILES,
        "warcinfo_records": FILES,
        "readable_pages": len(readable),
        "truncated_records": 1,
        "ignored_files": 1,
        "exact_duplicate_pages": len(readable) - len({page.lines for page in readable}),
        "foreign_pages": sum(page.language != "eng" for page in readable),
        "short_pages": sum(sum(map(len, page.lines)) < 300 for page in readable),
        "boilerplate_lines": sum(page.boilerplate for page in readable),
        "lines": len(lines),
    }
