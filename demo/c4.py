"""The c4 domain: JSON lines in C4's layout, with three broken lines among them."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

from demo.archive import gz, write
from demo.web import article, english, foreign, sites, slug

FILES = 3
ARTICLES = 680
FOREIGN = 12
DUPLICATES = 12


def _line(text: str, url: str, rng: Random) -> bytes:
    stamp = f"2019-04-{rng.randint(18, 26)}T{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}:{rng.randint(0, 59):02d}Z"
    row = {"text": text, "timestamp": stamp, "url": url}
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def documents(rng: Random) -> list[tuple[str, str]]:
    """(text, url) of every good line, in order."""
    hosts = list(sites(rng, 80))
    made: list[tuple[str, str]] = []
    for number in range(ARTICLES):
        own = Random(f"c4 {number}")
        host = own.choice(hosts)
        title, paragraphs = article(host.topic, own, 1, 4)
        made.append(("\n".join((title, *paragraphs)), f"https://{host.host}/blog/{slug(title)}"))
    for number in range(FOREIGN):
        own = Random(f"c4 foreign {number}")
        prose = foreign(own.choice(("de", "fr", "es")), own)
        text = "\n".join(prose.paragraph("sentence", 3, 5) for _ in range(3))
        made.append((text, f"https://{own.choice(hosts).host}/{number}"))
    rng.shuffle(made)
    for text, url in rng.sample(made, DUPLICATES):
        made.append((text, url + "?print=1"))
    return made


def build(directory: Path) -> dict[str, object]:
    """Writes the shards, one broken line in each; says what was planted."""
    rng = Random("c4")
    lines = [_line(text, url, rng) for text, url in documents(rng)]
    prose = english("weather", "web", Random("c4 broken"))
    broken = (
        _line(f"Caf\u00e9 {prose.paragraph('sentence', 3, 3)}", "https://www.latin.example/1", rng).replace(
            b"\xc3\xa9", b"\xe9"
        ),
        _line(prose.paragraph("sentence", 3, 3), "https://www.cut.example/2", rng)[:150] + b"\n",
        b'{"timestamp":"2019-04-20T10:00:00Z","url":"https://www.empty.example/3"}\n',
    )
    per_file = -(-len(lines) // FILES)
    for index in range(FILES):
        part = lines[index * per_file : (index + 1) * per_file]
        part.insert(len(part) // 2, broken[index])
        write(directory / f"c4-train.{index:05d}-of-{FILES:05d}.json.gz", gz(b"".join(part)))
    return {
        "files": FILES,
        "good_lines": len(lines),
        "exact_duplicate_texts": DUPLICATES,
        "foreign_texts": FOREIGN,
        "not_utf8_lines": 1,
        "broken_json_lines": 1,
        "lines_without_text": 1,
    }
