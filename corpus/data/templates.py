"""How messages become the text of a conversation, by name or by a tokenizer's own template.

An answer begins where its template's marks for it end, so that a prompt for generation has the ids that it had in
training. What a template writes to end an answer is part of it; else the end-of-document id ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from corpus.data.chat_template import ChatTemplate
from corpus.data.message import Message, Template
from corpus.data.turns import Part, Rendered, join_parts
from corpus.errors import UsageError
from corpus.option import nearest


@dataclass(frozen=True)
class NamedTemplate:
    """A template whose rules are in this file."""

    name: str
    parts: Callable[[Sequence[Message], bool], Iterator[Part]]
    stops: tuple[str, ...] = ()

    def render(self, messages: Sequence[Message], answer: bool = False) -> Rendered:
        """The text of the messages and its turns."""
        return join_parts(self.parts(messages, answer))


_WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. Write a response "
    "that appropriately completes the request."
)
_WITHOUT_INPUT = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request."
)


def _alpaca(messages: Sequence[Message], answer: bool) -> Iterator[Part]:
    """Stanford Alpaca's prompts (README), to the byte for one exchange. A system message takes the place of the preamble;
    further exchanges repeat the headings."""
    system = "\n\n".join(message.text for message in messages if message.role == "system")
    first = True
    for message in messages:
        if message.role == "assistant":
            yield Part("assistant", message.text, message.trained, begins=True, eod=True)
        elif message.role != "system":
            preamble = system or (_WITH_INPUT if message.context else _WITHOUT_INPUT)
            lead = f"{preamble}\n\n" if first else "\n\n"
            heading = "Instruction" if message.role == "user" else message.role.capitalize()
            context = f"### Input:\n{message.context}\n\n" if message.context else ""
            text = f"{lead}### {heading}:\n{message.text}\n\n{context}### Response:"
            yield Part(message.role, text, begins=True)
            first = False


def _plain(messages: Sequence[Message], answer: bool) -> Iterator[Part]:
    """Turns with a blank line between them and no marks."""
    before = ""
    for number, message in enumerate(messages):
        if message.role == "assistant":
            yield Part("assistant", message.text, message.trained, begins=True, eod=True)
            before = "\n\n"
        else:
            after = "\n\n" if answer or number + 1 < len(messages) else ""
            yield Part(message.role, f"{before}{message.whole}{after}", begins=True)
            before = ""


def _chatml(messages: Sequence[Message], answer: bool) -> Iterator[Part]:
    """OpenAI's ChatML. What opens an answer belongs to the turn before it; what ends it is trained on with it."""
    before = ""
    for number, message in enumerate(messages):
        role, answers = message.role, message.role == "assistant"
        yield Part(role, before, begins=not answers)
        yield Part(role, "<|im_start|>", begins=not before and not answers, special=True)
        yield Part(role, f"{role}\n")
        yield Part(role, message.whole, message.trained, begins=answers)
        last = answers and number + 1 == len(messages)
        yield Part(role, "<|im_end|>", message.trained, special=True, eod=last)
        before = "\n"
    if answer:
        yield Part("assistant", before)
        yield Part("assistant", "<|im_start|>", special=True)
        yield Part("assistant", "assistant\n")


def _llama_2(messages: Sequence[Message], answer: bool) -> Iterator[Part]:
    """LLaMA 2's chat format (its `generation.py`): messages are stripped, and EOS ends each answer."""
    system = ""
    for message in messages:
        text = message.whole.strip()
        if message.role == "system":
            system = f"<<SYS>>\n{text}\n<</SYS>>\n\n"
        elif message.role == "assistant":
            yield Part("assistant", f" {text} ", message.trained, begins=True, eod=True)
        else:
            yield Part(message.role, f"[INST] {system}{text} [/INST]", begins=True)
            system = ""


NAMED: Mapping[str, NamedTemplate] = {
    template.name: template
    for template in (
        NamedTemplate("alpaca", _alpaca, ("\n\n### ",)),
        NamedTemplate("chatml", _chatml, ("<|im_end|>",)),
        NamedTemplate("llama-2", _llama_2, ("[INST]",)),
        NamedTemplate("plain", _plain),
    )
}


def find_template(name: str) -> Template:
    """The template of that name, or that of the tokenizer at that path; a UsageError where there is none."""
    if name in NAMED:
        return NAMED[name]
    path = Path(name)
    if path.exists():
        return ChatTemplate.load(path)
    raise UsageError(
        f"there is no template '{name}': {nearest(name, NAMED)} Or give the folder of a tokenizer that has its own "
        "(tokenizer_config.json with chat_template, or chat_template.jinja)."
    )
