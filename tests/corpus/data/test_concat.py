"""Parquet files put together and taken apart without decoding a page, and the Thrift structs of their footers."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.data import concat, thrift
from corpus.data import writer as writer_module
from corpus.data.dataset import read_batches
from corpus.data.stored import DamagedFileError, Digests
from corpus.data.thrift import Items, Pairs, Struct, read_struct, write_struct
from corpus.data.writer import ShardWriter
from corpus.errors import DataError
from tests.datasets import stored

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.large_string()),
        ("domain", pa.dictionary(pa.int32(), pa.string())),
        ("meta", pa.struct([("url", pa.string()), ("hits", pa.list_(pa.int64()))])),
        ("tokens", pa.large_list(pa.uint16())),
        ("score", pa.float64()),
        ("flag", pa.bool_()),
    ],
    metadata={"made": "by a test"},
)
OURS: dict[str, Any] = {
    "compression": "zstd",
    "compression_level": 1,
    "use_dictionary": ["domain"],
    "write_statistics": False,
}
OPTIONS: list[dict[str, Any]] = [
    OURS,
    {**OURS, "write_page_checksum": True},
    {"data_page_size": 64, "write_page_index": True, "write_page_checksum": True},
    {"use_dictionary": False, "data_page_version": "2.0", "write_page_index": True},
]
_COPIES_META_DATA = int(pa.__version__.split(".")[0]) < 18
"""pyarrow 17 wrote a copy of a column chunk's meta data behind it, which does not come along."""
# Bloom filters came to pyarrow after the oldest that is supported
if "bloom_filter_options" in pq.ParquetWriter.__init__.__code__.co_varnames:
    OPTIONS.append({"write_page_index": True, "bloom_filter_options": {"id": {"ndv": 30, "fpp": 0.1}, "score": True}})

_text = st.none() | st.text(max_size=12)
_rows = st.fixed_dictionaries(
    {
        "id": _text,
        "text": _text,
        "domain": st.none() | st.sampled_from(["c4", "wiki", ""]),
        "meta": st.none()
        | st.fixed_dictionaries(
            {"url": _text, "hits": st.none() | st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=3)}
        ),
        "tokens": st.none() | st.lists(st.integers(0, 65535), max_size=5),
        "score": st.none() | st.floats(allow_nan=False),
        "flag": st.none() | st.booleans(),
    }
)
# files of row groups of rows; both may be empty
_files = st.lists(st.lists(st.lists(_rows, max_size=4), max_size=3), min_size=1, max_size=3)


def _write(path: Path, groups: list[pa.Table], options: dict[str, Any], schema: pa.Schema = SCHEMA) -> Path:
    with pq.ParquetWriter(path, schema, **options) as writer:
        for group in groups:
            writer.write_table(group, row_group_size=max(1, group.num_rows))
    return path


def _direct(path: Path, groups: list[pa.Table], options: dict[str, Any]) -> bytes:
    """The bytes of a file that pyarrow wrote at once."""
    data = _write(path, groups, options).read_bytes()
    _concat([path], path.with_suffix(".one"))
    one = path.with_suffix(".one").read_bytes()
    assert one == data or _COPIES_META_DATA
    return one


def _concat(pieces: list[Path], target: Path) -> None:
    assert concat.concat_parquet(list(map(stored, pieces)), target) == Digests.of(target)


def _split(source: Path, groups: range, target: Path) -> None:
    assert concat.split_parquet(stored(source), groups, target) == Digests.of(target)


def _groups(path: Path) -> list[pa.Table]:
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        return [file.read_row_group(number) for number in range(file.num_row_groups)]


def _footer(path: Path) -> bytes:
    data = path.read_bytes()
    return data[-8 - int.from_bytes(data[-8:-4], "little") : -8]


def _with_footer(path: Path, change: Callable[[Struct], None]) -> None:
    data, old = path.read_bytes(), _footer(path)
    footer, _ = read_struct(old)
    change(footer)
    new = write_struct(footer)
    path.write_bytes(data[: -8 - len(old)] + new + len(new).to_bytes(4, "little") + b"PAR1")


