"""JSON lines: every line is one item, whatever is wrong with it."""

from __future__ import annotations

import fnmatch
import gzip
import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import DataError
from corpus.ingest.compression import sniff
from corpus.ingest.reader import Record, Unreadable
from pipelines.formats.json import is_lines
from pipelines.readers import jsonl
from pipelines.readers.fields import NoDocument, plain, valid
from pipelines.readers.jsonl import JsonlReader, parse
from tests.pipelines.readers.reading import items_of, reasons_of, records_of


def write(path: Path, *lines: object) -> Path:
    encoded = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(encoded))
    return path


def test_text_is_kept_to_the_byte_and_the_rest_is_metadata(tmp_path: Path) -> None:
    text = "  a\r\n\tb\u0000\u2028\U0001f600 \n\n"
    path = write(tmp_path / "a.jsonl", {"text": text, "url": "u", "language": "de", "id": 7, "n": {"deep": [1, None]}})
    assert items_of(JsonlReader(), path) == [Record(0, text, "u", "de", {"id": 7, "n": {"deep": [1, None]}})]


def test_other_fields(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl", {"body": "b", "key": "k", "link": "l", "lang": "en", "text": 1, "url": "metadata"}
    )
    reader = JsonlReader(text_field="body", id_field="key", url_field="link", language_field="lang")
    assert items_of(reader, path) == [Record(0, "b", "l", "en", {"id": "k", "text": 1, "url": "metadata"})]


def test_url_and_language_that_are_no_strings_stay_metadata(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"text": "t", "url": None, "language": ["en"]})
    assert items_of(JsonlReader(), path) == [Record(0, "t", None, None, {"url": None, "language": ["en"]})]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "\xff"}', "not UTF-8"),
        (b'{"text": "a"', "not JSON"),
        (b"text", "not JSON"),
        (b'{"text": "tab\there"}', "not JSON"),
        (b'{"text": ' + b"9" * 5000 + b"}", "not JSON"),
        (b"[" * 200_000, "JSON nested too deeply"),
        (b'["text"]', "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'{"txt": "a", "n": 1}', "no field 'text'"),
        (b"{}", "no field 'text'"),
        (b'{"text": 3}', "field 'text' is not a string"),
        (b'{"text": null}', "field 'text' is not a string"),
        (b'{"text": "a\\ud800b"}', "lone surrogate"),
        (b'{"text": "\\uDE00\\uD83D"}', "lone surrogate"),
    ],
)
def test_a_bad_line_is_quarantined_and_reading_goes_on(tmp_path: Path, line: bytes, reason: str) -> None:
    path = write(tmp_path / "a.jsonl", {"text": "before"}, line, {"text": "after"})
    items = items_of(JsonlReader(), path)
    assert [record.text for record in records_of(items)] == ["before", "after"]
    assert items[1] == Unreadable(1, 19, len(line), reason, line[:65536])


def test_blank_lines_are_no_records_and_the_last_newline_is_not_needed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "one"}\r\n\r\n  \t\n\n{"text": "two"}')
    assert [(r.ordinal, r.text) for r in records_of(items_of(JsonlReader(), path))] == [(0, "one"), (1, "two")]
    path.write_bytes(b'{"text": "one"}\n')
    assert len(items_of(JsonlReader(), path)) == 1


def test_empty_text_and_empty_files(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"text": ""})
    assert reasons_of(items_of(JsonlReader(), path)) == ["no text"]
    path.write_bytes(b"")
    assert items_of(JsonlReader(), path) == [Unreadable(0, 0, 0, "empty file", b"")]
    path.write_bytes(gzip.compress(b""))
    assert items_of(JsonlReader(), path) == []


def test_numbers_json_cannot_hold_equal_keys_and_surrogates_in_metadata(tmp_path: Path) -> None:
    line = b'{"text": "x", "text": "y", "a": [NaN, -Infinity, 1e999, 0.5], "b\\ud800": "\\udc00", "t": true}'
    (record,) = records_of(items_of(JsonlReader(), write(tmp_path / "a.jsonl", line)))
    assert record.text == "y"
    assert record.metadata == {"a": ["NaN", "-Infinity", "inf", 0.5], "b\ufffd": "\ufffd", "t": True}
    json.dumps(record.metadata, allow_nan=False, ensure_ascii=False).encode("utf-8")


