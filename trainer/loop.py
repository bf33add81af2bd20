"""`trainer fit`: from the request to the trained model, through any number of kills and restarts."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from trainer.checkpoint import CheckpointStore, Fault, no_fault
from trainer.config import FitRequest, RunConfig, resolve_config
from trainer.data import PackedRows, open_validation
from trainer.evaluation import Score, evaluate, score_lines
from trainer.interrupt import Interrupted, StopRequest, Terminated
from trainer.metrics import LiveLine, MetricsLog, clock
from trainer.plan import plan_lines
from trainer.run import Run
from trainer.state import TrainingState, versions
from trainer.step import StepReport, train_step
from trainer.text import TextCodec

Say = Callable[[str], None]
_SMOOTH = 10
"""Steps over which the last loss and the speed are averaged."""


def fit(request: FitRequest, say: Say = print, fault: Fault = no_fault) -> None:
    """Train the model that `request` describes, going on from the newest valid checkpoint of its run.

    Raises UsageError, DataError, or Interrupted (SIGTERM 143, SIGINT 130) after a save.
    """
    data = PackedRows(request.data)
    sets = open_validation(request.validation) if request.validation is not None else {}
    config = resolve_config(request, data.identity, {name: rows.identity for name, rows in sets.items()})
    run = Run(request.output)
    with run.locked(), StopRequest() as stop:
        run.prepare(config, data.tokenizer_model, request.overwrite)
        store = CheckpointStore(run.checkpoints, request.keep, fault)
        session = Session(request, config, data, sets, run, store, stop, say)
        try:
            session.begin()
            session.train()
        finally:
            session.log.close()


@dataclass
class Session:
    """One process's work on a run."""

    request: FitRequest
    config: RunConfig
    data: PackedRows
    sets: dict[str, PackedRows]
    run: Run
    store: CheckpointStore
    stop: StopRequest
    say: Say
    state: TrainingState = field(init=False)
    log: MetricsLog = field(init=False)
    line: LiveLine = field(init=False)
    _recent: list[StepReport] = field(init=False, default_factory=list)
    _validated: set[int] = field(init=False, default_factory=set)
    _finished: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.log = MetricsLog(self.run.metrics)
        self.line = LiveLine(self.config.training.steps)

    def begin(self) -> None:
        """Make the state of step 0, or restore the newest valid checkpoint."""
        self.store.sweep()
        checkpoint = self.store.newest(self.say)
        self._set_threads(None if checkpoint is None else checkpoint.state)
        self.state = TrainingState(self.config)
        steps = self.config.training.steps
        if checkpoint is None:
            self.log.rewind(-1)
            for line in plan_lines(self.config):
                self.say(line)
            self._show_row()
            # the first save comes before the first step: a disk that cannot hold it is known now, not in hours
            self._save()
            return
        self.state.restore(checkpoint)
        self.log.rewind(checkpoint.step)
        self._validated = {record["step"] for record in self.log.records() if record["kind"] == "validation"}
        self._finished = checkpoint.step == steps and not self._validation_due()
        if self._finished:
            self.say(f"{self.run.path} is finished ({steps} steps): nothing to do.")
        else:
            self.say(f"{self.run.path} goes on from step {checkpoint.step} of {steps}.")

    def train(self) -> None:
        """Do the steps that are left."""
        training = self.config.training
        while True:
            if self._validation_due():
                self._validate()
            if self.stop:
                self._save()
                self.line.say(f"stopped and saved at step {self.state.step}")
                kind = Terminated if self.stop.signal == signal.SIGTERM else Interrupted
                raise kind(
                    f"{self.run.path} is saved at step {self.state.step} of {training.steps}: "
                    "give the same command again."
                )
            if self.state.step == training.steps:
                break
            self._advance()
            if self.state.step == training.steps or self.state.step % self.request.save_every == 0:
                self._save()
        self._summary()

    def _advance(self) -> None:
        report = train_step(self.state, self.data)
        self._recent = [*self._recent, report][-_SMOOTH:]
        step, tokens = self.state.step, self.config.tokens_per_step
        seconds = sum(recent.seconds for recent in self._recent) / len(self._recent)
        self.log.append(
            {
                "kind": "train",
                "step": step,
                "tokens": step * tokens,
                "loss": report.loss,
                "log_z": report.log_z,
                "lr": report.lr,
                "gradient_norm": report.gradient_norm,
                "next_row": self.state.next_row,
                "seconds": round(report.seconds, 6),
                "data_seconds": round(report.data_seconds, 6),
            }
        )
        self.line.show(step, report.loss, tokens / seconds, seconds * (self.config.training.steps - step))

    def _validation_due(self) -> bool:
        training, step = self.config.training, self.state.step
        if not self.sets or step in self._validated:
            return False
        periodic = step > 0 and training.validate_every > 0 and step % training.validate_every == 0
        return periodic or step == training.steps

    def _validate(self) -> None:
        training = self.config.training
        scores = evaluate(
            self.state.model,
            self.sets,
            training.micro_rows,
            training.document_mask,
            training.precision,
            lambda: bool(self.stop),
        )
        if scores is None:
            return
        step = self.state.step
        self._validated.add(step)
        self.log.append(validation_record(step, scores))
        total = sum(scores.values(), Score(0.0, 0))
        self.line.say(f"step {step}  validation loss {total.loss:.4f}  perplexity {total.perplexity:,.2f}")
        if step == training.steps:
            for line in score_lines(scores):
                self.say(line)

    def _save(self) -> None:
        self.store.save(self.state.step, self.state.tensors(), self.state.record())

    def _set_threads(self, saved: Any) -> None:
        """Threads decide the order of additions: a run keeps the number it began with unless told otherwise."""
        threads = self.request.threads
        if saved is not None:
            threads = threads or int(saved["threads"])
            if threads != saved["threads"] or versions() != saved["versions"]:
                self.say(
                    f"note: the run used {saved['threads']} threads and {saved['versions']}, now {threads} and "
                    f"{versions()}: the result is not promised to be equal to the last bit."
                )
        torch.set_num_threads(threads or len(os.sched_getaffinity(0)))

    def _show_row(self) -> None:
        if self.run.tokenizer.exists():
            text = TextCodec(self.run.tokenizer).decode(self.data[0:1][0].tolist())
            self.say(f"first row   {' '.join(text.split())[:160]}")

    def _summary(self) -> None:
        losses = [record["loss"] for record in self.log.records() if record["kind"] == "train"]
        seconds = sum(record["seconds"] for record in self.log.records() if record["kind"] == "train")
        last = losses[-_SMOOTH:]
        if losses:
            self.say(
                f"loss        {losses[0]:.4f} in the first step, {losses[-1]:.4f} in the last "
                f"(mean of the last {len(last)}: {sum(last) / len(last):.4f}); {clock(seconds)} of training"
            )
        self.say(f"run         {self.run.path}")


def validation_record(step: int, scores: dict[str, Score]) -> dict[str, Any]:
    """An evaluation as a record of `metrics.jsonl`."""
    total = sum(scores.values(), Score(0.0, 0))
    return {
        "kind": "validation",
        "step": step,
        "loss": total.loss,
        "perplexity": total.perplexity,
        "domains": {
            name: {"loss": score.loss, "perplexity": score.perplexity, "tokens": score.tokens}
            for name, score in scores.items()
        },
    }
