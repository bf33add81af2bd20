"""Files whose bytes are known: the digests of their blocks, and readers that check what they give out.

A file is checked in blocks of its bytes, whatever is in it: so pages, their headers, footers and what lies between them
are covered alike, a task that reads a part of a file checks little more than that part, and a mapped file is checked
where it is used. A file has at most 32 blocks, which are as small as that allows: 8 MiB for a file of 256 MB, 64 KiB for
one up to 2 MiB. The digest of a block is the xxh3-64 of the xxh3-64s of its parts of 64 KiB, so that it can be made while
a file is written whose size is not yet known.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xxhash

from corpus.errors import DataError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

PART_BYTES = 1 << 16
MOST_BLOCKS = 32
_BUFFER = 1 << 18


def block_bytes(size: int) -> int:
    """Bytes of the blocks of a file of `size` bytes: a power of two, at least `PART_BYTES`. The last block has what is
    left."""
    length = PART_BYTES
    while length * MOST_BLOCKS < size:
        length *= 2
    return length


class DamagedFileError(DataError):
    """A file whose bytes are not those that were written. `path` is the file, `how` what is wrong with it."""

    path = Path()
    how = ""


@dataclass(frozen=True)
class Digests:
    """What is known of the bytes of a file: their number, the xxh3-128 of all, and the digests of its blocks, one after
    the other, 16 hexadecimal digits each."""

    size: int
    checksum: str
    blocks: str

    @classmethod
    def of(cls, path: Path) -> Digests:
        """Those of the file as it is now, which is read once."""
        hasher = Hasher()
        room = memoryview(bytearray(_BUFFER))
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(room):
                hasher.update(room[:count])
        return hasher.digests()


class Hasher:
    """Makes the digests of bytes that go by."""

    def __init__(self) -> None:
        self.bytes = 0
        self._whole = xxhash.xxh3_128()
        self._begun = xxhash.xxh3_64()
        self._parts = bytearray()

    def update(self, data: ReadableBuffer) -> None:
        """Take the next bytes."""
        view = memoryview(data).cast("B")
        self._whole.update(view)
        at = 0
        if self.bytes % PART_BYTES:
            at = min(PART_BYTES - self.bytes % PART_BYTES, len(view))
            self._begun.update(view[:at])
            if (self.bytes + at) % PART_BYTES == 0:
                self._end_part()
        end = at + (len(view) - at) // PART_BYTES * PART_BYTES
        self._parts += _part_digests(view[at:end])
        if end < len(view):
            self._begun.update(view[end:])
        self.bytes += len(view)

    def _end_part(self) -> None:
        self._parts += self._begun.digest()
        self._begun.reset()

    def digests(self) -> Digests:
        """Those of all bytes; there are no more to come."""
        if self.bytes % PART_BYTES:
            self._end_part()
        step = block_bytes(self.bytes) // PART_BYTES * 8
        blocks = (xxhash.xxh3_64_hexdigest(self._parts[at : at + step]) for at in range(0, len(self._parts), step))
        return Digests(self.bytes, self._whole.hexdigest(), "".join(blocks))


def _part_digests(data: memoryview) -> bytes:
    """The xxh3-64 of each part, 8 bytes each."""
    return b"".join(xxhash.xxh3_64_digest(data[at : at + PART_BYTES]) for at in range(0, len(data), PART_BYTES))


class HashingSink(io.RawIOBase):
    """Writes to a file what it makes the digests of."""

    def __init__(self, file: io.FileIO) -> None:
        self.hasher = Hasher()
        self._file = file

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of `data`."""
        rest = memoryview(data).cast("B")
        self.hasher.update(rest)
        size = len(rest)
        while rest:
            rest = rest[self._file.write(rest) :]
        return size

    def tell(self) -> int:
        return self.hasher.bytes

    def writable(self) -> bool:
        return True


