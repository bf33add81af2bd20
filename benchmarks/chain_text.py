"""Pages for the benchmark of the whole chain, in real WET framing: natural prose and synthetic ones. Nothing is fetched.

Natural: paragraphs of a folder of prose (`en/*.txt` and `other/LANGUAGE/*.txt`, a blank line between paragraphs; Debian's
documentation is a few hundred MB of it), else of the samples' books and parallel sentences. A paragraph is a line, as it is on
a page. Synthetic: words drawn by their frequency (`benchmarks.synth`), some of them words that no page before had. Both
have the real pages' numbers of lines and share of lines that recur (a menu above, a footer below, a few between), and a
fifth of the pages is in other languages. The same settings give the same bytes.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from benchmarks import texts
from benchmarks.synth import Shape, sample_documents, shape_of, synthetic
from demo.archive import gz
from demo.web import Page
from demo.wet import conversion, record

FOREIGN = 0.2
"""Share of pages in other languages."""
UNKNOWN = {"en": 0.017, "other": 0.10}
"""Share of chunks that real text has for the first time, English and 128 languages: that of made-up words."""
_POOL = 20_000
"""Recurring lines of a language; the one of rank r comes with a chance like 1 / r."""
_LINE = 400
"""Characters of a line of prose to which no other sentence is added; with it and the recurring ones lines are about as long as
the 94 bytes that were measured on natural pages."""
_TINY = 1_000_000
"""Bytes of the small text on which workers are warmed."""


@dataclass(frozen=True)
class Text:
    """Pages on the disk as a folder of raw files with one folder per domain, and what they are."""

    kind: str
    raw: Path
    tiny: Path
    """As `raw`, with so few pages that running them is all start-up."""
    size: int
    pages: int
    lines: int
    note: str

    @property
    def line(self) -> float:
        """Mean bytes of a line."""
        return self.size / self.lines


Lines = tuple[str, ...]
"""A page."""


def build_text(kind: str, size: int, work: Path, prose: Path | None, parts: int = 16) -> Text:
    """About `size` bytes of pages as `parts` WET files, kept in `work`."""
    folder = work / "text" / f"{kind}-{size // 1_000_000}"
    about = folder / "about.json"
    source = f"{_source(prose)}" if kind == "natural" else "synthetic"
    if not about.exists() or json.loads(about.read_text(encoding="utf-8"))["source"] != source:
        shutil.rmtree(folder, ignore_errors=True)
        found = natural(prose, size) if kind == "natural" else synthetic_pages(size)
        sums = _write(found, folder, -(-size // parts))
        notes = {"source": source, "note": _note(kind, sums["made"], sums["size"])}
        about.write_text(json.dumps(sums | notes), encoding="utf-8")
    value = json.loads(about.read_text(encoding="utf-8"))
    numbers = value["size"], value["pages"], value["lines"]
    return Text(kind, folder / "raw", folder / "tiny", *numbers, value["note"])


def _source(prose: Path | None) -> str:
    """What natural text is made of, so that a kept one is not taken for another."""
    if prose is None:
        return f"samples {os.environ.get('CORPUSMILL_SAMPLES', '')}"
    return f"prose {sum(path.stat().st_size for path in prose.rglob('*.txt'))}"


def _note(kind: str, made: int, size: int) -> str:
    if kind == "natural" and made:
        return f"{made / size:.0%} of it synthetic, since there is no more natural text"
    return ""


def _write(found: Iterator[tuple[str, Lines, bool]], folder: Path, part: int) -> dict[str, int]:
    """WET files of `part` bytes of text, a gzip member a record; the sums over all pages."""
    (folder / "raw" / "commoncrawl").mkdir(parents=True)
    (folder / "tiny" / "commoncrawl").mkdir(parents=True)
    rng = Random("wet")
    sums = {"size": 0, "pages": 0, "lines": 0, "made": 0}
    members: list[bytes] = []
    files = size = 0
    for number, (language, lines, made) in enumerate(found):
        page = Page(f"https://www.site{number // 40}.example/{number}", language, lines, 0)
        members.append(gz(conversion(page, number, rng)))
        length = sum(len(line.encode()) + 1 for line in lines) - 1
        sums["size"] += length
        sums["pages"] += 1
        sums["lines"] += len(lines)
        sums["made"] += made * length
        size += length
        if sums["size"] >= _TINY > sums["size"] - length:
            _write_file(folder / "tiny", 0, members)
        if size >= part:
            _write_file(folder / "raw", files, members)
            members, size, files = [], 0, files + 1
    if members:
        _write_file(folder / "raw", files, members)
    return sums


def _write_file(raw: Path, number: int, members: Sequence[bytes]) -> None:
    name = f"CC-MAIN-20200117000000-20200117030000-{number:05d}.warc.wet.gz"
    info = [("WARC-Type", "warcinfo"), ("WARC-Filename", name), ("Content-Type", "application/warc-fields")]
    head = gz(record(info, b"Software-Info: benchmarks.chain\r\n"))
    (raw / "commoncrawl" / name).write_bytes(head + b"".join(members))


def natural(prose: Path | None, size: int) -> Iterator[tuple[str, Lines, bool]]:
    """Language, lines, and whether it had to be made up, of each page of natural text."""
    rng = Random("natural")
    shape = shape_of(sample_documents())
    counts, repeats = shape.document_lines.tolist(), shape.repeats
    streams = {"en": _english(prose), "other": _others(prose)}
    left: dict[str, tuple[str, list[str]]] = {"en": ("eng", []), "other": ("", [])}
    pools: dict[str, list[str]] = {}
    made = 0
    while made < size:
        kind = "other" if rng.random() < FOREIGN else "en"
        language, paragraphs = left[kind] if left[kind][1] else next(streams[kind], ("", []))
        if not paragraphs:
            break
        if language not in pools:
            pools[language] = _pool(language, paragraphs)
        lines, used = _page(paragraphs, pools[language], rng.choice(counts), repeats, rng)
        left[kind] = language, paragraphs[used:]
        made += sum(len(line.encode()) + 1 for line in lines)
        yield language, lines, False
    if made < size:
        yield from ((language, lines, True) for language, lines, _ in synthetic_pages(size - made))


def _page(paragraphs: Sequence[str], pool: Sequence[str], count: int, repeats: float, rng: Random) -> tuple[Lines, int]:
    """A page of about `count` lines, and how many paragraphs are in it."""
    recurring = sum(rng.random() < repeats for _ in range(count))
    used = min(len(paragraphs), max(1, count - recurring))
    drawn = [pool[int(len(pool) ** rng.random()) - 1] for _ in range(recurring)]
    above, below = drawn[: recurring * 2 // 5], drawn[recurring * 3 // 5 :]
    body = list(paragraphs[:used])
    for line in drawn[len(above) : recurring - len(below)]:
        body.insert(rng.randint(0, len(body)), line)
    return (*above, *body, *below), used


def _pool(language: str, paragraphs: Sequence[str]) -> list[str]:
    """Short recurring lines in a language: one to five words of its prose each, numbered where they would be equal."""
    rng = Random(f"pool {language}")
    words = [word for paragraph in paragraphs[:2000] for word in paragraph.split() if len(word) < 30]
    found: dict[str, None] = {}
    for number in range(_POOL):
        at = rng.randrange(len(words))
        line = " ".join(words[at : at + rng.randint(1, 5)])[:60]
        found[line if line not in found else f"{line} ({number})"] = None
    return list(found)


def _english(prose: Path | None) -> Iterator[tuple[str, list[str]]]:
    """Language and paragraphs of one file of English after the other, in no order: neighbours are of one package."""
    if prose is not None:
        paths = sorted(prose.glob("en/*.txt"))
        Random("files").shuffle(paths)
        for path in paths:
            yield "eng", _paragraphs(path.read_text(encoding="utf-8"))
        return
    for text in texts.english(_samples()):
        yield "eng", _paragraphs(text)


def _others(prose: Path | None) -> Iterator[tuple[str, list[str]]]:
    """The same of other languages by turns."""
    if prose is None:
        sentences = texts.multilingual(_samples())
        Random("languages").shuffle(sentences)
        for text in sentences:
            yield "other", [line for line in text.split("\n") if line.strip()]
        return
    folders = [sorted(folder.glob("*.txt")) for folder in sorted(prose.glob("other/*"))]
    for paths in itertools.zip_longest(*folders):
        for path in filter(None, paths):
            yield path.parent.name, _paragraphs(path.read_text(encoding="utf-8"))


def _paragraphs(text: str) -> list[str]:
    """Paragraphs, each as one line; long ones as several, cut where a sentence ends."""
    lines = []
    for part in re.split(r"\n\s*\n", text):
        line = ""
        for sentence in re.split(r"(?<=[.!?。]) ", " ".join(part.split())):
            if line and len(line) + len(sentence) > _LINE:
                lines.append(line)
                line = ""
            line = f"{line} {sentence}" if line else sentence
        if line:
            lines.append(line)
    return lines


def _samples() -> Path:
    return Path(os.environ["CORPUSMILL_SAMPLES"])


def synthetic_pages(size: int) -> Iterator[tuple[str, Lines, bool]]:
    """As `natural`, of words drawn by their frequency and made-up ones, in lines as short as real ones."""
    rng = Random("synthetic")
    shapes = shapes_of()
    streams = {
        kind: (text.decode() for batch in synthetic(shape, 1 << 50, seed=number) for text in batch)
        for number, (kind, shape) in enumerate(shapes.items())
    }
    made = 0
    while made < size:
        kind = "other" if "other" in streams and rng.random() < FOREIGN else "en"
        text = next(streams[kind])
        made += len(text.encode()) + 1
        yield "eng" if kind == "en" else "other", tuple(text.split("\n")), True


def shapes_of() -> dict[str, Shape]:
    """What English pages and, where there are samples, those in other languages are made like."""
    pages = shape_of(sample_documents())
    if "CORPUSMILL_SAMPLES" not in os.environ:
        return {"en": dataclasses.replace(pages, unknown=UNKNOWN["en"])}
    found = {}
    for kind, documents in (("en", texts.english(_samples())[:60]), ("other", texts.multilingual(_samples()))):
        words = shape_of(documents)
        found[kind] = dataclasses.replace(
            pages,
            words=words.words,
            bounds=words.bounds,
            odds=words.odds,
            alias=words.alias,
            unknown=UNKNOWN[kind],
        )
    return found
