"""A tokenizer's own chat template: Jinja, as `transformers` has it in `tokenizer_config.json` or `chat_template.jinja`.

Where answers begin is found by rendering the messages before each. What a message says is never taken for a special token,
though a template's own marks are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from corpus.data.message import Message
from corpus.data.turns import Rendered, Turn
from corpus.errors import DataError, UsageError

_CONFIG, _JINJA = "tokenizer_config.json", "chat_template.jinja"
_END, _BROKEN = "\ufdd0", "\ufdd1"
"""Noncharacters, which no text has: an end of sequence, and what keeps a message's special tokens apart from the template's."""


@dataclass(frozen=True)
class ChatTemplate:
    """A Jinja template with the special tokens of its tokenizer. Text is rendered without BOS: the stream has none."""

    path: Path
    source: str
    special: tuple[str, ...] = ()
    eos: str = ""
    name: str = field(default="tokenizer", init=False)

    @classmethod
    def load(cls, path: Path) -> ChatTemplate:
        """The template in a folder, or in the file that `path` is."""
        folder = path if path.is_dir() else path.parent
        jinja = path if path.suffix == ".jinja" else folder / _JINJA
        config = _json(folder / _CONFIG) if (folder / _CONFIG).exists() else {}
        source = jinja.read_text(encoding="utf-8") if jinja.is_file() else config.get("chat_template")
        if isinstance(source, list):  # several by name
            source = next((entry.get("template") for entry in source if entry.get("name") == "default"), None)
        if not isinstance(source, str):
            raise UsageError(
                f"{path} has no chat template: give a tokenizer whose {_CONFIG} has one, or a {_JINJA}; or a named template."
            )
        eos = config.get("eos_token")
        eos = eos.get("content", "") if isinstance(eos, dict) else eos or ""
        tokens = {entry["content"] for entry in config.get("added_tokens_decoder", {}).values() if entry.get("special")}
        if (folder / "tokenizer.json").exists():
            added = _json(folder / "tokenizer.json").get("added_tokens", [])
            tokens |= {entry["content"] for entry in added if entry.get("special")}
        return cls(
            jinja if jinja.is_file() else folder / _CONFIG, source, tuple(sorted(tokens, key=len))[::-1], str(eos)
        )

    @property
    def stops(self) -> tuple[str, ...]:
        """What ends an answer, from a rendered one: the special token right after it."""
        rendered = self.render([Message("user", "a"), Message("assistant", "b", trained=True)])
        answer = rendered.turns[-1]
        data = rendered.text.encode()
        return tuple(data[begin:end].decode() for begin, end in answer.special[:1])

    @cached_property
    def _template(self) -> Any:
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.globals["raise_exception"] = _refuse
        environment.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False, **options)
        # transformers marks answers with {% generation %}, which says nothing of the text
        source = self.source.replace("{% generation %}", "").replace("{% endgeneration %}", "")
        return environment.from_string(source.replace("{%- generation %}", "").replace("{%- endgeneration %}", ""))

    def render(self, messages: Sequence[Message], answer: bool = False) -> Rendered:
        """The text of the messages and its turns; a DataError where the template refuses them or changes what it has written
        when more follows."""
        values = [{"role": message.role, "content": self._guarded(message.whole)} for message in messages]
        whole = self._text(values, answer)
        cuts: list[tuple[int, str, bool]] = []  # where each turn ends in `whole`, whose it is, whether it is trained on
        role = "user"
        for number, message in enumerate(messages):
            if message.role == "assistant":
                cuts.append((self._prefix(whole, values[:number], True), role, False))
                cuts.append((self._prefix(whole, values[: number + 1], False), message.role, message.trained))
            else:
                role = message.role
        cuts.append((len(whole), role, False))
        return self._turns(whole, cuts)

    def _prefix(self, whole: str, values: Sequence[Mapping[str, str]], answer: bool) -> int:
        part = self._text(values, answer) if values else ""
        if not whole.startswith(part):
            raise DataError(
                f"the chat template of {self.path} writes a conversation another way when more follows, so that its answers "
                "cannot be found: give a named template."
            )
        return len(part)

    def _text(self, values: Sequence[Mapping[str, str]], answer: bool) -> str:
        from jinja2 import TemplateError

        try:
            return str(
                self._template.render(messages=values, add_generation_prompt=answer, bos_token="", eos_token=_END)
            )
        except (TemplateError, TypeError, ValueError) as error:
            raise DataError(f"the chat template of {self.path} refuses a conversation ({error}).") from None

    def _guarded(self, text: str) -> str:
        """A message's text with every special token in it broken up."""
        for token in self.special:
            text = text.replace(token, token[0] + _BROKEN + token[1:])
        return text

    def _turns(self, whole: str, cuts: Sequence[tuple[int, str, bool]]) -> Rendered:
        texts, turns, begin, at = [], [], 0, 0
        for end, role, trained in cuts:
            marked = whole[begin:end]
            raw = marked.replace(_END, "")
            text = raw.replace(_BROKEN, "")
            begin = max(begin, end)
            if text:
                spans = tuple((at + start, at + stop) for start, stop in self._found(raw))
                size = len(text.encode())
                ends = role == "assistant" and _END in marked
                turns.append(Turn(role, at, at + size, trained, ends, spans))
                texts.append(text)
                at += size
        return Rendered("".join(texts), tuple(turns))

    def _found(self, raw: str) -> list[tuple[int, int]]:
        """Bytes of the special tokens in a text, as it is without the marks of those that a message has broken up."""
        spans, at = [], 0
        while at < len(raw):
            token = next((token for token in self.special if raw.startswith(token, at)), None)
            if token is None:
                at += 1
                continue
            start = len(raw[:at].replace(_BROKEN, "").encode())
            spans.append((start, start + len(token.encode())))
            at += len(token)
        return spans


def _refuse(message: str) -> None:
    raise ValueError(message)


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}): give another tokenizer.") from None
    if not isinstance(value, dict):
        raise UsageError(f"{path} is no object: give another tokenizer.")
    return value
