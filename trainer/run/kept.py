"""The weights that a run keeps besides its checkpoints: those to which it adds adapters or a soft prompt.

Its checkpoints hold what is added alone; the model of one is made of both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from corpus.data.files import checksum, sync_file, write_atomic
from corpus.errors import DataError
from trainer.checkpoints.checkpoint import Checkpoint
from trainer.config.config import RunConfig
from trainer.models.finetuning.adapt import own_parameters
from trainer.models.finetuning.lora import merged_tensors
from trainer.models.finetuning.soft_prompt import NAME as SOFT_PROMPT
from trainer.models.model import LanguageModel
from trainer.run.directory import BASE, BASE_MARK, Run


class _Initial(Protocol):
    def first_weights(self, model: LanguageModel) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """Each parameter and its first value."""
        ...


@dataclass(frozen=True)
class KeptWeights:
    """Such weights in their file."""

    file: Path

    @staticmethod
    def write(run: Run, config: RunConfig, initial: _Initial) -> None:
        """Keep the weights that a new run begins with in its directory."""
        with torch.device("meta"):
            model = LanguageModel(config.model)
        names = {parameter: name for name, parameter in model.named_parameters()}
        tensors = {
            names[parameter]: whole.detach().float().contiguous() for parameter, whole in initial.first_weights(model)
        }
        save_file(tensors, run.path / BASE)
        sync_file(run.path / BASE)
        mark = {"initial": config.initial, "checksum": checksum(run.path / BASE)}
        write_atomic(run.path / BASE_MARK, json.dumps(mark, indent=1, sort_keys=True) + "\n")

    @staticmethod
    def open(run: Run, config: RunConfig) -> KeptWeights:
        """Those of a run, checked; a DataError where they are not whole."""
        file, remedy = run.path / BASE, "copy it from where it was kept, or start the run anew with --overwrite"
        try:
            mark: dict[str, Any] = json.loads((run.path / BASE_MARK).read_text(encoding="utf-8"))
            whole = mark["initial"] == config.initial and mark["checksum"] == checksum(file)
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{file}, the weights that the run adds to, cannot be read ({error}): {remedy}.") from None
        if not whole:
            raise DataError(f"{file}, the weights that the run adds to, is damaged: {remedy}.")
        return KeptWeights(file)

    def first_weights(self, model: LanguageModel) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """Each parameter of the model's own and its value, one after the other."""
        with safe_open(self.file, "pt") as stored:
            for name, parameter in own_parameters(model):
                yield parameter, stored.get_tensor(name)


def run_weights(run: Run, checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The weights of a model without adapters that computes what the run's does at a checkpoint. With a soft prompt they
    hold that, too."""
    config, tensors = run.first_config(), checkpoint.tensors("model")
    if config.finetuning.method == "full":
        return tensors
    kept: dict[str, Tensor] = load_file(KeptWeights.open(run, config).file)
    if config.finetuning.method == "prompt":
        return kept | {SOFT_PROMPT: tensors[SOFT_PROMPT]}
    with torch.device("meta"):
        plain = LanguageModel(config.model)
    return merged_tensors(plain, config.finetuning, kept, tensors)
