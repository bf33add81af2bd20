"""Compressed files and archives whose bytes depend on their content alone: no clock, no user, no umask."""

from __future__ import annotations

import bz2
import gzip
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

import py7zr
from py7zr.helpers import ArchiveTimestamp

EPOCH = 1_577_836_800  # 2020-01-01, the time of every archived file


def write(path: Path, data: bytes) -> None:
    """Writes `data`, with the folders that `path` needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def gz(data: bytes) -> bytes:
    """One gzip member without name and time."""
    return gzip.compress(data, compresslevel=6, mtime=0)


def bz(data: bytes) -> bytes:
    """One bzip2 stream."""
    return bz2.compress(data)


def tar(members: Iterable[tuple[str, bytes]], compressed: bool = False) -> bytes:
    """A ustar archive of plain files, in the order given."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.mtime = EPOCH
            info.mode = 0o644
            archive.addfile(info, io.BytesIO(data))
    return gz(buffer.getvalue()) if compressed else buffer.getvalue()


def seven_zip(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """A 7z archive; the clock times that py7zr puts into its header are replaced by `EPOCH`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with py7zr.SevenZipFile(path, "w") as archive:
        for name, data in members:
            archive.writestr(data, name)
        for entry in archive.header.files_info.files:
            for key in ("creationtime", "lastwritetime", "lastaccesstime"):
                if key in entry:
                    entry[key] = ArchiveTimestamp.from_datetime(EPOCH)
