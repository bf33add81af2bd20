"""HTTP and HTTPS, by urllib3 and not by fsspec's own client: that one does not say whether a server has kept to a range
(one that has none sends all of the file each time), what a cut connection gave before it was cut, nor the version that
an answer is of.
"""

from __future__ import annotations

import contextlib
import netrc
import re
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from corpus.errors import DataError, UsageError
from corpus.remote.attempts import StatusError, changed, is_gone
from corpus.remote.entry import RemoteEntry
from corpus.remote.url import join_url, shown_url
from corpus.version import __version__

if TYPE_CHECKING:
    import urllib3

USER_AGENT = f"corpusmill/{__version__}"
CONNECT_SECONDS = 20.0
READ_SECONDS = 60.0
"""How long a server may say nothing before it is asked again."""
_PIECE = 1 << 18
_CONNECTIONS = 16
_LINK = re.compile(r"""<a\s[^>]*href\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)


class HttpTransport:
    """Files on web servers. Of a folder its index page is read, as Apache and nginx make one."""

    @cached_property
    def _pool(self) -> urllib3.PoolManager:
        import urllib3

        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
        # only redirects are followed in there: what fails is made again by `attempts.py`
        tries = urllib3.Retry(total=None, connect=0, read=0, status=0, other=0, redirect=10)
        options: dict[str, Any] = {
            "timeout": timeout,
            "retries": tries,
            "maxsize": _CONNECTIONS,
            "headers": {"User-Agent": USER_AGENT},
        }
        proxy = urllib.request.getproxies().get("https") or urllib.request.getproxies().get("http")
        return urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)

    def entry(self, url: str) -> RemoteEntry | None:
        """The file at `url`, told by asking for its first byte; None where the URL ends as a folder's."""
        if urlsplit(url).path.endswith("/") or not urlsplit(url).path:
            return None
        with self._answer(url, {"Range": "bytes=0-0"}) as answer:
            ranges = answer.status in (206, 416)
            size = _whole_size(answer) if ranges else answer.headers.get("Content-Length")
            if size is None or not str(size).isdigit():
                raise DataError(f"the server does not say how large {shown_url(url)} is: save it as a file first.")
            return RemoteEntry(url, int(size), _version(answer), ranges)

    def below(self, url: str) -> list[RemoteEntry]:
        """The files that the index page of a folder, and those of the folders in it, link to."""
        files: list[str] = []
        folders = [url.rstrip("/") + "/"]
        seen: set[str] = set()
        while folders:
            folder = folders.pop()
            if folder in seen:
                continue
            seen.add(folder)
            try:
                links = self._links(folder)
            except StatusError as error:
                if is_gone(error) and not files:
                    return []
                raise
            for link in links:
                (folders if link.endswith("/") else files).append(link)
        wanted = list(dict.fromkeys(files))
        with ThreadPoolExecutor(_CONNECTIONS) as threads:
            return [entry for entry in threads.map(self.entry, wanted) if entry is not None]

    def matching(self, pattern: str) -> list[RemoteEntry]:
        """Web servers know no patterns."""
        raise UsageError(f"{shown_url(pattern)} is a pattern, which web servers do not know: give files or a folder.")

    def read(self, entry: RemoteEntry, start: int, stop: int) -> Iterator[bytes]:
        """A range. Of a server without ranges what comes before is passed over."""
        if start >= stop:
            return
        whole = start == 0 and stop >= entry.size
        headers = {} if whole else {"Range": f"bytes={start}-{stop - 1}"}
        with self._answer(entry.url, headers) as answer:
            if answer.status == 416:
                return
            if _version(answer) != entry.version:
                raise changed(entry.url)
            if answer.status == 206 and _whole_size(answer) not in (None, str(entry.size)):
                raise changed(entry.url)
            passed_over = 0 if answer.status == 206 else start
            left = stop - start
            for piece in answer.stream(_PIECE, decode_content=False):
                passed = min(passed_over, len(piece))
                passed_over -= passed
                wanted = piece[passed : passed + left]
                left -= len(wanted)
                if wanted:
                    yield wanted
                if not left:
                    return

    def text(self, url: str) -> str:
        """A small page or list."""
        with self._answer(url, {}) as answer:
            return answer.read(decode_content=True).decode("utf-8", "replace")

    def put(self, path: Path, url: str) -> None:
        """Web servers take no files."""
        raise UsageError(
            f"nothing can be written to {shown_url(url)}: give a URL of an object store, as s3://bucket/name."
        )

    def remove(self, url: str) -> None:
        """Web servers take no orders."""
        raise UsageError(f"nothing can be removed from {shown_url(url)}: give a URL of an object store.")

    def _links(self, folder: str) -> list[str]:
        found = []
        for link in _LINK.findall(self.text(folder)):
            target = urljoin(folder, link.partition("#")[0].partition("?")[0])
            name = target[len(folder) :]
            if target.startswith(folder) and name and not name.startswith("."):
                found.append(join_url(folder, name) if not name.endswith("/") else target)
        return found

    @contextlib.contextmanager
    def _answer(self, url: str, headers: dict[str, str]) -> Iterator[urllib3.BaseHTTPResponse]:
        """The answer to a GET, its body not read; a StatusError where it is no success."""
        sent = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"} | headers | _login(url)
        answer = self._pool.request("GET", url, headers=sent, preload_content=False)
        try:
            if answer.status not in (200, 206, 416):
                wait = answer.headers.get("Retry-After", "")
                raise StatusError(answer.status, float(wait) if wait.isdigit() else 0.0)
            yield answer
        finally:
            # what is left of a body makes the connection useless for the next request
            answer.close() if answer.length_remaining else answer.release_conn()


def _login(url: str) -> dict[str, str]:
    """The header of the login that ~/.netrc has for a host."""
    import urllib3

    try:
        found = netrc.netrc().authenticators(urlsplit(url).hostname or "")
    except (OSError, netrc.NetrcParseError):
        return {}
    return urllib3.make_headers(basic_auth=f"{found[0]}:{found[2]}") if found else {}


def _version(answer: urllib3.BaseHTTPResponse) -> str:
    return (answer.headers.get("ETag") or answer.headers.get("Last-Modified") or "").strip('"')


def _whole_size(answer: urllib3.BaseHTTPResponse) -> str | None:
    """The size of the whole file that an answer of a range names."""
    size = answer.headers.get("Content-Range", "").rpartition("/")[2]
    return size if size.isdigit() else None
