"""A short list of JSON objects in a file of its own, with a checksum."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from corpus.data.files import digest_of, write_atomic
from corpus.errors import DataError

_FORMAT = 1


def read_entries(path: Path, what: str) -> list[dict[str, Any]] | None:
    """The list in a file, None where there is none; a DataError where it is not `what` or was changed."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        entries: list[dict[str, Any]] = value["entries"]
        if value["checksum"] != digest_of({"format": value["format"], "entries": entries}):
            raise ValueError("checksum differs")
        return entries
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no {what} ({error}): put back the run's own.") from None


def write_entries(path: Path, entries: Sequence[Mapping[str, Any]]) -> None:
    """Replace the file by this list."""
    body = {"format": _FORMAT, "entries": list(entries)}
    text = json.dumps({**body, "checksum": digest_of(body)}, indent=1, sort_keys=True, ensure_ascii=False)
    try:
        write_atomic(path, text + "\n")
    except OSError as error:
        raise DataError(
            f"{path} cannot be written ({error.strerror}): make room, then give the same command again."
        ) from None
