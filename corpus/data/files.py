"""Durable files: write to a temporary name, fsync, rename; checksums by xxh3-128."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import xxhash

_CHUNK = 1 << 22
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def checksum(path: Path) -> str:
    """xxh3-128 of the bytes of a file, as 32 hexadecimal digits."""
    digest = xxhash.xxh3_128()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def digest_of(value: Any) -> str:
    """xxh3-128 of the canonical JSON of `value`: sorted keys, no blanks, UTF-8."""
    return xxhash.xxh3_128(canonical_json(value).encode()).hexdigest()


def canonical_json(value: Any) -> str:
    """JSON that is equal for equal values: sorted keys, no blanks, no NaN."""
    return _CANONICAL.encode(value)


def sync_file(path: Path) -> None:
    """Flush a file, or a directory's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(directory: Path) -> None:
    """Flush every file below `directory`, then the directories themselves."""
    for parent, _, names in os.walk(directory, topdown=False):
        for name in names:
            sync_file(Path(parent, name))
        sync_file(Path(parent))


def write_atomic(path: Path, text: str) -> None:
    """Replace `path` by `text`: a reader sees the old file or the new one, never a part; it survives a power cut.

    For one writer at a time: what a killed one left behind is overwritten by the next.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_file(path.parent)
