"""Comments of conversations, whatever layout they come in: Pushshift (Reddit), Hacker News (its API, Algolia, BigQuery),
OpenAssistant (trees and flat messages), and any objects with an id, a parent and a text.

A comment's text is plain: Hacker News has HTML, Pushshift escapes `&`, `<` and `>` once over its Markdown.
"""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.markup.html.text import html_to_text
from pipelines.readers.fields import NoDocument, plain, text_of, valid, well_formed

_DELETED = frozenset(("[deleted]", "[deleted by user]"))
_REMOVED = re.compile(r"\[\s*removed(?: by [^\]]*)?\s*\]|\[flagged\]|\[dead\]|\[ removed by .*\]", re.IGNORECASE)
_ESCAPED = re.compile(r"&(amp|lt|gt|quot|#39|#x27);")
_PLAIN = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "#39": "'", "#x27": "'"}
_INVISIBLE = re.compile(r"&#x200[Bb];|\u200b")
_REDDIT, _HACKER_NEWS = "https://www.reddit.com", "https://news.ycombinator.com/item?id="
_FIRST_DAY = datetime.date(1970, 1, 1).toordinal()
_NESTED = ("replies", "children", "comments")


@dataclass(slots=True)
class Comment:
    """A comment, or the post or message that a conversation begins with.

    Siblings go by `rank`, the lowest first; `kids` are the keys of its replies where the source orders them. `dropped` is
    why it has no text; it keeps its place all the same. `facts` are what a document that begins with it has as metadata.
    """

    key: str
    parent: str = ""
    text: str = ""
    rank: int = 0
    score: int | None = None
    author: str = ""
    dropped: str = ""
    url: str = ""
    language: str = ""
    kids: tuple[str, ...] = ()
    facts: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CommentFields:
    """The keys of a comment in objects of no known layout; empty ones are those that are commonly used."""

    text: str = ""
    id: str = ""
    parent: str = ""
    score: str = ""
    author: str = ""


def comments_of(row: Mapping[str, Any], fields: CommentFields) -> Iterable[Comment]:
    """The comments of an object, a parent before its replies. Raises NoDocument if it is none."""
    if fields.text or fields.id:
        return _nested(row, fields)
    if "link_id" in row and "parent_id" in row and "body" in row:
        return (_reddit_comment(row),)
    if "selftext" in row or ("subreddit" in row and "title" in row):
        return (_reddit_post(row),)
    if isinstance(row.get("prompt"), Mapping) and ("message_tree_id" in row or "replies" in row["prompt"]):
        return _messages(row["prompt"])
    if "message_id" in row or ("user_message_id" in row and "role" in row):
        return _messages(row)
    if row.get("type") in ("story", "comment", "job", "poll", "pollopt"):
        return _hacker_news(row)
    return _nested(row, fields)


def _reddit_comment(row: Mapping[str, Any]) -> Comment:
    key, parent, score, link = row.get("id"), row["parent_id"], row.get("score"), row.get("permalink")
    if type(key) is not str or not key:
        key = _key(row, "id")
    text, dropped = _reddit_text(row["body"])
    if type(score) is not int:
        score = _whole(score)
    if not isinstance(parent, str) or parent[:1] != "t":  # long ago it was a number or missing
        parent = _parent(row["link_id"])
    bare = key.removeprefix("t1_")
    if not isinstance(link, str):
        link = f"/comments/{str(row['link_id']).removeprefix('t3_')}/_/{bare}/"
    author, date, subreddit = _author(row.get("author")), row.get("created_utc"), row.get("subreddit")
    facts: dict[str, object] = {}
    if date is not None and date != "":
        facts["date"] = date
    if subreddit is not None and subreddit != "":
        facts["subreddit"] = subreddit
    if author:
        facts["author"] = author
    return Comment("t1_" + bare, parent, text, -(score or 0), score, author, dropped, _REDDIT + link, "", (), facts)


