"""The configuration of a run: everything that decides its result, and nothing of where it lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from corpus.config import check_options
from corpus.data.files import digest_of
from corpus.option import option, option_required
from trainer.data.batch_ramp import BatchRamp, parse_ramp
from trainer.data.rows import RowRange, rows_left
from trainer.data.validation_sets import DataIdentity
from trainer.models.finetuning.config import FineTuningConfig
from trainer.models.precision import PRECISIONS
from trainer.models.shape import ModelShape
from trainer.optim.config import OptimizerConfig
from trainer.optim.schedules import ScheduleConfig
from trainer.spikes.detector import SpikeConfig

FORMAT = 4
"""Of `config.json`: another where its keys change, so that a run of another version is told from a damaged one."""
_SEEDS = 1 << 63
"""Seeds that torch's generators and 64-bit hashes take."""


@dataclass(frozen=True)
class TrainingConfig:
    """What a step is and how many there are."""

    steps: int = option_required("number of updates", least=1)
    batch_size: int = option_required("sequences of one update; with a batch_ramp those of the first", least=1)
    batch_ramp: str = option(
        "", "sequences of an update from given updates or tokens on: 0:512,50000:1024 or 0:512,25B:1024"
    )
    micro_batch_size: int = option(
        0, "sequences that go through the model at once; 0: the whole batch (a new run on a GPU: what fits)", least=0
    )
    z_loss: float = option(0.0, "weight of log²Z in the loss (PaLM: 1e-4); 0: none", least=0)
    document_mask: bool = option(False, "let tokens attend within their own document only")
    precision: str = option(
        "fp32", "products of the model; weights are float32 (a new run on a GPU: bf16)", choices=PRECISIONS
    )
    deterministic: bool = option(True, "the same bits in every run on a GPU too, as always on a CPU")
    seed: int = option(0, "seed of the first weights and of dropout", least=0, below=_SEEDS)
    dropout: float = option(
        0.0, "share of activations that are dropped (0 in pretraining; PaLM's fine-tuning: 0.1)", least=0, below=1
    )
    compile: bool = option(
        False, "compile the blocks with torch.compile; compiled and eager bits differ (a new run on a GPU: true)"
    )
    activation_checkpointing: str = option(
        "none",
        "activations made again in the backward pass: none, all but the linear outputs, or all",
        choices=("none", "selective", "full"),
    )
    validate_every: int = option(0, "evaluate every this many steps; 0: at the end only", least=0)

    def __post_init__(self) -> None:
        check_options(self, "training.")

    @property
    def micro_rows(self) -> int:
        """Most sequences that go through the model at once; 0 stands for the whole batch of the first update."""
        return self.micro_batch_size or self.batch_size


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides the weights and the measurements of a run."""

    name: str
    model: ModelShape
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    training: TrainingConfig
    spikes: SpikeConfig
    data: DataIdentity
    validation: Mapping[str, str]
    skip_log: str = ""
    plugins: Mapping[str, str] = field(default_factory=dict)
    """The digest of the plug-in file that the model comes from, by its name."""
    initial: str = ""
    """The digest of the weights that it began with, where these are not random."""
    finetuning: FineTuningConfig = field(default_factory=FineTuningConfig)

    def to_json(self) -> dict[str, Any]:
        """The contents of `config.json`."""
        value = {"kind": "run", "format": FORMAT, **asdict(self)}
        left = {"plugins": self.plugins, "initial": self.initial, "finetuning": self.finetuning != FineTuningConfig()}
        return {key: entry for key, entry in value.items() if left.get(key, True)}

    @property
    def digest(self) -> str:
        """Identity of the run's configuration."""
        return digest_of(self.to_json())

    @cached_property
    def ramp(self) -> BatchRamp:
        """How many sequences each update has."""
        training = self.training
        return parse_ramp(training.batch_ramp, training.batch_size, self.data.sequence_length)

    def tokens_after(self, steps: int) -> int:
        """Target tokens of the first `steps` updates."""
        return self.ramp.rows_before(steps) * self.data.sequence_length

    def steps_with(self, holes: Sequence[RowRange]) -> int:
        """Updates that the run makes where it skips the rows `holes`: as planned, or as many as the others allow."""
        return min(self.training.steps, self.ramp.steps_in(rows_left(self.data.rows, 0, holes)))


SECTIONS: Mapping[str, type[Any]] = {
    "model": ModelShape,
    "optimizer": OptimizerConfig,
    "schedule": ScheduleConfig,
    "training": TrainingConfig,
    "spikes": SpikeConfig,
    "finetuning": FineTuningConfig,
}
"""The classes whose fields `--set` and the sections of a `--config` file name."""
