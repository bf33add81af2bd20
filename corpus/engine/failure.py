"""What an attempt leaves behind that ended with an error of its data or settings, which the same command would meet again.

Its finished tasks stay for the same command (an alarm may be raised, a file repaired), and its trail can be looked at; but
a command with other settings or inputs throws them away without being told to. Work that was killed, or that lacked disk or
memory, is no such failure: it asks before it goes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corpus.data.files import write_atomic
from corpus.engine.lock import LOCK
from corpus.engine.result import RESULT
from corpus.errors import DataError, LostError, UsageError

FAILED = "failed"
"""The file in a working folder that has the error."""


@contextmanager
def noted_failure(work: Path) -> Iterator[None]:
    """Note in the working folder `work` with which error the attempt ended; without a finished task the folder goes."""
    (work / FAILED).unlink(missing_ok=True)
    try:
        yield
    except LostError:
        raise
    except (DataError, UsageError) as error:
        if any(work.glob(f"*/[0-9]*/{RESULT}")):
            write_atomic(work / FAILED, error.message + "\n")
        else:
            shutil.rmtree(work, ignore_errors=True)
            remove_if_empty(work.parent)
        raise


@contextmanager
def nothing_left(output: Path) -> Iterator[None]:
    """Remove a folder that is made here where what follows fails before anything is in it."""
    existed = output.exists()
    try:
        yield
    except (DataError, UsageError):
        if not existed:
            remove_if_empty(output)
        raise


def remove_if_empty(folder: Path) -> None:
    """Remove a folder that holds nothing, or nothing but a lock."""
    held = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    if held <= {"_log", f"_log/{LOCK}"}:
        shutil.rmtree(folder, ignore_errors=True)
