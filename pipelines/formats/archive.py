"""Members of tar (in any compression) and zip archives, one after the other, in bounded memory and never on disk.

Of a damaged archive every whole member is given.
"""

from __future__ import annotations

import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from corpus.ingest.compression import QUARANTINE_BYTES, Damage, Stream, TruncatedStream, open_stream
from pipelines.formats.tarball import BLOCK, tar_members

MAX_MEMBER_BYTES = 64 * 1024 * 1024
"""A larger member's data are not read."""
ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError),
    *(NotImplementedError, ValueError, RuntimeError),
)
"""What reading a damaged, encrypted or foreign zip archive raises."""

_COMMENT = re.compile(rb"52 comment=([0-9a-f]{40})\n")
_ZIP_COMMENT = re.compile(rb"PK\x05\x06.{16}\x28\x00([0-9a-f]{40})\Z", re.DOTALL)

Wanted = Callable[[str, int], bool]
Kind = Literal["file", "directory", "other"]


@dataclass(frozen=True, slots=True)
class Member:
    """A whole member. `data` is None unless it is a wanted file of at most MAX_MEMBER_BYTES."""

    name: str
    kind: Kind
    size: int
    data: bytes | None


def read_archive(path: Path, wanted: Wanted) -> Iterator[Member | Damage]:
    """The members in their order; data are read where `wanted(name, size)` says so.

    Names are '/'-separated without a leading './'; bytes in them that are no UTF-8 become U+FFFD.
    """
    with open_stream(path) as stream:
        is_zip = stream.compression == "plain" and stream.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    if is_zip:
        yield from _zip(path, wanted)
        return
    with open_stream(path) as stream:
        yield from _tar(path, stream, wanted)


def archive_commit(path: Path) -> str:
    """The commit that an archive says it was made of, as git writes it (a tar's global header, a zip's comment); else empty."""
    with open_stream(path) as stream:
        try:
            head = stream.read(2 * BLOCK)
        except TruncatedStream:
            return ""
    if head[156:157] == b"g" and head[257:262] == b"ustar":
        match = _COMMENT.search(head, BLOCK)
        return match[1].decode() if match else ""
    if head[:2] == b"PK":
        with path.open("rb") as stored:
            stored.seek(max(0, path.stat().st_size - 62))  # the end of a zip without a comment has 22 bytes
            match = _ZIP_COMMENT.search(stored.read())
        return match[1].decode() if match else ""
    return ""


def _zip(path: Path, wanted: Wanted) -> Iterator[Member | Damage]:
    with path.open("rb") as stored:
        try:
            archive = zipfile.ZipFile(stored)
        except ZIP_ERRORS:
            stored.seek(0)
            yield Damage(0, path.stat().st_size, "no whole zip archive", stored.read(QUARANTINE_BYTES))
            return
        yield from _zip_members(archive, wanted)


def _zip_members(archive: zipfile.ZipFile, wanted: Wanted) -> Iterator[Member | Damage]:
    with archive:
        for info in archive.infolist():
            name = _clean(info.filename)
            if info.is_dir():
                yield Member(name, "directory", 0, None)
            elif stat.S_ISLNK(info.external_attr >> 16):
                yield Member(name, "other", info.file_size, None)
            elif info.flag_bits & 1:
                yield Damage(info.header_offset, info.compress_size, "encrypted zip member", b"")
            elif info.file_size > MAX_MEMBER_BYTES or not wanted(name, info.file_size):
                yield Member(name, "file", info.file_size, None)
            else:
                try:
                    yield Member(name, "file", info.file_size, archive.read(info))
                except ZIP_ERRORS:
                    yield Damage(info.header_offset, info.compress_size, "corrupt zip member", b"")


def _tar(path: Path, stream: Stream, wanted: Wanted) -> Iterator[Member | Damage]:
    def keep(name: str, size: int) -> int:
        return size if size <= MAX_MEMBER_BYTES and wanted(_clean(name), size) else 0

    for member in tar_members(stream, keep):
        if member.kind == "gap":
            reason = "corrupt tar header" if member.closed or not member.final else "no tar header"
            yield Damage(member.offset, member.size, reason, member.data)
        elif member.kind == "torn":
            data = member.data[:QUARANTINE_BYTES]
            if member.damage is None:
                begin = member.offset + BLOCK if member.file else member.offset
                yield Damage(begin, member.present, "truncated tar", data)
            else:
                left = max(0, path.stat().st_size - member.damage.offset)
                yield Damage(member.damage.offset, left, member.damage.reason, data)
        else:
            name = _clean(member.name)
            is_wanted = member.kind == "file" and keep(member.name, member.size) == member.size
            yield Member(name, member.kind, member.size, member.data if is_wanted else None)


def _clean(name: str) -> str:
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))
