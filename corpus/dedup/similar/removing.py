"""The base of the levels that remove whole documents, each as a duplicate of one that stays."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from corpus.dedup.comparing import ComparingStage
from corpus.dedup.similar.clusters import Rewrite
from corpus.dedup.spill import Records
from corpus.engine.task import Task


@dataclass(frozen=True)
class RemovingStage(ComparingStage):
    """Removes duplicates. Its last phase of work, `rewrite`, follows from what the others leave; it is separate, so that
    the decision over several domains can be kept (`corpus.dedup.verdict`) and the domains written each by itself."""

    @property
    @abstractmethod
    def reason_of_drops(self) -> str:
        """Why documents go."""

    @abstractmethod
    def removals(self, index: int, task: Task) -> Records:
        """The documents of a piece that go (`REMOVAL`s sorted by `removed`), once all phases before are done."""

    @abstractmethod
    def rewrite(self, task: Task) -> Rewrite:
        """What writes a piece without them."""

    def write_piece(self, index: int, task: Task) -> None:
        """The task of phase `rewrite`."""
        if index < self.old_pieces:
            task.note("table", 0)
            return
        removals = self.removals(index, task)
        self.rewrite(task).run(task, self.writer(task), self.pieces[index].batches(), removals)
