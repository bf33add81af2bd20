"""What a removed template, link or note leaves around it: mended at its own mark, so that nothing written by hand changes."""

REMOVED = "\x02"
"""Stands within a line where something was removed, until `mend` repairs what was around it."""
_OPENING = {"(": ")", "（": "）", "[": "]", "［": "］", "“": "”", "„": "“", "«": "»", "「": "」", "‘": "’", '"': '"'}
_SEPARATORS = ",;:、،；，؛/·•"
_SPACES = " \t\u3000"
_LOOSE = _SEPARATORS + _SPACES
_LEADING = _LOOSE + "–—|"  # of a line whose first part is gone
_STICKY = ",.;:)）]、。，；،؛"  # take no blank before them
_LISTED = ",;:、،；，؛"
_WORDLESS = _SPACES + "*#:;"
_TOUCHED = frozenset(_LOOSE + "".join(_OPENING) + "–—-*#=")


def mend(line: str) -> str:
    """Takes the marks out of a line, with blanks, separators and brackets that have nothing left between them.

    A line that held nothing else becomes one mark. Linear in the line.
    """
    first, *others = line.split(REMOVED)
    done = [first] if first.strip(_SPACES) else []
    for number, right in enumerate(others, 1):
        last = done[-1][-1] if done else ""
        if last and last not in _TOUCHED and right:
            done.append(right)
        else:
            _join(done, right, number == len(others))
    return "".join(done) if any(piece.strip(_SPACES) for piece in done) else REMOVED


def _join(done: list[str], right: str, at_end: bool) -> None:
    """Appends `right` to what is done, over a mark between the two."""
    if not done or (len(done) == 1 and not done[0].strip(_WORDLESS)):
        right = right.lstrip(_LEADING)
        if right[:2] == "- ":
            right = right[2:].lstrip(_SPACES)
        _append(done, right)
        return
    blank = done[-1][-1] in _SPACES
    left = done[-1].rstrip(_SPACES)[-1:]
    if left in _OPENING:
        rest = right.lstrip(_LOOSE)
        if rest[:1] == _OPENING[left] and (left not in "\"'“‘„" or rest == right):
            _strip(done, _SPACES)
            done[-1] = done[-1][:-1]
            _join_again(done, rest[1:], at_end)
            return
        if left != '"':
            _strip(done, _SPACES)
            _append(done, rest)
            return
    rest = right.lstrip(_LOOSE)
    if rest[:1] in (")", "）"):
        _strip(done, _LOOSE)
        if done and done[-1][-1] in "(（":
            done[-1] = done[-1][:-1]
            _join_again(done, rest[1:], at_end)
        else:
            _append(done, rest)
        return
    if at_end and not right.strip(_SPACES):
        _strip(done, _SPACES)
        if done and done[-1][-1] in ",;،、，–—-" and not (done[-1][-1] == "-" and done[-1][-2:-1] != " "):
            done[-1] = done[-1][:-1]
            _strip(done, _SPACES)
        return
    following = right.lstrip(_SPACES)
    if left in _LISTED and following[:1] in _LISTED and (following[1:2] in ("", " ") or not following[0].isascii()):
        following = following[1:].lstrip(_SPACES)
        right = " " + following if blank or left.isascii() else following
    if following[:1] in _STICKY and blank and following:
        _strip(done, _SPACES)
        right = following
    elif blank:
        right = right.lstrip(_SPACES)
    _append(done, right)


def _join_again(done: list[str], right: str, at_end: bool) -> None:
    """Goes on after an empty pair of brackets was taken out: the blank before it goes where one follows."""
    while done and not done[-1]:
        done.pop()
    if not done:
        _append(done, right.lstrip(_SPACES))
        return
    if done[-1][-1] in _SPACES and (right[:1] in _STICKY or right[:1] in _SPACES):
        _strip(done, _SPACES)
    _append(done, right)


def _append(done: list[str], right: str) -> None:
    if right:
        done.append(right)


def _strip(done: list[str], characters: str) -> None:
    """Takes the characters from the end of what is done, over its pieces."""
    while done:
        done[-1] = done[-1].rstrip(characters)
        if done[-1]:
            return
        done.pop()
