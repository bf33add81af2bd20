"""Arguments in TeX source: groups, brackets, single tokens, all within limits."""

import functools
import re

MAX_ARGUMENT = 100_000  # characters; a longer argument is an unclosed brace

CONTROL = {  # by whether @ is a letter there
    False: re.compile(r"\\([A-Za-z]+|.)", re.S),
    True: re.compile(r"\\([A-Za-z@]+|.)", re.S),
}
BLANK = re.compile(r"[ \t]*\n?[ \t]*")
BRACE = re.compile(r"\\[\\{}]|[{}]")  # other control sequences hide no brace, and are most
BRACKET = re.compile(r"\\[\\{}\]]|[{}\]]")
SUBSTITUTE = re.compile(r"#+([1-9])?")
ENDS_IN_WORD = re.compile(r"\\[A-Za-z@]+\Z")
WORD_TAIL = 60  # characters: longer names of commands there are none
PARAGRAPH = re.compile(r"[ \t]*\n[ \t]*\n\s*")


def skip_blank(text: str, at: int) -> int:
    """The place after blanks and at most one line end."""
    match = BLANK.match(text, at)
    return match.end() if match else at


def group(text: str, at: int) -> tuple[str | None, int]:
    """The inside of the `{…}` at `at` and the place after it; (None, -1) without one."""
    if at < 0 or not text.startswith("{", at):
        return None, -1
    depth = 0
    for match in BRACE.finditer(text, at, at + MAX_ARGUMENT):
        if match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
            if depth == 0:
                return text[at + 1 : match.start()], match.end()
    return None, -1


def bracket(text: str, at: int) -> tuple[str | None, int]:
    """The inside of the `[…]` at `at` and the place after it; (None, -1) without one."""
    if at < 0 or not text.startswith("[", at):
        return None, -1
    depth = 0
    for match in BRACKET.finditer(text, at + 1, at + MAX_ARGUMENT):
        if match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
            if depth < 0:
                break
        elif match[0] == "]" and depth == 0:
            return text[at + 1 : match.start()], match.end()
    return None, -1


def until(text: str, at: int, end: str) -> tuple[str | None, int]:
    """The text up to `end` outside of braces and the place after it; (None, -1) if it does not come."""
    depth, last = 0, min(len(text), at + MAX_ARGUMENT)
    pattern = re.compile(rf"{re.escape(end)}|\\.|[{{}}]", re.S)
    for match in pattern.finditer(text, at, last):
        if depth == 0 and match[0] == end:
            inside = text[at : match.start()]
            whole, after = group(inside, 0)
            return (whole if whole is not None and after == len(inside) else inside), match.end()
        if match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
            if depth < 0:
                break
    return None, -1


def token(text: str, at: int, letter: bool) -> tuple[str | None, int]:
    """A group, a control sequence or one character; (None, -1) if there is none. A blank line is a paragraph's end."""
    paragraph = PARAGRAPH.match(text, at)
    if paragraph:
        return "\n\n", paragraph.end()
    at = skip_blank(text, at)
    if text.startswith("{", at):
        return group(text, at)
    if at >= len(text) or text[at] == "}":
        return None, -1
    control = CONTROL[letter].match(text, at)
    return (control[0], control.end()) if control else (text[at], at + 1)


def ends_in_word(text: str, end: int) -> bool:
    """Whether the text up to `end` ends in the name of a command, so that a letter behind it would be part of the name."""
    return text[end - 1 : end].isalpha() and ENDS_IN_WORD.search(text, max(0, end - WORD_TAIL), end) is not None


def escaped(text: str, at: int, since: int) -> bool:
    """Whether the character at `at` follows a backslash that is no second one; what lies before `since` was read."""
    first = at
    while first > since and text[first - 1] == "\\":
        first -= 1
    return (at - first) % 2 == 1


def substitute(body: str, arguments: list[str]) -> str:
    """A body with its arguments in the places of `#1` to `#9`; `##` is one `#`."""
    slots, rest = _slots(body)
    pieces: list[str] = []
    for before, number, behind_word in slots:
        value = arguments[number - 1] if number <= len(arguments) else ""
        pieces += (before, " ", value) if behind_word and value[:1].isalpha() else (before, value)
    return "".join(pieces) + rest


@functools.lru_cache(maxsize=256)
def _slots(body: str) -> tuple[list[tuple[str, int, bool]], str]:
    """The arguments in a body: the text before each, its number, and whether it follows a command's name; and the rest."""
    slots: list[tuple[str, int, bool]] = []
    text, last = "", 0
    for match in SUBSTITUTE.finditer(body):
        digit, begin = match[1] or "", match.start()
        marks = match.end() - begin - len(digit)
        text, last = text + body[last:begin], match.end()
        if marks > 1 or not digit:
            text += "#" * max(1, marks // 2) + digit
        else:
            slots.append((text, int(digit), ends_in_word(body, begin)))
            text = ""
    return slots, text + body[last:]
