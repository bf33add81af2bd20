"""Raw inputs: what is read, what is ignored, and that nothing is lost unseen."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import DataError, UsageError
from corpus.ingest.config import IngestConfig
from corpus.ingest.files import find_files, input_root
from corpus.ingest.stage import IngestStage
from tests.toy import LineReader


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    (folder / "real").mkdir(parents=True)
    (folder / "real" / "b c#1.txt").write_text("x", encoding="utf-8")
    (folder / "a.TXT").write_text("x", encoding="utf-8")
    (folder / "notes.md").write_text("x", encoding="utf-8")
    (folder / ".git").mkdir()
    (folder / ".hidden.txt").write_text("x", encoding="utf-8")
    return folder


def test_files_by_name_and_what_is_ignored(raw: Path) -> None:
    os.mkfifo(raw / "pipe.txt")
    found = find_files([str(raw)], ["*.txt"])
    assert [file.name for file in found.files] == ["a.TXT", "real/b c#1.txt"]
    assert found.ignored == (".git", ".hidden.txt", "notes.md", "pipe.txt")
    assert [file.name for file in find_files([str(raw / "notes.md")], ["*.txt"], "p/").files] == ["p/notes.md"]


def test_what_a_stage_wrote_is_no_raw_input(raw: Path, tmp_path: Path) -> None:
    def read(place: Path) -> list[str]:
        return [file.name for file in find_files([str(place)], ["*.txt", "*.json", "*.parquet"]).files]

    (raw / "real" / "manifest.json").write_text('{"kind": "anything"}', encoding="utf-8")  # not one of ours
    before = read(raw)
    assert "real/manifest.json" in before
    stage = IngestStage(LineReader(), (str(raw / "a.TXT"),), IngestConfig())
    run_stage(stage, tmp_path / "made", RunOptions(quiet=True))
    shutil.move(tmp_path / "made", raw / "made")
    assert read(raw) == before and "made/" in find_files([str(raw)], ["*.txt"]).ignored
    with pytest.raises(UsageError, match="is a dataset or a run, no raw files"):
        read(raw / "made")
    (raw / "half" / "_work").mkdir(parents=True)
    (raw / "half" / "_log").mkdir()
    (raw / "half" / "_report.json").write_text("{}", encoding="utf-8")
    assert read(raw) == before
    with pytest.raises(UsageError, match="lies in the input"):
        run_stage(stage_of(raw), raw / "out", RunOptions(quiet=True))
    assert not (raw / "out").exists()


def stage_of(raw: Path) -> IngestStage:
    return IngestStage(LineReader(), (str(raw),), IngestConfig())


def test_a_folder_reached_twice_keeps_its_real_name(raw: Path) -> None:
    (raw / "alias").symlink_to("real")
    (raw / "real" / "loop").symlink_to(raw)
    (raw / "a-link").symlink_to(raw / "real" / "deep")
    (raw / "real" / "deep").mkdir()
    (raw / "real" / "deep" / "x.txt").write_text("x", encoding="utf-8")
    assert [file.name for file in find_files([str(raw)], ["*.txt"]).files] == [
        "a.TXT",
        "real/b c#1.txt",
        "real/deep/x.txt",
    ]


def test_a_link_to_nothing_is_named(raw: Path) -> None:
    (raw / "lost.txt").symlink_to("/gone/file")
    with pytest.raises(DataError, match=r"lost\.txt is a link to nothing"):
        find_files([str(raw)], ["*.txt"])
    with pytest.raises(DataError, match=r"lost\.txt is a link to nothing"):
        find_files([str(raw / "lost.txt")], ["*.txt"])


@pytest.mark.parametrize("fails", ["iterdir", "stat"])
def test_a_folder_that_cannot_be_read_is_named(raw: Path, fails: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (raw / "real" / "shut").mkdir()
    plain = getattr(Path, fails)

    def refuse(path: Path, **options: bool) -> object:  # as root reads every folder, whatever its mode
        if path.name == "shut":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return plain(path, **options)

    monkeypatch.setattr(Path, fails, refuse)
    with pytest.raises(DataError, match=r"/real/shut cannot be read \(Permission denied\): change its permissions"):
        find_files([str(raw)], ["*.txt"])


def test_names_that_are_no_unicode(raw: Path) -> None:
    Path(os.fsdecode(os.fsencode(raw) + b"/bad\xff.txt")).write_text("x", encoding="utf-8")
    with pytest.raises(DataError, match=r"/bad\\xff\.txt is not valid UTF-8: rename"):
        find_files([str(raw)], ["*.txt"])


def test_inputs_that_cannot_be(raw: Path) -> None:
    os.mkfifo(raw / "pipe.txt")
    for name, words in (
        ("pipe.txt", "neither a file nor a folder"),
        ("none", "does not exist"),
        ("x" * 5000, "cannot be read"),
    ):
        with pytest.raises(UsageError, match=words):
            find_files([str(raw / name)], ["*.txt"])


def test_settings_that_cannot_be() -> None:
    with pytest.raises(UsageError, match="--shard-bytes is 0: give at least 1"):
        IngestConfig(shard_bytes=0)
    with pytest.raises(UsageError, match=r"--prefix .*udcff' is not printable"):
        IngestConfig(prefix="\udcff")
    with pytest.raises(UsageError, match=r"--domain .*udcff' is not valid UTF-8"):
        IngestStage(LineReader(), ("raw",), domain="\udcff")


def test_a_pattern_names_files(tmp_path: Path) -> None:
    for name in ("a/1.json", "a/2.txt", "b/c/1.json", "[x].json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    found = find_files([f"{tmp_path}/*/1.json"], ["*.txt"])
    assert [file.name for file in found.files] == ["a/1.json"]
    assert [file.name for file in find_files([f"{tmp_path}/**/*.json"], []).files] == [
        "[x].json",
        "a/1.json",
        "b/c/1.json",
    ]
    assert [file.name for file in find_files([f"{tmp_path}/[x].json"], []).files] == ["[x].json"]
    assert input_root(f"{tmp_path}/*/1.json") == tmp_path
    with pytest.raises(UsageError, match="no file matches"):
        find_files([f"{tmp_path}/*.parquet"], ["*"])
