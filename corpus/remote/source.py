"""One remote file as a task reads it: from the store in blocks, ahead of need, with its digest on the way."""

from __future__ import annotations

import io
import time
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import xxhash

from corpus.errors import DataError, UsageError
from corpus.remote.attempts import ATTEMPTS, ChangedError, ShortError, changed, delay, is_transient, retried, said
from corpus.remote.entry import RemoteEntry
from corpus.remote.transport import Transport, transport_of

BLOCK = 4 << 20
"""Bytes of a request."""
AHEAD = 3
"""Blocks that are asked for before they are needed, where a file is read from front to back."""
_KEPT = 4
_PROGRESS = 1 << 16
"""Bytes after which an attempt counts as one that succeeded in part: a slow line is no dead one."""


def fetch(transport: Transport, entry: RemoteEntry, start: int, stop: int) -> Iterator[bytes]:
    """Bytes `start` to `stop` of a file. What fails is asked for again from where it broke off; errors are said in words."""
    failures = 0
    at = start
    with said(entry.url):
        while at < stop:
            begun = at
            try:
                for piece in transport.read(entry, at, stop):
                    at += len(piece)
                    yield piece
                if at < stop:
                    raise ShortError(f"{at:,} of {entry.size:,} bytes came")
            except Exception as error:
                failures = failures + 1 if at - begun < _PROGRESS else 1
                if failures >= ATTEMPTS or not is_transient(error):
                    raise
                time.sleep(delay(failures, error))


class RemoteSource:
    """A remote file while a task reads it. All that is opened of it shares blocks and digest.

    A store without ranges gives the file once, into `folder`. A failure of the network is kept: what a reader makes of it
    is no damage of the file.
    """

    def __init__(self, entry: RemoteEntry, folder: Path) -> None:
        self.entry = entry
        self.failure: Exception | None = None
        self._folder = folder
        self._transport = transport_of(entry.url)
        self._digest = xxhash.xxh3_128()
        self._digested = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._coming: dict[int, Future[bytes]] = {}
        self._threads: ThreadPoolExecutor | None = None
        self._last = -1
        self._requests = 0
        self._local: Path | None = None

    @property
    def _count(self) -> int:
        return -(-self.entry.size // BLOCK)

    def open(self) -> io.RawIOBase:
        """The file, readable from any place."""
        if not self.entry.ranges or self._local is not None:
            return self.fetched().open("rb", buffering=0)
        return _RemoteFile(self)

    def fetched(self) -> Path:
        """The file, fetched whole into the folder under a name of its own."""
        if self._local is None:
            target = self._folder / "remote"
            with self._noted(), target.open("wb") as file:
                for number in range(self._count if self.entry.ranges else 0):
                    file.write(self.block(number))
                if not self.entry.ranges:
                    self._requests += 1
                    for piece in fetch(self._transport, self.entry, 0, self.entry.size):
                        file.write(piece)
                        self._digest.update(piece)
                    self._digested = self._count
            self._local = target
        return self._local

    def block(self, number: int) -> bytes:
        """Block `number` of the file, and those after it asked for where the one before it was the last."""
        with self._noted():
            data = self._blocks.get(number)
            if data is None:
                coming = self._coming.pop(number, None)
                data = coming.result() if coming is not None else self._load(number)
                self._keep(number, data)
            if number == self._last + 1:
                self._ask_ahead(number)
            self._last = number
            return data

    def digest(self) -> str:
        """xxh3-128 of the whole file, as of a local one. What was not read is fetched; a file that another one was put in
        place of on the way is a ChangedError."""
        for number in range(self._digested, self._count):
            if self._digested == number:
                self.block(number)
        self.check_unchanged()
        return self._digest.hexdigest()

    def check_unchanged(self) -> None:
        """A ChangedError where the store has another version now than was listed; one request is of one version."""
        if self._requests > 1 and not self.entry.url.startswith("http"):
            now = retried(self.entry.url, lambda: self._transport.entry(self.entry.url))
            if now is None or now.identity != self.entry.identity:
                raise changed(self.entry.url)

    def close(self) -> None:
        """Give up what is under way."""
        for future in self._coming.values():
            future.cancel()
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
        self._blocks.clear()

    def _load(self, number: int) -> bytes:
        self._requests += 1
        start = number * BLOCK
        stop = min(start + BLOCK, self.entry.size)
        data = b"".join(fetch(self._transport, self.entry, start, stop))
        if len(data) != stop - start:
            raise changed(self.entry.url)
        return data

    def _keep(self, number: int, data: bytes) -> None:
        self._blocks[number] = data
        if len(self._blocks) > _KEPT:
            # the first block is read again by whatever looks at what a file is
            oldest = next(key for key in self._blocks if key not in (0, number))
            del self._blocks[oldest]
        while (following := self._blocks.get(self._digested)) is not None:
            self._digest.update(following)
            self._digested += 1

    def _ask_ahead(self, number: int) -> None:
        for following in range(number + 1, min(number + 1 + AHEAD, self._count)):
            if following not in self._blocks and following not in self._coming:
                self._threads = self._threads or ThreadPoolExecutor(AHEAD, thread_name_prefix="remote")
                self._coming[following] = self._threads.submit(self._load, following)
        for passed in [key for key in self._coming if not number < key <= number + AHEAD]:
            self._coming.pop(passed).cancel()

    @contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except (DataError, UsageError) as error:
            self.failure = self.failure or error
            raise


class _RemoteFile(io.RawIOBase):
    """A remote file as a file."""

    def __init__(self, source: RemoteSource) -> None:
        super().__init__()
        self._source = source
        self._at = 0
        self.name = source.entry.url.rpartition("/")[2]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._source.entry.size}[whence]
        if base + offset < 0:
            raise ValueError("negative seek position")
        self._at = base + offset
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; fewer only at the end."""
        stop = self._source.entry.size if size is None or size < 0 else min(self._at + size, self._source.entry.size)
        pieces = []
        while self._at < stop:
            number, offset = divmod(self._at, BLOCK)
            data = self._source.block(number)
            piece = data[offset : offset + stop - self._at] if offset or stop - self._at < len(data) else data
            pieces.append(piece)
            self._at += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)


@contextmanager
def opened_source(entry: RemoteEntry, folder: Path) -> Iterator[RemoteSource]:
    """A source for the time of a reading; a failure of the network is raised, whatever the reader made of it."""
    source = RemoteSource(entry, folder)
    try:
        yield source
    except ChangedError:
        raise
    except Exception:
        if source.failure is not None:
            raise source.failure from None
        raise
    finally:
        with suppress(OSError):
            source.close()
    if source.failure is not None:
        raise source.failure