@dataclass(frozen=True)
class StoredFile:
    """A file and what is known of its bytes. `remedy` says what makes it again, as in "…: run the command again"."""

    path: Path
    size: int
    blocks: str
    remedy: str

    @classmethod
    def of(cls, path: Path, digests: Digests, remedy: str) -> StoredFile:
        return cls(path, digests.size, digests.blocks, remedy)

    def check_size(self) -> None:
        """A DamagedFileError if it is not there or has another size."""
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            raise self.damaged("it is missing") from None
        if size != self.size:
            raise self.damaged(f"it has {size:,} bytes and not {self.size:,}")

    def open(self) -> CheckedFile:
        """A reader of its bytes."""
        return CheckedFile(self)

    def read(self) -> bytes:
        """All of its bytes."""
        with self.open() as file:
            return file.read()

    def check(self) -> None:
        """Read it once; a DamagedFileError if it is not as it was written."""
        with self.open() as file:
            file.check()

    def check_block(self, number: int, data: ReadableBuffer) -> None:
        """A DamagedFileError if `data` is not what was written as this block."""
        self.check_parts(number, _part_digests(memoryview(data).cast("B")))

    def check_parts(self, number: int, digests: bytes) -> None:
        """A DamagedFileError if the parts of a block do not have these digests."""
        found = xxhash.xxh3_64_digest(digests)
        if found != self._expected[number * 8 : number * 8 + 8]:
            begin = number * self.block_bytes
            last = min(begin + self.block_bytes, self.size) - 1
            raise self.damaged(f"some of its bytes {begin:,} to {last:,} are not those that were written")

    def damaged(self, how: str) -> DamagedFileError:
        """The error that names the file, what is wrong with it, and the remedy."""
        error = DamagedFileError(f"{self.path} is damaged ({how}): {self.remedy}.")
        error.path, error.how = self.path, how
        return error

    @cached_property
    def block_bytes(self) -> int:
        """Bytes of each block."""
        return block_bytes(self.size)

    @cached_property
    def _expected(self) -> bytes:
        digests = bytes.fromhex(self.blocks)
        assert len(digests) == -(-self.size // self.block_bytes) * 8, f"{self.path}: a digest for each block"
        return digests

    def values(self, dtype: npt.DTypeLike, begin: int = 0, end: int | None = None) -> npt.NDArray[Any]:
        """The values [begin, end) of a file of bare values; all from `begin` on without an `end`."""
        item = np.dtype(dtype).itemsize
        out = np.empty((self.size // item if end is None else end) - begin, dtype)
        with self.open() as file:
            file.seek(begin * item)
            if file.readinto(out.view(np.uint8).data) < out.nbytes:
                raise self.damaged("it is too short for what it holds")
        return out

    def array(self) -> npt.NDArray[Any]:
        """The array of a .npy file, in memory."""
        with self.open() as file:
            return np.asarray(np.load(file))

    def mapped(self) -> npt.NDArray[Any]:
        """The array of a .npy file, mapped. All of it is checked when a process asks for the first time."""
        state = self.path.stat() if self.path.exists() else None
        _check_once(self, (state.st_mtime_ns, state.st_ino) if state is not None else None)
        return np.asarray(np.load(self.path, mmap_mode="r"))


class CheckedFile(io.RawIOBase):
    """A file opened for reading. Each block is checked when it is first read and at every later time that it is read
    again; two that were read in part are kept, so that what is read piece by piece is read once."""

    def __init__(self, stored: StoredFile) -> None:
        self.stored = stored
        self.size = stored.size
        self._block_bytes = stored.block_bytes
        self._at = 0
        self._kept: dict[int, memoryview] = {}
        stored.check_size()
        self._file = stored.path.open("rb", buffering=0)

    def parts(self, begin: int, end: int) -> Iterator[memoryview]:
        """The bytes from `begin` to `end`, a block or a part of one at a time; each is good until the next."""
        while begin < end:
            number, first = divmod(begin, self._block_bytes)
            block = self._block(number)
            part = block[first : first + end - begin]
            yield part
            begin += len(part)

    def _block(self, number: int) -> memoryview:
        block = self._kept.get(number)
        if block is None:
            reused = self._kept.pop(next(iter(self._kept))) if len(self._kept) == 2 else None
            room = reused.obj if reused is not None else bytearray(min(self._block_bytes, self.size))
            block = memoryview(room)[: min(self._block_bytes, self.size - number * self._block_bytes)]
            self._read_block(number, block)
            self._kept[number] = block
        return block

    def _read_block(self, number: int, out: memoryview) -> None:
        digests = bytearray()
        # some parts at a time: they are hashed while they are in the processor's cache
        for at in range(0, len(out), _BUFFER):
            some = out[at : at + _BUFFER]
            self._fill(number * self._block_bytes + at, some)
            digests += _part_digests(some)
        self.stored.check_parts(number, bytes(digests))

    def _fill(self, offset: int, out: memoryview) -> None:
        done = 0
        while done < len(out):
            count = os.preadv(self._file.fileno(), [out[done:]], offset + done)
            if not count:
                raise self.stored.damaged("it was cut short")
            done += count

    def check(self) -> None:
        """Check all blocks, keeping nothing of them."""
        room = memoryview(bytearray(min(_BUFFER, self.size)))
        for number in range(-(-self.size // self._block_bytes)):
            begin = number * self._block_bytes
            end = min(begin + self._block_bytes, self.size)
            digests = bytearray()
            for at in range(begin, end, _BUFFER):
                some = room[: min(_BUFFER, end - at)]
                self._fill(at, some)
                digests += _part_digests(some)
            self.stored.check_parts(number, bytes(digests))

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill `buffer` from the position on, as far as the file goes."""
        out = memoryview(buffer).cast("B")
        end = min(self._at + len(out), self.size)
        count, done = max(0, end - self._at), 0
        while done < count:
            number, first = divmod(self._at + done, self._block_bytes)
            size = min(self._block_bytes, self.size - number * self._block_bytes)
            if first == 0 and size <= count - done and number not in self._kept:
                self._read_block(number, out[done : done + size])
            else:
                part = self._block(number)[first : first + count - done]
                size = len(part)
                out[done : done + size] = part
            done += size
        self._at += count
        return count

    def read(self, size: int | None = -1, /) -> bytes:
        """The next `size` bytes, or all that are left."""
        left = max(0, self.size - self._at)
        room = bytearray(left if size is None or size < 0 else min(size, left))
        self.readinto(room)
        return bytes(room)

    def read_buffer(self, size: int) -> Any:
        """The same for Arrow, which takes the bytes as they are, without a copy."""
        import pyarrow as pa

        room = bytearray(min(size, max(0, self.size - self._at)))
        self.readinto(room)
        return pa.py_buffer(room)

    def part(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset` on, all of which the file has; the position stays."""
        return b"".join(map(bytes, self.parts(offset, offset + length)))

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._kept.clear()
        if hasattr(self, "_file"):  # it failed to open
            self._file.close()
        super().close()


@lru_cache(maxsize=1024)
def _check_once(stored: StoredFile, state: tuple[int, int] | None) -> None:
    """`check`; the time of change and the number of the file tell whether what was found still holds."""
    stored.check()
