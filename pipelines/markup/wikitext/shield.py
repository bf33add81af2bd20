"""Texts that no scan of wikitext may change: formulas, code, <nowiki>. Each stands in the page as a number between marks."""

import re

FORMULA = "\x05"
_OTHER = "\x03"
_END = "\x04"
_PLACE = re.compile(f"[{FORMULA}{_OTHER}]([0-9]+){_END}")
FORMULAS = re.compile(f"{FORMULA}[0-9]+{_END}")
CONTROLS = re.compile("[\x00-\x08]")


class Shield:
    """The shielded texts of one page."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def put(self, text: str, formula: bool = False) -> str:
        """Keeps a text; gives what stands for it."""
        self.texts.append(text)
        return f"{FORMULA if formula else _OTHER}{len(self.texts) - 1}{_END}"

    def restore(self, text: str) -> str:
        """The text with the kept ones in their places."""
        if not self.texts:
            return text
        return _PLACE.sub(lambda match: self.texts[int(match[1])], text)
