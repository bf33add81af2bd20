"""OpenAssistant's messages, nested in trees or one a row with its parent's id, as conversations: paths through a tree.

The unit is the message. A conversation has the ordinal of the message at which it begins (best path) or ends (all paths);
the other messages on it are merged into it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from corpus.data.message import Message
from corpus.ingest.reader import Item, Merged, Skipped
from pipelines.readers.fields import NoDocument, well_formed

_ROLES = {"prompter": "user", "assistant": "assistant"}
_LAST = 1 << 30


@dataclass(slots=True)
class _Node:
    ordinal: int
    key: str
    parent: str
    role: str
    text: str
    rank: int
    deleted: bool
    language: str
    replies: list[_Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Path:
    """The messages of a conversation, and the ordinal of its document."""

    ordinal: int
    messages: tuple[Message, ...]
    metadata: Mapping[str, object]
    language: str | None


def is_message(row: Mapping[str, Any]) -> bool:
    """Whether a row is a message of a tree, or a tree."""
    return _root(row) is not row or (("message_id" in row or "user_message_id" in row) and "role" in row)


def _root(row: Mapping[str, Any]) -> Mapping[str, Any]:
    prompt = row.get("prompt")
    return prompt if isinstance(prompt, Mapping) and ("message_id" in prompt or "replies" in prompt) else row


class MessageTrees:
    """Messages of a file, held until their trees are whole: those of a nested tree at once, of flat rows at the file's end."""

    def __init__(self, every: bool) -> None:
        """`every` path to a last answer is a conversation, or the best path alone."""
        self._every = every
        self._flat: dict[str, _Node] = {}
        self._repeated: list[int] = []

    def add(self, ordinal: int, row: Mapping[str, Any]) -> tuple[int, list[Path | Item]]:
        """Take a row whose first message has this ordinal; gives how many messages it has and the items that are known.
        Raises NoDocument where it is no message."""
        root = _root(row)
        nodes = list(_nodes(root, ordinal, ""))
        if root is not row or root.get("replies"):
            return len(nodes), list(_items(nodes, self._every))
        (node,) = nodes
        if node.key in self._flat:
            return 1, [Skipped(ordinal, "repeated")]
        self._flat[node.key] = node
        return 1, []

    def rest(self) -> Iterator[Path | Item]:
        """The items of flat messages, by ordinal."""
        trees: defaultdict[str, list[_Node]] = defaultdict(list)
        roots: dict[str, str] = {}
        for key in self._flat:
            above, at = [], key
            while at not in roots and at not in above and self._flat[at].parent in self._flat:
                above.append(at)
                at = self._flat[at].parent
            root = roots.get(at, at)
            roots |= dict.fromkeys((*above, at), root)
            trees[roots[key]].append(self._flat[key])
        found = [item for nodes in trees.values() for item in _items(nodes, self._every)]
        yield from sorted(found, key=lambda item: item.ordinal)


def _nodes(value: Mapping[str, Any], ordinal: int, above: str) -> Iterator[_Node]:
    """A message and its replies, a parent before them."""
    stack = [(value, above)]
    while stack:
        row, parent = stack.pop()
        key = str(row.get("message_id") or row.get("user_message_id") or "")
        text, role, rank = row.get("text"), row.get("role"), row.get("rank")
        if not key or not isinstance(text, str) or role not in _ROLES:
            raise NoDocument("a message without an id, a text or a known role")
        if not well_formed(text):
            raise NoDocument("lone surrogate")
        found = parent or row.get("parent_id") or row.get("parent_message_id") or ""
        order = int(rank) if isinstance(rank, int) or (isinstance(rank, float) and isfinite(rank)) else _LAST
        language = row.get("lang")
        gone = row.get("deleted") is True or not text.strip()
        yield _Node(
            ordinal, key, str(found), _ROLES[role], text, order, gone, language if isinstance(language, str) else ""
        )
        ordinal += 1
        replies = row.get("replies") or []
        if not isinstance(replies, list) or not all(isinstance(reply, Mapping) for reply in replies):
            raise NoDocument("replies that are no messages")
        stack += [(reply, key) for reply in reversed(replies)]


def _items(nodes: list[_Node], every: bool) -> Iterator[Path | Item]:
    """An item for each message of a tree."""
    by_key = {node.key: node for node in nodes}
    items: dict[int, Path | Item] = {}
    roots: list[_Node] = []
    for node in nodes:
        above = by_key.get(node.parent)
        (roots if above is None else above.replies).append(node)
    for root in roots:
        trained: set[int] = set()
        for path in _paths(root, every):
            place = path[-1 if every else 0].ordinal
            messages = tuple(
                Message(node.role, node.text, trained=node.role == "assistant" and node.ordinal not in trained)
                for node in path
            )
            trained |= {node.ordinal for node in path}
            for node in path:
                items.setdefault(node.ordinal, Merged(node.ordinal, place))
            languages = [node.language for node in path if node.language]
            items[place] = Path(place, messages, {"id": path[-1].key}, languages[0] if languages else None)
    for node in nodes:
        reason = "deleted" if node.deleted else "not on the best path" if not every else "no answer"
        yield items.get(node.ordinal) or Skipped(node.ordinal, reason)


def _paths(root: _Node, every: bool) -> Iterator[list[_Node]]:
    """Paths from a root to a last answer, the best first, or the best one alone."""
    stack = [[root]]
    while stack:
        path = stack.pop()
        if path[-1].deleted:
            continue
        replies = sorted(
            (reply for reply in path[-1].replies if not reply.deleted), key=lambda node: (node.rank, node.ordinal)
        )
        answered = [reply for reply in replies if reply.role == "assistant" or _answered(reply)]
        if answered:
            stack += [[*path, reply] for reply in reversed(answered if every else answered[:1])]
        elif path[-1].role == "assistant" and len(path) > 1:
            yield path


def _answered(node: _Node) -> bool:
    """Whether an answer follows a question."""
    stack = [node]
    while stack:
        reply = stack.pop()
        if reply.deleted:
            continue
        if reply.role == "assistant":
            return True
        stack += reply.replies
    return False
