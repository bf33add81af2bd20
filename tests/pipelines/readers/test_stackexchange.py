"""StackExchange: the join, the order of answers, and damage that must not lose a readable row."""

from __future__ import annotations

import bz2
import random
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from xml.sax.saxutils import escape, quoteattr

import py7zr
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree, html

from corpus.errors import UsageError
from corpus.ingest.files import find_files
from corpus.ingest.reader import Merged, RawFile, Record, Skipped, Unreadable
from pipelines.readers.post_rows import _parsed, _plain
from pipelines.readers.site_tables import site_of
from pipelines.readers.stackexchange import StackExchangeReader
from tests.pipelines.readers.reading import items_of, reasons_of, records_of

HEAD = '\ufeff<?xml version="1.0" encoding="utf-8"?>\n<posts>\n'


def row(**attributes: object) -> str:
    return "  <row " + " ".join(f"{key}={quoteattr(str(value))}" for key, value in attributes.items()) + " />\n"


def question(number: int, **more: object) -> str:
    values = {"Id": number, "PostTypeId": 1, "Score": 3, "Title": f"T{number}", "Body": f"<p>B{number}</p>", **more}
    return row(**values)


def answer(number: int, parent: int, score: int, **more: object) -> str:
    values = {"Id": number, "PostTypeId": 2, "ParentId": parent, "Score": score, "Body": f"<p>A{number}</p>", **more}
    return row(**values)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def posts(*rows: str, tail: str = "</posts>\n", folder: str = "beer.stackexchange.com") -> Path:
        path = tmp_path / folder / "Posts.xml"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((HEAD + "".join(rows) + tail).encode())
        return path

    return posts


def read(path: Path, reader: StackExchangeReader | None = None):  # type: ignore[no-untyped-def]
    items = items_of(reader or StackExchangeReader(), path)
    assert {entry.name for entry in path.parent.iterdir()} == {path.name}, "scratch is left clean"
    return items


def test_answers_are_sorted_by_integer_score_then_accepted_then_id(write: Callable[..., Path]) -> None:
    scores = {11: 9, 12: 2, 13: 100, 14: 10, 15: -1, 16: 2, 17: 2}
    answers = [answer(number, 1, score) for number, score in scores.items()]
    items = read(write(*answers, question(1, AcceptedAnswerId=16)))
    (record,) = records_of(items)
    assert record.text == "Q: T1\n\nB1\n\nA: A13\n\nA: A14\n\nA: A11\n\nA: A16\n\nA: A12\n\nA: A17\n\nA: A15"
    assert record.ordinal == 7
    assert {item.ordinal for item in items if isinstance(item, Merged) and item.into == 7} == set(range(7))
    assert [entry["score"] for entry in record.metadata["answers"]] == [100, 10, 9, 2, 2, 2, -1]  # type: ignore[attr-defined]


def test_title_is_plain_text_and_is_decoded_once(write: Callable[..., Path]) -> None:
    items = read(write(question(1, Title="List<String> to Set<T>?"), question(2, Title="a<b and b>c &lt; d")))
    assert [record.text.split("\n")[0] for record in records_of(items)] == [
        "Q: List<String> to Set<T>?",
        "Q: a<b and b>c &lt; d",
    ]


def test_metadata_url_and_both_tag_formats(write: Callable[..., Path]) -> None:
    rows = [
        question(1, Tags="<ale><hop-oil>", CreationDate="2014-01-21T20:26:05.383", ContentLicense="CC BY-SA 3.0"),
        question(2, Tags="|ale|hop-oil|"),
    ]
    first, second = records_of(read(write(*rows)))
    assert first.metadata["tags"] == second.metadata["tags"] == ["ale", "hop-oil"]
    assert first.metadata["licence"] == "CC-BY-SA-3.0" and first.metadata["id"] == "1"
    assert first.metadata["date"] == "2014-01-21T20:26:05.383"
    assert first.url == "https://beer.stackexchange.com/questions/1"


