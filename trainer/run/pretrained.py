"""`trainer generate DIR`: the model of a directory of transformers, read as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from corpus.errors import DataError, UsageError
from trainer.data.text import TextCodec
from trainer.distributed.ranks import pick_device
from trainer.huggingface.reader import CONFIG, PretrainedDirectory, is_pretrained, read_table
from trainer.models.model import LanguageModel
from trainer.run.generate import LoadedModel, TextModel

GENERATION, TOKENIZER = "generation_config.json", "tokenizer_config.json"


def open_model(
    path: Path, report: Callable[[str], None], device: str | None = None, step: int | None = None
) -> TextModel:
    """The model of a run, that of its newest checkpoint or of `step`, or of a directory of transformers."""
    if not is_pretrained(path):
        return LoadedModel.load(path, report, device, step)
    if step is not None:
        raise UsageError(f"{path} is a directory of transformers and has no steps: leave --checkpoint out.")
    return pretrained_model(path, device)


def pretrained_model(path: Path, device: str | None = None) -> TextModel:
    """What `save_pretrained` wrote, on `device`: texts begin and end as its configuration and its tokenizer say."""
    directory = PretrainedDirectory(path)
    tokenizer = next((path / name for name in ("tokenizer.json", "tokenizer.model") if (path / name).exists()), None)
    if tokenizer is None:
        raise DataError(
            f"{path} has no tokenizer.json or tokenizer.model: save its tokenizer there with transformers' save_pretrained."
        )
    codec = TextCodec(tokenizer)
    stated = {name: value for name, value in _table(path / GENERATION).items() if value is not None}
    config = {**read_table(path / CONFIG), **stated}
    ends = _ids(config.get("eos_token_id"))
    if not ends:
        raise DataError(f"{path / CONFIG} names no eos_token_id: write there which id ends a text.")
    place = pick_device(device)
    model = LanguageModel(directory.shape)
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, tensor in directory.weights():
            parameters[name].copy_(tensor)
    half = place.type == "cuda" and "bfloat16" in (config.get("dtype"), config.get("torch_dtype"))
    return TextModel(
        model.to(place).eval(),
        tokenizer,
        ends[0],
        _first(tokenizer, path, config),
        # ids beyond the tokenizer's are padding
        min(directory.shape.vocabulary, codec.backend.size),
        "bf16" if half else "fp32",
        # the library puts nothing before a text but what its tokenizer does
        alone=True,
        ends=frozenset(ends),
    )


def _first(tokenizer: Path, path: Path, config: Mapping[str, Any]) -> int | None:
    """The id that the tokenizer puts before a text; None where it puts none."""
    if tokenizer.suffix == ".json":
        from tokenizers import Tokenizer

        library = Tokenizer.from_file(str(tokenizer))
        with_special, bare = (library.encode("a", add_special_tokens=special).ids for special in (True, False))
        return with_special[0] if with_special[:1] != bare[:1] else None
    begins = _ids(config.get("bos_token_id"))
    # transformers' class for SentencePiece models does so unless it is told not to
    return begins[0] if begins and _table(path / TOKENIZER).get("add_bos_token", True) else None


def _table(path: Path) -> dict[str, Any]:
    return read_table(path) if path.exists() else {}


def _ids(value: object) -> list[int]:
    """One id or several, as configurations have them."""
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, int)]
