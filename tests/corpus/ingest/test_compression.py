"""Streams of compressed files: every readable byte, then the damage."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lz4.frame
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import DataError
from corpus.ingest import compression
from corpus.ingest.compression import TruncatedStream, find_member, open_stream, sniff

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
    "lz4": lambda data: lz4.frame.compress(data, content_checksum=True),
    "plain": lambda data: data,
}
FORMATS = [name for name in COMPRESS if name != "plain"]


def text(size: int, seed: int = 0) -> bytes:
    generator = random.Random(seed)
    words = [bytes(generator.choices(b"abcdefghijklmnop", k=generator.randint(1, 9))) for _ in range(300)]
    out = bytearray()
    while len(out) < size:
        out += generator.choice(words) + b" "
    return bytes(out[:size])


def read_all(path: Path, size: int = 1000) -> tuple[bytes, TruncatedStream | None]:
    pieces = []
    with open_stream(path) as stream:
        while True:
            try:
                piece = stream.read(size)
            except TruncatedStream as error:
                with pytest.raises(TruncatedStream):
                    stream.read(1)  # and at every further read
                return b"".join(pieces), error
            if not piece:
                return b"".join(pieces), None
            pieces.append(piece)


def decoder(name: str) -> Any:
    return {
        "gzip": lambda: zlib.decompressobj(31),
        "bzip2": bz2.BZ2Decompressor,
        "xz": lzma.LZMADecompressor,
        "zstd": lambda: zstandard.ZstdDecompressor().decompressobj(),
        "lz4": lz4.frame.LZ4FrameDecompressor,
    }[name]()


def byte_by_byte(name: str, stored: bytes) -> tuple[bytes, bool]:
    """The slow twin: what one member gives when the library is fed single bytes, and whether it ended well."""
    member = decoder(name)
    out = b""
    for index in range(len(stored)):
        try:
            out += member.decompress(stored[index : index + 1])
        except Exception:
            return out, False
        if member.eof:
            return out, index == len(stored) - 1
    return out, False


@pytest.mark.parametrize("name", COMPRESS)
@pytest.mark.parametrize("size", [0, 1, 100, 70_000, 3_000_000])
def test_reads_what_was_compressed(tmp_path: Path, name: str, size: int) -> None:
    data = text(size)
    path = tmp_path / "file.without.meaning"
    path.write_bytes(COMPRESS[name](data))
    with open_stream(path) as stream:
        assert stream.compression == ("plain" if name == "plain" else name)
        assert stream.read() == data
        assert stream.read() == b""
    assert read_all(path, 777) == (data, None)


@pytest.mark.parametrize("name", FORMATS)
def test_many_members_are_one_stream(tmp_path: Path, name: str) -> None:
    parts = [text(size, size) for size in (10, 0, 5_000, 100_000, 1)] * 5
    path = tmp_path / "file"
    path.write_bytes(b"".join(COMPRESS[name](part) for part in parts))
    assert read_all(path) == (b"".join(parts), None)


@pytest.mark.parametrize("name", ["gzip", "xz"])
def test_zero_padding_is_no_garbage(tmp_path: Path, name: str) -> None:
    path = tmp_path / "file"
    one, two = COMPRESS[name](b"one"), COMPRESS[name](b"two")
    path.write_bytes(one + bytes(512) + two + bytes(3_000_000))
    assert read_all(path) == (b"onetwo", None)


@pytest.mark.parametrize("name", FORMATS)
def test_garbage_behind_the_last_member(tmp_path: Path, name: str) -> None:
    path = tmp_path / "file"
    stored = COMPRESS[name](b"good")
    path.write_bytes(stored + b"<html>not found</html>")
    data, damage = read_all(path)
    assert data == b"good"
    assert damage is not None
    assert (damage.reason, damage.offset, damage.verified) == (f"garbage after {name}", len(stored), 4)


@pytest.mark.parametrize("name", FORMATS)
def test_cut_anywhere_gives_all_that_a_byte_by_byte_reading_gives(tmp_path: Path, name: str) -> None:
    first, second = text(30_000), text(90_000, 1)
    head = COMPRESS[name](first)
    stored = COMPRESS[name](second)
    path = tmp_path / "file"
    generator = random.Random(name)
    for cut in [1, 4, 9, len(stored) - 1, len(stored) - 4, *generator.sample(range(10, len(stored) - 9), 12)]:
        path.write_bytes(head + stored[:cut])
        data, damage = read_all(path)
        assert damage is not None
        assert data.startswith(first)
        assert damage.member == len(head)
        assert damage.verified == len(first)
        if cut >= 10:
            assert data[len(first) :] == byte_by_byte(name, stored[:cut])[0]
            assert (damage.reason, damage.offset) == (f"truncated {name}", len(head) + cut)


@pytest.mark.parametrize("name", FORMATS)
def test_a_flipped_bit_gives_all_that_a_byte_by_byte_reading_gives(tmp_path: Path, name: str) -> None:
    head, stored = COMPRESS[name](b"whole"), COMPRESS[name](text(300_000))
    path = tmp_path / "file"
    generator = random.Random(name)
    found = 0
    for place in generator.sample(range(10, len(stored)), 12):
        broken = bytearray(stored)
        broken[place] ^= 1 << generator.randrange(8)
        expected, sound = byte_by_byte(name, bytes(broken))
        path.write_bytes(head + broken)
        data, damage = read_all(path)
        if sound:
            continue
        found += 1
        assert damage is not None
        assert data == b"whole" + expected
        assert damage.member == len(head)
        assert damage.offset >= len(head)
    assert found > 6


@given(
    parts=st.lists(st.binary(max_size=400), min_size=1, max_size=6),
    cut=st.floats(0, 1),
    size=st.integers(1, 50),
    slice_bytes=st.sampled_from([1, 3, 64, 65536]),
)
def test_any_slice_size_gives_the_same(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], cut: float, size: int, slice_bytes: int
) -> None:
    stored = b"".join(COMPRESS["gzip"](part) for part in parts)
    path = tmp_path_factory.mktemp("cut") / "file"
    path.write_bytes(stored[: 2 + int(cut * (len(stored) - 2))])
    expected, damage = read_all(path)
    assert b"".join(parts).startswith(expected)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compression, "SLICE", slice_bytes)
        patch.setattr(compression, "PIECE", 7)
        found, found_damage = read_all(path, size)
    assert found == expected
    assert str(found_damage) == str(damage)


def test_read_without_a_size_does_not_hide_damage(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(text(100_000))[:-20])
    with open_stream(path) as stream, pytest.raises(TruncatedStream) as caught:
        stream.read()
    assert len(caught.value.partial) > 90_000
    assert text(100_000).startswith(caught.value.partial)


def test_serves_libraries_that_want_a_file(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("name")
        info.size = 5
        archive.addfile(info, io.BytesIO(b"hello"))
    path = tmp_path / "file"
    path.write_bytes(bz2.compress(buffer.getvalue()))
    with open_stream(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        member = archive.next()
        assert member is not None
        extracted = archive.extractfile(member)
        assert extracted is not None
        assert extracted.read() == b"hello"
    with open_stream(path) as stream, io.BufferedReader(stream) as lines:
        assert lines.read(4) == b"name"


def test_find_member(tmp_path: Path) -> None:
    records = [gzip.compress(b"WARC/1.0 %d" % number, mtime=0) for number in range(4)]
    path = tmp_path / "file"
    path.write_bytes(b"\x1f\x8b\x08 magic alone" + b"".join(records))
    starts = [15 + len(b"".join(records[:number])) for number in range(4)]
    assert path.read_bytes()[15:18] == b"\x1f\x8b\x08"
    assert find_member(path, 0, b"WARC/") == starts[0]
    assert find_member(path, starts[0] + 1, b"WARC/") == starts[1]
    assert find_member(path, starts[3] + 1, b"WARC/") is None
    assert find_member(path, 0, b"other") is None
    assert find_member(path, 10_000, b"WARC/") is None
    with open_stream(path, starts[2]) as stream:
        assert stream.read() == b"WARC/1.0 2WARC/1.0 3"


def test_sniff_by_content_only() -> None:
    assert sniff(b"BZhang is a name") == "plain"
    assert sniff(b"BZh9 is a name, too") == "plain"
    assert sniff(b"") == "plain"
    assert sniff(b"\x50\x2a\x4d\x18\x04\x00\x00\x00") == "zstd"
    assert sniff(bz2.compress(b"")[:10]) == "bzip2"


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        open_stream(tmp_path / "nowhere")
    with pytest.raises(DataError, match="cannot read"):
        open_stream(tmp_path)
