"""The whole state of a run: weights, optimizer, random numbers, step, next row, skip log. A checkpoint is this."""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from trainer.checkpoints.checkpoint import Checkpoint
from trainer.config.gpu_defaults import gathering
from trainer.config.hardware import Hardware
from trainer.config.history import History, moves_loss
from trainer.data.rows import RowRange, next_batch
from trainer.data.targets import InputsAhead
from trainer.distributed.parallel import ParallelModel
from trainer.distributed.ranks import Ranks
from trainer.distributed.shards import local, rows_here
from trainer.models.finetuning.adapt import adapt, first_values, trained
from trainer.models.initialisation import first_weights
from trainer.models.model import LanguageModel, fused_sizes
from trainer.models.precision import set_products
from trainer.optim.optimizers import MOMENTS, build_optimizer, load_optimizer, optimizer_tensors, set_hyperparameters
from trainer.optim.schedules import in_warmup
from trainer.run.initial import InitialWeights
from trainer.run.kept import KeptWeights
from trainer.spikes.detector import SpikeDetector
from trainer.spikes.skip_log import SkipLog

_CPU = Hardware()


class TrainingState:
    """What changes from step to step. `step` updates are done; the next one begins at `next_row` (in disk order), and is
    done with `config`."""

    def __init__(
        self,
        history: History,
        ranks: Ranks | None = None,
        parallel: str = "ddp",
        initial: InitialWeights | KeptWeights | None = None,
        hardware: Hardware = _CPU,
    ) -> None:
        """The state before the first step: a function of the configuration alone, and of the `initial` weights that it names.

        `parallel` says how the ranks share the model, "ddp", "fsdp" or "fsdp-offload", on what `hardware`. Whether blocks are compiled and activations made
        again is decided here, by the last settings.
        """
        config = history.last
        torch.manual_seed(config.training.seed)
        self.history = history
        self.config = history.at(1)
        self.ranks = ranks or Ranks()
        with torch.device("meta"):
            self.model = LanguageModel(config.model)
            adapt(self.model, config.finetuning)
        self.model.checkpoint_activations(config.training.activation_checkpointing)
        if config.training.compile:
            self.model.compile_blocks()
        sizes = fused_sizes(self.model)
        seed = config.training.seed
        own = partial(first_weights, seed=seed) if initial is None else initial.first_weights
        draw = partial(first_values, own=own, seed=seed)
        self.parallel = ParallelModel(self.model, self.ranks, parallel, draw, gathering(config, hardware))
        self.named = trained(self.model)
        self.optimizer = build_optimizer(self.config.optimizer, self.named, sizes)
        self.detector = SpikeDetector(self.config.spikes, 0)
        self.step = 0
        self.next_row = 0
        self.skip_log = SkipLog()
        self.ahead = InputsAhead()
        self.at: Callable[[str], None] = _nowhere
        """Told where this rank is (`Watchdog.at`)."""
        self._follow()

    def move_on(self, next_row: int) -> None:
        """One step more is done; the next one begins at `next_row`."""
        self.step += 1
        self.next_row = next_row
        self._follow()

    def adopt(self, history: History) -> None:
        """Go on with a history that has changed."""
        self.history = history
        self._follow()

    def _follow(self) -> None:
        """Take the configuration of the next step."""
        self.config = self.history.at(self.step + 1)
        set_hyperparameters(self.optimizer, self.config.optimizer)
        set_products(self.config.training.precision, self.ranks.device)
        spikes = self.config.spikes
        self.detector.config, self.detector.size = spikes, spikes.steps_compared(self.config.training.steps)
        if self.step and moves_loss(self.history.at(self.step), self.config, self.step):
            self.detector.forget_best()

    @property
    def steps(self) -> int:
        """How many updates the run makes, as far as is known now: skipped rows can be the last ones."""
        return self.config.steps_with(self.skip_log.before(self.step + 1).holes())

    @property
    def batch_rows(self) -> int:
        """Rows of the next update."""
        return self.config.ramp.rows_at(self.step + 1)

    @property
    def warming(self) -> bool:
        """Whether the next update is part of the warm-up."""
        return in_warmup(self.config.schedule, self.step + 1, self.steps)

    def next_rows(self) -> tuple[list[RowRange], int]:
        """The rows of the next update, and the row after them."""
        return next_batch(self.next_row, self.batch_rows, self.skip_log.holes())

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """The tensors of a checkpoint by file name; sharded ones are the same on all ranks in name, not in content."""
        return {
            "model": {name: parameter.detach() for name, parameter in self.named.items()},
            "optimizer": optimizer_tensors(self.optimizer, self.named),
            "random": {"torch": torch.get_rng_state()},
        }

    def shapes(self) -> dict[str, dict[str, Tensor]]:
        """Tensors of the shapes that the large ones of a checkpoint have, those that the first update makes among them."""
        moments: dict[str, Tensor] = {
            f"{name}/{moment}": parameter for name, parameter in self.named.items() for moment in MOMENTS
        }
        return {"model": {**self.named}, "optimizer": moments}

    def record(self) -> dict[str, Any]:
        """The rest of a checkpoint: positions, identities, and what bitwise equality depends on."""
        skip_log = self.skip_log.before(self.step)
        return {
            "step": self.step,
            "next_row": self.next_row,
            "skipped": [[hole.start, hole.stop] for hole in skip_log.holes()],
            "skip_log": skip_log.to_json(),
            "detector": self.detector.record(),
            "tokens": self.config.tokens_after(self.step),
            "config": self.config.digest,
            "data": self.config.data.digest,
            **self.arithmetic(),
        }

    def arithmetic(self) -> dict[str, Any]:
        """What the last bit depends on besides the configuration."""
        device = self.ranks.device
        return {
            "threads": torch.get_num_threads(),
            "ranks": self.ranks.size,
            "sharded": self.parallel.sharded,
            "processor": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
            "versions": versions(),
        }

    def restore(self, checkpoint: Checkpoint) -> None:
        """Become the state that was saved, by whatever number of ranks; the skip log stays the caller's."""
        if checkpoint.sharded and self.parallel.sharded:
            self._restore_shards(checkpoint)
        else:
            weights = checkpoint.tensors("model")
            with torch.no_grad():
                for name, parameter in self.named.items():
                    rows = rows_here(parameter)
                    local(parameter).copy_(weights[name][rows.start : rows.stop])
            load_optimizer(self.optimizer, self.named, checkpoint.tensors("optimizer"))
        torch.set_rng_state(checkpoint.tensors("random")["torch"])
        self.step = checkpoint.step
        self.next_row = int(checkpoint.state["next_row"])
        self.detector.restore(checkpoint.state["detector"])
        self._follow()

    def _restore_shards(self, checkpoint: Checkpoint) -> None:
        from trainer.checkpoints.sharded import load_shards

        fresh = {
            f"{name}/{moment}": torch.zeros_like(parameter)
            for name, parameter in self.named.items()
            for moment in MOMENTS
        }
        fresh |= {f"{name}/step": torch.zeros(()) for name in self.named}
        there = checkpoint.names("optimizer")
        fresh = {name: tensor for name, tensor in fresh.items() if name in there}
        weights = {name: parameter.detach() for name, parameter in self.named.items()}
        load_shards(checkpoint.sharded_path, {"model": weights, "optimizer": fresh}, self.ranks.control)
        load_optimizer(self.optimizer, self.named, fresh)


def _nowhere(place: str) -> None:
    """Of one rank nobody asks where it is."""


def versions() -> dict[str, str]:
    """Versions on which the last bit depends."""
    return {"python": platform.python_version(), "torch": str(torch.__version__)}


def _processor() -> str:
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
