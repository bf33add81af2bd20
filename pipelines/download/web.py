"""Manners on the web: who we are, how often we ask, and what a host's robots.txt wants to be left alone."""

from __future__ import annotations

import bz2
import gzip
import threading
import time
import urllib.robotparser
from collections import defaultdict
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from corpus.errors import DataError
from corpus.remote.attempts import retried
from corpus.remote.entry import RemoteEntry
from corpus.remote.http import USER_AGENT
from corpus.remote.source import fetch
from corpus.remote.transport import Transport, entry_or_none, transport_of
from corpus.remote.url import HTTP, host_of, scheme_of, shown_url

_AGENT = USER_AGENT.partition("/")[0]


@dataclass
class Web:
    """Everything that a download asks for goes through here. `rate` are requests a second to one host, by all threads
    together; a Crawl-delay that robots.txt asks for is kept where that is slower."""

    rate: float
    requester_pays: bool = False
    _next: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _robots: dict[str, urllib.robotparser.RobotFileParser | None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def transport(self, url: str) -> Transport:
        """What speaks a URL's scheme; for S3 with the consent to pay for what is fetched, where that was given."""
        if self.requester_pays and scheme_of(url) == "s3":
            from corpus.remote.store import StoreTransport

            return StoreTransport("s3", requester_pays=True)
        return transport_of(url)

    def wait(self, url: str) -> None:
        """Wait until the host may be asked again."""
        host = host_of(url)
        robots = self._robots.get(host)
        asked = robots.crawl_delay(_AGENT) if robots is not None else None
        pause = max(1 / self.rate, float(asked or 0))
        with self._lock:
            at = max(time.monotonic(), self._next[host])
            self._next[host] = at + pause
        time.sleep(max(0.0, at - time.monotonic()))

    def entry(self, url: str) -> RemoteEntry | None:
        """The file at a URL as its server tells it now; None where nothing is."""
        transport = self.transport(url)

        def ask() -> RemoteEntry | None:
            self.wait(url)
            return entry_or_none(transport, url)

        return retried(url, ask)

    def below(self, url: str) -> list[RemoteEntry]:
        """All files below a URL."""
        self.wait(url)
        return retried(url, lambda: self.transport(url).below(url))

    def read(self, url: str) -> bytes:
        """A list or page of a source, decompressed; a DataError where it is not there."""
        entry = self.entry(url)
        if entry is None:
            raise DataError(f"{shown_url(url)} does not exist: check the options, or --base.")
        self.wait(url)
        data = b"".join(fetch(self.transport(url), entry, 0, entry.size))
        if data[:2] == b"\x1f\x8b":
            return gzip.decompress(data)
        return bz2.decompress(data) if data[:3] == b"BZh" else data

    def page(self, url: str) -> str:
        """A page, of which the server need not say how large it is."""
        from corpus.remote.http import HttpTransport

        transport = HttpTransport()

        def ask() -> str:
            self.wait(url)
            return transport.text(url)

        return retried(url, ask)

    def allowed(self, url: str) -> bool:
        """Whether the host's robots.txt lets us have a URL; one that is not there lets us have all."""
        if scheme_of(url) not in HTTP:
            return True
        host = host_of(url)
        with self._lock:
            known = host in self._robots
        if not known:
            found = self._read_robots(f"{scheme_of(url)}://{urlsplit(url).netloc}/robots.txt")
            with self._lock:
                self._robots[host] = found
        robots = self._robots[host]
        return robots is None or robots.can_fetch(_AGENT, url)

    def _read_robots(self, url: str) -> urllib.robotparser.RobotFileParser | None:
        entry = self.entry(url)
        if entry is None:
            return None
        parser = urllib.robotparser.RobotFileParser(url)
        text = b"".join(fetch(self.transport(url), entry, 0, entry.size)).decode("utf-8", "replace")
        parser.parse(text.splitlines())
        return parser
