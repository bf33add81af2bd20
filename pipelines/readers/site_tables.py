"""What the other tables of a StackExchange site say of its posts: names of users, duplicates, tags, comments.

They lie in the archive of the posts, beside it as files of the same site, or in archives of one table each; the last two are
surveyed and gathered, a database for each site.
"""

import json
import re
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from corpus.ingest.compression import TruncatedStream, open_stream
from corpus.ingest.reader import RawFile
from pipelines.formats.seven_zip import extract
from pipelines.formats.xml import ByteStream, Utf8Stream, pieces
from pipelines.readers.post_rows import ROW, ROW_BYTES, SHAPE, attributes_of, integer

HOST = re.compile(r"(?:[a-z0-9-]+\.)+[a-z][a-z0-9-]*", re.IGNORECASE)
VERSION = re.compile(r"(?:(?:^|[._ -])(?:\d+|\(\d+\)))+$")  # the date of a dump, the number of a copy
PART = re.compile(r"[._ -]?(Posts|Users|PostLinks|Tags|Comments)$", re.IGNORECASE)
SUFFIX = re.compile(r"\.(?:7z|xml(?:\.(?:gz|bz2|zst))?)$", re.IGNORECASE)
DUPLICATES = "3"  # the type of a link from a question to the one that it repeats
POSTS = re.compile(rb"PostTypeId=\"[12]\"")
TABLES, SURVEYED, SITES = "tables.sqlite", "site.json", "sites.json"
SPEED = "PRAGMA {0}.journal_mode = OFF; PRAGMA {0}.synchronous = OFF; PRAGMA {0}.cache_size = -16384;"
SCHEMA = """
CREATE TABLE {0}.user (id INTEGER PRIMARY KEY, name TEXT) WITHOUT ROWID;
CREATE TABLE {0}.duplicate (id INTEGER, original INTEGER, PRIMARY KEY (id, original)) WITHOUT ROWID;
CREATE TABLE {0}.tag (post INTEGER PRIMARY KEY, name TEXT, excerpt INTEGER, wiki INTEGER) WITHOUT ROWID;
CREATE TABLE {0}.comment (post INTEGER, id INTEGER, score INTEGER, text TEXT, created TEXT, author TEXT, author_id TEXT,
                          licence TEXT, PRIMARY KEY (post, id)) WITHOUT ROWID;
"""
Store = Callable[[Mapping[str, str], sqlite3.Connection, str], None]


@dataclass(frozen=True)
class Gathered:
    """What was gathered: by site its database, the sites to take (None: all), and faults of tables by the file's name."""

    databases: Mapping[str, str]
    taken: frozenset[str] | None
    faults: Mapping[str, tuple[int, str]]

    @classmethod
    def load(cls, folder: Path) -> "Gathered":
        """Read what `gather_sites` wrote."""
        value = json.loads((folder / SITES).read_text())
        taken = None if value["taken"] is None else frozenset(value["taken"])
        return cls(value["databases"], taken, {name: (at, why) for name, (at, why) in value["faults"].items()})


def site_of(file: RawFile) -> str | None:
    """The site's host name: from the name of the file, else that of its folder, without the date of the dump; a folder
    that is nothing but a date stands for the one above it. None where neither looks like a host."""
    name = SUFFIX.sub("", file.path.name)
    folders = file.name.split("/")[:-1] or [file.path.parent.name]
    while len(folders) > 1 and not VERSION.sub("", folders[-1]):
        folders.pop()
    for candidate in (name, folders[-1]):
        host = VERSION.sub("", PART.sub("", VERSION.sub("", candidate)))
        if HOST.fullmatch(host):
            return host.lower()
    return None


def site_key(file: RawFile) -> str:
    """What files of one site have in common: the site in its folder, or the folder where that has no site."""
    return f"{file.name.rpartition('/')[0]}:{site_of(file) or ''}"


def table_of(file: RawFile) -> str | None:
    """The table that a file or archive is called after, such as Users.xml, if it is not that of the posts."""
    match = PART.search(SUFFIX.sub("", file.path.name))
    names = [name for name in STORES if match and name.lower() == f"{match[1]}.xml".lower()]
    return names[0] if names else None


def create_tables(database: sqlite3.Connection, schema: str) -> None:
    """Makes the empty tables in a schema of a connection."""
    database.executescript(SPEED.format(schema) + SCHEMA.format(schema))


def load_table(name: str, stream: ByteStream, database: sqlite3.Connection, schema: str) -> None:
    """Stores the rows of a table as far as they can be read; TruncatedStream is left to the caller."""
    for piece in pieces(Utf8Stream(stream), ROW, ROW_BYTES):
        shape = SHAPE.match(piece.data)
        row = attributes_of(shape.group()) if shape is not None else None
        if row is not None:
            STORES[name](row, database, schema)


def survey_site(file: RawFile, folder: Path, tables: Collection[str], count: bool) -> None:
    """Writes the rows of a table that is among `tables`, or of posts (`count`) how many there are."""
    found: dict[str, object] = {"site": site_key(file)}
    table = table_of(file)
    if table is not None and table in tables:
        with closing(sqlite3.connect(folder / TABLES, isolation_level=None)) as database:
            create_tables(database, "main")
            database.execute("BEGIN")
            found["fault"] = _each(file, folder, table, lambda stream: load_table(table, stream, database, "main"))
            database.execute("COMMIT")
    elif table is None and count:
        posts: list[int] = []
        _each(file, folder, "Posts.xml", lambda stream: posts.append(_count(stream)))
        found["posts"] = sum(posts)
    (folder / SURVEYED).write_text(json.dumps(found))


