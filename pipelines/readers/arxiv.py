"""arXiv: bulk tars of sources (members `YYMM/ID.gz`, each a gzipped tar or a single file), or folders of sources -> one
document per paper."""

import io
import re
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar

from corpus.data.columns import Column
from corpus.ingest.compression import QUARANTINE_BYTES, open_stream
from corpus.ingest.reader import Item, Merged, RawFile, Reader, Record, Skipped, Unreadable
from corpus.option import option
from pipelines.formats.encoding import decode
from pipelines.formats.tarball import TarMember, tar_members
from pipelines.formats.xml import ByteStream
from pipelines.markup.latex.paper import clean
from pipelines.readers.loose import CONTENT, DATABASE, gather_papers, is_loose, loose_paper

MEMBER_BYTES = 512 << 20  # of a paper as stored; arXiv accepts 50 MB
TEX_BYTES = 16 << 20  # of one TeX file
PAPER_BYTES = 2 << 30  # of a paper unpacked, figures and all: more is a bomb
SLICE = 64 << 10  # stored bytes given to a decoder at once
BUFFER = 64 << 10  # bytes that it gives at least, if it can
PDF = b"%PDF-"
TEX_SUFFIXES = (".tex", ".ltx", ".latex", ".tikz", ".pgf", ".txt", ".sty", ".cls")  # of what a paper may take in
OTHER_SUFFIX = re.compile(
    r"\.(?:pdf|e?ps[fi]?|png|jpe?g|gif|bmp|tiff?|svg|bst|bib|bbl|clo|fd|def|cfg|bbx|cbx|dvi|log|aux|out|toc|zip|"
    r"gz|tar|z|csv|dat|mp4|avi|mov|html?|py|r|m|ipynb|md|json|xml|eps_tex|pdf_tex|ttf|otf|ini|ind|idx|ist|lof|lot)$",
    re.I,
)
HAS_CLASS = re.compile(rb"\\document(?:class|style)|\\input\s|\\magnification|\\begin\{document\}")
INPUT_ENCODING = re.compile(rb"\\(?:usepackage|RequirePackage)\s*\[([A-Za-z0-9-]+)\]\s*\{inputenc\}")
ENCODINGS = {
    "latin1": "iso8859-1", "latin2": "iso8859-2", "latin3": "iso8859-3", "latin5": "iso8859-9", "latin9": "iso8859-15",
    "ansinew": "cp1252", "applemac": "mac-roman", "koi8-r": "koi8-r", "koi8-u": "koi8-u",
}  # fmt: skip
VERSION = re.compile(r"[0-9]v([0-9]+)$")
NEW_ID = re.compile(r"([0-9]{4}\.[0-9]{4,5})(?:v[0-9]+)?")
OLD_ID = re.compile(r"([a-z]+(?:-[a-z]+)?)(?:\.[A-Z]{2})?/?([0-9]{7})(?:v[0-9]+)?")
SINGLE = re.compile(r"\.(?:tar\.gz|tgz|tex\.gz)$", re.I)
HTML = re.compile(rb"\s*(?:<!--.{0,2000}?-->\s*)?<(?:!doctype\s+html|html|head)\b", re.I | re.S)


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file of an archive, or a stretch of it that is damaged (then `fault` says how)."""

    name: str
    offset: int  # of its header in the tar stream
    size: int
    data: bytes  # at most the limit given to `members`
    fault: str = ""


def members(stream: ByteStream, limit: int) -> Iterator[Member]:
    """The regular files of a tar stream in order, and a member with a fault for every damaged stretch."""
    for member in tar_members(stream, lambda name, size: limit):
        if member.kind == "gap":
            yield Member("", member.offset, member.size, b"", "damaged tar header")
            if member.final:
                return
        elif member.kind == "torn":
            yield _torn(member)
        elif member.kind == "file":
            yield Member(member.name, member.offset, member.size, member.data)


def _torn(member: TarMember) -> Member:
    fault = member.damage.reason if member.damage is not None else "truncated tar"
    if member.file:
        return Member(member.name, member.offset, member.size, member.data, fault)
    return Member("", member.offset + member.size, 0, b"", fault)


class _NoPaper(Exception):
    """A paper that cannot be read; the message is the reason."""


class _NoSource(Exception):
    """A paper without TeX sources; the message says what it has."""


@dataclass(frozen=True)
class ArxivReader:
    """Papers from their LaTeX sources."""

    domain: ClassVar[str] = "arxiv"
    patterns: ClassVar[tuple[str, ...]] = (
        *("*.tar", "*.tar.gz", "*.tgz", "*.tex.gz", "*.tex", "*.ltx", "*.latex"),
        *("*.sty", "*.cls", "*.tikz", "*.pgf"),
    )
    doc: ClassVar[str] = (
        "arXiv source tars or folders of sources: one document per paper, from its first section on, macros expanded"
    )
    columns: ClassVar[tuple[Column, ...]] = ()

    keep_abstract: bool = option(False, "keep the abstract before the first section")
    keep_bibliography: bool = option(False, "keep the bibliography")

    layout: str = option(
        "drop",
        "labels, pictures, sizes, spacing, colours, page breaks, counters and biographies: leave them out or keep them",
        choices=("drop", "keep"),
    )

    def survey(self, file: RawFile, folder: Path) -> None:
        """Copies a loose TeX file: its paper is read where the paper's first file is."""
        if is_loose(file.name):
            shutil.copyfile(file.path, folder / CONTENT)

    def gather(self, surveys: Sequence[tuple[str, Path]], folder: Path) -> None:
        """Brings the loose files of each paper together."""
        gather_papers(surveys, folder, lambda stem: paper_id(stem)[1])

    def prepared(self, gathered: Path) -> Reader:
        """The reader that knows which loose files are one paper."""
        settings = {entry.name: getattr(self, entry.name) for entry in fields(ArxivReader)}
        return _PreparedReader(**settings, gathered=gathered)

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        """Yields one item per member of a bulk tar, or the one paper of a `.tar.gz` or of a loose file taken alone."""
        if is_loose(file.name):
            surveyed, gathered = scratch / "surveyed", scratch / "gathered"
            surveyed.mkdir()
            gathered.mkdir()
            self.survey(file, surveyed)
            self.gather([(file.name, surveyed)], gathered)
            yield from self.prepared(gathered).read(file, scratch)
            return
        size = file.path.stat().st_size
        if size == 0:
            yield Unreadable(0, 0, 0, "empty file", b"")
            return
        if SINGLE.search(file.path.name) and not _is_bulk(file.path):
            with file.path.open("rb") as stored:
                yield self._paper(0, 0, SINGLE.sub("", file.path.name), stored.read(MEMBER_BYTES))
            return
        with closing(open_stream(file.path)) as stream:
            for ordinal, member in enumerate(members(stream, MEMBER_BYTES)):
                yield self._member(ordinal, member)

    def _member(self, ordinal: int, member: Member) -> Item:
        if member.fault:
            return Unreadable(ordinal, member.offset, member.size, member.fault, member.data[:QUARANTINE_BYTES])
        name = member.name.removeprefix("./")
        if name.lower().endswith(".pdf"):
            return Skipped(ordinal, "pdf only", name)
        if not name.lower().endswith((".gz", ".tex")):
            return Skipped(ordinal, "not a source file", name)
        if member.size > len(member.data):
            data = member.data[:QUARANTINE_BYTES]
            return Unreadable(ordinal, member.offset, member.size, "paper over 512 MiB", data)
        return self._paper(ordinal, member.offset, re.sub(r"(?:\.tar)?\.gz$|\.tex$", "", name, flags=re.I), member.data)

    def _paper(self, ordinal: int, offset: int, name: str, data: bytes) -> Item:
        identifier, real = paper_id(name)
        try:
            files = source_files(data)
        except _NoPaper as error:
            return Unreadable(ordinal, offset, len(data), str(error), data[:QUARANTINE_BYTES])
        except _NoSource as error:
            return Skipped(ordinal, str(error), identifier)
        paper = clean(files, self.keep_abstract, self.keep_bibliography, self.layout == "keep")
        if not paper.text:
            return Skipped(ordinal, "withdrawn" if paper.withdrawn else "empty text", identifier)
        metadata: dict[str, object] = {"id": identifier}
        if version := VERSION.search(name):
            metadata["version"] = int(version[1])
        if paper.missing:
            metadata["missing_inputs"] = list(paper.missing)
        if paper.others:
            metadata["other_documents"] = list(paper.others)
        url = f"https://arxiv.org/abs/{identifier}" if real else None
        return Record(ordinal, paper.text, url=url, metadata=metadata)


