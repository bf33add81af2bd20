"""Attempts of a task: folders whose names say which host and process writes them, so that no one else removes them."""

from __future__ import annotations

import os
import re
import shutil
import socket
import uuid
from functools import cache
from hashlib import blake2b
from pathlib import Path

from corpus.system import start_identity

_NAME = re.compile(r"\.\d{5,}-(?P<host>.+)-(?P<process>\d+)-[0-9a-f]{8}")


def attempt_name(index: int) -> str:
    """A name for the folder of a new attempt of this process at task `index`: `.index-host-process-random`."""
    return f".{index:05d}-{host()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


@cache
def host() -> str:
    """This host as process numbers see it: its name, and a digest of its start and of the space of its processes, since
    containers share a name or a machine, and a machine that started anew gives numbers again."""
    digest = blake2b(f"{start_identity()} {uuid.getnode()}".encode(), digest_size=4).hexdigest()
    return f"{re.sub('[^A-Za-z0-9]', '', socket.gethostname())[:24] or 'host'}.{digest}"


def remove_dead(folder: Path) -> None:
    """Remove the attempts in `folder` whose process was one of this host and is gone. Those of other hosts may still be
    written, and stay until all work of the output is removed after its commit."""
    for path in folder.glob(".*"):
        match = _NAME.fullmatch(path.name)
        if match and match["host"] == host() and not _alive(int(match["process"])):
            shutil.rmtree(path, ignore_errors=True)


def set_aside(directory: Path) -> None:
    """Give a published folder that holds no readable result a hidden name, under which nobody takes it for one."""
    try:
        directory.rename(directory.with_name(f".{directory.name}-aside-{uuid.uuid4().hex[:8]}"))
    except FileNotFoundError:
        pass  # someone else was faster


def set_aside_source(work: Path, file: Path) -> None:
    """Set the published folder aside that holds `file`, if it is one of `work`, so that its task is done again."""
    if file.is_relative_to(work):
        phase, index = file.relative_to(work).parts[:2]
        set_aside(work / phase / index)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