def test_a_long_line_is_read_and_a_too_long_one_is_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = "word " * 2_000_000
    path = write(tmp_path / "a.jsonl", {"text": "a"}, {"text": long}, {"text": "b"})
    assert [record.text for record in records_of(items_of(JsonlReader(), path))] == ["a", long, "b"]
    monkeypatch.setattr(jsonl, "MAX_LINE_BYTES", 5_000_000)
    items = items_of(JsonlReader(), path)
    assert [record.text for record in records_of(items)] == ["a", "b"]
    bad = items[1]
    assert isinstance(bad, Unreadable)
    assert (bad.offset, bad.length, bad.reason) == (14, len(long) + 12, "line too long")
    assert bad.data == json.dumps({"text": long}).encode()[:65536]


def test_a_cut_gzip_gives_every_whole_line_and_one_rest(tmp_path: Path) -> None:
    generator = random.Random(3)
    rows = [{"text": f"{number} {generator.random()} ä"} for number in range(2_000)]
    stored = gzip.compress(b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows), mtime=0)
    path = tmp_path / "a.jsonl.gz"
    for cut in [3, 11, 50, len(stored) - 1, len(stored) - 8, *generator.sample(range(100, len(stored)), 12)]:
        path.write_bytes(stored[:cut])
        items = items_of(JsonlReader(), path)
        whole = [line for line in _readable(path).split(b"\n")[:-1] if line]
        assert [{"text": record.text} for record in records_of(items)] == rows[: len(whole)]
        last = items[-1]
        assert isinstance(last, Unreadable)
        assert (last.offset, last.reason) == (cut, "truncated gzip")
    path.write_bytes(stored[:5000] + b"\0\0\0\0" + stored[5004:])
    items = items_of(JsonlReader(), path)
    assert reasons_of(items)[-1] == "corrupt gzip"
    assert len(records_of(items)) > 50
    path.write_bytes(stored + b"tail")
    assert reasons_of(items_of(JsonlReader(), path)) == ["garbage after gzip"]


def _readable(path: Path) -> bytes:
    """The slow twin of a cut gzip's readable bytes."""
    out = b""
    with gzip.open(path) as file:
        try:
            while byte := file.read(1):
                out += byte
        except EOFError:
            pass
    return out


