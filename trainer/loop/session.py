"""One process's work on a run: restore, steps, spikes, evaluations, saves."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from time import monotonic, perf_counter
from typing import Any

import torch

from corpus.system import cores
from trainer.checkpoints.checkpoint import CheckpointStore
from trainer.config.cost import plan_lines
from trainer.config.hardware import Hardware
from trainer.config.options import FitOptions
from trainer.data.text import TextCodec, token_bytes
from trainer.data.validation_sets import PackedRows, training_shares
from trainer.distributed.ranks import Ranks
from trainer.distributed.watchdog import Watchdog
from trainer.evaluation.perplexity import Validation, evaluate
from trainer.evaluation.summary import Basis, Summary
from trainer.loop.interrupt import StopRequest, stopped
from trainer.loop.memory import MemoryGuard
from trainer.loop.profile import StepProfile
from trainer.loop.recovery import Recovery
from trainer.loop.reporting import Reporter
from trainer.loop.restore import Opening
from trainer.loop.saving import Saver
from trainer.loop.selfcheck import check_record, compare
from trainer.loop.state import TrainingState
from trainer.loop.step import skip_batch, update
from trainer.run.directory import Run
from trainer.run.initial import InitialWeights
from trainer.run.kept import KeptWeights
from trainer.run.loggers import find_loggers
from trainer.run.metrics import LiveLine, clock
from trainer.spikes.skip_log import SkipEntry

_COLLECT = 100
"""Steps between collections of garbage."""


@dataclass
class Session:
    """One process's work on a run, a rank among others or alone."""

    options: FitOptions
    opening: Opening
    data: PackedRows
    sets: dict[str, PackedRows]
    run: Run
    store: CheckpointStore
    stop: StopRequest
    ranks: Ranks
    hardware: Hardware
    say: Callable[[str], None]
    initial: InitialWeights | None = None
    kept: KeptWeights | None = None
    state: TrainingState = field(init=False)
    line: LiveLine = field(init=False)
    reporter: Reporter = field(init=False)
    memory: MemoryGuard = field(init=False)
    saver: Saver = field(init=False)
    recovery: Recovery = field(init=False)
    profile: StepProfile | None = field(init=False, default=None)
    watchdog: Watchdog | None = field(init=False, default=None)
    _validated: set[int] = field(init=False, default_factory=set)
    _finished: bool = field(init=False, default=False)
    _check_seconds: float = field(init=False, default=0.0)
    _saved_at: float = field(init=False, default_factory=monotonic)

    def __post_init__(self) -> None:
        self.line = LiveLine(
            self.opening.history.last.training.steps, silent=self.options.quiet or not self.ranks.first
        )
        self.reporter = Reporter(self.run, self.ranks, self.line, find_loggers(self.options.loggers), self.say)
        self.memory = MemoryGuard(self.run, self.data, self.line.say, self.options.noise_scale)
        self.saver = Saver(self.store, self.options.background_saves or self.ranks.device.type == "cuda")
        self.recovery = Recovery(self.run, self.store, self.data, self.line.say, self.saver.wait)
        steps = self.options.profiled_steps()
        if steps is not None and self.ranks.first:
            self.profile = StepProfile(steps, self.run.profile, self.ranks.device, self.line.say)

    def begin(self) -> None:
        """Make the state of step 0, or restore the newest valid checkpoint that lies on the run's way."""
        opening, checkpoint = self.opening, self.opening.checkpoint
        self._set_threads(None if checkpoint is None else checkpoint.state)
        if checkpoint is None:
            # before the weights are made: for a model that does not fit this is the last thing that is seen
            for line in plan_lines(opening.history.last, self.hardware):
                self.say(line)
        # what is added to is in no checkpoint
        initial = self.kept or (self.initial if checkpoint is None else None)
        self.state = TrainingState(opening.history, self.ranks, self.options.parallel, initial, self.hardware)
        self.state.skip_log = opening.skip_log
        if self.ranks.size > 1:
            self.watchdog = Watchdog(self.ranks, self.options.stall_seconds, self.line.say)
            self.state.at = self.watchdog.at
        if self.ranks.device.type == "cuda" and not self.state.parallel.sharded:
            self.saver.reserve(self.state.shapes())
        if self.ranks.first:
            self.run.save_training_shares(training_shares(self.data))
        if checkpoint is None:
            self.reporter.rewind(self.state, -1)
            self._note_changes([])
            self._show_text()
            # the first save comes before the first step: a disk that cannot hold it is known now, not in hours
            self._save(now=True)
            self._say_time()
            return
        self.state.restore(checkpoint)
        notes = compare(checkpoint.state, self.state, self.data, self.options.accept_resume)
        for note in notes:
            self.say(f"note: {note}")
        self._note_changes(notes)
        self.reporter.rewind(self.state, checkpoint.step)
        self._validated = {record["step"] for record in self.reporter.log.records() if record["kind"] == "validation"}
        if opening.known.last.validation != opening.history.last.validation:
            self._validated.discard(checkpoint.step)
        steps = self.state.steps
        self._finished = checkpoint.step == steps and not self._validation_due()
        if self._finished:
            self.say(f"{self.run.path} is finished ({steps} steps): nothing to do.")
        else:
            self.say(f"{self.run.path} goes on from step {checkpoint.step} of {steps}.")
        for line in opening.lines:
            self.say(f"changed     {line}")

    def _note_changes(self, notes: Sequence[str]) -> None:
        """Write what is not as before into the run's history, the numbers of a passed self-check aside."""
        opening = self.opening
        history = opening.history.changed_to(opening.history.last, self.state.step, notes) if notes else opening.history
        if history.changes != opening.known.changes:
            self.ranks.from_rank_0(lambda: history.save(self.run.changes))
        self.state.history = history

    def train(self) -> None:
        """Do the steps that are left."""
        # garbage is collected at fixed steps, on all ranks at once, and not whenever one of them has enough of it
        gc.disable()
        while True:
            if self.state.step % _COLLECT == 0:
                gc.collect()
            if self._validation_due():
                self._validate()
            signal, timed = self._flags()
            if signal:
                self._save(now=True)
                self.line.say(f"stopped and saved at step {self.state.step}")
                raise stopped(
                    signal,
                    f"{self.run.path} is saved at step {self.state.step} of {self.state.steps}: "
                    "give the same command again.",
                )
            if timed:
                self._save()
            if self.state.step >= self.state.steps:
                break
            step = self.state.step + 1
            if self.profile is not None:
                self.profile.before(step)
            further = self._advance()
            if self.profile is not None:
                self.profile.after(step)
            if further and (self.state.step == self.state.steps or self.state.step % self.options.save_every == 0):
                self._save()
        self.saver.wait()
        self.reporter.summary(self.state)

    def _flags(self) -> list[int]:
        """The signal to stop at, if any, and whether a save by the clock is due: the same on all ranks."""
        minutes = self.options.save_minutes
        timed = self.ranks.first and minutes > 0 and monotonic() - self._saved_at > 60 * minutes
        return self.ranks.all_reduce_max([self.stop.signal or 0, int(timed)])

    def _advance(self) -> bool:
        """Do the next step; whether the run is further than before."""
        state = self.state
        rows = state.batch_rows
        measured = self.memory.measure(state)
        entry = self.recovery.judge(state, measured)
        if entry is not None and entry.action == "rewind":
            self._go_back(entry)
            return False
        if entry is not None:
            self.recovery.note(state, entry)
            done = "left out" if entry.action == "skip-update" else "made all the same"
            self.line.say(f"step {entry.step} is {done}: {entry.reason}")
        if entry is not None and entry.action == "skip-update":
            skip_batch(state, measured)
            lr = 0.0
        else:
            lr = update(state, measured)
        self.reporter.step(state, measured, rows, lr)
        return True

    def _go_back(self, entry: SkipEntry) -> None:
        self.recovery.go_back(self.state, entry)
        self.reporter.rewind(self.state, self.state.step)
        self._validated = {step for step in self._validated if step <= self.state.step}
        rows, spikes = entry.rows, self.state.config.spikes
        number = self.state.skip_log.rewinds(entry.step, spikes.budget_steps)
        self.line.say(
            f"spike in step {entry.step}: {entry.reason}; back to the checkpoint of step {self.state.step}, "
            f"the rows {rows.start} to {rows.stop - 1} are skipped (rewind {number} of {spikes.max_rewinds} within "
            f"{spikes.budget_steps:,} steps)"
        )

    def _validation_due(self) -> bool:
        training, step = self.state.config.training, self.state.step
        if not self.sets or step in self._validated:
            return False
        periodic = step > 0 and training.validate_every > 0 and step % training.validate_every == 0
        return periodic or step == self.state.steps

    def _validate(self) -> None:
        self.state.at(f"evaluating at step {self.state.step}")
        training = self.state.config.training
        sizes = None
        if tokenizer := self.run.checked_tokenizer():
            sizes = token_bytes(tokenizer, self.state.config.model.vocabulary)
        asked = Validation(self.sets, training.micro_rows, training.document_mask, training.precision, sizes)
        scores = evaluate(self.state.parallel.losses, asked, self.ranks, lambda: bool(self._flags()[0]))
        if scores is None:
            return
        step = self.state.step
        self._validated.add(step)
        summary = Summary(scores, self._basis)
        self.reporter.append(self.state, {"kind": "validation", "step": step, **summary.record()})
        mean = summary.headline
        self.line.say(f"step {step}  validation loss {mean.loss:.4f}  perplexity {mean.perplexity:,.2f}")
        if step == self.state.steps:
            for line in summary.lines():
                self.say(line)

    @cached_property
    def _basis(self) -> Basis:
        """What the figures of all evaluations rest on; the segments of the sets are read for it once."""
        return Basis.of(self.sets, training_shares(self.data))

    def _save(self, now: bool = False) -> None:
        self.state.at(f"saving step {self.state.step}")
        began = perf_counter()
        record = {**self.state.record(), "check": check_record(self.state, self.data)}
        self._check_seconds = perf_counter() - began
        self.saver.save(self.state.step, self.state.tensors(), record, self.state.parallel.sharded, now)
        self._saved_at = monotonic()

    def close(self) -> None:
        """Finish what is being written. An error on its way out is not hidden by one of a background save."""
        gc.enable()
        if self.watchdog is not None:
            self.watchdog.close()
        try:
            if self.profile is not None:
                self.profile.close()
            self.reporter.close()
        finally:
            self.saver.join()

    def _set_threads(self, saved: Mapping[str, Any] | None) -> None:
        """Threads decide the order of additions: a run keeps the number it began with unless told otherwise."""
        there = max(1, cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
        threads = self.options.threads or (int(saved["threads"]) if saved is not None else there)
        torch.set_num_threads(threads)

    def _say_time(self) -> None:
        """Estimate the run's time from the forward pass of the first check; a backward pass takes twice as long."""
        training, ramp = self.state.config.training, self.state.config.ramp
        if training.compile:
            return  # its time was spent on compiling
        passes = ramp.rows_before(training.steps) / min(training.micro_rows, ramp.rows[0]) / self.ranks.size
        self.say(f"time        about {clock(3 * self._check_seconds * passes)}, by one forward pass")

    def _show_text(self) -> None:
        if tokenizer := self.run.checked_tokenizer():
            text = TextCodec(tokenizer).decode(self.data[0:1][0].tolist())
            self.say(f"first text  {' '.join(text.split())[:160]}")