def _sample(rows: int, seed: int = 0) -> pa.Table:
    draw = np.random.default_rng(seed)
    words = ["lorem", "ipsum", "dolor", "žluť", ""]
    return pa.Table.from_pylist(
        [
            {
                "id": str(row),
                "text": " ".join(draw.choice(words, 20)),
                "domain": "c4" if row % 3 else "wiki",
                "meta": {"url": "x" * (row % 5), "hits": [row, None]} if row % 4 else None,
                "tokens": draw.integers(0, 65536, row % 7).tolist(),
                "score": draw.random(),
                "flag": None,
            }
            for row in range(rows)
        ],
        schema=SCHEMA,
    )


@settings(max_examples=40)
@given(files=_files, number=st.integers(0, len(OPTIONS) - 1))
def test_pieces_are_what_one_writer_would_have_written(
    files: list[list[list[dict[str, Any]]]], number: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, options = tmp_path_factory.mktemp("concat"), OPTIONS[number]
    tables = [[pa.Table.from_pylist(rows, SCHEMA) for rows in groups] for groups in files]
    pieces = [_write(folder / f"{n}", groups, options) for n, groups in enumerate(tables)]
    flat = [group for groups in tables for group in groups]
    _concat(pieces, folder / "target")
    assert (folder / "target").read_bytes() == _direct(folder / "direct", flat, options)
    back = _groups(folder / "target")
    assert [group.num_rows for group in back] == [group.num_rows for group in flat]
    assert [group.to_pylist() for group in back] == [group.to_pylist() for group in flat]
    assert pq.read_schema(folder / "target").metadata == SCHEMA.metadata
    footer = _footer(folder / "target")
    assert write_struct(read_struct(footer)[0]) == footer


@settings(max_examples=30)
@given(
    sizes=st.lists(st.integers(0, 40), max_size=6),
    cuts=st.lists(st.integers(0, 6), max_size=4),
    number=st.integers(0, len(OPTIONS) - 1),
)
def test_parts_put_together_are_the_file(
    sizes: list[int], cuts: list[int], number: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("split")
    groups = [_sample(size, seed) for seed, size in enumerate(sizes)]
    pieces = [_write(folder / f"piece{n}", [group], OPTIONS[number]) for n, group in enumerate(groups)]
    pieces.append(_write(folder / "empty", [], OPTIONS[number]))
    _concat(pieces, folder / "whole")
    bounds = [0, *sorted(min(cut, len(sizes)) for cut in cuts), len(sizes)]
    parts = []
    for start, end in itertools.pairwise(bounds):
        parts.append(folder / f"part{len(parts)}")
        _split(folder / "whole", range(start, end), parts[-1])
        assert [group.num_rows for group in _groups(parts[-1])] == sizes[start:end]
        assert parts[-1].read_bytes() == _direct(folder / "direct", groups[start:end], OPTIONS[number])
    _concat(parts, folder / "again")
    assert (folder / "again").read_bytes() == (folder / "whole").read_bytes()


def test_a_range_may_step_and_turn_back(tmp_path: Path) -> None:
    groups = [_sample(size) for size in (3, 5, 7, 9)]
    source = _write(tmp_path / "source", groups, OURS)
    _split(source, range(3, -1, -2), tmp_path / "target")
    assert [group.num_rows for group in _groups(tmp_path / "target")] == [9, 5]
    with pytest.raises(AssertionError, match="of 4 row groups"):
        _split(source, range(5), tmp_path / "target")


def test_pieces_of_the_shard_writer_make_its_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "GROUP_ROWS", 50)
    table, paths = _sample(200), []
    for name, rows in (("whole", [(0, 200)]), ("pieces", [(0, 50), (50, 100), (150, 50)])):
        (tmp_path / name).mkdir()
        for start, count in rows:
            folder = tmp_path / name / str(start)
            folder.mkdir()
            writer = ShardWriter(folder, SCHEMA)
            writer.write(table.slice(start, count))
            writer.close()
            paths.append(folder / "00000.parquet")
    for name, pieces in (("one", paths[:1]), ("many", paths[1:])):
        _concat(pieces, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "many").read_bytes()
    assert (tmp_path / "one").read_bytes() == paths[0].read_bytes() or _COPIES_META_DATA


@pytest.mark.parametrize("options", OPTIONS)
def test_other_readers_read_the_target(options: dict[str, Any], tmp_path: Path) -> None:
    tables = [_sample(400, seed) for seed in range(3)]
    pieces = [
        _write(tmp_path / f"{n}", [table.slice(0, 250), table.slice(250)], options) for n, table in enumerate(tables)
    ]
    target = tmp_path / "target.parquet"
    _concat(pieces, target)
    whole = pa.concat_tables(tables)
    with duckdb.connect() as database:
        query = database.execute(f"select id, text, domain, tokens, score from '{target}'").fetchall()
        # a filter, so that Bloom filters and statistics are used
        found = database.execute(f"select count(*), count(text) from '{target}' where id = '399'").fetchone()
    columns = ["id", "text", "domain", "tokens", "score"]
    assert query == [tuple(row.values()) for row in whole.select(columns).to_pylist()]
    assert found == (3, 3)
    assert pq.read_table(target, filters=[("id", "=", "399")], page_checksum_verification=True).num_rows == 3
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_parquet(target, columns=["id", "score"])
    assert frame["id"].tolist() == whole.column("id").to_pylist()


def test_the_page_index_points_at_pages(tmp_path: Path) -> None:
    options = {"data_page_size": 64, "write_page_index": True, "use_dictionary": False, "compression": "none"}
    pieces = [_write(tmp_path / f"{n}", [_sample(3000, n)], options) for n in range(2)]
    _concat(pieces, tmp_path / "target")
    data, footer = (tmp_path / "target").read_bytes(), read_struct(_footer(tmp_path / "target"))[0]
    pages = 0
    for group in footer.structs(4):
        for column in group.structs(1):
            start = column.get(4, int)
            index, used = read_struct(data[start:])
            assert used == column.get(5, int)
            locations = index.structs(1)
            assert locations[0].get(1, int) == column.get(3, Struct).get(9, int)
            for location in locations:
                begin, size = location.get(1, int), location.get(2, int)
                header, length = read_struct(data[begin : begin + size])
                assert (header.get(1, int), header.get(3, int)) == (0, size - length)
                pages += 1
    assert pages > 20


def test_ordinals_legacy_positions_and_lengths(tmp_path: Path) -> None:
    def give(footer: Struct) -> None:
        for group in footer.structs(4):
            group.fields[7] = (thrift.I16, 0)
            for column in group.structs(1):
                column.replace(2, 4)
                column.get(3, Struct).fields.pop(15, None)

    options = OPTIONS[-1]
    pieces = [_write(tmp_path / f"{n}", [_sample(20, n)], options) for n in range(3)]
    _concat(pieces, tmp_path / "expected")
    for piece in pieces:
        _with_footer(piece, give)
    _concat(pieces, tmp_path / "target")
    footer = read_struct(_footer(tmp_path / "target"))[0]
    assert [group.get(7, int) for group in footer.structs(4)] == [0, 1, 2]
    assert {column.get(2, int) for group in footer.structs(4) for column in group.structs(1)} == {0}
    # a Bloom filter without its length is as long
    expected, target = (tmp_path / "expected").read_bytes(), (tmp_path / "target").read_bytes()
    assert expected[: -8 - len(_footer(tmp_path / "expected"))] == target[: -8 - len(_footer(tmp_path / "target"))]
    assert pa.concat_tables(_groups(tmp_path / "target")).num_rows == 60


def test_fields_of_the_future_are_kept(tmp_path: Path) -> None:
    future = (thrift.MAP, Pairs(thrift.I32, thrift.UUID, [(-5, bytes(range(16)))]))

    def give(footer: Struct) -> None:
        footer.fields[1000] = future
        for group in footer.structs(4):
            group.structs(1)[0].get(3, Struct).fields[99] = future

    pieces = [_write(tmp_path / f"{n}", [_sample(5)], OURS) for n in range(2)]
    for piece in pieces:
        _with_footer(piece, give)
    _concat(pieces, tmp_path / "target")
    footer = read_struct(_footer(tmp_path / "target"))[0]
    assert footer.fields[1000] == future
    assert [group.structs(1)[0].get(3, Struct).fields[99] for group in footer.structs(4)] == [future, future]
    assert len(_groups(tmp_path / "target")) == 2


def test_pieces_have_one_schema_and_metadata(tmp_path: Path) -> None:
    table = pa.table({"a": [1, 2]})
    first = _write(tmp_path / "first", [table], OURS | {"use_dictionary": False}, table.schema)
    for other in (
        pa.table({"b": [1]}),
        table.cast(pa.schema([("a", pa.int32())])),
        table.replace_schema_metadata({"a": "b"}),
    ):
        second = _write(tmp_path / "second", [other], OURS | {"use_dictionary": False}, other.schema)
        with pytest.raises(AssertionError, match="another schema"):
            _concat([first, second], tmp_path / "target")


def _no_footer(data: bytes) -> bytes:
    return data[:-8] + (len(data) - 11).to_bytes(4, "little") + b"PAR1"


def _long_footer(data: bytes) -> bytes:
    length = int.from_bytes(data[-8:-4], "little")
    return data[:-8] + b"\0" + (length + 1).to_bytes(4, "little") + b"PAR1"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: b"", "it is too short"),
        (lambda data: data[:-100], "it does not begin and end with PAR1"),
        (lambda data: b"PARE" + data[4:], "it does not begin and end with PAR1"),
        (lambda data: b"PAR1" + data[-8:], "its footer is short"),
        (_no_footer, "its footer is short"),
        (_long_footer, "its footer is too long"),
        (lambda data: b"PAR1" + data[-600:], "its footer is short"),
        (lambda data: data[:4] + data[200:], "its footer points out of the file"),
        (lambda data: data[:-8] + bytes(4) + b"PAR1", "it ends within a value"),
    ],
)
def test_a_damaged_piece_is_named(damage: Callable[[bytes], bytes], reason: str, tmp_path: Path) -> None:
    good, bad = (_write(tmp_path / name, [_sample(50)], OURS) for name in ("good", "bad"))
    bad.write_bytes(damage(bad.read_bytes()))
    for run in (
        lambda: _concat([good, bad], tmp_path / "target"),
        lambda: _split(bad, range(1), tmp_path / "target"),
    ):
        with pytest.raises(DataError) as caught:
            run()
        assert caught.value.message == f"{bad} is damaged ({reason}): make it again."


