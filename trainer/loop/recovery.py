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
from trainer.spikes.detector import Alarm
from trainer.spikes.skip_log import SkipEntry, SkipLog

_DOCUMENTS = 10
"""Documents that a skip log entry names; `trainer trace` lists all."""
_IN_A_ROW = 10
"""Updates left out one after the other that stop the run."""
_OF_UPDATES = 2
"""Steps that a spike takes until it is seen; a divergence takes more."""
_REMEDY = (
    "give the same command with a lower --set optimizer.lr, with --set spikes.exhausted=continue, or with a larger "
    "spikes.max_rewinds"
)
_REMEDY_LEFT_OUT = (
    "give the same command with --set spikes.mode=rewind and spikes.max_rewinds above those of so far, or leave an "
    "earlier checkpoint with --from"
)
_NEAR = 10
"""Steps, or an eighth of a window, within which two alarms are taken for one and the same."""
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
        """What is to be done instead of the update of the next step, or noted of it; None where it is an update like any.

        Raises DataError where the run is to stop.
        """
        step, spikes = state.step + 1, state.config.spikes
        if state.skip_log.action_at(step) is not None:
            return next(entry for entry in state.skip_log.entries if entry.step == step and entry.action != "rewind")
        alarm = state.detector.judge(step, measured.loss, measured.gradient_norm, state.warming)
        if alarm is None:
            return None
        if not measured.finite and (step == 1 or spikes.mode == "ignore"):
            raise not_finite(step, measured)
        if spikes.mode == "ignore":
            return None
        where = f"in step {step} {alarm.reason} (rows {measured.rows[0].start} to {measured.rows[-1].stop - 1})"
        if spikes.mode == "stop":
            raise DataError(
                f"{where}, and the update was not made: inspect these rows, or give the same command with "
                "--set spikes.mode=rewind, and the run recovers by itself."
            )
        if spikes.mode == "skip-update":
            return self._left_out(state, measured, alarm, where)
        if state.skip_log.rewinds(step, spikes.budget_steps) < spikes.max_rewinds:
            return self._rewind_entry(state, measured, alarm, where)
        if spikes.exhausted == "stop":
            raise DataError(f"{where}, and {self._used_up(state)}: {_REMEDY}.")
        return self._left_out(state, measured, alarm, where) if not measured.finite else self._let_pass(state, alarm)

    def _left_out(self, state: TrainingState, measured: Measured, alarm: Alarm, where: str) -> SkipEntry | None:
        """The update is not made. A divergence is not of one update: it is let pass."""
        step = state.step + 1
        if alarm.before < step - _OF_UPDATES:
            return self._let_pass(state, alarm)
        last = [entry.step for entry in state.skip_log.entries if entry.action == "skip-update"][-_IN_A_ROW:]
        if last == list(range(step - _IN_A_ROW, step)):
            raise DataError(f"{where}, as in the {_IN_A_ROW} steps before: {_REMEDY_LEFT_OUT}.")
        rows = RowRange(measured.rows[0].start, measured.rows[-1].stop)
        return SkipEntry(step, "skip-update", alarm.reason, step - 1, step - 1, rows, self._documents(measured.rows))

    def _let_pass(self, state: TrainingState, alarm: Alarm) -> SkipEntry | None:
        """The update is made, and noted where none was for a window of steps: all are part of one spike."""
        step = state.step + 1
        past = [entry for entry in state.skip_log.before(step).entries if entry.action == "continue"]
        if any(entry.step > step - state.detector.size for entry in past):
            return None
        reason = alarm.reason
        if state.config.spikes.mode == "rewind":
            reason = f"{reason}; {self._used_up(state)}"
        return SkipEntry(step, "continue", reason, step - 1, step - 1, RowRange(0, 0))

    def _used_up(self, state: TrainingState) -> str:
        """Why there is no rewind: the steps that took them."""
        step, spikes = state.step + 1, state.config.spikes
        if not spikes.max_rewinds:
            return "no rewinds are allowed (spikes.max_rewinds)"
        past = [entry for entry in state.skip_log.before(step).entries if entry.action == "rewind"]
        steps = ", ".join(str(entry.step) for entry in past if entry.step > step - spikes.budget_steps)
        return f"the {spikes.max_rewinds} rewinds within {spikes.budget_steps:,} steps are used up (spikes in {steps})"

    def _rewind_entry(self, state: TrainingState, measured: Measured, alarm: Alarm, where: str) -> SkipEntry:
        step, spikes, steps = state.step + 1, state.config.spikes, state.config.training.steps
        self.settle()
        # not the step of the checkpoint that is there: which ones are must not decide the run
        again = self._times_before(state)
        back_to = max(0, min(alarm.before, step - spikes.steps_back(steps) * 2**again))
        oldest = self.store.ranks.from_rank_0(lambda: self._step_before(back_to))
        if oldest is None:
            raise DataError(f"{where}, and there is no valid checkpoint to go back to: give --overwrite to start anew.")
        back_to = max(back_to, oldest)
        batches = spikes.batches_skipped(steps)
        first = back_to if again else max(back_to, min(alarm.before, state.step - batches // _BEFORE))
        ramp, holes = state.config.ramp, state.skip_log.holes()
        begin = next_batch(0, ramp.rows_before(first), holes)[1] if first else 0
        end = max(next_batch(begin, batches * ramp.rows_at(step), holes)[1], measured.next_row)
        rows = RowRange(begin, min(end, len(self.data)))
        documents, changes = self._documents(measured.rows), len(state.history.changes)
        return SkipEntry(step, "rewind", alarm.reason, back_to, back_to, rows, documents, changes)

    def _times_before(self, state: TrainingState) -> int:
        """How often the run went back from about here before: then what it skipped was not the cause, which lies further
        back."""
        near = max(_NEAR, state.detector.size // 8)
        log = state.skip_log.before(state.step + 1)
        return sum(entry.action == "rewind" and entry.step >= state.step + 1 - near for entry in log.entries)

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
        state.skip_log, state.history = skip_log, state.history.rewound(skip_log)
        state.restore(checkpoint)

    def _prepare(self, skip_log: SkipLog, step: int) -> Checkpoint:
        skip_log.save(self.run.skip_log)
        self.store.fault("skip log written")
        self.store.discard_after(step)
        checkpoint = self.store.newest(self.say)
        assert checkpoint is not None, "the checkpoint was valid a moment ago"
        return checkpoint

    def note(self, state: TrainingState, entry: SkipEntry) -> None:
        """Note an update that is not made, or made in spite of what it showed."""
        if entry.action == "continue":
            state.detector.forget_best()
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
