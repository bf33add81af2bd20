"""Data sets read by the `datasets` library, from local folders; nothing here needs the network."""

from __future__ import annotations

import errno
import json
import os
import socket
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import DataError, UsageError
from corpus.ingest.reader import Item, RawFile, Record, Skipped, Unreadable
from corpus.ingest.stage import IngestStage
from pipelines.readers.hub import HubReader
from tests.pipelines.readers.reading import reasons_of


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise OSError("no network in tests")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def read(reader: HubReader, folder: Path, tmp_path: Path) -> list[Item]:
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    return list(reader.read(RawFile(folder, str(folder)), scratch))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    folder.mkdir()
    rows = [
        {"text": " one\r\n", "url": "u", "n": 1},
        {"text": "", "url": "v", "n": 2},
        {"text": None, "url": None, "n": 3},
    ]
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "test.jsonl").write_text(json.dumps({"text": "held out", "url": "w", "n": 4}))
    return folder


def test_a_local_folder_of_json_lines(folder: Path, tmp_path: Path) -> None:
    assert read(HubReader(), folder, tmp_path) == [
        Record(0, " one\r\n", "u", None, {"n": 1}),
        Skipped(1, "no text"),
        Unreadable(2, 0, 35, "field 'text' is not a string", b'{"text": null, "url": null, "n": 3}'),
    ]
    assert read(HubReader(split="test"), folder, tmp_path) == [Record(0, "held out", "w", None, {"n": 4})]


def test_a_local_folder_of_parquet(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    pq.write_table(pa.table({"body": [f"text {number}" for number in range(50)]}), folder / "train-00000.parquet")
    items = read(HubReader(text_field="body"), folder, tmp_path)
    assert items == [Record(number, f"text {number}") for number in range(50)]


def test_one_sentence_for_what_is_not_there(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no split 'trian' \(did you mean 'train'\?\): choose it with --split"
    ) as caught:
        read(HubReader(split="trian"), folder, tmp_path)
    assert "\n" not in caught.value.message
    with pytest.raises(DataError, match=r"cannot be opened: .*BuilderConfig 'other' not found"):
        read(HubReader(config="other"), folder, tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"data set .*empty") as caught:
        read(HubReader(), tmp_path / "empty", tmp_path)
    assert "\n" not in caught.value.message


def test_one_sentence_when_the_hub_cannot_be_reached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unreachable(*arguments: Any, **options: Any) -> None:
        raise ConnectionError("Couldn't reach 'org/name' on the Hub\nmany\nlines")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(DataError, match="the hub cannot be reached for data set org/name: check the network") as caught:
        read(HubReader(), Path("org/name"), tmp_path)
    assert "\n" not in caught.value.message


def test_a_stream_that_breaks_off_keeps_what_was_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def rows() -> Any:
        yield {"text": "one"}
        raise pa.ArrowInvalid("bad block")

    monkeypatch.setattr(datasets, "load_dataset", lambda *arguments, **options: {"train": rows()})
    items = read(HubReader(), Path("org/name"), tmp_path)
    assert items[0] == Record(0, "one")
    assert reasons_of(items) == ["stream broke off (ArrowInvalid)"]


def test_a_local_data_set_is_named_without_its_path_and_changes_are_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a.jsonl").write_text('{"text": "one"}\n', encoding="utf-8")
    stage = IngestStage(HubReader(), (str(folder),))
    manifest = run_stage(stage, tmp_path / "out", RunOptions(quiet=True))
    assert str(tmp_path) not in (tmp_path / "out" / "manifest.json").read_text(encoding="utf-8")
    assert [entry["name"] for entry in manifest.inputs] == ["set"]
    run_stage(stage, tmp_path / "out", RunOptions(quiet=True))
    (folder / "a.jsonl").write_text('{"text": "two"}\n', encoding="utf-8")
    with pytest.raises(UsageError, match="set changed"):
        run_stage(stage, tmp_path / "out", RunOptions(quiet=True))


def _digests(stage: IngestStage) -> dict[str, str]:
    found = stage.resolve_digests([reference.name for reference in stage.inputs()])
    assert found
    return dict(found)


def test_the_identity_of_a_local_data_set_is_its_files(tmp_path: Path) -> None:
    def made(place: str) -> IngestStage:
        folder = tmp_path / place / "set"
        (folder / "more").mkdir(parents=True)
        for name in ("a.jsonl", "more/b.jsonl"):
            (folder / name).write_text('{"text": "one"}\n', encoding="utf-8")
            os.utime(folder / name, ns=(10**18, 10**18))
        return IngestStage(HubReader(), (str(folder),))

    one, other = made("here"), made("there")
    assert one.inputs() == other.inputs()
    assert _digests(one) == _digests(other)
    assert one.input_bytes() == 2 * len('{"text": "one"}\n')
    os.utime(tmp_path / "there/set/more/b.jsonl", ns=(10**18, 10**18 + 1))
    assert one.inputs() != other.inputs()
    assert _digests(one) == _digests(other)
    with pytest.raises(UsageError, match="would both be called set"):
        IngestStage(HubReader(), (*one.raw_inputs, *other.raw_inputs)).raw()


def test_names_on_the_hub_stay_and_paths_are_checked(tmp_path: Path) -> None:
    def name(argument: str) -> str:
        return IngestStage(HubReader(), (argument,)).raw().files[0].name

    assert [name("owner/set"), name("set")] == ["owner/set", "set"]
    for argument, words in ((str(tmp_path / "none"), "does not exist"), ("x" * 5000, "cannot be read")):
        with pytest.raises(UsageError, match=words):
            name(argument)
    with pytest.raises(UsageError, match=r"is not valid UTF-8"):
        name("owner/\udcff")


@pytest.mark.parametrize("error", [DataError("ours: mend it."), MemoryError(), AssertionError("ours")])
def test_errors_that_are_not_the_librarys_pass(
    error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def rows() -> Any:
        yield {"text": "one"}
        raise error

    monkeypatch.setattr(datasets, "load_dataset", lambda *arguments, **options: {"train": rows()})
    with pytest.raises(type(error)) as caught:
        read(HubReader(), Path("org/name"), tmp_path)
    assert caught.value is error

    def fail(*arguments: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(type(error)) as caught:
        read(HubReader(), Path("org/name"), tmp_path)
    assert caught.value is error


def test_a_full_disk_ends_no_stream_and_the_quarantine_holds_no_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def rows(error: Exception) -> Any:
        yield {"text": "one"}
        raise error

    full = rows(OSError(errno.ENOSPC, "No space left on device"))
    monkeypatch.setattr(datasets, "load_dataset", lambda *arguments, **options: {"train": full})
    with pytest.raises(DataError, match="No space left"):
        read(HubReader(), Path("org/name"), tmp_path)
    broken = rows(ValueError(f"bad block in {tmp_path}/set/a.json, cached in {tmp_path}/scratch/b"))
    monkeypatch.setattr(datasets, "load_dataset", lambda *arguments, **options: {"train": broken})
    item = list(HubReader().read(RawFile(tmp_path / "set", "set"), tmp_path / "scratch"))[-1]
    assert isinstance(item, Unreadable) and item.data == b"bad block in set/a.json, cached in scratch/b"