def _each(file: RawFile, folder: Path, member: str, take: Callable[[ByteStream], None]) -> tuple[int, str] | None:
    """Gives a file, or that member of a 7z, to `take`; what was wrong with it, and where."""
    found: dict[str, Path] = {}
    fault: str | None = None
    path = file.path
    if path.name.lower().endswith(".7z"):
        found, fault = extract(path, folder, member)
        if member not in found:
            return None if fault is None else (0, fault)
        path = found[member]
    try:
        with open_stream(path) as stream:
            take(stream)
    except TruncatedStream as error:
        return error.offset, error.reason
    finally:
        for unpacked in found.values():
            unpacked.unlink()
    return None if fault is None else (0, fault)


def _count(stream: ByteStream) -> int:
    """Questions and answers of a Posts.xml."""
    posts, rest = 0, b""
    try:
        while chunk := stream.read(1 << 20):
            posts += len(POSTS.findall(rest + chunk))
            rest = chunk[-15:]  # shorter than a match, so that none is counted twice
    except TruncatedStream:
        pass  # reading it says so
    return posts


def gather_sites(surveys: Sequence[tuple[str, Path]], folder: Path, largest: int) -> None:
    """Brings the tables of each site together, and says which sites are the `largest` by their posts (0: all)."""
    surveyed = {name: (survey, json.loads((survey / SURVEYED).read_text())) for name, survey in surveys}
    parts: dict[str, list[Path]] = {}
    posts: dict[str, int] = {}
    for survey, found in surveyed.values():
        if (survey / TABLES).exists():
            parts.setdefault(found["site"], []).append(survey / TABLES)
        posts[found["site"]] = posts.get(found["site"], 0) + found.get("posts", 0)
    databases = {site: f"{number}.sqlite" for number, site in enumerate(parts)}
    for site, paths in parts.items():
        _join(paths, folder / databases[site])
    ranked = sorted((site for site, number in posts.items() if number), key=lambda site: (-posts[site], site))
    faults = {name: found["fault"] for name, (_, found) in surveyed.items() if found.get("fault")}
    value = {"databases": databases, "taken": ranked[:largest] if largest else None, "faults": faults}
    (folder / SITES).write_text(json.dumps(value))


def _join(paths: Iterable[Path], target: Path) -> None:
    with closing(sqlite3.connect(target, isolation_level=None)) as database:
        create_tables(database, "main")
        for path in paths:
            database.execute("ATTACH ? AS part", (str(path),))
            for table in ("user", "duplicate", "tag", "comment"):
                database.execute(f"INSERT OR IGNORE INTO main.{table} SELECT * FROM part.{table}")
            database.execute("DETACH part")


def _store_user(row: Mapping[str, str], database: sqlite3.Connection, schema: str) -> None:
    identifier, name = integer(row.get("Id")), " ".join(row.get("DisplayName", "").split())
    if identifier is not None and name:
        database.execute(f"INSERT OR IGNORE INTO {schema}.user VALUES (?, ?)", (identifier, name))


def _store_link(row: Mapping[str, str], database: sqlite3.Connection, schema: str) -> None:
    identifier, original = integer(row.get("PostId")), integer(row.get("RelatedPostId"))
    if row.get("LinkTypeId") == DUPLICATES and identifier is not None and original is not None:
        database.execute(f"INSERT OR IGNORE INTO {schema}.duplicate VALUES (?, ?)", (identifier, original))


def _store_tag(row: Mapping[str, str], database: sqlite3.Connection, schema: str) -> None:
    """A tag by its wiki, and by its excerpt."""
    name, excerpt, wiki = row.get("TagName"), integer(row.get("ExcerptPostId")), integer(row.get("WikiPostId"))
    for post in (wiki, excerpt):
        if name and post is not None:
            database.execute(f"INSERT OR IGNORE INTO {schema}.tag VALUES (?, ?, ?, ?)", (post, name, excerpt, wiki))


def _store_comment(row: Mapping[str, str], database: sqlite3.Connection, schema: str) -> None:
    identifier, post, text = integer(row.get("Id")), integer(row.get("PostId")), " ".join(row.get("Text", "").split())
    if identifier is None or post is None or not text:
        return
    created = row.get("CreationDate", "")
    values = (
        *(post, identifier, integer(row.get("Score")) or 0, text, created),
        *(row.get("UserDisplayName"), row.get("UserId"), licence_of(row.get("ContentLicense", ""), created)),
    )
    database.execute(f"INSERT OR IGNORE INTO {schema}.comment VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)


STORES: Mapping[str, Store] = {
    "Users.xml": _store_user, "PostLinks.xml": _store_link, "Tags.xml": _store_tag, "Comments.xml": _store_comment,
}  # fmt: skip
"""The tables that say more of posts, and what stores their rows."""

LICENCES = (("2011-04-08", "CC-BY-SA-2.5"), ("2018-05-02", "CC-BY-SA-3.0"), ("9", "CC-BY-SA-4.0"))
"""By the first day on which it no longer held (stackoverflow.com/help/licensing)."""


def licence_of(named: str, changed: str) -> str | None:
    """The licence of a text: that which the dump names, else the one that held when it was last changed."""
    dated = next((licence for until, licence in LICENCES if changed < until), None) if changed else None
    return named.strip().replace("CC BY-SA ", "CC-BY-SA-") or dated
