"""One remote file as its store lists it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RemoteEntry:
    """A file and the state in which it was listed."""

    url: str
    size: int
    """Bytes as stored."""
    version: str
    """What the store calls this state of the file: ETag, generation, digest, or time of change. Empty where it says nothing."""
    ranges: bool = True
    """Whether the store gives a part of the file when it is asked for one."""

    @property
    def identity(self) -> str:
        """Size and version: equal as long as the file is the same."""
        return f"{self.size} {self.version}"