def test_every_row_is_one_item(write: Callable[..., Path]) -> None:
    rows = [
        question(1),
        answer(2, 99, 5),
        row(Id=3, PostTypeId=4, Body="wiki"),
        answer(4, 1, 5, Body=""),
        question(5, Title="", Body=""),
        row(PostTypeId=1, Body="no id"),
        row(Id=6, Body="no type"),
        question(1, Title="again"),
    ]
    items = {item.ordinal: item for item in read(write(*rows))}
    assert items[1] == Skipped(1, "orphan answer", "A2")
    assert isinstance(items[2], Skipped) and items[2].reason == "post type 4"
    assert items[3] == Skipped(3, "empty text")
    assert isinstance(items[4], Skipped) and items[4].reason == "empty text"
    assert isinstance(items[5], Unreadable) and items[5].reason == "post without id"
    assert isinstance(items[6], Skipped) and items[6].reason == "post type missing"
    assert isinstance(items[0], Record) and items[0].text == "Q: T1\n\nB1"
    assert isinstance(items[7], Record) and items[7].text == "Q: again\n\nB1"


def test_unanswered_questions_can_be_dropped(write: Callable[..., Path]) -> None:
    path = write(question(1), question(2), answer(3, 2, 0))
    assert len(records_of(read(path))) == 2
    items = read(path, StackExchangeReader(unanswered="drop"))
    assert [record.ordinal for record in records_of(items)] == [1]
    assert reasons_of(items) == ["unanswered"]
    with pytest.raises(UsageError, match="keep or drop"):
        StackExchangeReader(unanswered="maybe")


def test_rows_need_no_line_of_their_own(write: Callable[..., Path]) -> None:
    rows = [question(1).strip(), "<row Id='2'\n PostTypeId='2'\n ParentId='1' Score='1' Body='a > b'\n></row>"]
    (record,) = records_of(read(write(*rows)))
    assert record.text == "Q: T1\n\nB1\n\nA: a > b"


def test_forbidden_characters_do_not_lose_a_row(write: Callable[..., Path]) -> None:
    rows = [question(1, Body="a\x08b"), question(2).replace("B2", "B&#x1F;2")]
    assert [record.text for record in records_of(read(write(*rows)))] == ["Q: T1\n\nab", "Q: T2\n\nB2"]


def test_truncation_anywhere_keeps_every_whole_row(write: Callable[..., Path]) -> None:
    path = write(*(question(number) for number in range(1, 9)))
    whole = path.read_bytes()
    for cut in range(1, len(whole) - 9, 7):
        path.write_bytes(whole[:cut])
        items = read(path)
        assert len(records_of(items)) == whole[:cut].count(b" />")
        assert sum(isinstance(item, Unreadable) for item in items) == 1, "the rest is one item"


def test_a_flipped_bit_costs_one_row_at_most(write: Callable[..., Path]) -> None:
    path = write(*(question(number, Body=f"<p>{'words ' * 5}{number}</p>") for number in range(1, 9)))
    whole = path.read_bytes()
    source = random.Random(7)
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[source.randrange(len(whole))] ^= 1 << source.randrange(8)
        path.write_bytes(damaged)
        assert len(records_of(read(path))) >= 6  # a start tag that is gone costs its row and perhaps its neighbour's


def test_compressed_and_truncated(write: Callable[..., Path]) -> None:
    plain = write(*(question(number) for number in range(1, 200)))
    path = plain.with_name("Posts.xml.bz2")
    path.write_bytes(bz2.compress(plain.read_bytes()))
    plain.unlink()
    assert len(records_of(read(path))) == 199
    path.write_bytes(path.read_bytes()[:-20])
    assert "truncated bzip2" in reasons_of(read(path))[-1].replace("bz2", "bzip2")


