"""Definitions whose commands could not be expanded: they come back at their places."""

import re

MARK = re.compile("\x01([0-9]+)\x01")
NAMES = re.compile(r"\\([A-Za-z@]+|.)|\\begin\s*\{([^{}]*)\}", re.S)
BEGINS = re.compile(r"\\begin\s*\{\s*([^{}]*?)\s*\}")


class Definitions:
    """The definitions of a paper in their order, and the names of the commands that were called and not expanded."""

    def __init__(self) -> None:
        self.unexpanded: set[str] = set()
        self._sources: list[tuple[str, str]] = []

    def add(self, name: str, source: str) -> str:
        """Notes a definition; the mark that stands for it."""
        self._sources.append((name, source))
        return f"\x01{len(self._sources) - 1}\x01"

    def settle(self, text: str, begin: int) -> str:
        """The text from `begin` on without marks: definitions that it needs stand in their places, those from before `begin`
        at its head; of several before it the last counts."""
        body = text[begin:]
        needed = self._needed(body)
        if not needed:
            return MARK.sub("", body)
        head: dict[str, int] = {}
        for match in MARK.finditer(text, 0, begin):
            name = self._sources[int(match[1])][0]
            if name in needed:
                head.pop(name, None)
                head[name] = int(match[1])

        def put(match: re.Match[str]) -> str:
            name, source = self._sources[int(match[1])]
            return source if name in needed else ""

        lines = "".join(f"{_written(*self._sources[number])}\n" for number in head.values())
        return f"{lines}\n{MARK.sub(put, body)}" if lines else MARK.sub(put, body)

    def _needed(self, text: str) -> set[str]:
        """The names called in a text without being expanded, and those that their definitions call."""
        if not self.unexpanded:
            return set()
        needed: set[str] = set()
        queue = [name for name in _called(text) if name in self.unexpanded]
        sources: dict[str, list[str]] = {}
        for name, source in self._sources:
            sources.setdefault(name, []).append(source)
        while queue:
            name = queue.pop()
            if name not in needed and name in sources:
                needed.add(name)
                for source in sources[name]:
                    queue += _called(source)
        return needed


def _called(text: str) -> set[str]:
    return set(re.findall(r"\\([A-Za-z@]+|.)", text)) | {f"begin {name}" for name in BEGINS.findall(text)}


def _written(name: str, source: str) -> str:
    return f"\\makeatletter\n{source}\n\\makeatother" if re.search(r"\\[A-Za-z]*@", source) else source
