"""What a run says of its steps: metrics, loggers, the live line, the lines at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from trainer.config.hardware import Utilisation
from trainer.distributed.ranks import Ranks
from trainer.loop.state import TrainingState
from trainer.loop.step import Measured
from trainer.run.directory import Run
from trainer.run.loggers import Logger
from trainer.run.metrics import LiveLine, MetricsLog, Progress, clock

_SMOOTH = 10
"""Steps over which the last loss and the speed are averaged."""


@dataclass
class Reporter:
    """Rank 0 writes; the others only keep their clocks."""

    run: Run
    ranks: Ranks
    line: LiveLine
    kinds: Sequence[type[Logger]]
    say: Callable[[str], None]
    log: MetricsLog = field(init=False)
    _loggers: list[Logger] = field(init=False, default_factory=list)
    _recent: list[tuple[Measured, int]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.log = MetricsLog(self.run.metrics)

    def step(self, state: TrainingState, measured: Measured, rows: int, lr: float) -> None:
        """A step of `rows` sequences is done at the rate `lr`."""
        self._recent = [*self._recent, (measured, rows)][-_SMOOTH:]
        step, steps, config = state.step, state.steps, state.config
        seconds = sum(recent.seconds for recent, _ in self._recent)
        speed = sum(count for _, count in self._recent) * config.data.sequence_length / seconds
        use = Utilisation.of(config.model, config.data.sequence_length, self.ranks.device, self.ranks.size)
        record = {
            "kind": "train",
            "step": step,
            "tokens": config.tokens_after(step),
            "loss": measured.loss,
            "log_z": measured.log_z,
            "lr": lr,
            "gradient_norm": measured.gradient_norm,
            "next_row": state.next_row,
            "seconds": round(measured.seconds, 6),
            "data_seconds": round(measured.data_seconds, 6),
        }
        if measured.noise is not None:
            record |= {"noise_square": measured.noise.square, "noise_trace": measured.noise.trace}
        shares = use.mfu(speed)
        if shares is not None:
            record |= {"mfu_6n": round(shares[0], 4), "mfu": round(shares[1], 4)}
        if self.ranks.device.type == "cuda":
            record["memory_peak"] = torch.cuda.max_memory_allocated(self.ranks.device)
        self.append(state, record)
        waited = sum(recent.data_seconds for recent, _ in self._recent) / seconds
        left = seconds / len(self._recent) * (steps - step)
        self.line.show(Progress(step, steps, measured.loss, speed, use.text(speed), waited, left))

    def append(self, state: TrainingState, record: Mapping[str, Any]) -> None:
        """Write a record."""
        if self.ranks.first:
            record = {**record, "rewinds": len(state.skip_log.went_back_to)}
            self.log.append(record)
            for logger in self._loggers:
                logger.append(record)

    def rewind(self, state: TrainingState, step: int) -> None:
        """What came after `step` is done again."""
        self._recent = []
        if self.ranks.first:
            self.log.rewind(step, state.skip_log.went_back_to)
            self._close_loggers()
            config = state.history.first.to_json()
            self._loggers = [kind(self.run, step, config) for kind in self.kinds]
        self.ranks.wait()

    def summary(self, state: TrainingState) -> None:
        """The lines at the end of a run."""
        losses = [record["loss"] for record in self.log.records() if record["kind"] == "train"]
        seconds = sum(record["seconds"] for record in self.log.records() if record["kind"] == "train")
        last = losses[-_SMOOTH:]
        planned, steps = state.config.training.steps, state.steps
        if steps < planned:
            self.say(
                f"note        the run ends at step {steps} of {planned}, with its schedule done: "
                f"{len(state.skip_log.went_back_to)} rewinds have spent the sequences that were left"
            )
        if losses:
            self.say(
                f"loss        {losses[0]:.4f} in the first step, {losses[-1]:.4f} in the last "
                f"(mean of the last {len(last)}: {sum(last) / len(last):.4f}); {clock(seconds)} of training"
            )
        self.say(f"run         {self.run.path}")

    def close(self) -> None:
        """Close the files."""
        self.log.close()
        self._close_loggers()

    def _close_loggers(self) -> None:
        loggers, self._loggers = self._loggers, []
        for logger in loggers:
            logger.close()
