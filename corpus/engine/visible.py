"""What other hosts have published is seen late on network file systems, whose clients remember folders for a while.

Only that: a name that is published stays, and what lies behind it is whole, since it was flushed before it got the name.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Found = TypeVar("Found")
SEEN_SECONDS = 30.0
"""How long what is said to be published may stay unseen."""
_STEP_SECONDS = 0.1


def look_again(folder: Path) -> None:
    """Have the client of a network file system ask its server for `folder` anew, which it does when it has itself changed
    it."""
    name = folder / f".look-{uuid.uuid4().hex[:8]}"
    try:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        name.unlink()
    except OSError:
        pass  # it is not there yet, or not ours to write: only waiting is left


def seen(folder: Path, find: Callable[[], Found], seconds: float | None = None) -> Found:
    """What `find` gives, called again as long as it raises FileNotFoundError; that of the last call after `seconds`, by
    default `SEEN_SECONDS`."""
    deadline = time.monotonic() + (SEEN_SECONDS if seconds is None else seconds)
    while True:
        try:
            return find()
        except FileNotFoundError:
            if time.monotonic() >= deadline:
                raise
        look_again(folder)
        time.sleep(_STEP_SECONDS)
