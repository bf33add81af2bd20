"""Rows of instruction sets as messages: which of the known shapes a row has, and what it says.

Known are Alpaca (`instruction, input, output`), Dolly (`instruction, context, response`), self-instruct (`instances`),
prompts that are already rendered, questions with answers, ShareGPT (`conversations`), OpenAI's `messages`, and lists of
texts that alternate.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from corpus.data.message import Message
from pipelines.readers.fields import NoDocument, plain, valid, well_formed

LISTS = ("conversations", "conversation", "messages", "dialogue", "dialog", "turns", "items", "data")
"""Keys of lists of messages."""
_QUESTIONS = ("instruction", "question", "query", "prompt", "user", "human", "input", "problem")
_CONTEXTS = ("input", "context", "passage")
_ANSWERS = ("output", "response", "completion", "answer", "chosen", "answers", "assistant", "solution", "target")
_SYSTEMS = ("system", "system_prompt")
WANTED = (*LISTS, "instances", *_QUESTIONS, *_ANSWERS, "text", "message_id", "user_message_id", "message_tree_id")
"""Keys of objects that are rows, whatever lists they hold."""
_ROLES = {
    **dict.fromkeys(("user", "human", "prompter", "customer", "instruction", "question"), "user"),
    **dict.fromkeys(
        ("assistant", "gpt", "chatgpt", "bot", "model", "bard", "bing", "ai", "agent", "response"), "assistant"
    ),
    **dict.fromkeys(("system", "developer", "context"), "system"),
    **dict.fromkeys(("tool", "function", "observation", "ipython"), "tool"),
}
_ROLE_KEYS, _TEXT_KEYS = ("role", "from", "speaker", "author", "user"), ("content", "value", "text", "body", "message")
_RENDERED = re.compile(
    r"###\s*(?:Response|Assistant|Output)\s*:\s*\Z|<\|im_start\|>assistant\s*\Z|\[/INST\]\s*\Z|\b(?:Assistant|ASSISTANT|A)\s*:"
    r"\s*\Z|<\|assistant\|>\s*\Z|Output\s*:\s*\Z"
)
"""The end of a prompt that is rendered: only the answer is missing."""
_ANSWER = re.compile(
    r"###\s*(?:Response|Assistant|Output)\s*:|<\|im_start\|>assistant\n|\[/INST\]|\n\nAssistant:|<\|assistant\|>"
)
_QUESTION = re.compile(
    r"\s*###\s*(?:Instruction|Human|User)\s*:|\s*<\|im_start\|>(?!assistant)|\s*\[INST\]|\n\nHuman:|<\|user\|>"
)


class EmptyAnswer(Exception):
    """The row has no answer to be trained on; the message is the reason why it is dropped."""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Messages and what else their row says. `rendered` ones are no messages but the text itself, marks and all."""

    messages: tuple[Message, ...]
    metadata: Mapping[str, object] = field(default_factory=dict)
    rendered: bool = False


def dialogues_of(row: Mapping[str, Any]) -> Iterator[Dialogue | EmptyAnswer]:
    """The dialogues of a row, at least one: several of one with `instances`. Raises NoDocument for no known shape."""
    instances = row.get("instances")
    if isinstance(instances, list) and instances and all(isinstance(entry, Mapping) for entry in instances):
        for entry in instances:
            yield _checked({**{key: value for key, value in row.items() if key != "instances"}, **entry})
    else:
        yield _checked(row)


def _checked(row: Mapping[str, Any]) -> Dialogue | EmptyAnswer:
    try:
        dialogue = _dialogue(row)
        for message in dialogue.messages:
            if not well_formed(message.text) or not well_formed(message.context):
                raise NoDocument("lone surrogate")
        return dialogue
    except EmptyAnswer as error:
        return error


