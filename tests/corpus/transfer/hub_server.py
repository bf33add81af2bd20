"""A hub of data sets in memory: as much of its interface as pushing and pulling asks for."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


class Hub:
    """Its data sets: the files of each by name; and the messages of all commits."""

    def __init__(self) -> None:
        self.url = ""
        self.repos: dict[str, dict[str, bytes]] = {}
        self.commits: list[tuple[str, list[str]]] = []
        self.fail_commits = 0
        self.tokens: set[str] = set()


def _info(name: str, data: bytes) -> dict[str, object]:
    return {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}


@contextmanager
def serving_hub() -> Iterator[Hub]:
    """Run a hub."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            if "Content-Length" not in (headers or {}):
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def _json(self, value: object, status: int = 200) -> None:
            error = {"X-Error-Code": "RepoNotFound"} if status == 404 else {}
            self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json", **error})

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") == "chunked":
                pieces = []
                while size := int(self.rfile.readline(), 16):
                    pieces.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(pieces)
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def do_GET(self) -> None:
            hub.tokens.add(self.headers.get("Authorization", ""))
            parts = urlsplit(self.path)
            path = [unquote(part) for part in parts.path.strip("/").split("/")]
            if path[:2] == ["api", "datasets"]:
                files = hub.repos.get("/".join(path[2:4]))
                if files is None:
                    self._json({"error": "no such repo"}, 404)
                elif len(path) > 4 and path[4] == "tree":
                    folder = "/".join(path[6:])
                    recursive = parse_qs(parts.query).get("recursive", ["false"])[0].lower() == "true"
                    self._json(self._tree(files, folder, recursive))
                else:
                    siblings = [{"rfilename": name} for name in files]
                    self._json({"id": "/".join(path[2:4]), "sha": "0" * 40, "siblings": siblings, "private": True})
            elif path[0] == "datasets" and path[3] == "resolve":
                data = hub.repos.get("/".join(path[1:3]), {}).get("/".join(path[5:]))
                if data is None:
                    self._json({"error": "no such file"}, 404)
                    return
                headers = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": "0" * 40}
                wanted = self.headers.get("Range", "")
                status = 200
                if wanted and self.command == "GET":
                    first, last = wanted.removeprefix("bytes=").split("-")
                    stop = min(int(last) + 1 if last else len(data), len(data))
                    headers["Content-Range"] = f"bytes {first}-{stop - 1}/{len(data)}"
                    data, status = data[int(first) : stop], 206
                self._send(status, data, headers | {"Content-Length": str(len(data))})
            else:
                self._json({"error": self.path}, 404)

        do_HEAD = do_GET

        def _tree(self, files: dict[str, bytes], folder: str, recursive: bool) -> list[dict[str, object]]:
            prefix = f"{folder}/" if folder else ""
            found: dict[str, dict[str, object]] = {}
            for name, data in files.items():
                if not name.startswith(prefix):
                    continue
                rest = name[len(prefix) :].split("/")
                for depth in range(1, len(rest)):
                    above = prefix + "/".join(rest[:depth])
                    if recursive or depth == 1:
                        found.setdefault(above, {"type": "directory", "path": above, "oid": "0" * 40, "size": 0})
                if recursive or len(rest) == 1:
                    found[name] = _info(name, data)
            return list(found.values())

        def do_POST(self) -> None:
            hub.tokens.add(self.headers.get("Authorization", ""))
            body = self._body()
            path = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
            if path == ["api", "repos", "create"]:
                value = json.loads(body)
                owner = value.get("organization") or "someone"
                name = f"{owner}/{value['name']}"
                known = name in hub.repos
                hub.repos.setdefault(name, {})
                self._json({"url": f"{hub.url}/datasets/{name}", "id": name}, 409 if known else 200)
                return
            files = hub.repos.get("/".join(path[2:4]), {})
            if path == ["api", "validate-yaml"]:
                self._json({"errors": [], "warnings": []})
                return
            if len(path) < 5:
                self._json({"error": self.path}, 404)
                return
            if path[4] == "preupload":
                wanted = json.loads(body)["files"]
                modes = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in wanted]
                self._json({"files": modes})
            elif path[4] == "paths-info":
                names = json.loads(body)["paths"] if body[:1] == b"{" else parse_qs(body.decode())["paths"]
                found = []
                for name in names:
                    if name in files:
                        found.append(_info(name, files[name]))
                    elif any(file.startswith(name + "/") for file in files):
                        found.append({"type": "directory", "path": name, "oid": "0" * 40, "size": 0})
                self._json(found)
            elif path[4] == "commit":
                if hub.fail_commits:
                    hub.fail_commits -= 1
                    self._json({"error": "busy"}, 503)
                    return
                message, changed = "", []
                for line in body.splitlines():
                    entry = json.loads(line)
                    value = entry["value"]
                    if entry["key"] == "header":
                        message = value["summary"]
                    elif entry["key"] == "file":
                        files[value["path"]] = base64.b64decode(value["content"])
                        changed.append(value["path"])
                    elif entry["key"] == "deletedFile":
                        del files[value["path"]]
                        changed.append("-" + value["path"])
                hub.commits.append((message, changed))
                self._json({"commitUrl": f"{hub.url}/datasets/x/y/commit/{'0' * 40}", "commitOid": "0" * 40})
            else:
                self._json({"error": self.path}, 404)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
