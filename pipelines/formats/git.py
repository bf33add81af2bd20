"""The files of a git repository at its head, read from its objects without a checkout."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from corpus.ingest.compression import QUARANTINE_BYTES, Damage
from pipelines.formats.archive import MAX_MEMBER_BYTES, Member, Wanted

if TYPE_CHECKING:
    from dulwich.repo import Repo

_ERRORS = (OSError, ValueError, LookupError, AssertionError, EOFError, RuntimeError, TypeError)
_PACKAGES = frozenset(("dulwich", "zlib"))
"""What dulwich raises where packs, trees or references are damaged or missing, and the packages whose own errors mean that."""


def is_head(name: str, path: Path) -> bool:
    """Whether a raw file is the HEAD of a repository, which stands for it: objects and references lie beside it."""
    return name.rpartition("/")[2] == "HEAD" and (path.parent / "objects").is_dir()


def read_repository(folder: Path, wanted: Wanted) -> tuple[str, Iterator[Member | Damage]]:
    """The commit at the head of the repository in `folder`, and the files of its tree in their order; of those that
    `wanted(name, 0)` takes the data are read. Without a commit it is empty, and one Damage."""
    from dulwich.objects import Commit
    from dulwich.repo import Repo

    try:
        repository = Repo(str(folder))
        commit = repository.head()
        found = repository[commit]
    except Exception as error:
        return "", iter((Damage(0, 0, f"no commit at the head ({_damage(error)})", b""),))
    if not isinstance(found, Commit):
        return "", iter((Damage(0, 0, "no commit at the head", b""),))
    return commit.decode("ascii"), _members(repository, found.tree, wanted)


def _members(repository: Repo, tree: bytes, wanted: Wanted) -> Iterator[Member | Damage]:
    from dulwich.object_store import iter_tree_contents
    from dulwich.objects import ObjectID

    try:
        entries = list(iter_tree_contents(repository.object_store, ObjectID(tree)))
    except Exception as error:
        yield Damage(0, 0, f"unreadable tree ({_damage(error)})", b"")
        return
    for entry in entries:
        assert entry.path is not None and entry.mode is not None and entry.sha is not None
        name = entry.path.decode("utf-8", "replace")
        if not stat.S_ISREG(entry.mode):  # a link, or another repository
            yield Member(name, "other", 0, None)
        elif not wanted(name, 0):
            yield Member(name, "file", 0, None)
        else:
            try:
                data = repository.object_store[entry.sha].as_raw_string()
            except Exception as error:
                yield Damage(0, 0, f"unreadable object ({_damage(error)})", entry.sha)
                continue
            if _name_of(data, len(entry.sha)) != entry.sha:
                yield Damage(0, len(data), "damaged object", data[:QUARANTINE_BYTES])
                continue
            yield Member(name, "file", len(data), data if len(data) <= MAX_MEMBER_BYTES else None)
    repository.close()


def _name_of(data: bytes, digits: int) -> bytes:
    """What git calls a file with this content; `digits` tells which of its two hashes a repository has."""
    hashed = hashlib.sha1 if digits == 40 else hashlib.sha256
    return hashed(b"blob %d\0" % len(data) + data).hexdigest().encode()


def _damage(error: Exception) -> str:
    """The name of an error that means a damaged repository; others are raised."""
    modules = {base.__module__.partition(".")[0] for base in type(error).__mro__}
    if isinstance(error, PermissionError) or not (isinstance(error, _ERRORS) or modules & _PACKAGES):
        raise error
    return type(error).__name__
