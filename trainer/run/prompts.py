"""What `trainer generate` is asked: prompts to continue, or questions to answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from corpus.data.message import Message
from corpus.data.templates import find_template
from corpus.errors import UsageError
from trainer.run.generate import TextModel
from trainer.run.sampling import SamplingConfig


@dataclass(frozen=True)
class Asked:
    """Prompts; with a template they are questions, each after the `system` message."""

    prompts: tuple[str, ...]
    template: str | None = None
    system: str = ""

    def __post_init__(self) -> None:
        if self.template is not None:
            find_template(self.template)
        elif self.system:
            raise UsageError("--system is for questions: give --template, too.")

    def stream(self, model: TextModel, sampling: SamplingConfig) -> Iterator[str]:
        """The text of the one prompt, or the answer to it, as it comes."""
        (prompt,) = self.prompts
        if self.template is None:
            return model.stream(prompt, sampling)
        return model.stream_chat(self._messages(prompt), self.template, sampling)

    def texts(self, model: TextModel, sampling: SamplingConfig) -> list[str]:
        """The text of each prompt, or the answer to it."""
        if self.template is None:
            return model.generate_all(self.prompts, sampling)
        return model.chat_all([self._messages(prompt) for prompt in self.prompts], self.template, sampling)

    def _messages(self, prompt: str) -> list[Message]:
        before = [Message("system", self.system)] if self.system else []
        return [*before, Message("user", prompt)]


def read_prompts(path: Path) -> tuple[str, ...]:
    """The prompts of a file, one a line: a JSON string, or the line itself. Empty lines are none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--prompts {path} cannot be read ({error}): give a text file.") from None
    found = tuple(_prompt(line) for line in lines if line.strip())
    if not found:
        raise UsageError(f"--prompts {path} holds no prompt: write one a line.")
    return found


def _prompt(line: str) -> str:
    if line.lstrip().startswith('"'):
        try:
            value = json.loads(line)
        except ValueError:
            return line
        if isinstance(value, str):
            return value
    return line
