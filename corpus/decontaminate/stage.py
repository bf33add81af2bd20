"""Documents -> documents without the texts of evaluation sets.

`gpt3` (arXiv 2005.14165, appendix C): n-grams of 13 words; each one that a document shares with an evaluation text is
cut out with 200 characters around it; pieces below 200 characters are thrown away, a document that falls into more than
10 pieces goes whole, and n-grams in more than 10 documents are left alone. Pieces stay one document, a blank line apart.
`palm` (arXiv 2204.02311, section 8): a text is seen when at least 70 % of its 8-grams occur; a document that holds so
many of one text is dropped. Texts with fewer words than an n-gram cannot be looked for; they are counted as `short`.

Phases: `index` (the n-grams of the evaluation texts, in memory), `match` (all positions where documents have one), `count`
(in how many documents each is), `write`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pyarrow.parquet as pq

from corpus.config import check_options
from corpus.decontaminate.comparison import read_piece
from corpus.decontaminate.matches import MATCH_SCHEMA
from corpus.decontaminate.presets import PRESETS
from corpus.engine.commit import Commit
from corpus.engine.document_stage import DocumentStage, StageKind
from corpus.engine.stage import Estimate, InputRef, Phase
from corpus.engine.task import Task
from corpus.errors import UsageError
from corpus.option import SHARDS_ARE_INHERITED, option

if TYPE_CHECKING:
    from corpus.decontaminate.evaluation import EvaluationGrams
    from corpus.decontaminate.ngrams import Ints


@dataclass(frozen=True)
class DecontaminateConfig:
    """Settings of `corpus decontaminate`. None: as the preset says."""

    removed: ClassVar[Mapping[str, str]] = SHARDS_ARE_INHERITED

    against: tuple[str, ...] = option((), "Evaluation set, as JSON lines (also gzip or zstd).", metavar="EVAL.jsonl")
    preset: Literal["gpt3", "palm"] = option("gpt3", "gpt3: cut 13-grams out; palm: drop by 70% of 8-grams.")
    field: tuple[str, ...] = option((), "Field with text, as question or choices.text; by default all strings.")
    ngram: int | None = option(None, "Words of an n-gram, usually 8 or 13.", least=1)
    share: float | None = option(
        None, "Part of a text's n-grams that one document must have; 0: a single n-gram.", least=0, most=1
    )
    mode: Literal["cut", "drop"] | None = option(None, "Cut the matches out of documents, or drop these.")
    most_documents: int | None = option(None, "Ignore n-grams that more documents have than this; 0: none.", least=0)
    window: int = option(200, "Characters around a match that are cut too.", least=0)
    min_piece: int = option(200, "Characters that a piece of a cut document needs.", least=0)
    most_pieces: int = option(10, "Pieces over which a cut document is dropped.", least=0)

    def __post_init__(self) -> None:
        if not self.against:
            raise UsageError("There is nothing to compare with; give --against with a file of evaluation examples.")
        check_options(self)

    def resolved(self) -> dict[str, Any]:
        """The settings with those of the preset, without the files."""
        chosen = {key: getattr(self, key) for key in PRESETS[self.preset] if getattr(self, key) is not None}
        cut = {key: getattr(self, key) for key in ("window", "min_piece", "most_pieces")}
        return {**PRESETS[self.preset], **chosen, **cut, "field": list(self.field)}


@dataclass(frozen=True)
class DecontaminateStage(DocumentStage):
    """Documents -> documents without evaluation texts."""

    name: ClassVar[str] = "decontaminate"

    settings: DecontaminateConfig

    def step_config(self) -> Mapping[str, Any]:
        return self.settings.resolved()

    def inputs(self) -> tuple[InputRef, ...]:
        from corpus.decontaminate.index import names_and_digests

        files = names_and_digests(self.settings.against)
        return (*super().inputs(), *(InputRef(name, digest, digest) for name, digest in files))

    def input_paths(self) -> tuple[Path, ...]:
        return (*super().input_paths(), *map(Path, self.settings.against))

    @cached_property
    def grams(self) -> EvaluationGrams:
        """The comparison of evaluation texts with the documents."""
        from corpus.decontaminate.evaluation import EvaluationGrams

        return EvaluationGrams(len(self.pieces), self.settings.against, self.settings.resolved())

    def work_phases(self) -> tuple[Phase, ...]:
        return (*self.grams.phases(), Phase("write", len(self.pieces)))

    def estimate(self) -> Estimate:
        texts = sum(Path(path).stat().st_size for path in self.settings.against)
        return Estimate(memory=64_000_000 + 40 * texts, disk=self.input_bytes())

    def work(self, phase: str, index: int, task: Task) -> None:
        if phase == "write":
            self._write(index, task)
        else:
            self.grams.run(phase, task, lambda: read_piece(self.pieces[index], task, self.grams.columns))

    def found(self, task: Task, index: int) -> tuple[Path, int]:
        """Where the results of the phases before lie, and the number of piece `index` among theirs."""
        return task.work, index

    def _write(self, index: int, task: Task) -> None:
        from corpus.decontaminate.rewrite import Rewriter

        work, number = self.found(task, index)
        positions = self.grams.positions(work, number)
        examples = self.grams.examples(work) if positions.shape[1] else []
        writer = self.writer(task)
        with pq.ParquetWriter(str(task.directory / "matches"), MATCH_SCHEMA, compression="zstd") as report:
            rewriter = Rewriter(self.grams.load(work), examples, self.settings.resolved(), task, report)
            first = 0
            for batch in read_piece(self.pieces[index], task):
                inside = (positions[0] >= first) & (positions[0] < first + batch.num_rows)
                part: Ints = positions[:, inside] - np.array([[first], [0], [0], [0]])
                out = rewriter.rewrite(batch, part) if part.shape[1] else batch
                writer.write(out)
                task.count(seen=batch.num_rows)
                first += batch.num_rows
        task.note("cut", rewriter.cut)

    def finish(self, commit: Commit) -> None:
        super().finish(commit)
        (count,) = commit.results["count"]
        commit.adopt(count.directory / "examples", "_matches/examples")
        self.adopt_matches(commit)
        commit.extra["evaluation"] = dict(count.notes)

    def adopt_matches(self, commit: Commit) -> None:
        """Put the parts of the table of matches next to the output."""
        for number, result in enumerate(commit.results["write"]):
            commit.adopt(result.directory / "matches", f"_matches/{number:05d}.matches")
        commit.extra["cut"] = sum(result.notes["cut"] for result in commit.results["write"])


DECONTAMINATE = StageKind(DecontaminateConfig, DecontaminateStage)
