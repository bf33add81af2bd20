"""`trainer fit --init-from`: the weights that a new run begins with, of another run or of a model of transformers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from corpus.data.files import checksum, digest_of
from corpus.errors import DataError, UsageError
from trainer.huggingface.reader import PretrainedDirectory, is_pretrained
from trainer.models.finetuning.adapt import own_parameters
from trainer.models.model import LanguageModel
from trainer.models.shape import ModelShape
from trainer.run.directory import CONFIG, Run
from trainer.run.fork import split_source
from trainer.run.kept import run_weights
from trainer.run.load import find_checkpoint

_GROWING = ("embedding", "head")
"""Parameters with a row for each id of the vocabulary."""


class Source(Protocol):
    """A model that is there."""

    shape: ModelShape

    @property
    def digest(self) -> str:
        """Identity of its weights."""

    @property
    def tokenizers(self) -> list[str]:
        """Digests of the files of its tokenizer, none where it has none."""

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """Its parameters by name, whole and in float32."""


class RunWeights:
    """The weights of a checkpoint of another run."""

    def __init__(self, path: Path, step: int | None) -> None:
        run = Run(path)
        self._run = run
        self.shape = run.shape()
        if run.first_config().finetuning.method == "prompt":
            raise UsageError(
                f"{path} has a soft prompt, which is no weights to begin with: give the run that it was tuned on."
            )
        self.tokenizers = [run.first_config().data.tokenizer]
        self._checkpoint = find_checkpoint(run, _silence, step, f"--init-from {path}@")

    @cached_property
    def digest(self) -> str:
        """Identity of the checkpoint, which its COMMIT has."""
        return digest_of({"checkpoint": checksum(self._checkpoint.path / "COMMIT.json")})

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """The parameters in the checkpoint's order."""
        yield from run_weights(self._run, self._checkpoint).items()


@dataclass(frozen=True)
class InitialWeights:
    """The weights of a source, for a model that may have a larger vocabulary."""

    name: str
    source: Source

    @staticmethod
    def find(name: str) -> InitialWeights:
        """Those of DIR of transformers, or of RUN or RUN@STEP; a UsageError where `name` is neither."""
        path, step = split_source(name)
        if is_pretrained(path):
            if step is not None:
                raise UsageError(f"--init-from {name}: {path} is of transformers and has no steps: leave @{step} out.")
            return InitialWeights(name, PretrainedDirectory(path))
        if not path.is_dir():
            raise UsageError(f"--init-from {name} is no directory: give one of transformers, or RUN or RUN@STEP.")
        try:
            found = Run(path).read_config(any_format=True)
        except (UsageError, DataError):
            raise UsageError(
                f"{path / CONFIG} is neither of transformers nor of a run: give another --init-from, of one of them."
            ) from None
        if found is None:
            raise UsageError(
                f"--init-from {name} has no config.json: give a directory of transformers, RUN or RUN@STEP."
            )
        return InitialWeights(name, RunWeights(path, step))

    @property
    def digest(self) -> str:
        """Identity of the weights."""
        return self.source.digest

    def note(self, tokenizer: str) -> str:
        """What is to be said where the ids of a packed set, by its tokenizer's digest, may be others; else nothing."""
        if not self.source.tokenizers or tokenizer in self.source.tokenizers:
            return ""
        return (
            f"the tokenizer of {self.name} is not the file that the packed set was made with: unless both give the same ids, "
            "the weights know other pieces"
        )

    def shape(self, overrides: Mapping[str, Any]) -> ModelShape:
        """The model's shape with the settings `overrides` of it; a UsageError where these need other weights."""
        shape = replace(self.source.shape, **overrides)
        LanguageModel.check(shape)
        with torch.device("meta"):
            wanted = dict(LanguageModel(shape).named_parameters())
            there = dict(LanguageModel(self.source.shape).named_parameters())
        for key in wanted.keys() | there.keys():
            if key not in wanted or key not in there or not _fits(key, there[key], wanted[key]):
                said = ", ".join(f"model.{field}={value}" for field, value in overrides.items())
                raise UsageError(
                    f"--init-from {self.name} has no weights for {said} ({key} is another): leave these settings out."
                )
        return shape

    def first_weights(self, model: LanguageModel) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """Each parameter of `model` and its first value. Rows of ids that the source does not have get the mean of the rows
        that are there (Hewitt 2021)."""
        parameters = dict(own_parameters(model))
        for name, tensor in self.source.weights():
            parameter = parameters.pop(name)
            more = parameter.shape[0] - tensor.shape[0]
            if more:
                tensor = torch.cat((tensor, tensor.mean(0, keepdim=True).expand(more, -1)))
            yield parameter, tensor
        assert not parameters, "the shape was checked"


def _fits(name: str, there: Tensor, wanted: Tensor) -> bool:
    grown = name in _GROWING and there.shape[0] < wanted.shape[0] and there.shape[1:] == wanted.shape[1:]
    return grown or there.shape == wanted.shape


def _silence(text: str) -> None:
    """Of a checkpoint that was named nothing is said."""
