"""URLs of files and folders that are not on this machine: told apart from paths, joined, and shown without secrets."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from corpus.errors import UsageError
from corpus.option import nearest

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
PACKAGES = {
    "s3": ("s3fs", "s3"),
    "s3a": ("s3fs", "s3"),
    "gs": ("gcsfs", "gcs"),
    "gcs": ("gcsfs", "gcs"),
    "hf": ("huggingface_hub", "hub"),
}
"""By scheme the package that speaks it, and the extra of this one that brings it. HTTP needs none."""
HTTP = ("http", "https")


def is_remote(text: str) -> bool:
    """Whether an argument is a URL and not a path."""
    return _URL.match(text) is not None


def scheme_of(url: str) -> str:
    """The scheme of a URL, in lower case."""
    found = _URL.match(url)
    assert found, url
    return found[1].lower()


def checked_url(url: str) -> str:
    """The URL; a UsageError where it has no host or bucket, a password, or a scheme that nothing speaks."""
    scheme = scheme_of(url)
    rest = url.split("://", 1)[1]
    if not rest.strip("/"):
        raise UsageError(f"{shown_url(url)} names no host or bucket: give the whole URL.")
    if scheme in HTTP and "@" in rest.split("/", 1)[0]:
        raise UsageError(
            f"{shown_url(url)} has a user's name or password in it, which would be seen in lists of processes: leave it out,"
            " and write it into ~/.netrc."
        )
    if scheme not in PACKAGES and scheme not in HTTP and not _is_known(scheme):
        hint = nearest(scheme, [*HTTP, *PACKAGES])
        raise UsageError(f"nothing here speaks {scheme}://: {hint}")
    return url


def _is_known(scheme: str) -> bool:
    from fsspec.registry import known_implementations

    return scheme in known_implementations


def shown_url(url: str) -> str:
    """A URL for messages and files: without user, password, query and fragment, which can hold secrets."""
    head, _, rest = url.partition("://")
    place = re.split(r"[?#]", rest, maxsplit=1)[0] if head.lower() in HTTP else rest
    host, slash, path = place.partition("/")
    return f"{head.lower()}://{host.rpartition('@')[2]}{slash}{path}"


def url_name(url: str) -> str:
    """The last part of a URL's path, as a file is called; the host or bucket where it has none."""
    return path_name(url, shown_url(url).rstrip("/").rfind("/") + 1).rstrip("/")


def path_name(url: str, start: int) -> str:
    """The path in a URL from its character `start` on, as the file is called."""
    path = shown_url(url)[start:]
    return unquote(path) if scheme_of(url) in HTTP else path


def join_url(url: str, name: str) -> str:
    """The URL of what is called `name` below the folder `url`."""
    return f"{url.rstrip('/')}/{name}"


def host_of(url: str) -> str:
    """The host of an HTTP URL, with its port."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()
