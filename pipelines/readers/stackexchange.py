"""StackExchange: `Posts.xml` of the public dump (plain, compressed or in its 7z) -> one document per question.

The text is the question with its answers, best first (LLaMA, arXiv 2302.13971 section 2.1: the largest sites, HTML tags
removed, answers sorted by score). Questions and answers are joined out of core, through an SQLite file.

`Q: ` begins the question, `A: ` each answer and, where they are kept, `C: ` each comment. A paragraph of a post that begins
like one of these marks has a backslash in front (`\\A: `, and `\\\\A: ` where it had one already), so that a mark after a
blank line is always one of the reader.
"""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

from corpus.data.columns import AUTHOR, DATE, LICENCE, Column
from corpus.errors import DataError, UsageError
from corpus.ingest.compression import QUARANTINE_BYTES, open_stream
from corpus.ingest.reader import Item, Merged, RawFile, Reader, Record, Skipped, Unreadable
from corpus.option import nearest, option
from pipelines.formats.seven_zip import extract
from pipelines.formats.xml import ByteStream
from pipelines.markup.html.posts import post_to_text
from pipelines.readers import site_tables
from pipelines.readers.post_rows import integer
from pipelines.readers.posts import EXCERPT, Posts
from pipelines.readers.site_tables import STORES, Gathered, site_key, site_of, table_of

DUPLICATE = re.compile(r"<strong>Possible [Dd]uplicate[^<]*</strong>(.{0,4000}?)</blockquote>", re.DOTALL)
LINKED = re.compile(r"""href=["'][^"']*/(?:questions|q)/(\d+)""")
TAGS = re.compile(r"[<>|]+")
FIRST_OF_ID = "SELECT min(ordinal) FROM question WHERE id = ?"
MARKS = {keep: re.compile(rf"(?<=\n\n)(?=\\*[{marks}]: )") for keep, marks in (("drop", "QA"), ("keep", "QAC"))}
KEEP_OR_DROP = ("keep", "drop")
ENDINGS = (".xml", ".xml.gz", ".xml.bz2", ".xml.zst")
NAMES = ("Posts", *(name.removesuffix(".xml") for name in STORES))


@dataclass(frozen=True)
class StackExchangeReader:
    """Questions with their answers."""

    domain: ClassVar[str] = "stackexchange"
    patterns: ClassVar[tuple[str, ...]] = (
        *(f"{before}{name}{ending}" for name in NAMES for before in ("", "*[-_.]") for ending in ENDINGS),
        "*.7z",
    )
    doc: ClassVar[str] = "StackExchange dumps: one document per question, its answers sorted by score"
    columns: ClassVar[tuple[Column, ...]] = (AUTHOR, DATE, LICENCE)

    largest: int = option(0, "take only the sites with the most posts (LLaMA: 28); 0 takes all", least=0)
    unanswered: str = option("keep", "questions without an answer: keep or drop", choices=KEEP_OR_DROP)
    comments: str = option("drop", "comments below each post: keep or drop", choices=KEEP_OR_DROP)
    tag_wikis: str = option("drop", "wikis of tags, each a document: keep or drop", choices=KEEP_OR_DROP)

    def __post_init__(self) -> None:
        for name in ("unanswered", "comments", "tag_wikis"):
            value = getattr(self, name)
            if value not in KEEP_OR_DROP:
                raise UsageError(f"{name} is '{value}'; it must be keep or drop ({nearest(str(value), KEEP_OR_DROP)})")
        if self.largest < 0:
            raise UsageError(f"largest is {self.largest}: give a number of sites, or 0 for all.")

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables beside that of the posts that these settings need."""
        unused = {"Tags.xml": self.tag_wikis == "drop", "Comments.xml": self.comments == "drop"}
        return tuple(name for name in STORES if not unused.get(name))

    def survey(self, file: RawFile, folder: Path) -> None:
        """Notes the rows of a table that lies by itself, and how many posts a site has where that is asked."""
        site_tables.survey_site(file, folder, self.tables, self.largest > 0)

    def gather(self, surveys: Sequence[tuple[str, Path]], folder: Path) -> None:
        """Brings the tables of each site together, and finds the largest sites."""
        site_tables.gather_sites(surveys, folder, self.largest)

    def prepared(self, gathered: Path) -> Reader:
        """The reader that knows the sites' tables."""
        settings = {entry.name: getattr(self, entry.name) for entry in fields(StackExchangeReader)}
        return _PreparedReader(**settings, gathered=gathered)

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        """Yields the items of one site; the ordinals are the rows in file order."""
        yield from self._site(file, scratch, None)

    def _site(self, file: RawFile, scratch: Path, tables: Path | None) -> Iterator[Item]:
        """The items of one site; `tables` is the database of its tables where they do not lie in its archive."""
        if file.path.stat().st_size == 0:
            yield Unreadable(0, 0, 0, "empty file", b"")
        elif not file.path.name.lower().endswith(".7z"):
            with closing(open_stream(file.path)) as stream:
                yield from self._posts(stream, site_of(file), scratch, None, {}, tables)
        else:
            found, fault = extract(file.path, scratch, "Posts.xml", self.tables)
            try:
                yield from self._archive(file, scratch, found, fault, tables)
            finally:
                for path in found.values():
                    path.unlink(missing_ok=True)

    def _archive(
        self, file: RawFile, scratch: Path, found: dict[str, Path], fault: str | None, tables: Path | None
    ) -> Iterator[Item]:
        """The items of an archive of which `found` was unpacked."""
        posts = found.get("Posts.xml")
        if posts is None and fault is None:
            yield Skipped(0, "no Posts.xml in the archive")
        elif posts is None:
            with file.path.open("rb") as stored:
                size = file.path.stat().st_size
                yield Unreadable(0, 0, size, str(fault), stored.read(QUARANTINE_BYTES))
        elif posts.stat().st_size == 0:
            yield Unreadable(0, 0, 0, "empty file", b"")
        else:
            beside = {name: path for name, path in found.items() if name != "Posts.xml"}
            with posts.open("rb") as plain:
                yield from self._posts(plain, site_of(file), scratch, fault, beside, tables)

    def _posts(
        self,
        stream: ByteStream,
        site: str | None,
        scratch: Path,
        fault: str | None,
        beside: dict[str, Path],
        tables: Path | None,
    ) -> Iterator[Item]:
        """The items of one Posts.xml; its tables are the files `beside` it in its archive, else in the database `tables`."""
        path, side = scratch / "posts.sqlite", scratch / "side.sqlite"
        try:
            with closing(sqlite3.connect(f"file:{quote(str(path))}", uri=True, isolation_level=None)) as database:
                if beside or tables is None:
                    database.execute("ATTACH ? AS side", (f"file:{quote(str(side))}",))
                    site_tables.create_tables(database, "side")
                else:
                    database.execute("ATTACH ? AS side", (f"file:{quote(str(tables))}?mode=ro&immutable=1",))
                posts = Posts(database, self.tag_wikis == "keep")
                database.execute("BEGIN")
                for name, table in beside.items():
                    with table.open("rb") as rows:
                        site_tables.load_table(name, rows, database, "side")
                yield from posts.load(stream, fault)
                join = _Join(database, site, self)
                yield from join.questions()
                yield from join.wikis()
                yield from join.orphans()
        except sqlite3.Error as error:
            raise DataError(f"cannot join the posts in {path}: {error}; check the space of the disk") from error
        finally:
            path.unlink(missing_ok=True)
            side.unlink(missing_ok=True)


