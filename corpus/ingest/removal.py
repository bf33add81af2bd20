"""Records that a corpus must not hold: by their ids, URLs or hosts. They are left out where raw files are read, so that
nothing that is made from them later holds any."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from corpus.data.files import digest_of, write_atomic
from corpus.errors import DataError, UsageError


@dataclass(frozen=True)
class Removal:
    """What is to be left out. Hosts stand for their subdomains, too."""

    ids: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()

    @classmethod
    def of(cls, ids: Iterable[str] = (), urls: Iterable[str] = (), hosts: Iterable[str] = ()) -> Removal:
        """From what people write: URLs with any scheme, hosts in any case."""
        return cls(frozenset(ids), frozenset(map(plain_url, urls)), frozenset(map(_host, hosts)))

    def __or__(self, other: Removal) -> Removal:
        return Removal(self.ids | other.ids, self.urls | other.urls, self.hosts | other.hosts)

    def __bool__(self) -> bool:
        return bool(self.ids or self.urls or self.hosts)

    @cached_property
    def digest(self) -> str:
        """Identity of the list."""
        return digest_of(self.to_json())

    def to_json(self) -> dict[str, list[str]]:
        """The contents of a file of removals."""
        return {"ids": sorted(self.ids), "urls": sorted(self.urls), "hosts": sorted(self.hosts)}

    def of_domain(self, domain: str) -> Removal:
        """What of it can name records of a domain."""
        return Removal(frozenset(id for id in self.ids if id.startswith(f"{domain}/")), self.urls, self.hosts)

    def of_files(self, domain: str, names: Collection[str]) -> dict[str, list[str]]:
        """What of it can name records of these raw files."""
        wanted = set(names)
        ids = [id for id in self.ids if id.removeprefix(f"{domain}/").rpartition("#")[0] in wanted]
        return self.to_json() | {"ids": sorted(ids)}

    def names(self, id: str, url: str | None = None) -> bool:
        """Whether a record is to be left out."""
        if id in self.ids:
            return True
        if not url or not (self.urls or self.hosts):
            return False
        return plain_url(url) in self.urls or any(host in self.hosts for host in _hosts(url))


NOTHING = Removal()


def _host(text: str) -> str:
    """A host, as such or as that of a URL; a UsageError where it is none."""
    found = (_hosts(text.strip()) or [""])[0]
    if not found or any(sign in found for sign in " \t*"):
        raise UsageError(f"'{text}' is no host: write one as example.org, which stands for its subdomains, too.")
    return found.lower()


def plain_url(url: str) -> str:
    """A URL without scheme, fragment and last slash, its host in lower case."""
    rest = url.strip().partition("#")[0]
    head, scheme, tail = rest.partition("://")
    host, slash, path = (tail if scheme else head).removeprefix("//").partition("/")
    return (host.lower() + slash + path).rstrip("/")


def _hosts(url: str) -> list[str]:
    """The host of a URL and all domains above it."""
    try:
        host = urlsplit(url if "://" in url or url.startswith("//") else f"//{url}").hostname or ""
    except ValueError:
        return []
    labels = host.strip(".").split(".")
    return [".".join(labels[at:]) for at in range(len(labels))]


def read_removal(path: Path) -> Removal:
    """The removal in a file that `save_removal` wrote; an empty one where there is none."""
    try:
        value: Mapping[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))
        return Removal(frozenset(value["ids"]), frozenset(value["urls"]), frozenset(value["hosts"]))
    except FileNotFoundError:
        return Removal()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is no list of removals ({error}): put it back, since without it they return."
        ) from None


def save_removal(path: Path, removal: Removal) -> None:
    """Write a removal."""
    write_atomic(path, json.dumps(removal.to_json(), indent=1, ensure_ascii=False) + "\n")


def read_lines(path: Path) -> list[str]:
    """The entries of a list that a user gives: one a line; blank lines and those that begin with # are none."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read ({error}): give a file with one entry a line.") from None
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("# ")]