def _reddit_post(row: Mapping[str, Any]) -> Comment:
    key = _key(row, "id")
    body, dropped = _reddit_text(row.get("selftext") or "")
    title = _unescaped(row["title"]) if isinstance(row.get("title"), str) else ""
    if title.lower() in _DELETED or _REMOVED.fullmatch(title):
        title = ""
    text = "\n\n".join(part for part in (title, body) if part)
    link = row.get("permalink")
    post = key.removeprefix("t3_")
    score = _whole(row.get("score"))
    facts = _facts(
        title=title,
        date=row.get("created_utc"),
        subreddit=row.get("subreddit"),
        author=_author(row.get("author")),
        link=row.get("url"),
    )
    return Comment(
        f"t3_{post}",
        "",
        text,
        -(score or 0),
        score,
        _author(row.get("author")),
        "" if title and dropped == "no text" else dropped,
        _REDDIT + (link if isinstance(link, str) else f"/comments/{post}/"),
        "",
        (),
        facts,
    )


def _reddit_text(body: object) -> tuple[str, str]:
    """Text, and why there is none."""
    if not isinstance(body, str):
        return "", "no text"
    text = body.strip()
    if text[:1] == "[":
        if text.lower() in _DELETED:
            return "", "deleted"
        if _REMOVED.fullmatch(text):
            return "", "removed"
    if not text.isascii() or "&#x" in text:
        text = _INVISIBLE.sub("", _unescaped(text))
    elif "&" in text:
        text = _unescaped(text)
    text = _lines(text)
    return text, "" if text else "no text"


def _hacker_news(row: Mapping[str, Any]) -> Iterator[Comment]:
    key = _key(row, "id")
    story = row.get("type") != "comment"
    parent = row.get("parent", row.get("poll"))
    kids = row.get("kids")
    score = _whole(row.get("score", row.get("points")))
    comment = _of_html(row, key, "" if story and row.get("type") != "pollopt" else _parent(parent), row.get("text"))
    comment.score, comment.rank = score, -(score or 0)
    comment.kids = tuple(map(str, kids)) if isinstance(kids, list) else ()
    comment.author = _author(row.get("by", row.get("author")))
    date = next((row[name] for name in ("time", "timestamp", "created_at_i", "created_at") if row.get(name)), None)
    comment.facts = _facts(title=_title(row), date=date, author=comment.author, link=row.get("url"))
    comment.url = _HACKER_NEWS + key
    yield comment
    yield from _children(row, key, _algolia)


def _algolia(row: Mapping[str, Any], parent: str) -> Iterator[Comment]:
    """A reply inside the item that it replies to."""
    for comment in _hacker_news(row):
        if comment.key == str(row.get("id")) and not comment.parent:
            comment.parent = parent
        yield comment


def _of_html(row: Mapping[str, Any], key: str, parent: str, html: object) -> Comment:
    body = html_to_text(html) if isinstance(html, str) else ""
    text = "\n\n".join(part for part in (_title(row), body) if part)
    dropped = "deleted" if row.get("deleted") is True else "removed" if row.get("dead") is True else ""
    if not dropped and _REMOVED.fullmatch(text):
        dropped = "removed"
    if not dropped and text.lower() in _DELETED:
        dropped = "deleted"
    return Comment(key, parent, "" if dropped else text, dropped=dropped or ("" if text else "no text"))


def _messages(row: Mapping[str, Any]) -> Iterator[Comment]:
    """A message of OpenAssistant, and its replies where they are in it."""
    key = str(row.get("message_id") or row.get("user_message_id") or "")
    if not key:
        raise NoDocument("a message without an id")
    text = row.get("text")
    if not isinstance(text, str):
        raise NoDocument("field 'text' is not a string")
    dropped = "deleted" if row.get("deleted") is True else "" if text.strip() else "no text"
    rank = _whole(row.get("rank"))
    parent = row.get("parent_id", row.get("parent_message_id"))
    language = row.get("lang")
    yield Comment(
        key,
        _parent(parent),
        "" if dropped else _lines(text.strip()),
        rank if rank is not None else 1 << 30,
        None,
        _author(row.get("role")),
        dropped,
        "",
        language if isinstance(language, str) else "",
        (),
        _facts(date=row.get("created_date")),
    )
    yield from _children(
        row, key, lambda reply, above: _messages({**reply, "parent_id": reply.get("parent_id") or above})
    )


