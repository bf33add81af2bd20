"""What a look at the machine finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: a `note` is worth knowing, a `problem` keeps something from working."""

    topic: str
    name: str
    state: State
    said: str
    remedy: str = ""
    """What to do, where something is to be done."""

    def line(self) -> str:
        """The finding as a line."""
        remedy = f": {self.remedy}" if self.remedy else ""
        return f"  {self.state:8}{self.name:18} {self.said}{remedy}"


def ok(topic: str, name: str, said: str) -> Finding:
    """All is well."""
    return Finding(topic, name, "ok", said)


def note(topic: str, name: str, said: str, remedy: str = "") -> Finding:
    """Worth knowing."""
    return Finding(topic, name, "note", said, remedy)


def problem(topic: str, name: str, said: str, remedy: str) -> Finding:
    """Something will not work."""
    return Finding(topic, name, "problem", said, remedy)
