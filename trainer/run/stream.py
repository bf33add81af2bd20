"""Text out of tokens as they come: whole characters alone, and nothing of a text that ends the continuation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_UNFINISHED = "\ufffd"
"""What stands for bytes that are no whole character yet."""


class TextStream:
    """The text that tokens add to a prompt, up to the first of the texts `stops`."""

    def __init__(self, decode: Callable[[Sequence[int]], str], prompt: Sequence[int], stops: Sequence[str]) -> None:
        self._decode, self._stops = decode, tuple(stops)
        self._ids = list(prompt)
        self._before = len(decode(prompt))
        self._given = 0
        self.text = ""
        """All that was added so far, whether it was given or not."""
        self.stopped = False

    def add(self, token: int) -> str:
        """Take a token; gives the text that is certain now."""
        self._ids.append(token)
        self.text = self._decode(self._ids)[self._before :]
        found = [place for place in (self.text.find(stop) for stop in self._stops) if place >= 0]
        if found:
            self.text, self.stopped = self.text[: min(found)], True
            return self.end()
        certain = self.text.rstrip(_UNFINISHED)
        held = max((_overlap(certain, stop) for stop in self._stops), default=0)
        return self._give(len(certain) - held)

    def end(self) -> str:
        """The rest, where nothing more comes."""
        return self._give(len(self.text))

    def _give(self, end: int) -> str:
        piece = self.text[self._given : end]
        self._given = max(self._given, end)
        return piece


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of `text` that `stop` begins with."""
    return next((size for size in range(min(len(text), len(stop)), 0, -1) if text.endswith(stop[:size])), 0)
