"""A device whose memory is too small for the sequences of a micro-batch: half of them, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from corpus.errors import DataError
from trainer.data.validation_sets import PackedRows
from trainer.loop.state import TrainingState
from trainer.loop.step import Measured, measure
from trainer.run.directory import Run


@dataclass
class MemoryGuard:
    """Measures steps. The first that does not fit is measured again with half of the sequences at once, from then on, which
    is written into the run's history. Ranks would have to do so together, so that with several of them it is an error."""

    run: Run
    data: PackedRows
    say: Callable[[str], None]
    noise_every: int = 0
    halved: bool = False

    def measure(self, state: TrainingState) -> Measured:
        """`step.measure`; a DataError where memory does not suffice."""
        try:
            return measure(state, self.data, self.noise_every)
        except torch.OutOfMemoryError as error:
            reason = _reason(error)
            self._snapshot(state)
        # out of the except clause, whose traceback would hold what is to be freed
        micro = min(state.config.training.micro_rows, state.batch_rows)
        if self.halved or micro == 1 or state.ranks.size > 1:
            raise DataError(
                f"step {state.step + 1} does not fit into the device's memory with {micro} sequences at once "
                f"({reason}): give {_remedy(micro)}."
            )
        self.halved = True
        self._halve(state, micro // 2, reason)
        return self.measure(state)

    def _snapshot(self, state: TrainingState) -> None:
        """What lies where on a GPU that is full, for pytorch.org/memory_viz."""
        if state.ranks.device.type == "cuda":
            self.run.profile.mkdir(parents=True, exist_ok=True)
            path = self.run.profile / f"memory-step-{state.step + 1}-rank-{state.ranks.rank}.pickle"
            torch.cuda.memory._dump_snapshot(str(path))  # type: ignore[no-untyped-call]  # torch leaves it untyped
            self.say(f"memory      {path}")

    def _halve(self, state: TrainingState, micro: int, reason: str) -> None:
        state.optimizer.zero_grad()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        config = state.history.last
        config = replace(config, training=replace(config.training, micro_batch_size=micro))
        note = f"the memory was too small ({reason}): {micro} sequences at once"
        state.adopt(state.history.changed_to(config, state.step, [note]))
        state.history.save(self.run.changes)
        self.say(f"step {state.step + 1}: {note}")


def too_large(error: torch.OutOfMemoryError) -> DataError:
    """What is said of memory that does not suffice elsewhere than in a step's gradient: for the weights, the optimizer's
    moments, a save or an evaluation."""
    return DataError(
        f"the device's memory does not hold the run ({_reason(error)}): give a smaller model, more ranks with --parallel fsdp, "
        f"or {_remedy(1)}; the plan at the beginning of a run says what it takes."
    )


def _reason(error: torch.OutOfMemoryError) -> str:
    return str(error).partition("\n")[0].partition(". ")[0]


def _remedy(micro: int) -> str:
    recompute = "--set training.activation_checkpointing=selective (or full)"
    return f"--micro-batch-size {micro // 2}, or {recompute}" if micro > 1 else recompute