def _nested(row: Mapping[str, Any], fields: CommentFields) -> Iterator[Comment]:
    """An object with an id, a parent and a text under any names, and the objects in it that reply to it."""
    identity = _first(row, (fields.id,) if fields.id else ("id", "comment_id", "post_id", "message_id", "_id"))
    if not isinstance(identity, str | int) or identity == "":
        wanted = fields.id or "id"
        raise NoDocument(f"no field '{wanted}'")
    names = (fields.text,) if fields.text else ("text", "body", "content", "message", "comment_text")
    found = _first(row, names)
    if found is None and _title(row) == "" and not any(name in row for name in names):
        raise NoDocument(f"no field '{names[0]}'")
    body = text_of(found) or ""
    comment = _of_html(row, str(identity), _parent(_first(row, _parent_names(fields))), None)
    if not comment.dropped or comment.dropped == "no text":
        stripped = body.strip()
        gone = "deleted" if stripped.lower() in _DELETED else "removed" if _REMOVED.fullmatch(stripped) else ""
        comment.text = "\n\n".join(part for part in (_title(row), "" if gone else _lines(stripped)) if part)
        comment.dropped = gone or ("" if comment.text else "no text")
    comment.score = _whole(_first(row, (fields.score,) if fields.score else ("score", "points", "ups", "likes")))
    comment.rank = -(comment.score or 0)
    comment.author = _author(_first(row, (fields.author,) if fields.author else ("author", "by", "user", "role")))
    url, language = row.get("url"), row.get("language", row.get("lang"))
    comment.url = url if isinstance(url, str) else ""
    comment.language = language if isinstance(language, str) else ""
    date = _first(row, ("created_utc", "created_at", "date", "time", "timestamp", "created"))
    comment.facts = _facts(title=_title(row), date=date, author=comment.author)
    yield comment
    yield from _children(row, comment.key, lambda reply, above: _replies(reply, above, fields))


def _replies(row: Mapping[str, Any], parent: str, fields: CommentFields) -> Iterator[Comment]:
    first = True
    for comment in _nested(row, fields):
        if first and not comment.parent:
            comment.parent = parent
        first = False
        yield comment


def _children(row: Mapping[str, Any], key: str, of: Any) -> Iterator[Comment]:
    for name in _NESTED:
        replies = row.get(name)
        if isinstance(replies, list):
            for reply in replies:
                if isinstance(reply, Mapping):
                    yield from of(reply, key)


def _parent_names(fields: CommentFields) -> tuple[str, ...]:
    return (
        (fields.parent,) if fields.parent else ("parent_id", "parent", "reply_to", "in_reply_to", "parent_message_id")
    )


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _key(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise NoDocument(f"no field '{name}'")
    return str(value)


def _parent(value: object) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) and value != 0 else ""


def _title(row: Mapping[str, Any]) -> str:
    title = row.get("title")
    return valid(title).strip() if isinstance(title, str) else ""


def _author(value: object) -> str:
    name = (value if value.isascii() else valid(value)).strip() if isinstance(value, str) else ""
    return "" if name in _DELETED or name.lower() == "[removed]" else name


def _whole(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        value = int(value) if re.fullmatch(r"-?[0-9]{1,15}", value) else None
    if isinstance(value, float):
        value = int(value) if abs(value) < 1e15 else None
    return value if isinstance(value, int) and abs(value) < 1 << 53 else None


def _facts(**values: object) -> dict[str, object]:
    """Those of `values` that there are, as `metadata_of` takes them."""
    return {name: value for name, value in values.items() if value is not None and value != ""}


def metadata_of(facts: Mapping[str, Any]) -> dict[str, object]:
    """The metadata of a document from the facts of its first comment: dates are ISO 8601, from seconds since 1970 where
    they are numbers."""
    found = {
        name: value if type(value) is int or (type(value) is str and value.isascii()) else plain(value)
        for name, value in facts.items()
    }
    date = facts.get("date")
    seconds = _whole(date)
    if seconds is not None and 0 < seconds < 1 << 34:
        day, second = divmod(seconds, 86_400)
        found["date"] = f"{_day(day)}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"
    elif not isinstance(date, str):
        found.pop("date", None)
    return found


@functools.lru_cache(maxsize=4096)
def _day(number: int) -> str:
    """ISO 8601, of days since 1970."""
    return datetime.date.fromordinal(_FIRST_DAY + number).isoformat()


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: _PLAIN[match[1]], text) if "&" in text else text


def _lines(text: str) -> str:
    """The text with line ends of one kind, and valid Unicode."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if well_formed(text) else valid(text)
