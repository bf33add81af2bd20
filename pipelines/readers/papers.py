"""The sources of one paper as arXiv stores them: a gzipped tar, a gzipped file, or plain; and the members of bulk tars."""

import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.formats.encoding import decode
from pipelines.formats.tarball import TarMember, tar_members
from pipelines.formats.xml import ByteStream

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


class NoPaper(Exception):
    """A paper that cannot be read; the message is the reason."""


class NoSource(Exception):
    """A paper without TeX sources; the message says what it has."""


def source_files(data: bytes) -> dict[str, str]:
    """The TeX files of a paper by their names, decoded; the errors are those of `stored_files`."""
    return {name: _text(raw) for name, raw in stored_files(data).items()}


def stored_files(data: bytes) -> dict[str, bytes]:
    """The TeX files of a paper as arXiv stores it, in their order: `NoPaper` if it is damaged, `NoSource` if it has none."""
    stream = _open(data)
    head = stream.peek(512)
    if head[257:262] != b"ustar" and not _old_tar(head):
        return {"main.tex": _single(stream)}
    found: dict[str, bytes] = {}
    tex = html = False
    for member in members(stream, TEX_BYTES):
        if member.fault:
            raise NoPaper(stream.fault or member.fault)
        name = member.name.removeprefix("./")
        suffix = name.lower().endswith(TEX_SUFFIXES)
        if member.size <= TEX_BYTES and (suffix or (not OTHER_SUFFIX.search(name) and HAS_CLASS.search(member.data))):
            found[name] = member.data
            tex |= not name.lower().endswith((".txt", ".sty", ".cls")) or HAS_CLASS.search(member.data) is not None
        html |= name.lower().endswith((".html", ".htm"))
    if stream.fault:
        raise NoPaper(stream.fault)
    if not tex:
        raise NoSource("html only" if html else "no TeX source")
    return found


def _single(stream: "_Inflated | _Plain") -> bytes:
    raw = stream.read(TEX_BYTES + 1)
    if stream.fault:
        raise NoPaper(stream.fault)
    if raw.startswith(PDF):
        raise NoSource("pdf only")
    if HTML.match(raw):
        raise NoSource("html only")
    if not raw or raw[:4] == b"%!PS" or raw.count(0) > len(raw) // 100 or len(raw) > TEX_BYTES:
        raise NoSource("no TeX source")
    return raw


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
