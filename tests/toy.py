"""A reader and a three-phase stage that do little, slowly enough to be killed; `python -m tests.toy OUT` runs them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from corpus.data.columns import Column
from corpus.data.schema import DOCUMENT_SCHEMA
from corpus.engine.commit import Commit
from corpus.engine.document_stage import DocumentWriter
from corpus.engine.runner import RunOptions, run_stage
from corpus.engine.stage import InputRef, Phase, Stage
from corpus.engine.task import Task
from corpus.errors import DataError
from corpus.ingest.config import IngestConfig
from corpus.ingest.reader import Item, Merged, RawFile, Record, Skipped, Unreadable
from corpus.ingest.stage import IngestStage
from corpus.option import option


@dataclass(frozen=True)
class LineReader:
    """A line is a record; every tenth is skipped, merged or unreadable."""

    domain: ClassVar[str] = "toy"
    patterns: ClassVar[tuple[str, ...]] = ("*.txt",)
    doc: ClassVar[str] = "Lines."
    columns: ClassVar[tuple[Column, ...]] = ()

    tag: str = option("", "Put before every text.")

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        (scratch / "spill").write_text("x")
        for ordinal, line in enumerate(file.path.read_text(encoding="utf-8").split("\n")):
            if ordinal % 10 == 3:
                yield Skipped(ordinal, "third", line)
            elif ordinal % 10 == 4:
                yield Merged(ordinal, ordinal - 4)
            elif ordinal % 10 == 5:
                yield Unreadable(ordinal, 0, len(line), "fifth", line.encode())
            elif line == "surrogate":
                yield Record(ordinal, "\ud800")
            else:
                yield Record(ordinal, self.tag + line)


@dataclass(frozen=True)
class SlowStage(Stage):
    """Phase `square` leaves notes and a file, `collect` adds them up, `write` writes documents."""

    name: ClassVar[str] = "slow"
    kind: ClassVar[str] = "documents"
    unit: ClassVar[str] = "documents"

    tasks: int = 4
    seconds: float = 0.0
    fail: str = ""
    label: str = "a"

    def config(self) -> Mapping[str, Any]:
        return {"tasks": self.tasks, "label": self.label}

    def inputs(self) -> tuple[InputRef, ...]:
        return ()

    def input_paths(self) -> tuple[Path, ...]:
        return ()

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("square", self.tasks), Phase("collect", 1), Phase("write", self.tasks))

    def run(self, phase: str, index: int, task: Task) -> None:
        time.sleep(self.seconds)
        if phase == "square":
            task.note("square", index * index)
            (task.directory / "spill").write_text(str(index))
        elif phase == "collect":
            results = task.results("square", self.tasks)
            task.note("sum", sum(result.notes["square"] for result in results))
            assert [(result.directory / "spill").read_text() for result in results] == [
                str(i) for i in range(self.tasks)
            ]
        else:
            self._write(index, task)

    def _write(self, index: int, task: Task) -> None:
        total = task.results("collect", 1)[0].notes["sum"]
        if self.fail == "error" and index == 1:
            raise DataError("task 1 is broken on purpose: do not ask it.")
        if self.fail == "die" and index == 1:
            os._exit(9)
        writer = DocumentWriter(task, DOCUMENT_SCHEMA)
        task.count(seen=3)
        task.drop(f"toy/{index}#2", "odd", f"text {index}")
        rows = [
            {
                "id": f"toy/{index}#{number}",
                "text": f"{self.label} {index} {number} {total}",
                "domain": "toy",
                "source": {"file": str(index), "record": number},
                "metadata": "{}",
            }
            for number in range(2)
        ]
        writer.write(pa.RecordBatch.from_pylist(rows, schema=DOCUMENT_SCHEMA))

    def finish(self, commit: Commit) -> None:
        commit.extra["sum"] = commit.results["collect"][0].notes["sum"]
        for number, result in enumerate(commit.results["square"]):
            commit.adopt(result.directory / "spill", f"_documents/{number}")


class HungryStage(SlowStage):
    """Its tasks take more memory than anyone gives them."""

    def run(self, phase: str, index: int, task: Task) -> None:
        held = bytearray(2_000_000_000)
        held[::4096] = b"x" * len(held[::4096])
        time.sleep(60)


def ingest(raw: Path, shard_bytes: int = 4000, **settings: Any) -> IngestStage:
    """The ingest stage of `LineReader` over `raw`, cut into several tasks."""
    return IngestStage(LineReader(**settings), (str(raw),), IngestConfig(shard_bytes=shard_bytes))


if __name__ == "__main__":
    stage = SlowStage(tasks=6, seconds=float(sys.argv[2]))
    run_stage(stage, sys.argv[1], RunOptions(workers=int(sys.argv[3]), always_pool=int(sys.argv[3]) > 1))
