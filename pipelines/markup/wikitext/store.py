"""The definitions of templates of one or more wikis, out of memory: lines while files are surveyed, then one SQLite file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from types import TracebackType

from pipelines.markup.wikitext.definitions import definition, template_key
from pipelines.markup.wikitext.known import known
from pipelines.markup.wikitext.names import redirect_target

LINES = "templates.jsonl"
DATABASE = "templates.sqlite"
_MAX_REDIRECTS = 3
_CACHED = 20_000  # definitions held in memory: a wiki's articles use few ones often


def template_line(wiki: str, title: str, source: str) -> str | None:
    """The line of a template page: wiki, key, and its body or where it redirects to; None if it is no phrase."""
    key = template_key(title)
    target = redirect_target(source)
    body = None if target else definition(source)
    if body is not None and "<templatestyles" in body and known(key.lower()):
        body = None  # what it looks like is the style's doing; the list writes it out
    if target is None and body is None:
        return None
    return json.dumps([wiki, key, body, target and template_key(target)], ensure_ascii=False)


def gather_templates(files: Iterable[Path], database: Path) -> None:
    """Puts the lines of all files into one database; of two definitions the later one counts."""
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA synchronous = OFF")  # made again if the run is killed
    connection.execute("CREATE TABLE template (wiki, name, body, target, PRIMARY KEY (wiki, name)) WITHOUT ROWID")
    for path in files:
        with path.open(encoding="utf-8") as lines:
            rows = (json.loads(line) for line in lines)
            connection.executemany("INSERT OR REPLACE INTO template VALUES (?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()


class TemplateStore:
    """The gathered definitions of one wiki, looked up one at a time. A context manager that closes the file."""

    def __init__(self, database: Path, wiki: str) -> None:
        self.wiki = wiki
        self._connection = sqlite3.connect(f"file:{database}?mode=ro&immutable=1", uri=True)
        self.get = lru_cache(_CACHED)(self._get)

    def __enter__(self) -> TemplateStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def _get(self, key: str) -> str | None:
        for _ in range(_MAX_REDIRECTS + 1):
            row = self._connection.execute(
                "SELECT body, target FROM template WHERE wiki = ? AND name = ?", (self.wiki, key)
            ).fetchone()
            if row is None:
                return None
            body, target = row
            if target is None:
                return str(body)
            key = str(target)
        return None