def _dialogue(row: Mapping[str, Any]) -> Dialogue:
    listed = next((key for key in LISTS if isinstance(row.get(key), list) and row[key]), None)
    if listed is not None:
        system = _first(row, _SYSTEMS)
        messages = tuple(_listed(row[listed]))
        if system and not any(message.role == "system" for message in messages):
            messages = (Message("system", system[1]), *messages)
        return Dialogue(_finished(messages), _rest(row, (listed, *(system or ())[:1])))
    asked = _first(row, _QUESTIONS)
    given = _first(row, _ANSWERS)
    if asked is None or given is None or asked[0] == given[0]:
        whole = given or _first(row, ("text",))
        if whole is None or not _ANSWER.search(whole[1]):
            raise NoDocument("no answer in the row" if asked is not None and whole is None else "no known shape")
        return Dialogue(_finished(tuple(_cut(whole[1]))), _rest(row, (whole[0],)), rendered=True)
    context = _first(row, tuple(key for key in _CONTEXTS if key != asked[0]))
    keys = [asked[0], given[0], *(context or ())[:1]]
    if given[0] == "chosen" and given[1].startswith(asked[1]):  # pairs of preferences repeat the prompt
        given = (given[0], given[1][len(asked[1]) :])
    if context is None and _RENDERED.search(asked[1]):
        messages = (Message("user", asked[1]), Message("assistant", given[1], trained=True))
        return Dialogue(_finished(messages), _rest(row, keys), rendered=True)
    text = "" if context is None or context[1].strip().lower() == "<noinput>" else context[1]
    system = _first(row, _SYSTEMS)
    before = (Message("system", system[1]),) if system and system[1] else ()
    keys += [system[0]] if system else []
    if not asked[1].strip() and not text.strip():
        raise EmptyAnswer("empty instruction")
    answer = "" if given[1].strip().lower() == "<nooutput>" else given[1]
    return Dialogue(
        _finished((*before, Message("user", asked[1], text), Message("assistant", answer, trained=True))),
        _rest(row, keys),
    )


def _first(row: Mapping[str, Any], keys: Sequence[str]) -> tuple[str, str] | None:
    """The first of some keys that has a text, and the text; lists of texts give their first."""
    for key in keys:
        value = row.get(key)
        if isinstance(value, Mapping) and isinstance(value.get("text"), list | str):
            value = value["text"]
        if isinstance(value, list) and value and isinstance(value[0], str):
            value = value[0]
        if isinstance(value, bool | int | float) and key in _ANSWERS:
            value = str(value)
        if isinstance(value, str):
            return key, value
    return None


def _listed(entries: Sequence[Any]) -> Iterator[Message]:
    """Messages of a list: objects with a role and a text, pairs of both, or texts of either side in turn."""
    for number, entry in enumerate(entries):
        if isinstance(entry, str):
            role, text, trained = ("user", "assistant")[number % 2], entry, True
        elif isinstance(entry, list) and len(entry) == 2 and all(isinstance(value, str) for value in entry):
            role, text, trained = _role(entry[0]), entry[1], True
        elif isinstance(entry, Mapping):
            role = _role(next((entry[key] for key in _ROLE_KEYS if isinstance(entry.get(key), str)), ""))
            text = _content(next((entry[key] for key in _TEXT_KEYS if key in entry), None))
            trained = entry.get("weight", 1) != 0
            if role == "assistant" and not text and (entry.get("tool_calls") or entry.get("function_call")):
                raise EmptyAnswer("call of a tool")
        else:
            raise NoDocument("a message that is no object")
        yield Message(role, text, trained=trained and role == "assistant")


def _role(name: str) -> str:
    role = _ROLES.get(name.strip().lower())
    if role is None:
        raise NoDocument(f"a message of the unknown role '{valid(name[:40])}'" if name else "a message without a role")
    return role


def _content(value: Any) -> str:
    if isinstance(value, list):  # parts, of which images have no text
        value = "\n".join(part if isinstance(part, str) else str(part.get("text") or "") for part in value)
    if value is not None and not isinstance(value, str):
        raise NoDocument("a message whose content is no text")
    return value or ""


def _finished(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Messages up to the last answer; answers that nothing is asked before are not trained on."""
    answers = [number for number, message in enumerate(messages) if message.role == "assistant"]
    if not answers:
        raise EmptyAnswer("no answer")
    kept = messages[: answers[-1] + 1]
    if any(message.role == "assistant" and not message.text.strip() for message in kept):
        raise EmptyAnswer("empty answer")
    asked = next((number for number, message in enumerate(kept) if message.role != "assistant"), len(kept))
    kept = tuple(replace(message, trained=message.trained and number > asked) for number, message in enumerate(kept))
    if not any(message.trained for message in kept):
        raise EmptyAnswer("no trained answer")
    return kept


def _cut(text: str) -> Iterator[Message]:
    """A rendered conversation cut behind each mark of an answer and before each mark of a question."""
    at = 0
    while (mark := _ANSWER.search(text, at)) is not None:
        following = _QUESTION.search(text, mark.end())
        end = following.start() if following else len(text)
        yield Message("user", text[at : mark.end()])
        yield Message("assistant", text[mark.end() : end], trained=True)
        at = end
        if following is None:
            return
    if text[at:]:
        yield Message("user", text[at:])


def _rest(row: Mapping[str, Any], keys: Sequence[str]) -> dict[str, object]:
    return {valid(str(key)): plain(value) for key, value in row.items() if key not in keys}