def test_rows_are_counted(tmp_path: Path) -> None:
    piece = _write(tmp_path / "piece", [_sample(50)], OURS)
    _with_footer(piece, lambda footer: footer.replace(3, 51))
    with pytest.raises(DataError, match="its row groups have not the rows of the file"):
        _concat([piece], tmp_path / "target")


@given(flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), min_size=1, max_size=5))
def test_a_footer_of_noise_is_damaged_or_read(
    flips: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("noise")
    piece = _write(folder / "piece", [_sample(9)], OPTIONS[-1])
    data, length = bytearray(piece.read_bytes()), len(_footer(piece))
    for place, mask in flips:
        data[-1 - place % (length + 8)] ^= mask
    piece.write_bytes(data)
    try:
        _concat([piece], folder / "target")
    except DataError as error:
        assert str(piece) in error.message


def test_a_changed_piece_is_not_copied(tmp_path: Path) -> None:
    pieces = [stored(_write(tmp_path / f"{n}", [_sample(300, n)] * 2, OURS)) for n in range(2)]
    size = pieces[1].size
    for place in (0, 4, size // 2, size - 9, size - 1):
        data = bytearray(pieces[1].path.read_bytes())
        data[place] ^= 1
        pieces[1].path.write_bytes(data)
        with pytest.raises(DamagedFileError, match=r"not those that were written\): make it again") as caught:
            concat.concat_parquet(pieces, tmp_path / "target")
        assert caught.value.path == pieces[1].path
        data[place] ^= 1
        pieces[1].path.write_bytes(data)
    assert concat.concat_parquet(pieces, tmp_path / "target") == Digests.of(tmp_path / "target")


def test_arrow_pieces_are_checked_and_put_together(tmp_path: Path) -> None:
    table, pieces = pa.table({"a": list(range(30_000)), "b": ["x"] * 30_000}), []
    for number in range(3):
        path = tmp_path / f"{number}.arrow"
        with pa.ipc.new_file(str(path), table.schema) as sink:
            sink.write_table(table.slice(10_000 * number, 10_000), max_chunksize=4_000)
        pieces.append(stored(path))
    target = tmp_path / "target.arrow"
    assert concat.concat_arrow(pieces, target) == Digests.of(target)
    assert list(read_batches(stored(target))) == [batch for piece in pieces for batch in read_batches(piece)]
    assert pa.Table.from_batches(read_batches(stored(target))) == table
    data = bytearray(pieces[2].path.read_bytes())
    data[len(data) // 2] ^= 16
    pieces[2].path.write_bytes(data)
    with pytest.raises(DamagedFileError, match=r"2\.arrow is damaged"):
        concat.concat_arrow(pieces, target)


_integers = {thrift.I8: 7, thrift.I16: 15, thrift.I32: 31, thrift.I64: 63}
_leaves = {kind: st.integers(-(2**bits), 2**bits - 1) for kind, bits in _integers.items()} | {
    thrift.DOUBLE: st.floats(allow_nan=False),
    thrift.BINARY: st.binary(max_size=200),
    thrift.UUID: st.binary(min_size=16, max_size=16),
}
# a boolean that is no field is its byte
_elements = _leaves | {thrift.FALSE: st.integers(0, 2)}


def _structs(children: st.SearchStrategy[tuple[int, Any]]) -> st.SearchStrategy[Struct]:
    fields = children | st.tuples(st.just(thrift.BOOL), st.booleans())
    return st.dictionaries(st.integers(-(2**15), 2**15 - 1), fields, max_size=5).map(Struct)


@st.composite
def _value(draw: st.DrawFn, depth: int = 0, element: bool = False) -> tuple[int, Any]:
    nested = [thrift.LIST, thrift.SET, thrift.MAP, thrift.STRUCT] if depth < 3 else []
    kind = draw(st.sampled_from([*(_elements if element else _leaves), *nested]))
    return kind, draw(_of_kind(kind, depth))


@st.composite
def _of_kind(draw: st.DrawFn, kind: int, depth: int) -> Any:
    if kind == thrift.STRUCT:
        return draw(_structs(_value(depth + 1)))
    if kind in (thrift.LIST, thrift.SET):
        item = draw(_value(depth + 1, element=True))[0]
        return Items(item, draw(st.lists(_of_kind(item, depth + 1), max_size=20)))
    if kind == thrift.MAP:
        key, value = (draw(_value(depth + 1, element=True))[0] for _ in range(2))
        pairs = draw(st.lists(st.tuples(_of_kind(key, depth + 1), _of_kind(value, depth + 1)), max_size=3))
        return Pairs(key, value, pairs) if pairs else Pairs(0, 0, [])
    return draw(_elements[kind])


@given(value=_structs(_value()), rest=st.binary(max_size=3))
def test_thrift_reads_what_it_wrote(value: Struct, rest: bytes) -> None:
    data = write_struct(value)
    assert read_struct(data + rest) == (value, len(data))
    for end in range(len(data)):
        with pytest.raises(ValueError, match="ends within"):
            read_struct(data[:end])


def test_thrift_bytes_of_the_specification() -> None:
    # the integer 50399 is df 89 03 as a varint; a zigzag of it is twice as much
    assert write_struct(Struct({1: (thrift.I64, -25200)})) == b"\x16\xdf\x89\x03\0"
    assert write_struct(
        Struct({1: (thrift.BOOL, True), 16: (thrift.BOOL, False), 40: (thrift.I8, -1)})
    ) == bytes.fromhex("11 f2 03 50 ff 00")
    assert write_struct(Struct({3: (thrift.DOUBLE, 1.5)})) == b"\x37" + struct.pack("<d", 1.5) + b"\0"
    assert (
        write_struct(Struct({1: (thrift.LIST, Items(thrift.I32, [1] * 15))})) == b"\x19\xf5\x0f" + b"\x02" * 15 + b"\0"
    )
    assert write_struct(Struct({1: (thrift.MAP, Pairs(0, 0, []))})) == b"\x1b\0\0"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x16" + b"\xff" * 10 + b"\0\0", "more than 64 bits"),
        (b"\x1e\0", "no type 14"),
        (b"\x11\x02\x02\0", "there twice"),
        (b"\x1c" * 100, "nested too deep"),
        (b"\x19" * 100, "nested too deep"),
    ],
)
def test_thrift_refuses_noise(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_struct(data)


def test_thrift_looks_at_kinds() -> None:
    value = Struct({1: (thrift.I32, 7), 2: (thrift.LIST, Items(thrift.I32, [1]))})
    assert value.get(1, int) == 7
    for wrong in (
        lambda: value.get(1, Struct),
        lambda: value.get(3, int),
        lambda: value.structs(2),
        lambda: value.replace(1, b""),
    ):
        with pytest.raises(ValueError, match="is no "):
            wrong()
