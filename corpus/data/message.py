"""What a conversation is made of before it is text, and what makes text of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from corpus.data.turns import Rendered


@dataclass(frozen=True, slots=True)
class Message:
    """What one side says. `context` is the input of an instruction; `trained` is for answers alone."""

    role: str
    text: str
    context: str = ""
    trained: bool = False

    @property
    def whole(self) -> str:
        """Text and context, for templates that know no context."""
        return f"{self.text}\n\n{self.context}" if self.context and self.text else self.text or self.context


class Template(Protocol):
    """Renders messages. With `answer` the text ends where the next answer begins."""

    @property
    def name(self) -> str:
        """What the documents' column `template` says."""
        ...

    @property
    def stops(self) -> tuple[str, ...]:
        """Texts that end an answer in generation, besides the end-of-document id."""
        ...

    def render(self, messages: Sequence[Message], answer: bool = False) -> Rendered:
        """The text of the messages and its turns."""
        ...