@dataclass(frozen=True)
class _PreparedReader(ArxivReader):
    """Reads papers whose loose files are brought together, in the folder `gathered`."""

    gathered: Path = Path()

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        """Yields the paper of a loose file at its first file, and the items of an archive."""
        if not is_loose(file.name):
            yield from super().read(file, scratch)
            return
        first, name, sources = loose_paper(self.gathered / DATABASE, file.name)
        yield self._paper(0, 0, name, sources) if sources else Merged(0, 0, first)


def paper_id(name: str) -> tuple[str, bool]:
    """The identifier of `YYMM/ID` and whether it is arXiv's: `2301.00001`, `math/0301001`; else the last part of the name."""
    last = name.rsplit("/", 1)[-1]
    if match := NEW_ID.fullmatch(last):
        return match[1], True
    if match := OLD_ID.fullmatch(last) or OLD_ID.fullmatch("/".join(name.split("/")[-2:])):
        return f"{match[1]}/{match[2]}", True
    return last, False


def source_files(data: bytes) -> Mapping[str, str]:
    """The TeX files of a paper as arXiv stores it: a gzipped tar, a gzipped file, or plain; `_NoSource` without any."""
    stream = _open(data)
    head = stream.peek(512)
    if head[257:262] != b"ustar" and not _old_tar(head):
        raw = stream.read(TEX_BYTES + 1)
        if stream.fault:
            raise _NoPaper(stream.fault)
        if raw.startswith(PDF):
            raise _NoSource("pdf only")
        if HTML.match(raw):
            raise _NoSource("html only")
        if not raw or raw[:4] == b"%!PS" or raw.count(0) > len(raw) // 100 or len(raw) > TEX_BYTES:
            raise _NoSource("no TeX source")
        return {"main.tex": _text(raw)}
    found: dict[str, bytes] = {}
    tex = html = False
    for member in members(stream, TEX_BYTES):
        if member.fault:
            raise _NoPaper(stream.fault or member.fault)
        name = member.name.removeprefix("./")
        suffix = name.lower().endswith(TEX_SUFFIXES)
        if member.size <= TEX_BYTES and (suffix or (not OTHER_SUFFIX.search(name) and HAS_CLASS.search(member.data))):
            found[name] = member.data
            tex |= not name.lower().endswith((".txt", ".sty", ".cls")) or HAS_CLASS.search(member.data) is not None
        html |= name.lower().endswith((".html", ".htm"))
    if stream.fault:
        raise _NoPaper(stream.fault)
    if not tex:
        raise _NoSource("html only" if html else "no TeX source")
    return {name: _text(raw) for name, raw in found.items()}


