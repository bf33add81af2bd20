"""What an expansion has written so far."""

from pipelines.markup.latex.arguments import ends_in_word
from pipelines.markup.latex.mode import MathMode


class Output:
    """Pieces of text and marks; `size` counts the characters of the text."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.size = 0
        self.mode = MathMode(self.pieces)
        self._last = "\n"  # the last piece that is no mark

    def write(self, text: str) -> None:
        """Writes text; a letter behind a command of another text is parted from it."""
        if text:
            if text[0].isalpha() and self.ends_in_word():
                self.pieces.append(" ")  # `\mathbf` from one macro, a letter from the next
            self.pieces.append(text)
            self._last = text
            self.size += len(text)

    def mark(self, mark: str) -> None:
        """Writes what is no text."""
        self.pieces.append(mark)

    def ends_in_word(self) -> bool:
        """Whether the text ends in the name of a command."""
        return ends_in_word(self._last, len(self._last))

    def ends_line(self) -> bool:
        """Whether the text ends in a line end."""
        return self._last.endswith("\n")
