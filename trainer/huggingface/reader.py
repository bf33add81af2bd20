"""A directory of transformers as a model to begin with: its shape, and its weights one matrix at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from corpus.data.files import checksum, digest_of
from corpus.errors import DataError
from trainer.huggingface.layout import Layout, to_theirs
from trainer.huggingface.registry import LAYOUTS
from trainer.models.model import LanguageModel

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
TOKENIZERS = ("tokenizer.model", "tokenizer.json")
_NAMED = 4
"""Tensors that an error names at most."""


class PretrainedDirectory:
    """`config.json` and safetensors, as transformers writes them."""

    def __init__(self, path: Path) -> None:
        """Read the configuration and the names of the tensors; a DataError says what is not there or not known here."""
        self.path = path
        self._config = read_table(path / CONFIG)
        self.layout = _layout(self._config, path / CONFIG)
        self.shape = self.layout.read_shape(self._config, str(path / CONFIG))
        self._files = self._find_files()
        self._check()

    @cached_property
    def digest(self) -> str:
        """Identity of the configuration and the weights: every byte of them is read."""
        files = sorted(set(self._files.values()))
        return digest_of({"config": checksum(self.path / CONFIG), "files": [checksum(file) for file in files]})

    @cached_property
    def tokenizers(self) -> list[str]:
        """Digests of its tokenizer's files."""
        files = [self.path / name for name in TOKENIZERS]
        return [checksum(file) for file in files if file.exists()]

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """Our parameters by name, whole and in float32."""
        for part in self.layout.parts(self.shape):
            tensors = [self._read(name).float() for name in part.theirs]
            yield part.ours, part.arrangement.join(tensors, self.shape)

    def _find_files(self) -> dict[str, Path]:
        """The file of each tensor, by the tensor's name: as transformers looks for it, else of all files together."""
        whole, index = self.path / WEIGHTS, self.path / INDEX
        if whole.exists():
            return dict.fromkeys(_names(whole), whole)
        if index.exists():
            where = read_table(index).get("weight_map", {})
            if not isinstance(where, dict):
                raise DataError(f"{index} has a weight_map that is no table: copy it again.")
            return {str(name): self.path / str(file) for name, file in where.items()}
        files = sorted(self.path.glob("*.safetensors"))
        if not files:
            old = " (only pytorch_model.bin: save it anew with transformers' save_pretrained)"
            said = old if any(self.path.glob("pytorch_model*.bin")) else ""
            raise DataError(f"{self.path} has no *.safetensors{said}: give the directory of a model.")
        found: dict[str, Path] = {}
        for file in files:
            names = _names(file)
            twice = [name for name in names if name in found]
            if twice:
                raise DataError(
                    f"{found[twice[0]]} and {file} both hold {_some(twice)}: leave the one that is of the model, or {INDEX}."
                )
            found |= dict.fromkeys(names, file)
        return found

    def _stored_name(self, name: str) -> str | None:
        """What a tensor is called here: older files leave a prefix out, and some have another name for the output layer."""
        names = [name, name.removeprefix(self.layout.prefix)]
        if name == self.layout.head and self.layout.other_head:
            names.append(self.layout.other_head)
        return next((each for each in names if each in self._files), None)

    def _check(self) -> None:
        """A DataError that names the tensors which are missing, left over or of another size."""
        with torch.device("meta"):
            empty = dict(LanguageModel(self.shape).named_parameters())
        wanted = {name: tuple(tensor.shape) for name, tensor in to_theirs(self.layout, self.shape, empty).items()}
        stored = {name: self._stored_name(name) for name in wanted}
        missing = [name for name, found in stored.items() if found is None]
        extra = [name for name in sorted(self._files.keys() - set(stored.values())) if not self._idle(name)]
        sizes = self._sizes()
        other = [
            f"{found} {list(sizes[found])} for {list(wanted[name])}"
            for name, found in stored.items()
            if found is not None and sizes[found] != wanted[name]
        ]
        problems = [("lacks", missing), ("has besides", extra), ("has of another size", other)]
        said = [f"{words} {_some(names)}" for words, names in problems if names]
        if said:
            raise DataError(
                f"{self.path} is not what its {CONFIG} says of a {self.layout.architecture}: it {'; it '.join(said)}."
            )

    def _idle(self, name: str) -> bool:
        """Whether a tensor holds nothing that is learned apart: buffers, and the output layer of tied embeddings."""
        heads = (self.layout.head, self.layout.other_head)
        return name.endswith(self.layout.ignored or ("\0",)) or (self.shape.tied and name in heads)

    def _sizes(self) -> Mapping[str, tuple[int, ...]]:
        sizes: dict[str, tuple[int, ...]] = {}
        for file in sorted(set(self._files.values())):
            with _opened(file) as tensors:
                here = [name for name, place in self._files.items() if place == file]
                lost = sorted(set(here) - set(tensors.keys()))
                if lost:
                    raise DataError(f"{file} lacks {_some(lost)}, which {INDEX} places there: copy it again.")
                sizes |= {name: tuple(tensors.get_slice(name).get_shape()) for name in here}
        return sizes

    def _read(self, name: str) -> Tensor:
        stored = self._stored_name(name)
        assert stored is not None, "checked when it was opened"
        with _opened(self._files[stored]) as tensors:
            tensor: Tensor = tensors.get_tensor(stored)
        return tensor


def is_pretrained(path: Path) -> bool:
    """Whether a directory is one of transformers, by its `config.json`."""
    try:
        value = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(value, dict) and bool(value.keys() & {"architectures", "model_type"})


def _layout(config: Mapping[str, Any], where: Path) -> Layout:
    said = config.get("architectures") or []
    architectures = said if isinstance(said, list) else [said]
    model_type = config.get("model_type")
    for layout in LAYOUTS:
        # older files name the class in other letters, or the model without its output layer
        if layout.architecture in architectures or layout.model_type == model_type:
            return layout
    names = [*architectures, model_type]
    known = ", ".join(layout.architecture for layout in LAYOUTS)
    raise DataError(f"{where} is of a {names[0] or 'model without a name'}, and the trainer reads {known}.")


def read_table(path: Path) -> dict[str, Any]:
    """The table of a JSON file; a DataError where it holds none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}): give the directory of a model of transformers.") from None
    if not isinstance(value, dict):
        raise DataError(f"{path} holds no table: give the directory of a model of transformers.")
    return value


def _opened(file: Path) -> Any:
    try:
        return safe_open(str(file), "pt")
    except (OSError, SafetensorError) as error:
        raise DataError(f"{file} cannot be read ({error}): copy it again.") from None


def _names(file: Path) -> list[str]:
    with _opened(file) as tensors:
        return list(tensors.keys())


def _some(names: list[str]) -> str:
    rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + rest
