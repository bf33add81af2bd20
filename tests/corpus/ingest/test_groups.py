"""How raw files are put into tasks, and readers that look at all files before they read one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.data.columns import Column
from corpus.data.dataset import Dataset
from corpus.engine.runner import RunOptions, run_stage
from corpus.ingest import groups as groups_module
from corpus.ingest.groups import group_count, group_of
from corpus.ingest.reader import Item, RawFile, Reader, Record
from corpus.ingest.stage import IngestStage
from tests.toy import LineReader

QUIET = RunOptions(quiet=True)
NAMES = st.text("abcdefghij/._-0123456789", min_size=1, max_size=20)


@given(NAMES, st.integers(0, 12))
def test_twice_as_many_groups_halve_each(name: str, power: int) -> None:
    groups = 1 << power
    assert group_of(name, 2 * groups) // 2 == group_of(name, groups)
    assert 0 <= group_of(name, groups) < groups


def test_the_number_of_groups_follows_from_the_size() -> None:
    counts = [group_count(megabytes * 1_000_000) for megabytes in (0, 31, 32, 63, 64, 127, 128, 4_000_000)]
    assert counts == [1, 1, 1, 1, 2, 2, 4, 65536]


def write(folder: Path, names: Sequence[str]) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / f"{name}.txt").write_text("\n".join(f"line {number} of {name}" for number in range(20)))


def test_a_new_file_changes_one_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups_module, "_GROUP_BYTES", 400)
    raw = tmp_path / "raw"
    write(raw, [f"file{number}" for number in range(20)])
    stage = IngestStage(LineReader(), (str(raw),))
    before = run_stage(stage, tmp_path / "before", QUIET)
    write(raw, ["new"])
    after = run_stage(dataclasses.replace(stage), tmp_path / "after", QUIET)
    assert len(before.shards) > 8
    old = {shard.task: shard.checksum for shard in before.shards}
    new = {shard.task: shard.checksum for shard in after.shards}
    assert len(old) == len(before.shards)
    changed = {task for task in old.keys() | new.keys() if old.get(task) != new.get(task)}
    group = group_of("new.txt", int(before.shards[0].task.split("/")[1]))
    assert changed == {f"{group}/{before.shards[0].task.split('/')[1]}"}


@dataclass(frozen=True)
class NotesReader:
    """Lines `name = value` define, lines with `$name` use what any file of the domain defines."""

    domain: ClassVar[str] = "notes"
    patterns: ClassVar[tuple[str, ...]] = ("*.txt",)
    doc: ClassVar[str] = "Notes."
    columns: ClassVar[tuple[Column, ...]] = ()

    known: dict[str, str] = field(default_factory=dict)

    def survey(self, file: RawFile, folder: Path) -> None:
        lines = file.path.read_text().split("\n")
        found = dict(line.split(" = ") for line in lines if " = " in line)
        (folder / "found.json").write_text(json.dumps(found))

    def gather(self, surveys: Sequence[tuple[str, Path]], folder: Path) -> None:
        known: dict[str, str] = {}
        for _, survey in surveys:
            known = json.loads((survey / "found.json").read_text()) | known
        (folder / "known.json").write_text(json.dumps(known, sort_keys=True))

    def prepared(self, gathered: Path) -> Reader:
        return NotesReader(json.loads((gathered / "known.json").read_text()))

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        for ordinal, line in enumerate(file.path.read_text().split("\n")):
            for name, value in self.known.items():
                line = line.replace(f"${name}", value)
            yield Record(ordinal, line)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_reader_knows_all_files_before_it_reads_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(groups_module, "_GROUP_BYTES", 8)
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "a.txt").write_text("see $b and $c")
    (raw / "b.txt").write_text("b = 2")
    (raw / "c.txt").write_text("c = 3\nb = 9\nand $b")
    options = dataclasses.replace(QUIET, workers=workers)
    run_stage(IngestStage(NotesReader(), (str(raw),)), tmp_path / "out", options)
    texts = sorted(text for batch in Dataset.open(tmp_path / "out").batches(["text"]) for text in batch[0].to_pylist())
    assert texts == sorted(["see 2 and 3", "b = 2", "c = 3", "b = 9", "and 2"])
