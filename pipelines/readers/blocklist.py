"""Lists of hosts and URLs whose pages are not wanted, in the form of UT1: folders with files `domains` and `urls`, or files
of one host or URL a line.

A host blocks those below it (`example.org` blocks `www.example.org`), but a public suffix only itself: an entry `github.io`
does not block all sites there.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import tld

from corpus.errors import UsageError

_FILES = ("domains", "urls")


@dataclass(frozen=True, slots=True)
class Blocklist:
    """Hosts, and URLs as `host/path` without a scheme."""

    hosts: frozenset[str]
    urls: frozenset[str]

    def blocks(self, url: str | None) -> bool:
        """Whether the page of a URL is not wanted."""
        host, path = _parts(url or "")
        if not host:
            return False
        names = hosts_above(host)
        if any(name in self.hosts for name in names):
            return True
        if not self.urls:
            return False
        segments = path.strip("/").split("/") if path.strip("/") else []
        tails = ["/".join(segments[:number]) for number in range(1, len(segments) + 1)]
        return any(f"{name}/{tail}" in self.urls for name in names for tail in tails)


def read_blocklist(paths: Iterable[str]) -> Blocklist:
    """The entries of all files. Lines that begin with `#` are comments; a UsageError for what cannot be read."""
    hosts, urls = set(), set()
    for path in blocklist_files(paths):
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            raise UsageError(f"the blocklist {path} cannot be read ({error.strerror}): check the path.") from None
        for line in lines:
            entry = line.strip()
            if not entry or entry.startswith("#"):
                continue
            host, path_of_entry = _parts(entry)
            tail = path_of_entry.strip("/")
            if host and tail:
                urls.add(f"{host}/{tail}")
            elif host:
                hosts.add(host)
    return Blocklist(frozenset(hosts), frozenset(urls))


@functools.lru_cache(maxsize=4)
def cached_blocklist(paths: tuple[str, ...]) -> Blocklist:
    """The blocklist, read once a process."""
    return read_blocklist(paths)


def blocklist_files(paths: Iterable[str]) -> list[Path]:
    """The files that `paths` name: files, or the files `domains` and `urls` at or below folders."""
    found: list[Path] = []
    for name in paths:
        path = Path(name)
        if path.is_dir():
            below = sorted(entry for entry in path.rglob("*") if entry.name in _FILES and entry.is_file())
            if not below:
                raise UsageError(
                    f"the blocklist {name} holds no file 'domains' or 'urls': give a file, or such a folder."
                )
            found += below
        elif path.is_file():
            found.append(path)
        else:
            raise UsageError(f"the blocklist {name} does not exist: check the path.")
    return found


@functools.lru_cache(maxsize=1 << 16)
def hosts_above(host: str) -> tuple[str, ...]:
    """The host, and those above it down to the domain that somebody registered below a public suffix."""
    labels = host.split(".")
    if host.replace(".", "").isdigit() or ":" in host:  # an address
        return (host,)
    found = tld.get_fld(f"http://{host}", fail_silently=True, search_private=True)
    known = found or tld.get_tld(f"http://{host}", fail_silently=True, search_private=True)
    kept = len(found.split(".")) if found else len(labels) if known else 2  # of an unknown suffix one label is public
    return tuple(".".join(labels[number:]) for number in range(max(0, len(labels) - kept) + 1))


def _parts(url: str) -> tuple[str, str]:
    """Host, in lower-case ASCII without port, and path of a URL, which may lack its scheme."""
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
        host = (parts.hostname or "").rstrip(".")
    except ValueError:  # such as an unclosed IPv6 bracket
        return "", ""
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            pass
    return host, parts.path
