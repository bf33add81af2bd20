"""Raw files as they are told apart: their size, time of change and contents. A folder stands for all files below it."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path

from corpus.data.files import checksum, digest_of
from corpus.ingest.files import find_files
from corpus.ingest.reader import RawFile
from corpus.remote.path import RemotePath
from corpus.remote.source import opened_source


def raw_identity(path: Path) -> str:
    """Size and time of change of a file, or of all files below a folder; of a remote file what its store tells."""
    if isinstance(path, RemotePath):
        return path.entry.identity
    if path.is_file():
        status = path.stat()
        return f"{status.st_size} {status.st_mtime_ns}"
    return digest_of([[below.name, raw_identity(below.path)] for below in _files(path)])


def raw_state(path: Path) -> tuple[int, int | str]:
    """Size of a file, and its time of change in nanoseconds or the version that its store tells."""
    if isinstance(path, RemotePath):
        return path.entry.size, path.entry.version
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def raw_digest(path: Path) -> str:
    """xxh3-128 of a file; of a folder, of the names and digests of the files below it. It is read once as long as its
    size and time of change stay the same."""
    return _digest_once(path, raw_identity(path))


@lru_cache(maxsize=1 << 16)
def _digest_once(path: Path, identity: str) -> str:
    if isinstance(path, RemotePath):
        with tempfile.TemporaryDirectory() as folder, opened_source(path.entry, Path(folder)) as source:
            return source.digest()
    if path.is_file():
        return checksum(path)
    return digest_of([[below.name, checksum(below.path)] for below in _files(path)])


def _files(folder: Path) -> tuple[RawFile, ...]:
    return find_files([str(folder)], ["*"]).files


def raw_size(file: RawFile) -> int:
    """Bytes of the file, or of all files below the folder; 0 for what is not on this disk."""
    if file.path.is_file():
        return file.path.stat().st_size
    return sum(below.path.stat().st_size for below in _files(file.path)) if file.path.is_dir() else 0