def _open(data: bytes) -> "_Inflated | _Plain":
    return _Inflated(data) if data[:2] == b"\x1f\x8b" else _Plain(data)


def _text(raw: bytes) -> str:
    declared = INPUT_ENCODING.search(raw)
    label = declared.group(1).decode("ascii").lower() if declared else ""
    text, _ = decode(raw, ENCODINGS.get(label, label))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _old_tar(head: bytes) -> bool:
    """Whether a block without the `ustar` mark is a tar header all the same, by its checksum."""
    if len(head) < 512:
        return False
    field = head[148:156].strip(b" \0")
    return re.fullmatch(rb"[0-7]{1,7}", field) is not None and int(field, 8) == sum(head) - sum(head[148:156]) + 256


def _is_bulk(path: Path) -> bool:
    """Whether a compressed tar holds papers (gz members and no TeX file) and not one paper."""
    with closing(open_stream(path)) as stream:
        names = [member.name.lower() for member in members(stream, 0)]
    return any(re.search(r"\d.*\.gz$", name) for name in names) and not any(
        name.endswith(TEX_SUFFIXES) for name in names
    )


class _Plain:
    """A paper that is stored as it is."""

    def __init__(self, data: bytes) -> None:
        self.fault = ""
        self.inner = io.BytesIO(data)

    def peek(self, size: int) -> bytes:
        """The first bytes, without reading them."""
        return self.inner.getvalue()[:size]

    def read(self, size: int = -1, /) -> bytes:
        """Reads at most `size` bytes."""
        return self.inner.read(size)


class _Inflated:
    """A gzipped paper, inflated as it is read and no further than PAPER_BYTES; `fault` says why it ended early."""

    def __init__(self, data: bytes) -> None:
        self.fault = ""
        self.total = 0
        self.data, self.at = data, 0
        self.rest = self.ahead = b""  # stored bytes given to the decoder but not used; bytes read ahead by `peek`
        self.decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)

    def peek(self, size: int) -> bytes:
        """The first bytes, without reading them."""
        if len(self.ahead) < size:
            pieces, have = [self.ahead], len(self.ahead)
            while have < size and (more := self._more(size - have)):
                pieces.append(more)
                have += len(more)
            self.ahead = b"".join(pieces)
        return self.ahead[:size]

    def read(self, size: int = 1 << 20, /) -> bytes:
        """Reads exactly `size` bytes, fewer at the end."""
        self.peek(size)
        piece, self.ahead = self.ahead[:size], self.ahead[size:]
        return piece

    def _more(self, size: int) -> bytes:
        if self.fault or self.decoder.eof:
            return b""
        piece = b""
        while not piece and not self.decoder.eof:
            if not self.rest:  # in slices, because the decoder copies what it does not use
                self.rest = self.data[self.at : self.at + SLICE]
                self.at += SLICE
            if not self.rest:
                self.fault = "truncated gzip"
                return b""
            try:
                piece = self.decoder.decompress(self.rest, max(size, BUFFER))
            except zlib.error:
                self.fault = "corrupt gzip"
                return b""
            self.rest = self.decoder.unconsumed_tail
        self.total += len(piece)
        if self.total > PAPER_BYTES:
            self.fault = "paper over 2 GiB unpacked"
        return piece
