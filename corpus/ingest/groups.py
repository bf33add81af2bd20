"""How raw files are put into groups, which are the tasks of ingest: by a keyed hash of their names.

A new file changes the group that it goes to and no other. When the input has doubled, each group is halved.
"""

from __future__ import annotations

import xxhash

_GROUP_BYTES = 32_000_000
"""Raw bytes of a task, about: there are as many groups of files as the power of two that comes nearest from below."""
_GROUP_KEY = 0x636F72707573
"""Seed of the hash by which files are put into groups."""


def group_count(size: int) -> int:
    """How many groups raw files of `size` bytes together are put into."""
    return 1 << max(0, (size // _GROUP_BYTES).bit_length() - 1)


def group_of(name: str, groups: int) -> int:
    """The group of the file `name` among `groups`, a power of two. Twice as many groups halve each."""
    return xxhash.xxh3_64_intdigest(name.encode("utf-8"), _GROUP_KEY) * groups >> 64
