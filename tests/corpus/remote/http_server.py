"""A web server whose faults are chosen, and which counts what it was asked for."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit


@dataclass
class Faults:
    """What the server does wrong."""

    unavailable: int = 0
    """So many requests are answered by 503."""
    cut_after: int = 0
    """Bytes of a body after which the connection is cut, `cuts` times."""
    cuts: int = 0
    ranges: bool = True
    too_long: int = 0
    """Bytes that it says there are and that do not come."""
    pause: float = 0.0
    """Seconds before each answer."""
    forbidden: bool = False
    etags: bool = True
    agents: set[str] = field(default_factory=set)
    asked: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass
class Server:
    """A running server."""

    url: str
    root: Path
    faults: Faults


@contextmanager
def serving(root: Path, faults: Faults | None = None) -> Iterator[Server]:
    """Serve the files below `root`."""
    chosen = faults or Faults()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            path = root / unquote(urlsplit(self.path).path).lstrip("/")
            with chosen.lock:
                chosen.asked[urlsplit(self.path).path] += 1
                chosen.agents.add(self.headers.get("User-Agent", ""))
                failing = chosen.unavailable > 0
                chosen.unavailable -= failing
            time.sleep(chosen.pause)
            if failing:
                self.answer(503, b"busy", {"Retry-After": "0"})
            elif chosen.forbidden:
                self.answer(403, b"", {})
            elif path.is_dir():
                names = sorted(p.name + "/" * p.is_dir() for p in path.iterdir())
                page = "".join(f'<a href="{quote(name)}">{name}</a>\n' for name in ("../", *names))
                self.answer(200, page.encode(), {"Content-Type": "text/html"})
            elif path.is_file():
                self.give(path)
            else:
                self.answer(404, b"", {})

        def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def give(self, path: Path) -> None:
            data = path.read_bytes()
            wanted = self.headers.get("Range", "")
            start, stop, status = 0, len(data), 200
            if wanted and chosen.ranges:
                first, last = wanted.removeprefix("bytes=").split("-")
                start, stop, status = int(first), min(int(last) + 1, len(data)), 206
                if start >= len(data):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(data)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
            body = data[start:stop]
            self.send_response(status)
            if status == 206:
                self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data) + chosen.too_long}")
            self.send_header("Content-Length", str(len(body) + chosen.too_long * (stop == len(data) and len(body) > 1)))
            if chosen.etags:
                self.send_header("ETag", f'"{path.stat().st_mtime_ns:x}"')
            self.end_headers()
            with chosen.lock:
                cut = chosen.cuts > 0 and len(body) > chosen.cut_after
                chosen.cuts -= cut
                body = body[: chosen.cut_after] if cut else body
                chosen.sent += len(body)
            self.wfile.write(body)
            if cut or chosen.too_long:
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield Server(f"http://127.0.0.1:{server.server_address[1]}", root, chosen)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
