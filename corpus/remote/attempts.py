"""What is tried again when a network fails, how long is waited, and what is said when it is given up."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from corpus.errors import DataError, LostError, UsageError
from corpus.remote.url import PACKAGES, scheme_of, shown_url

ATTEMPTS = 6
"""How often a request is made before it is given up."""
FIRST_DELAY = 0.5
"""Seconds before the second attempt; doubled before each further one."""
MOST_DELAY = 60.0
_LIBRARIES = frozenset(
    "aiohttp aiobotocore botocore s3fs gcsfs google fsspec huggingface_hub httpx httpx2 httpcore requests urllib3 http ssl".split()
)
"""Packages whose errors are of the network or of the store that answers."""
_RIGHTS = (
    "NoCredentials",
    "AccessDenied",
    "Forbidden",
    "Unauthorized",
    "GatedRepo",
    "InvalidAccessKey",
    "SignatureDoesNot",
)
_STORE_RIGHTS = {
    "s3": "AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; FSSPEC_S3_ANON=true for public buckets",
    "s3a": "AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; FSSPEC_S3_ANON=true for public buckets",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS; FSSPEC_GS_TOKEN=anon for public buckets",
    "gcs": "GOOGLE_APPLICATION_CREDENTIALS; FSSPEC_GCS_TOKEN=anon for public buckets",
    "hf": "HF_TOKEN, after its terms were accepted on the hub",
}
T = TypeVar("T")


class StatusError(OSError):
    """An HTTP answer that is no success. `wait` are the seconds after which the server wants to be asked again."""

    def __init__(self, status: int, wait: float = 0.0) -> None:
        super().__init__(f"HTTP status {status}")
        self.status = status
        self.wait = wait


class ShortError(OSError):
    """A store gave fewer bytes than it said that there are."""


class ChangedError(LostError):
    """A remote file is not as it was listed."""


def changed(url: str) -> ChangedError:
    """The error of a file that another one has been put in place of."""
    return ChangedError(f"{shown_url(url)} changed while it was read: run the same command again when it is at rest.")


def status_of(error: BaseException) -> int | None:
    """The status of the HTTP answer that an error of whatever library is about; None where it is about none."""
    for holder in (error, getattr(error, "response", None)):
        for name in ("status", "status_code"):
            if isinstance(found := getattr(holder, name, None), int):
                return found
    return None


def is_gone(error: BaseException) -> bool:
    """Whether there is no such file, folder or bucket."""
    return isinstance(error, FileNotFoundError) or status_of(error) in (404, 410)


def is_denied(error: BaseException) -> bool:
    """Whether the store refuses for want of rights."""
    said = f"{type(error).__name__} {error}"
    return (
        isinstance(error, PermissionError)
        or status_of(error) in (401, 403, 407)
        or any(word in said for word in _RIGHTS)
    )


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed later."""
    if is_gone(error) or is_denied(error) or isinstance(error, (IsADirectoryError, NotADirectoryError, ImportError)):
        return False
    status = status_of(error)
    if status is not None and 400 <= status < 500:
        return status in (408, 425, 429)
    modules = {base.__module__.partition(".")[0] for base in type(error).__mro__}
    return isinstance(error, (OSError, EOFError, TimeoutError)) or not modules.isdisjoint(_LIBRARIES)


def delay(failures: int, error: BaseException | None = None) -> float:
    """Seconds to wait after so many failures: doubled each time, spread so that many workers do not come back at once,
    and at least what the server asked for."""
    grown: float = min(MOST_DELAY, FIRST_DELAY * 2 ** (failures - 1)) * random.uniform(0.75, 1.25)
    asked = error.wait if isinstance(error, StatusError) else 0.0
    return max(grown, min(MOST_DELAY, asked))


def retried(url: str, call: Callable[[], T]) -> T:
    """The result of `call`, made again after failures that may pass. Its last error is said in words."""
    failures = 0
    with said(url):
        while True:
            try:
                return call()
            except Exception as error:
                failures += 1
                if failures >= ATTEMPTS or not is_transient(error):
                    raise
                time.sleep(delay(failures, error))


@contextmanager
def said(url: str) -> Iterator[None]:
    """Say errors of networks and stores in a sentence: no rights and no such file are the user's, all else may pass."""
    try:
        yield
    except (DataError, UsageError):
        raise
    except Exception as error:
        place = shown_url(url)
        if isinstance(error, ImportError):
            raise _missing(url, error) from None
        if is_gone(error):
            raise DataError(f"{place} does not exist: check the URL.") from None
        if is_denied(error):
            rights = _STORE_RIGHTS.get(scheme_of(url), "~/.netrc, or a signed URL")
            raise DataError(f"there is no right to use {place}: give credentials by {rights}.") from None
        if not is_transient(error):
            status = status_of(error)
            if status is not None:
                raise DataError(f"{place} is refused (HTTP status {status}): check the URL.") from None
            raise
        raise LostError(
            f"{place} could not be read after {ATTEMPTS} attempts ({_reason(error)}): check the network and the server,"
            " then run the same command again to go on."
        ) from error


def _missing(url: str, error: ImportError) -> UsageError:
    scheme = scheme_of(url)
    package, extra = PACKAGES.get(scheme, (error.name or str(error), ""))
    install = f"pip install 'corpusmill[{extra}]'" if extra else f"install it ({error})"
    return UsageError(f"{scheme}:// needs the package {package}: {install}.")


def _reason(error: BaseException) -> str:
    """The kind of an error and what is known of it, without what could hold a URL with secrets."""
    if isinstance(error, (StatusError, ShortError)):
        return str(error)
    status = status_of(error)
    if status is not None:
        return f"HTTP status {status}"
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return "no answer in time"
    inner: BaseException | None = error
    for _ in range(5):  # libraries wrap what the system said
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
        reason = getattr(inner, "reason", None)
        following = reason if isinstance(reason, BaseException) else getattr(inner, "__cause__", None)
        inner = following or getattr(inner, "__context__", None)
    return type(error).__name__
