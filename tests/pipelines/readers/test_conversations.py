"""Conversations: comments of many layouts and files to threads."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.engine.runner import RunOptions, run_stage
from corpus.ingest.config import IngestConfig
from corpus.ingest.reader import Item, Merged, RawFile, Record, Skipped, Unreadable
from corpus.ingest.stage import IngestStage
from pipelines.readers import threads
from pipelines.readers.comments import Comment
from pipelines.readers.conversations import ConversationsReader
from pipelines.readers.threads import CommentWriter, link_threads
from tests.pipelines.readers.reading import reasons_of, records_of

READER = ConversationsReader()


def read(tmp_path: Path, *files: Sequence[Any] | bytes, reader: ConversationsReader = READER) -> list[list[Item]]:
    """The items of files of JSON lines, or of given bytes, read together."""
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    raw, surveys = [], []
    for number, rows in enumerate(files):
        path = folder / f"{number}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(rows if isinstance(rows, bytes) else b"\n".join(json.dumps(row).encode() for row in rows))
        raw.append(RawFile(path, path.name))
        surveyed = folder / f"survey-{number}"
        surveyed.mkdir()
        reader.survey(raw[-1], surveyed)
        surveys.append((path.name, surveyed))
    gathered = folder / "gathered"
    gathered.mkdir()
    reader.gather(surveys, gathered)
    found = [list(reader.prepared(gathered).read(file, folder)) for file in raw]
    for items in found:
        assert [item.ordinal for item in items] == list(range(len(items)))
    return found


def texts(items: Sequence[Item]) -> list[str]:
    return [record.text for record in records_of(list(items))]


def reddit(number: str, parent: str, body: str, score: int = 1, **more: Any) -> dict[str, Any]:
    row = {"id": number, "parent_id": parent, "link_id": "t3_p", "body": body, "score": score, "author": f"u{number}"}
    return row | {"subreddit": "s", "created_utc": 1134365188} | more


POST = {"id": "p", "title": "A &amp; B", "selftext": "Post &lt;b&gt;", "subreddit": "s", "score": 9, "author": "op"}


def test_a_thread_over_files(tmp_path: Path) -> None:
    later = [reddit("c", "t1_a", "reply &gt; &amp;amp;", 5), reddit("b", "t3_p", "second", 2)]
    earlier = [reddit("a", "t3_p", "first\r\nline", 7), POST, reddit("d", "t1_a", "low", -3)]
    first, second = read(tmp_path, later, earlier)
    assert [type(item) for item in first] == [Merged, Merged]
    (record,) = records_of(second)
    assert record.ordinal == 1
    assert record.text == "A & B\n\nPost <b>\n\nfirst\nline\n\nreply > &amp;\n\nlow\n\nsecond"
    assert record.url == "https://www.reddit.com/comments/p/"
    assert record.metadata == {
        "id": "t3_p", "title": "A & B", "author": "op", "subreddit": "s", "comments": 5, "score": 9,
    }  # fmt: skip


def test_missing_parents_begin_threads(tmp_path: Path) -> None:
    (items,) = read(
        tmp_path, [reddit("b", "t1_a", "reply"), reddit("a", "t3_q", "top"), reddit("c", "t1_gone", "alone")]
    )
    assert texts(items) == ["top\n\nreply", "alone"]
    assert isinstance(items[0], Merged)
    record = records_of(items)[0]
    assert (record.url, record.metadata["date"]) == ("https://www.reddit.com/comments/p/_/a/", "2005-12-12T05:26:28Z")


def test_deleted_comments_keep_their_place(tmp_path: Path) -> None:
    rows = [
        reddit("a", "t3_p", "[deleted]"),
        reddit("b", "t1_a", "reply"),
        reddit("c", "t1_b", "[removed]"),
        reddit("d", "t1_c", "below"),
        reddit("e", "t3_p", "[ Removed by Reddit ]"),
        reddit("f", "t3_p", " "),
    ]
    (items,) = read(tmp_path, rows)
    assert texts(items) == ["reply\n\nbelow"]
    assert records_of(items)[0].ordinal == 0
    assert reasons_of(items) == ["removed", "removed", "no text"]


def tree(tmp_path: Path, **options: Any) -> list[Item]:
    rows = [
        POST,
        reddit("a", "t3_p", "a", 1),
        reddit("b", "t3_p", "b", 8),
        reddit("c", "t1_b", "c", 2),
        reddit("d", "t1_b", "d", 3),
        reddit("e", "t1_d", "[deleted]", 1),
    ]
    return read(tmp_path, rows, reader=replace(READER, **options))[0]


def test_documents(tmp_path: Path) -> None:
    post = "A & B\n\nPost <b>\n\n"
    assert texts(tree(tmp_path)) == [post + "b\n\nd\n\nc\n\na"]
    best = tree(tmp_path, documents="best")
    assert texts(best) == [post + "b\n\nd"]
    assert reasons_of(best) == ["not on the best path", "not on the best path", "deleted"]
    paths = tree(tmp_path, documents="paths")
    assert texts(paths) == [post + "a", post + "b\n\nc", post + "b\n\nd"]
    assert [record.ordinal for record in records_of(paths)] == [1, 3, 4]
    low = tree(tmp_path, min_score=3)
    assert texts(low) == [post + "b\n\nd"]
    assert reasons_of(low) == ["score below the minimum", "score below the minimum", "deleted"]


def test_speakers(tmp_path: Path) -> None:
    rows = [reddit("a", "", "x"), reddit("b", "t1_a", "y"), reddit("c", "t1_b", "z", author="ua")]
    rows.append(reddit("d", "t1_c", "w", author="[deleted]"))

    def speakers(how: str) -> str:
        (text,) = texts(read(tmp_path, rows, reader=replace(READER, speakers=how))[0])
        return text

    assert speakers("none") == "x\n\ny\n\nz\n\nw"
    assert speakers("name") == "ua: x\n\nub: y\n\nua: z\n\nw"
    assert speakers("letter") == "A: x\n\nB: y\n\nA: z\n\nw"


def test_circles_and_repeated_comments(tmp_path: Path) -> None:
    rows = [reddit("a", "t1_b", "a"), reddit("b", "t1_a", "b"), reddit("c", "t1_a", "c"), reddit("s", "t1_s", "self")]
    first, second = read(
        tmp_path, [*rows, reddit("d", "t3_p", "d")], [reddit("d", "t3_p", "again"), reddit("e", "t1_d", "e")]
    )
    assert texts(first) == ["a\n\nb\n\nc", "self", "d\n\ne"]
    assert second[0] == Skipped(0, "repeated")
    assert isinstance(second[1], Merged)


def test_hacker_news(tmp_path: Path) -> None:
    story = {
        "id": 1,
        "type": "story",
        "title": "T",
        "by": "x",
        "kids": [3, 2],
        "time": 1,
        "score": 5,
        "url": "http://u",
    }
    rows = [
        {"id": 2, "type": "comment", "parent": 1, "text": "two<p>&#x27;more&#x27; <i>x</i> &amp;lt;", "by": "y"},
        story,
        {"id": 3, "type": "comment", "parent": 1, "text": "three"},
        {"id": 4, "type": "comment", "parent": 3, "deleted": True},
        {"id": 5, "type": "comment", "parent": 4, "text": "five", "dead": True},
    ]
    for content in (rows, json.dumps(rows).encode(), json.dumps(columns(rows)).encode()):
        (items,) = read(tmp_path, content)
        assert texts(items) == ["T\n\nthree\n\ntwo\n\n'more' x &lt;"]
        assert reasons_of(items) == ["deleted", "removed"]
    record = records_of(items)[0]
    assert (record.url, record.metadata["link"]) == ("https://news.ycombinator.com/item?id=1", "http://u")
    nested = {"id": 7, "type": "story", "title": "N", "points": 3, "created_at": "2020-01-02", "children": [
        {"id": 8, "type": "comment", "text": "<p>in", "children": [{"id": 9, "type": "comment", "text": "deep"}]},
        {"id": 10, "type": "comment", "text": None},
    ]}  # fmt: skip
    (items,) = read(tmp_path, [nested])
    assert texts(items) == ["N\n\nin\n\ndeep"]
    assert [type(item) for item in items] == [Record, Merged, Merged, Skipped]


def columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    names = sorted({name for row in rows for name in row})
    return {name: [row.get(name) for row in rows] for name in names}


def test_open_assistant(tmp_path: Path) -> None:
    def message(key: str, text: str, **more: Any) -> dict[str, Any]:
        return {"message_id": key, "text": text, "role": "assistant", "lang": "de", **more}

    replies = [message("c", "worse", rank=1), message("b", "better", rank=0, replies=[message("d", "thanks")])]
    whole = message("a", "Hallo") | {"role": "prompter", "replies": replies}
    (items,) = read(tmp_path, [{"message_tree_id": "a", "prompt": whole}])
    (record,) = records_of(items)
    assert (record.text, record.language) == ("Hallo\n\nbetter\n\nthanks\n\nworse", "de")
    flat = [message("d", "thanks", parent_id="b"), message("a", "Hallo", parent_id=None)]
    flat += [message("b", "better", parent_id="a", rank=0), message("c", "x", parent_id="a", deleted=True)]
    (items,) = read(tmp_path, flat)
    assert (texts(items), reasons_of(items)) == (["Hallo\n\nbetter\n\nthanks"], ["deleted"])


def test_any_comments_with_an_id_and_a_parent(tmp_path: Path) -> None:
    rows = [
        {"nr": 1, "says": "one"},
        {"nr": 2, "to": 1, "says": "two", "stars": 1},
        {"nr": 3, "to": 1, "says": "3", "stars": 9},
    ]
    reader = ConversationsReader(text_field="says", id_field="nr", parent_field="to", score_field="stars")
    assert texts(read(tmp_path, rows, reader=reader)[0]) == ["one\n\n3\n\ntwo"]
    plain = [{"id": "x", "text": "hi"}, {"id": "y", "parent": "x", "text": "ho"}, {"word": 1}, {"id": "z", "n": 1}]
    (items,) = read(tmp_path, plain)
    assert texts(items) == ["hi\n\nho"]
    assert reasons_of(items) == ["no field 'id'", "no field 'text'"]


def test_what_is_no_comment_is_set_aside(tmp_path: Path) -> None:
    data = b'{"id": "a", "text": "kept"}\nbroken\n{"id": "b", "parent": "a", "text": "too"}\n{"id": "c", "text": "\\ud800x"}'
    (items,) = read(tmp_path, data)
    assert texts(items) == ["kept\n\ntoo", "\ufffdx"]
    assert items[1] == Unreadable(1, 28, 6, "not JSON", b"broken")


def test_half_a_surrogate_in_an_address_or_an_id_is_replaced(tmp_path: Path) -> None:
    odd = [reddit("a", "t3_p", "one", permalink="/r/\ud800/"), reddit("b\udc00", "t3_p", "two")]
    first, second = records_of(read(tmp_path, odd)[0])
    assert (first.text, first.url) == ("one", "https://www.reddit.com/r/\ufffd/")
    assert (second.text, second.url) == ("two", "https://www.reddit.com/comments/p/_/b\ufffd/")


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 14)), max_size=9), min_size=1, max_size=4))
def test_links_are_those_of_dictionaries(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[tuple[int, int]]]
) -> None:
    folder = tmp_path_factory.mktemp("links")
    folders = []
    for number, rows in enumerate(files):
        folders.append(folder / str(number))
        folders[-1].mkdir()
        with CommentWriter(folders[-1]) as writer:
            for key, parent in rows:
                writer.comment(Comment(str(key), str(parent) if parent < 13 else "", "x"))
    target = folder / "target"
    target.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "_BUCKET_RECORDS", 4)
        patch.setattr(threads, "_STEP", 3)
        link_threads(folders, target)
    comments = [row for rows in files for row in rows]
    place: dict[int, int] = {}
    for position, (key, _) in enumerate(comments):
        place.setdefault(key, position)
    expected = []
    for position, (key, _) in enumerate(comments):
        if place[key] != position:
            expected.append(-1)
            continue
        seen, at = [position], position
        while (above := place.get(comments[at][1])) is not None and above != at and above not in seen:
            seen.append(above)
            at = above
        circle = above is not None and above != at
        expected.append(min(seen[seen.index(above) :]) if circle and above is not None else at)
    root = np.fromfile(target / "root", np.int64).tolist()
    assert root == expected
    members = np.fromfile(target / "members", np.int64).tolist()
    assert members == sorted((p for p in range(len(root)) if root[p] >= 0), key=lambda p: (root[p], p))


def mutate(tmp_path: Path, seed: int, lines: list[bytes]) -> None:
    generator = random.Random(seed)
    data = bytearray(b"\n".join(lines))
    hit = generator.randrange(len(data))
    length = generator.randrange(1, 30)
    if generator.random() < 0.5:
        data[hit : hit + length] = generator.randbytes(length)
    else:
        del data[hit : hit + length]
    whole = set(lines) & set(bytes(data).split(b"\n"))
    (items,) = read(tmp_path, bytes(data))
    counted = sum(int(record.metadata["comments"]) for record in records_of(items))  # type: ignore[call-overload]
    assert counted >= len(whole), seed


def real_lines(samples: Path) -> list[bytes]:
    stored = (samples / "conversations/RC_2005-12.zst").read_bytes()
    plain = zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj().decompress(stored)
    return [line for line in plain.split(b"\n")[:120] if b"[deleted]" not in line and b"[removed]" not in line]


def test_mutated_copies(samples: Path, tmp_path: Path) -> None:
    for seed in range(10):
        mutate(tmp_path, seed, real_lines(samples))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_mutated_copies(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    lines = real_lines(samples)
    for seed in range(2_000):
        mutate(tmp_path_factory.mktemp("m"), seed, lines)


def test_real_conversations_give_the_same_bytes_for_any_number_of_tasks(samples: Path, tmp_path: Path) -> None:
    lines = real_lines(samples)
    raw = tmp_path / "raw"
    raw.mkdir()
    for number in range(3):
        (raw / f"RC_{number}.jsonl").write_bytes(b"\n".join(lines[number::3]))
    kept = set()
    for workers in (1, 2):
        stage = IngestStage(READER, (str(raw),), IngestConfig())
        options = RunOptions(workers=workers, quiet=True, always_pool=workers > 1)
        manifest = run_stage(stage, tmp_path / f"out-{workers}", options)
        kept.add((manifest.digest, manifest.rows, manifest.counts["records"].merged))
    assert len(kept) == 1
    whole = pq.read_table(tmp_path / "out-1/00000.parquet").to_pylist()
    together = b"\n".join(line for number in range(3) for line in lines[number::3])
    (items,) = read(tmp_path / "raw", together)
    assert sorted(row["text"] for row in whole) == sorted(texts(items))


def test_all_samples_give_documents(samples: Path, tmp_path: Path) -> None:
    found = {}
    for path in sorted((samples / "conversations").iterdir()):
        if path.name == "README.md":
            continue
        items = list(READER.read(RawFile(path, path.name), _folder(tmp_path / path.name)))
        found[path.name] = (len(items), len(records_of(items)), sum(isinstance(item, Merged) for item in items))
        assert not [item for item in items if isinstance(item, Unreadable)]
    assert found == {
        "RC_2005-12.zst": (1075, 681, 287),
        "hn_items.jsonl": (120, 1, 117),
        "hn_stories.json": (40, 40, 0),
        "oasst_flat.json": (444, 74, 370),
        "oasst_trees.jsonl": (434, 40, 394),
    }


def _folder(path: Path) -> Path:
    path.mkdir()
    return path