def test_a_whole_last_line_without_newline_survives_a_cut_trailer(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text": "one"}\n{"text": "two"}')[:-8])
    items = items_of(JsonlReader(), path)
    assert [record.text for record in records_of(items)] == ["one", "two"]
    assert reasons_of(items) == ["truncated gzip"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing"):
        items_of(JsonlReader(), tmp_path / "nothing.jsonl")


@given(st.lists(st.binary(max_size=40) | st.text(max_size=20).map(lambda text: json.dumps({"text": text}).encode())))
def test_every_line_is_one_item(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("lines") / "a.jsonl"
    stored = b"\n".join(lines)
    path.write_bytes(stored)
    if sniff(stored[:10]) != "plain" or not is_lines(stored, True, ["text"]):
        return  # a file that begins like one value is read as one
    wanted = [line for line in stored.split(b"\n") if line.strip()]
    items = items_of(JsonlReader(), path)
    if not stored:
        assert reasons_of(items) == ["empty file"]
        return
    assert len(items) == len(wanted)
    for item, line in zip(items, wanted, strict=True):
        if isinstance(item, Record):
            assert json.loads(line)["text"] == item.text
        elif isinstance(item, Unreadable):
            assert stored[item.offset : item.offset + item.length] == line == item.data


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text() | st.binary(), st.lists, max_leaves=5))
def test_plain_values_are_json(value: object) -> None:
    json.dumps(plain(value), allow_nan=False, ensure_ascii=False).encode("utf-8")


def test_plain_and_valid() -> None:
    assert plain({"a": b"\xff", "b": (1, math.nan)}) == {"a": "\ufffd", "b": [1, "nan"]}
    assert valid("ok ä \U0001f600") == "ok ä \U0001f600"
    assert valid("\ud83d x \U0001f600") == "\ufffd x \U0001f600"
    with pytest.raises(NoDocument, match="not JSON"):
        parse(b"")


ROWS = [{"text": f"text {number}", "n": number, "more": {"deep": ["a, b]", {}]}} for number in range(2_000)]


@pytest.mark.parametrize("indent", [None, 0, 2])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_arrays_are_streamed(tmp_path: Path, indent: int | None, compress: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(compress(json.dumps(ROWS, indent=indent).encode()))
    records = records_of(items_of(JsonlReader(), path))
    assert [record.text for record in records] == [row["text"] for row in ROWS]
    assert records[3].metadata == {"n": 3, "more": {"deep": ["a, b]", {}]}}


@pytest.mark.parametrize("indent", [None, 1])
def test_one_object_with_a_list(tmp_path: Path, indent: int | None) -> None:
    path = tmp_path / "a.json"
    whole = {"version": "1", "labels": ["x", "y"], "data": ROWS[:5], "note": {"by": "z"}, "rest": ROWS[5:7], "n": 2}
    path.write_text(json.dumps(whole, indent=indent))
    assert [r.text for r in records_of(items_of(JsonlReader(), path))] == [row["text"] for row in ROWS[:7]]
    path.write_text(json.dumps({"text": "own", "data": ROWS[:5]}, indent=indent))
    assert [r.text for r in records_of(items_of(JsonlReader(), path))] == ["own"]


def test_other_layouts(tmp_path: Path) -> None:
    path = tmp_path / "a.json"

    def texts(content: str, **options: Any) -> list[str]:
        path.write_text(content)
        return [record.text for record in records_of(items_of(JsonlReader(**options), path))]

    pretty = "\n".join(json.dumps(row, indent=1) for row in ROWS[:3])
    assert texts(pretty) == ["text 0", "text 1", "text 2"]
    assert texts(json.dumps({"text": ["a", "b"], "n": [1, 2]})) == ["a", "b"]
    assert texts(json.dumps({"text": {"0": "a", "7": "b"}, "n": {"0": 1, "7": 2}}, indent=2)) == ["a", "b"]
    assert texts(json.dumps([{"t": "T", "a": {"b": "B"}, "c": [{"d": "1"}, {"d": "2"}]}]), text_field="t,a.b,c.d") == [
        "T\n\nB\n\n1\n2"
    ]
    messages = {"messages": [{"role": "user", "content": "Hi"}, {"role": "bot", "content": [{"text": "Yes"}]}]}
    assert texts(json.dumps(messages), text_field="messages", speakers=True) == ["user: Hi\n\nbot: Yes"]
    assert texts("[]") == []


def test_common_fields(tmp_path: Path) -> None:
    row = {
        "text": "t",
        "url": "",
        "language": "",
        "license": "mit",
        "authors": ["A", "B"],
        "title": "T",
        "date": "2020",
    }
    (record,) = records_of(items_of(JsonlReader(), write(tmp_path / "a.jsonl", row)))
    assert (record.url, record.language) == (None, None)
    assert record.metadata == {"licence": "mit", "author": "A, B", "title": "T", "date": "2020"}
    assert [column.name for column in JsonlReader(column=("title", "n:int64")).columns] == [
        "author",
        "date",
        "licence",
        "title",
        "n",
    ]


@pytest.mark.parametrize("name", ["RC_2005-12.zst", "rs_2011-01.bz2", "RC_2005-12", "a.json.lz4"])
def test_names_of_files(name: str) -> None:
    assert any(fnmatch.fnmatchcase(name.lower(), pattern.lower()) for pattern in JsonlReader.patterns)


def mutated_array(tmp_path: Path, seed: int) -> None:
    """A damaged array gives every element that no damage touched."""
    generator = random.Random(seed)
    rows = [{"text": f"{number} {generator.randbytes(8).hex()}", "x": [{"y": '"{['}]} for number in range(200)]
    stored = bytearray(json.dumps(rows, indent=generator.choice([None, 1])).encode())
    hit = generator.randrange(1, len(stored))
    kind = generator.randrange(3)
    if kind == 0:
        stored[hit] = generator.randrange(256)
    elif kind == 1:
        del stored[hit : hit + generator.randrange(1, 90)]
    else:
        stored[hit:hit] = generator.randbytes(20)
    path = tmp_path / "a.json"
    path.write_bytes(stored)
    found = {record.text for record in records_of(items_of(JsonlReader(), path))}
    lost = [row for row in rows if row["text"] not in found]
    assert len(lost) <= 4, (seed, len(lost))


def test_a_damaged_array(tmp_path: Path) -> None:
    for seed in range(40):
        mutated_array(tmp_path, seed)


@pytest.mark.slow
def test_many_damaged_arrays(tmp_path: Path) -> None:
    for seed in range(2_000):
        mutated_array(tmp_path, seed)


def test_a_cut_array(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    stored = json.dumps(ROWS).encode()
    path.write_bytes(stored[: len(stored) // 2])
    items = items_of(JsonlReader(), path)
    assert 980 < len(records_of(items)) < 1020
    assert reasons_of(items)[-1] == "JSON breaks off"
    path.write_bytes(gzip.compress(stored)[:-3000])
    items = items_of(JsonlReader(), path)
    assert len(records_of(items)) > 100
    assert reasons_of(items)[-1] == "truncated gzip"
