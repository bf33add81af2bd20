"""The uncycled texts that the tokenizer is measured on, from the folder of real samples."""

from __future__ import annotations

import io
import random
import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

_LINES = 50
"""Lines of one document of the samples that come as sentences."""


def english(samples: Path) -> list[str]:
    """The samples' books and plain texts, a file a document."""
    files = [path for path in sorted(samples.glob("books/**/*")) if path.suffix == ".txt"]
    texts = [_decode(path.read_bytes()) for path in files]
    texts += [_decode(path.read_bytes()) for path in sorted(samples.glob("text/**/*")) if path.suffix == ".txt"]
    for path in sorted(samples.glob("text/*.zip")):
        members = [(name, _decode(data)) for name, data in _members(path) if not name.endswith((".json", "README"))]
        tagged = path.stem == "brown"  # word/tag
        texts += [re.sub(r"/\S+", "", text) if tagged else text for _, text in members]
    return [text for text in texts if text]


def multilingual(samples: Path) -> list[str]:
    """The samples' parallel sentences in 128 languages, some lines a document, and declarations of human rights."""
    texts = []
    for path in sorted(samples.glob("multilingual/ntrex128/*.txt")):
        lines = _decode(path.read_bytes()).splitlines(keepends=True)
        texts += ["".join(lines[start : start + _LINES]) for start in range(0, len(lines), _LINES)]
    for path in sorted(samples.glob("multilingual/*.zip")):
        texts += [text for _, data in _members(path) if (text := _valid(data))]
    return texts


def code(raw: Path) -> list[str]:
    """The text files of the source distributions that the samples' `raw.sh` downloads into a folder."""
    texts = []
    for path in sorted(raw.glob("github/*.tar.gz")):
        with tarfile.open(path) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                if file is not None and (text := _valid(file.read())):
                    texts.append(text)
    return texts


def unique_words(size: int) -> list[str]:
    """About `size` bytes of random words of 3 to 14 letters, hardly one of them twice."""
    rng = random.Random(11)
    texts, total = [], 0
    while total < size:
        text = " ".join("".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(3, 14))) for _ in range(2000))
        texts.append(text)
        total += len(text)
    return texts


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if not name.endswith("/"):
                yield name, archive.read(name)


def _valid(data: bytes) -> str:
    """Text, or nothing where the bytes are none."""
    if b"\x00" in data:
        return ""
    try:
        return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="").read()
    except UnicodeDecodeError:
        return ""


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
