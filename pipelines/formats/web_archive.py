"""Web archives of any kind: WARC, ARC, and WACZ, which is a zip archive with WARC files in it."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

from corpus.ingest.compression import QUARANTINE_BYTES, Damage, TruncatedStream, open_stream
from pipelines.formats.arc import is_arc, read_arc_records
from pipelines.formats.archive import ZIP_ERRORS
from pipelines.formats.warc import WarcRecord, read_records

_HEAD_BYTES = 1024
_MOST_INFLATION = 200
"""A member of a WACZ that says it is larger than so many times its stored size is a decompression bomb."""


def read_web_archive(path: Path, scratch: Path) -> Iterator[WarcRecord | Damage]:
    """The records of an archive, told by its content, each stretch without one as a `Damage`; `scratch` is an empty
    folder. Records of a WACZ count their offsets in the WARC file that they are in."""
    with open_stream(path) as stream:
        try:
            head = stream.read(_HEAD_BYTES)
        except TruncatedStream:
            head = b""
    if head.startswith(b"PK\x03\x04"):
        return _wacz(path, scratch)
    return read_arc_records(path) if is_arc(head) else read_records(path)


def _wacz(path: Path, scratch: Path) -> Iterator[WarcRecord | Damage]:
    with path.open("rb") as stored:
        try:
            archive = zipfile.ZipFile(stored)
        except ZIP_ERRORS:
            stored.seek(0)
            yield Damage(0, path.stat().st_size, "no whole WACZ archive", stored.read(QUARANTINE_BYTES))
            return
        yield from _wacz_members(archive, scratch)


def _wacz_members(archive: zipfile.ZipFile, scratch: Path) -> Iterator[WarcRecord | Damage]:
    with archive:
        for number, info in enumerate(archive.infolist()):
            name = info.filename.lower().replace("\\", "/")
            if info.is_dir() or not name.rpartition("/")[2].removesuffix(".gz").endswith((".warc", ".arc")):
                continue
            extracted = scratch / f"{number}.warc"  # whatever its name says
            if info.file_size > _MOST_INFLATION * info.compress_size + _HEAD_BYTES:
                yield Damage(info.header_offset, info.compress_size, "WACZ member inflates too much", b"")
                continue
            try:
                with archive.open(info) as member, extracted.open("wb") as target:
                    shutil.copyfileobj(member, target, 1 << 20)
            except ZIP_ERRORS:
                yield Damage(info.header_offset, info.compress_size, "corrupt WACZ member", b"")
                extracted.unlink(missing_ok=True)
                continue
            with open_stream(extracted) as stream:
                try:
                    arc = is_arc(stream.read(_HEAD_BYTES))
                except TruncatedStream:
                    arc = False
            yield from read_arc_records(extracted) if arc else read_records(extracted)
            extracted.unlink()
