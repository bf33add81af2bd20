"""What a run does about a spike: leave an update out, or go back, skip the batches around it, and go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from corpus.data.provenance import DocumentList
from corpus.errors import DataError
from trainer.checkpoints.checkpoint import Checkpoint, CheckpointStore
from trainer.data.rows import RowRange, next_batch
from trainer.data.validation_sets import PackedRows
from trainer.loop.state import TrainingState
from trainer.loop.step import Measured, not_finite
from trainer.run.directory import Run
from trainer.spikes.skip_log import SkipEntry, SkipLog

_DOCUMENTS = 10
"""Documents that a skip log entry names; `trainer trace` lists all."""
_IN_A_ROW = 10
"""Updates left out one after the other that stop the run."""
_BEFORE = 3
"""A third of the batches to skip lie before the spike (PaLM went back 100 steps and skipped 200 to 500)."""


@dataclass
class Recovery:
    """Decides, from the state alone and so the same on all ranks; rank 0 writes.

    `settle` waits for a save under way.
    """

    run: Run
    store: CheckpointStore
    data: PackedRows
    say: Callable[[str], None]
    settle: Callable[[], None]

    def judge(self, state: TrainingState, measured: Measured) -> SkipEntry | None:
        """What is to be done instead of the update of the next step; None where the update is to be made.

        Raises DataError where the run is to stop.
        """
        step, spikes = state.step + 1, state.config.spikes
        if state.skip_log.skips_update(step):
            return next(
                entry for entry in state.skip_log.entries if entry.step == step and entry.action == "skip-update"
            )
        reason = state.detector.judge(measured.loss, measured.gradient_norm, state.warming)
        if reason is None:
            return None
        if not measured.finite and (step == 1 or spikes.mode == "ignore"):
            raise not_finite(step, measured)
        if spikes.mode == "ignore":
            return None
        where = f"in step {step} {reason} (rows {measured.rows[0].start} to {measured.rows[-1].stop - 1})"
        if spikes.mode == "stop":
            raise DataError(
                f"{where}, and the update was not made: inspect these rows, or let the run recover by itself with "
                "--set spikes.mode=rewind."
            )
        if spikes.mode == "skip-update":
            last = [entry.step for entry in state.skip_log.entries][-_IN_A_ROW:]
            if last == list(range(step - _IN_A_ROW, step)):
                raise DataError(
                    f"{where}, as in the {_IN_A_ROW} steps before: lower optimizer.lr, or go back by spikes.mode=rewind."
                )
            rows = RowRange(measured.rows[0].start, measured.rows[-1].stop)
            return SkipEntry(step, "skip-update", reason, step - 1, step - 1, rows, self._documents(measured.rows))
        if state.skip_log.rewinds >= spikes.max_rewinds:
            past = ", ".join(str(entry.step) for entry in state.skip_log.entries if entry.action == "rewind")
            after = f" after {state.skip_log.rewinds} rewinds (spikes in the steps {past})" if past else ""
            raise DataError(f"{where}{after}: lower optimizer.lr, or allow more by --set spikes.max_rewinds.")
        return self._rewind_entry(state, measured, reason, where)

    def _rewind_entry(self, state: TrainingState, measured: Measured, reason: str, where: str) -> SkipEntry:
        step, spikes, steps = state.step + 1, state.config.spikes, state.config.training.steps
        self.settle()
        # not the step of the checkpoint that is there: which ones are must not decide the run
        back_to = max(0, step - spikes.steps_back(steps))
        oldest = self.store.ranks.from_rank_0(lambda: self._step_before(back_to))
        if oldest is None:
            raise DataError(f"{where}, and there is no valid checkpoint to go back to: give --overwrite to start anew.")
        back_to = max(back_to, oldest)
        batches = spikes.batches_skipped(steps)
        first = max(back_to, state.step - batches // _BEFORE)
        ramp, holes = state.config.ramp, state.skip_log.holes()
        begin = next_batch(0, ramp.rows_before(first), holes)[1] if first else 0
        end = max(next_batch(begin, batches * ramp.rows_at(step), holes)[1], measured.next_row)
        rows = RowRange(begin, min(end, len(self.data)))
        return SkipEntry(step, "rewind", reason, back_to, back_to, rows, self._documents(measured.rows))

    def _step_before(self, step: int) -> int | None:
        found = self.store.before(step, self.say)
        return None if found is None else found.step

    def go_back(self, state: TrainingState, entry: SkipEntry) -> None:
        """Become the newest saved state of the way up to `entry.back_to`, with its rows in the skip log.

        The steps between are done again, as they were. The skip log is on the disk first: from then on checkpoints of the
        way that is left are not resumed from.
        """
        skip_log = state.skip_log.with_entry(entry)
        checkpoint = self.store.ranks.from_rank_0(lambda: self._prepare(skip_log, entry.back_to))
        state.skip_log = skip_log
        state.restore(checkpoint)

    def _prepare(self, skip_log: SkipLog, step: int) -> Checkpoint:
        skip_log.save(self.run.skip_log)
        self.store.fault("skip log written")
        self.store.discard_after(step)
        checkpoint = self.store.newest(self.say)
        assert checkpoint is not None, "the checkpoint was valid a moment ago"
        return checkpoint

    def leave_out(self, state: TrainingState, entry: SkipEntry) -> None:
        """Note an update that is not made."""
        if entry in state.skip_log.entries:
            return
        state.skip_log = state.skip_log.with_entry(entry)
        self.store.ranks.from_rank_0(lambda: state.skip_log.save(self.run.skip_log))

    def _documents(self, rows: tuple[RowRange, ...]) -> tuple[Mapping[str, Any], ...]:
        """Some of the documents of these rows, spread over them."""
        step = max(1, sum(map(len, rows)) // _DOCUMENTS)
        numbers = [row for part in rows for row in range(part.start, part.stop)][::step][:_DOCUMENTS]
        found = []
        for row in numbers:
            one = slice(row, row + 1)
            segments = self.data.segments(one)[0]
            if segments:
                number = max(segments, key=lambda segment: segment.length).document
                entry: dict[str, Any] = {"row": row, "domain": self.data.domains(one)[0], "document": number}
                try:
                    entry["id"] = DocumentList(self.data.dataset).read({number})[number].id
                except DataError:  # a set without a list of its documents still has their numbers
                    pass
                found.append(entry)
        return tuple(found)