def test_seven_zip(write: Callable[..., Path], tmp_path: Path) -> None:
    plain = write(*(question(number) for number in range(1, 50)))
    folder = tmp_path / "dump"
    folder.mkdir()
    path = folder / "stackoverflow.com-Posts.7z"
    with py7zr.SevenZipFile(path, "w") as archive:
        archive.write(plain, "Posts.xml")
    records = records_of(read(path))
    assert len(records) == 49
    assert records[0].url == "https://stackoverflow.com/questions/1"
    stored = path.read_bytes()
    path.write_bytes(stored[: len(stored) // 2])
    assert reasons_of(read(path)) == ["unreadable 7z"]
    with py7zr.SevenZipFile(path, "w") as archive:
        archive.write(plain, "Users.xml")
    assert reasons_of(read(path)) == ["no Posts.xml in the archive"]


@pytest.mark.parametrize(("content", "reason"), [(b"", "empty file"), (b"\x00" * 100, "truncated XML")])
def test_no_posts_at_all(tmp_path: Path, content: bytes, reason: str) -> None:
    folder = tmp_path / "a.com"
    folder.mkdir()
    path = folder / "Posts.xml"
    path.write_bytes(content)
    assert reasons_of(read(path))[0] == reason


def test_an_empty_site_is_no_fault(write: Callable[..., Path]) -> None:
    assert read(write()) == []


def test_site_names(tmp_path: Path) -> None:
    def site(name: str) -> str | None:
        return site_of(RawFile(tmp_path / name, name))

    assert site("x/beer.stackexchange.com/Posts.xml") == "beer.stackexchange.com"
    assert site("math.stackexchange.com.7z") == "math.stackexchange.com"
    assert site("posts/Posts.xml") is None
    assert site("x/beer.stackexchange.com.2024/Posts.xml") == "beer.stackexchange.com"
    assert site("x/Beer.StackExchange.com_2024-04-02/Posts.xml.zst") == "beer.stackexchange.com"
    assert site("beer.stackexchange.com/2024-04-02/Posts.xml") == "beer.stackexchange.com"
    assert site("all/askubuntu.com-Posts.xml") == site("all/askubuntu.com_Posts.xml.gz") == "askubuntu.com"
    assert site("stackoverflow.com-Posts (1).7z") == site("stackoverflow.com-Posts.7z") == "stackoverflow.com"
    assert site("es.stackoverflow.com-2024-06-30.7z") == "es.stackoverflow.com"
    assert site("dump.2024/Posts.xml") is None
    assert site("1.2/Posts.xml") is None


def test_authors_and_licences_of_each_post(write: Callable[..., Path]) -> None:
    rows = [
        question(1, OwnerUserId=7, OwnerDisplayName="Ann B.", CreationDate="2011-04-07T23:59:59.999"),
        answer(2, 1, 9, OwnerUserId=8, CreationDate="2011-04-08T00:00:00.000"),
        answer(
            3, 1, 8, OwnerDisplayName="user7", CreationDate="2012-01-01T00:00:00", LastEditDate="2018-05-02T00:00:00"
        ),
        answer(4, 1, 7, CreationDate="2019-01-01T00:00:00", ContentLicense="CC BY-SA 2.5"),
        answer(5, 1, 6),
    ]
    metadata = records_of(read(write(*rows)))[0].metadata
    assert metadata["author"] == "Ann B."
    assert metadata["question"] == {"author": "Ann B.", "author_id": "7", "licence": "CC-BY-SA-2.5"}
    assert metadata["answers"] == [
        {"id": "2", "score": 9, "author_id": "8", "licence": "CC-BY-SA-3.0"},
        {"id": "3", "score": 8, "author": "user7", "licence": "CC-BY-SA-4.0"},
        {"id": "4", "score": 7, "licence": "CC-BY-SA-2.5"},
        {"id": "5", "score": 6},
    ]
    assert metadata["licence"] == "CC-BY-SA-2.5 AND CC-BY-SA-3.0 AND CC-BY-SA-4.0"


@pytest.mark.parametrize("number", ["--5", "-", "9" * 5000, "٣", "x"])
def test_an_odd_user_number_loses_no_post(write: Callable[..., Path], number: str) -> None:
    posts = read(write(question(1, OwnerUserId=number), answer(2, 1, 5, OwnerUserId=number), question(3)))
    first, second = records_of(posts)
    assert first.text == "Q: T1\n\nB1\n\nA: A2" and second.text == "Q: T3\n\nB3"
    asked: Any = first.metadata["question"]
    assert asked["author_id"] == number and "author" not in first.metadata


def test_closed_and_duplicate_questions(write: Callable[..., Path]) -> None:
    link = '<a href="https://x.com/questions/{0}/how">how</a><br>'
    notice = "<blockquote><p><strong>Possible Duplicate:</strong><br>" + link.format(3) + link.format(41)
    rows = [
        question(1, ClosedDate="2012-02-03T04:05:06.789", Body=f"{notice}</p></blockquote><p>B {link.format(5)}</p>"),
        question(2, Body=f"<p>no duplicate of {link.format(3)}</p>"),
    ]
    first, second = (record.metadata for record in records_of(read(write(*rows))))
    assert first["closed"] == "2012-02-03T04:05:06.789" and first["duplicate_of"] == ["3", "41"]
    assert "closed" not in second and "duplicate_of" not in second


def test_an_archive_names_authors_and_duplicates(write: Callable[..., Path], tmp_path: Path) -> None:
    plain = write(
        question(1, OwnerUserId=7), answer(2, 1, 5, OwnerUserId=8), answer(3, 1, 4, OwnerUserId=9),
        answer(4, 1, 3, OwnerDisplayName="gone"), question(5, OwnerUserId=-1),
    )  # fmt: skip
    users = [
        row(Id=7, DisplayName="Ann  B."),
        row(Id=8, DisplayName="Zoë & 'Co' <x>"),
        row(Id=-1, DisplayName="Community"),
    ]
    links = [row(Id=1, PostId=1, RelatedPostId=90, LinkTypeId=3), row(Id=2, PostId=1, RelatedPostId=5, LinkTypeId=3),
             row(Id=3, PostId=5, RelatedPostId=1, LinkTypeId=1)]  # fmt: skip
    tables = {
        "Users.xml": f'<users>{"".join(users)}<row Id="9" Disp',
        "PostLinks.xml": f"<postlinks>{''.join(links)}</postlinks>",
    }
    folder = tmp_path / "dump"
    folder.mkdir()
    path = folder / "beer.stackexchange.com.7z"
    for prefix in ("", "beer.stackexchange.com/"):
        with py7zr.SevenZipFile(path, "w") as archive:
            for name, text in tables.items():
                archive.writestr(text, prefix + name)
            archive.write(plain, prefix + "Posts.xml")
        first, second = (record.metadata for record in records_of(items_of(StackExchangeReader(), path)))
        assert (first["author"], second["author"]) == ("Ann B.", "Community")
        assert [entry.get("author") for entry in first["answers"]] == ["Zoë & 'Co' <x>", None, "gone"]  # type: ignore[attr-defined]
        assert first["duplicate_of"] == ["5", "90"] and "duplicate_of" not in second
        assert not list(folder.rglob("*.xml"))


def posts_of(text: str) -> list[str]:
    """The posts of a document by its marks alone: what a user of the text does."""
    parts = re.split(r"\n\n(?=A: )", text)
    assert parts[0].startswith("Q: ")
    return [re.sub(r"(?<=\n\n)\\(?=\\*[QA]: )", "", part[3:]) for part in parts]


@given(
    st.lists(
        st.lists(st.sampled_from(["A: b", "Q: c", "\\A: d", "\\\\Q: e", "f", "A:", "xA: y"]), min_size=1), min_size=1
    )
)
def test_marks_cannot_be_imitated(bodies: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "Posts.xml"
        first, *others = ["".join(f"<p>{paragraph}</p>" for paragraph in body) for body in bodies]
        rows = [question(1, Title="A: t", Body=first)]
        rows += [answer(number, 1, -number, Body=body) for number, body in enumerate(others, 2)]
        path.write_text(HEAD + "".join(rows) + "</posts>", encoding="utf-8")
        (record,) = records_of(items_of(StackExchangeReader(), path))
    assert posts_of(record.text) == ["\n\n".join(["A: t", *bodies[0]]), *("\n\n".join(body) for body in bodies[1:])]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("a &#xD83D;&#xDE00; b", "a 😀 b"),
        ("a &#55357;&#56832; b", "a 😀 b"),
        ("&amp;#xD83D;&amp;#xDE00; b", "😀 b"),
        ("a&#xFFFF;b&#65534;&#xD83D;&#x0;&#11;c&#x110000;", "abc"),
        ("\uffffa&#xDE00;&#xD83D;b&#x9;&#xE9;", "ab é"),
    ],
)
def test_characters_that_xml_forbids(write: Callable[..., Path], body: str, text: str) -> None:
    line = '  <row Id="1" PostTypeId="1" Title="T" Body="' + body + '" />\n'
    assert [record.text for record in records_of(read(write(line)))] == [f"Q: T\n\n{text}"]


def test_halves_of_characters_as_bytes(write: Callable[..., Path]) -> None:
    path = write(question(1, Body="x SMILE y HALF z"))
    data = path.read_bytes().replace(b"SMILE", b"\xed\xa0\xbd\xed\xb8\x80").replace(b"HALF", b"\xed\xa0\xbd")
    path.write_bytes(data)
    assert [record.text for record in records_of(read(path))] == ["Q: T1\n\nx 😀 y z"]


def test_real_sites(samples: Path, tmp_path: Path) -> None:
    questions = answers = 0
    for path in sorted((samples / "stackexchange").glob("*/Posts.xml")):
        items = items_of(StackExchangeReader(), path, tmp_path)
        questions += len(records_of(items))
        answers += sum(isinstance(item, Merged) for item in items)
        assert not any(isinstance(item, Unreadable) for item in items)
        assert all("<p>" not in record.text and record.text.startswith("Q: ") for record in records_of(items))
    assert (questions, answers) == (2214, 4315)


WORD = re.compile(r"[^\W_]+")


def words_of(markup: str) -> str:
    """The letters and digits of HTML, by lxml's tree."""
    tree = html.fromstring(f"<div>{markup}</div>")
    for comment in tree.xpath("//comment()"):
        comment.drop_tree()
    return "".join(WORD.findall(" ".join(tree.itertext())))


def test_real_sites_equal_lxml(samples: Path, tmp_path: Path) -> None:
    """Questions, answers, pairs, order, and every word of every body (numbers of lists and pictures' texts are added)."""
    for path in sorted((samples / "stackexchange").glob("*/Posts.xml")):
        rows = [dict(row.attrib) for row in etree.parse(path, etree.XMLParser(load_dtd=False)).getroot()]
        questions = {row["Id"]: row for row in rows if row["PostTypeId"] == "1"}
        answers: dict[str, list[dict[str, str]]] = {}
        for row in rows:
            if row["PostTypeId"] == "2" and words_of(row["Body"]):
                answers.setdefault(row["ParentId"], []).append(row)
        records = records_of(items_of(StackExchangeReader(), path, tmp_path))
        assert [record.metadata["id"] for record in records] == list(questions)
        for record in records:
            asked = questions[str(record.metadata["id"])]
            wanted = answers.get(asked["Id"], [])
            wanted.sort(
                key=lambda row: (-int(row["Score"]), row["Id"] != asked.get("AcceptedAnswerId"), int(row["Id"]))
            )
            assert [entry["id"] for entry in record.metadata["answers"]] == [row["Id"] for row in wanted]  # type: ignore[attr-defined]
            bodies = [escape(asked["Title"]) + " " + asked["Body"], *(row["Body"] for row in wanted)]
            posts = posts_of(record.text)
            assert len(posts) == len(bodies)
            for post, body in zip(posts, bodies, strict=True):
                letters = iter("".join(WORD.findall(post)))
                assert all(letter in letters for letter in words_of(body)), record.url


VALUES = st.text(alphabet="ab \t\n&;<>\"'#x1A\u00e9\uffff\x0b=/", max_size=12)


@given(
    st.lists(st.tuples(st.sampled_from(["Id", "Body", "Title", "a.b"]), VALUES, st.booleans()), max_size=4),
    st.booleans(),
)
def test_attributes_equal_those_of_an_xml_parser(pairs: list[tuple[str, str, bool]], clean: bool) -> None:
    """`clean` escapes the values as dumps do; else they are put in raw, quotes apart."""
    parts = []
    for name, value, single in pairs:
        escaped = quoteattr(value).replace("&#10;", "&#xA;").replace("&#9;", "&#x9;")  # as dumps have it
        shown = escaped if clean else '"' + value.replace('"', "") + '"'
        parts.append(f"{name}={shown}" if not single else f"{name} = {shown}")
    data = ("<row " + " ".join(parts) + " />").encode()
    fast, slow = _plain(data), _parsed(data)
    assert fast is None or fast == slow
    names = [name for name, _, _ in pairs]
    usual = clean and not any(single for _, _, single in pairs) and len(set(names)) == len(names) and "a.b" not in names
    if (
        usual
        and pairs
        and not any(set(value) & set("\uffff\x0b") or "'" in quoteattr(value)[:1] for _, value, _ in pairs)
    ):
        assert fast is not None, data


def gathered(reader: StackExchangeReader, folder: Path, scratch: Path):  # type: ignore[no-untyped-def]
    """All items of a folder of files by the file's name, after the survey of all."""
    files = list(find_files([str(folder)], reader.patterns).files)
    surveys = []
    for number, file in enumerate(files):
        survey = scratch / str(number)
        survey.mkdir(parents=True)
        reader.survey(file, survey)
        surveys.append((file.name, survey))
    target = scratch / "gathered"
    target.mkdir()
    reader.gather(surveys, target)
    prepared = reader.prepared(target)
    work = scratch / "work"
    work.mkdir()
    found = {file.name: list(prepared.read(file, work)) for file in files}
    assert not list(work.iterdir()), "scratch is left clean"
    return found


TABLES = {
    "Users.xml": row(Id=7, DisplayName="Ada  L."),
    "PostLinks.xml": row(Id=1, PostId=1, RelatedPostId=9, LinkTypeId=3),
    "Tags.xml": row(Id=1, TagName="c++", ExcerptPostId=5, WikiPostId=6) + row(Id=2, TagName="ale", ExcerptPostId=8),
    "Comments.xml": row(Id=3, PostId=2, Score=1, Text="late", CreationDate="2020-02-02", UserId=7)
    + row(Id=2, PostId=2, Score=4, Text="A: early\n\nC: no mark", CreationDate="2010-01-01", UserDisplayName="B")
    + row(Id=4, PostId=77, Text="of nothing")
    + row(Id=5, PostId=1, Text=" "),
}
SITE = [
    question(1, OwnerUserId=7, CreationDate="2019-01-01"),
    answer(2, 1, 3, CreationDate="2019-01-01", Body="<p>x</p><p>C: in the post</p>"),
    row(Id=5, PostTypeId=4, Body="In short.", CreationDate="2012-01-01"),
    row(Id=6, PostTypeId=5, Body="<p>At length.</p>", CreationDate="2012-01-01"),
    row(Id=8, PostTypeId=4, Body="Only short."),
    row(Id=10, PostTypeId=5, Body=""),
    row(Id=11, PostTypeId=5, Body="<p>Of no tag.</p>"),
]


@pytest.mark.parametrize("layout", ["folder", "archives", "one archive"])
def test_tables_of_a_site(layout: str, tmp_path: Path) -> None:
    files = {"Posts.xml": HEAD + "".join(SITE) + "</posts>", **{k: HEAD + v + "</posts>" for k, v in TABLES.items()}}
    folder, loose = tmp_path / "in", tmp_path / "loose"
    for target in (folder, loose):
        target.mkdir()
    for name, text in files.items():
        path = folder / "beer.stackexchange.com" / name if layout == "folder" else loose / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    if layout == "archives":
        for name in files:
            with py7zr.SevenZipFile(folder / f"beer.stackexchange.com-{name[:-4]}.7z", "w") as archive:
                archive.write(loose / name, name)
    elif layout == "one archive":
        with py7zr.SevenZipFile(folder / "beer.stackexchange.com.7z", "w") as archive:
            archive.writeall(loose, "")
    reader = StackExchangeReader(comments="keep", tag_wikis="keep")
    items = [item for found in gathered(reader, folder, tmp_path / "s").values() for item in found]
    first, *wikis = records_of(items)
    assert first.text == "Q: T1\n\nB1\n\nA: x\n\n\\C: in the post\n\nC: A: early C: no mark\n\nC: late"
    assert first.metadata["author"] == "Ada L." and first.metadata["duplicate_of"] == ["9"]
    assert first.metadata["licence"] == "CC-BY-SA-2.5 AND CC-BY-SA-4.0"
    replies = cast(list[dict[str, object]], first.metadata["answers"])
    assert replies[0]["comments"] == [
        {"id": "2", "score": 4, "author": "B", "licence": "CC-BY-SA-2.5"},
        {"id": "3", "score": 1, "author": "Ada L.", "author_id": "7", "licence": "CC-BY-SA-4.0"},
    ]
    assert [wiki.text for wiki in wikis] == ["# c++\n\nIn short.\n\nAt length.", "# ale\n\nOnly short.", "Of no tag."]
    assert wikis[0].url == "https://beer.stackexchange.com/tags/c%2B%2B/info"
    assert {**wikis[0].metadata} == {
        "id": "6", "site": "beer.stackexchange.com", "tag": "c++", "kind": "tag wiki", "date": "2012-01-01",
        "licence": "CC-BY-SA-3.0",
    }  # fmt: skip
    assert Merged(2, 3) in items and Skipped(5, "empty text") in items
    plain = [i for found in gathered(StackExchangeReader(), folder, tmp_path / "t").values() for i in found]
    assert [record.text for record in records_of(plain)] == ["Q: T1\n\nB1\n\nA: x\n\nC: in the post"]
    assert sorted(reasons_of(plain))[:2] == ["post type 4", "post type 4"]


def test_the_largest_sites(tmp_path: Path) -> None:
    for site, number in (("a.com", 3), ("b.com", 5), ("c.com", 4), ("d.com", 0)):
        (tmp_path / "in" / site).mkdir(parents=True)
        rows = "".join(question(n) for n in range(1, number + 1)) + row(Id=50, PostTypeId=5, Body="wiki") * 9
        (tmp_path / "in" / site / "Posts.xml").write_text(HEAD + rows + "</posts>")
    found = gathered(StackExchangeReader(largest=2), tmp_path / "in", tmp_path / "s")
    assert {name: len(records_of(items)) for name, items in found.items()} == {
        "a.com/Posts.xml": 0, "b.com/Posts.xml": 5, "c.com/Posts.xml": 4, "d.com/Posts.xml": 0,
    }  # fmt: skip
    assert reasons_of(found["a.com/Posts.xml"]) == ["not among the largest sites"]
    with pytest.raises(UsageError, match="number of sites"):
        StackExchangeReader(largest=-1)


def test_a_torn_table_costs_its_rest(tmp_path: Path) -> None:
    folder = tmp_path / "in" / "beer.stackexchange.com"
    folder.mkdir(parents=True)
    (folder / "Posts.xml").write_text(HEAD + question(1, OwnerUserId=1) + "</posts>")
    users = "".join(row(Id=n, DisplayName=f"name {n} {n * 7919 % 1000003}") for n in range(1, 20_000))
    (folder / "Users.xml.bz2").write_bytes(bz2.compress((HEAD + users).encode())[:-20])
    found = gathered(StackExchangeReader(), tmp_path / "in", tmp_path / "s")
    assert reasons_of(found["beer.stackexchange.com/Users.xml.bz2"]) == ["table of a site", "truncated bzip2"]
    (record,) = records_of(found["beer.stackexchange.com/Posts.xml"])
    assert record.metadata["author"] == "name 1 7919"