@dataclass(frozen=True)
class _PreparedReader(StackExchangeReader):
    """Reads sites whose tables are gathered, in the folder `gathered`."""

    gathered: Path = Path()

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        """Yields the items of a site that is taken; a table is no document."""
        known = Gathered.load(self.gathered)
        site = site_key(file)
        if table_of(file) is not None:
            yield Skipped(0, "table of a site")
            if file.name in known.faults:
                yield Unreadable(1, known.faults[file.name][0], 0, known.faults[file.name][1], b"")
        elif known.taken is not None and site not in known.taken:
            yield Skipped(0, "not among the largest sites")
        else:
            database = known.databases.get(site)
            yield from self._site(file, scratch, self.gathered / database if database else None)


@dataclass(frozen=True)
class _Join:
    """The documents of a site whose posts are stored."""

    database: sqlite3.Connection
    site: str | None
    settings: StackExchangeReader

    def questions(self) -> Iterator[Item]:
        """Each question with its answers."""
        for row in self.database.execute("SELECT * FROM question ORDER BY ordinal"):
            ordinal, identifier, body, title = row[0], row[1], row[2], row[7]
            answers: list[Any] = []
            if self.database.execute(FIRST_OF_ID, (identifier,)).fetchone()[0] == ordinal:  # else a repeated question
                answers = self.database.execute("SELECT * FROM answer WHERE parent = ?", (identifier,)).fetchall()
            answers.sort(key=lambda answer: (-answer[3], answer[1] != row[8], answer[1], answer[0]))
            question = "\n\n".join(part for part in (title, post_to_text(body)) if part)
            texts = [(answer, post_to_text(answer[2])) for answer in answers]
            written = [(answer, text) for answer, text in texts if text]
            yield from (Skipped(answer[0], "empty text") for answer, text in texts if not text)
            reason = "empty text" if not question and not written else ""
            if not answers and self.settings.unanswered == "drop":
                reason = "unanswered"
            if reason:
                yield Skipped(ordinal, reason, question)
                continue
            yield self._thread(row, question, written)
            yield from (Merged(answer[0], ordinal) for answer, _ in written)

    def _thread(self, row: Any, question: str, answers: list[tuple[Any, str]]) -> Record:
        ordinal, identifier, body, score, _, _, _, _, accepted, tags, created, closed = row
        parts: list[str] = []
        known: list[dict[str, Any]] = []
        for mark, post, text in (("Q", row, question), *(("A", answer, text) for answer, text in answers)):
            facts = self._facts(*post[4:7])
            parts.append(f"{mark}: {self._unmarked(text)}")
            if comments := self._comments(post[1]):
                parts += [f"C: {self._unmarked(comment.pop('text'))}" for comment in comments]
                facts["comments"] = comments
            known.append(facts)
        replies = [
            {"id": str(answer[1]), "score": answer[3], **facts}
            for (answer, _), facts in zip(answers, known[1:], strict=True)
        ]
        licences = {
            one["licence"] for facts in known for one in (facts, *facts.get("comments", ())) if "licence" in one
        }
        metadata: dict[str, object] = {
            "id": str(identifier), "site": self.site, "score": score, "date": created, "author": known[0].get("author"),
            "licence": " AND ".join(sorted(licences)) or None, "question": known[0],
            "tags": [tag for tag in TAGS.split(tags or "") if tag], "answers": replies,
            "accepted": None if accepted is None else str(accepted),
            "closed": closed, "duplicate_of": self._duplicate_of(identifier, body),
        }  # fmt: skip
        url = f"https://{self.site}/questions/{identifier}" if self.site else None
        metadata = {key: value for key, value in metadata.items() if value is not None}
        return Record(ordinal, "\n\n".join(parts), url=url, metadata=metadata)

    def wikis(self) -> Iterator[Item]:
        """Each tag's wiki below its excerpt; without a table of tags each is a document of its own."""
        for row in self.database.execute("SELECT * FROM wiki ORDER BY ordinal"):
            ordinal, identifier, kind = row[0], row[1], row[7]
            tag = self.database.execute(
                "SELECT name, excerpt, wiki FROM side.tag WHERE post = ?", (identifier,)
            ).fetchone()
            name, excerpt, wiki = tag or (None, None, None)
            text, above = post_to_text(row[2]), self._wiki(excerpt) if kind != EXCERPT else None
            below = self._wiki(wiki) if kind == EXCERPT else None
            if text and below is not None and post_to_text(below[2]):
                yield Merged(ordinal, below[0])
                continue
            parts = [f"# {name}" if name else "", post_to_text(above[2]) if above and text else "", text]
            if not text:
                yield Skipped(ordinal, "empty text")
                continue
            facts = self._facts(*row[4:7])
            metadata = {
                "id": str(identifier),
                "site": self.site,
                "tag": name,
                "kind": "tag wiki",
                "date": row[8],
                **facts,
            }
            url = f"https://{self.site}/tags/{quote(name)}/info" if self.site and name else None
            metadata = {key: value for key, value in metadata.items() if value is not None}
            yield Record(ordinal, "\n\n".join(part for part in parts if part), url=url, metadata=metadata)

    def orphans(self) -> Iterator[Item]:
        """Answers to questions that are not there."""
        select = "SELECT ordinal, body FROM answer WHERE parent NOT IN (SELECT id FROM question) ORDER BY ordinal"
        for ordinal, body in self.database.execute(select):
            yield Skipped(ordinal, "orphan answer", post_to_text(body))

    def _wiki(self, identifier: int | None) -> Any:
        return self.database.execute("SELECT * FROM wiki WHERE id = ? ORDER BY ordinal", (identifier,)).fetchone()

    def _unmarked(self, text: str) -> str:
        if "Q: " in text or "A: " in text or "C: " in text:  # looked for first: a pattern tries each place
            return MARKS[self.settings.comments].sub(r"\\", text)
        return text

    def _facts(self, author: str | None, author_id: str | None, licence: str | None) -> dict[str, Any]:
        """Author and licence of a post; the author's name from the table of users where the post has none."""
        if author_id and not author and (number := integer(author_id)) is not None:
            row = self.database.execute("SELECT name FROM side.user WHERE id = ?", (number,)).fetchone()
            author = row[0] if row else None
        facts: dict[str, Any] = {"author": author} if author else {}
        if author_id:
            facts["author_id"] = author_id
        if licence:
            facts["licence"] = licence
        return facts

    def _comments(self, post: int) -> list[dict[str, Any]]:
        if self.settings.comments == "drop":
            return []
        select = (
            "SELECT id, score, text, author, author_id, licence FROM side.comment WHERE post = ? ORDER BY created, id"
        )
        rows = self.database.execute(select, (post,)).fetchall()
        return [{"id": str(row[0]), "score": row[1], "text": row[2], **self._facts(*row[3:])} for row in rows]

    def _duplicate_of(self, identifier: int, body: str) -> list[str] | None:
        """The questions that this one repeats: by the table of links, and by the notice that closers put into a question
        up to 2012."""
        select = "SELECT original FROM side.duplicate WHERE id = ? ORDER BY original"
        found = [str(row[0]) for row in self.database.execute(select, (identifier,))]
        if "uplicate" in body and (notice := DUPLICATE.search(body)):
            found += LINKED.findall(notice[1])
        return list(dict.fromkeys(found)) or None
