"""`trainer export`: a checkpoint of a run as a directory of another program's format, checked, then renamed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError

from corpus.data.files import sync_tree
from corpus.errors import DataError, UsageError
from trainer.data.validation_sets import PackedRows
from trainer.export.gguf import architecture_of, write_gguf
from trainer.export.hf import write_hf
from trainer.export.peft import write_peft
from trainer.export.request import SHARD_BYTES, ExportRequest
from trainer.export.verify import Comparison, compare
from trainer.huggingface.registry import layout_of
from trainer.models.model import LanguageModel
from trainer.run.directory import Run
from trainer.run.load import find_checkpoint, load_model

T = TypeVar("T")
FORMATS = {"hf": write_hf, "gguf": write_gguf}
ADAPTERS = "peft"
"""The format of what a run adds to a model; the others hold the model with it."""


def export_run(
    path: Path,
    kind: str,
    output: Path,
    report: Callable[[str], None],
    *,
    step: int | None = None,
    dtype: str = "fp32",
    shard_bytes: int = SHARD_BYTES,
    check: Path | None = None,
) -> None:
    """Write the model of `path` to `output`, which must not hold anything yet; an error leaves nothing there.

    `step`: of this checkpoint, by default the newest valid one; `dtype`: fp32 or bf16, and `shard_bytes`: most bytes of a
    file of weights, both of the hf format; `check`: a packed set, of whose first documents the loss is compared.
    """
    run = Run(path)
    shape, config = run.shape(), run.config()
    layout_of(shape)
    if kind == "gguf":
        architecture_of(shape)
        if dtype != "fp32":
            raise UsageError(
                "a GGUF file is written in fp32: leave --dtype out, and quantise it with llama.cpp's own tool."
            )
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(f"{output} exists already: give another --output.")
    if kind == ADAPTERS:
        _publish(output, lambda folder: write_peft(config, find_checkpoint(run, report, step), folder))
        report(f"exported    {output}")
        return
    if config.finetuning.method == "prompt":
        raise UsageError(
            "a soft prompt is no part of a model's weights: give --format peft, and export what it was tuned on."
        )
    data = None if check is None else _checked_set(check, config.data.tokenizer, path)
    model, step = load_model(run, report, step)
    if dtype == "bf16":
        _round(model)
    settings = config.data
    request = ExportRequest(
        settings.eod, run.checked_tokenizer(), config.training.document_mask, dtype, shard_bytes, settings.bos
    )

    def write(folder: Path) -> tuple[str, Comparison | None]:
        note = FORMATS[kind](model, request, folder)
        return note, compare(model, folder, kind, request.first, data)

    note, comparison = _publish(output, write)
    if note:
        report(f"note        {note}")
    report(f"compared    {comparison or 'not: transformers is not installed'}")
    report(f"exported    step {step} to {output}")


def _publish(output: Path, write: Callable[[Path], T]) -> T:
    """Let a directory be written and then rename it to `output`; an error leaves nothing there."""
    unfinished = output.parent / f".{output.name}.unfinished"
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        found = write(unfinished)
        sync_tree(unfinished)
        unfinished.rename(output)
        return found
    except (OSError, SafetensorError) as error:
        raise DataError(f"{output} cannot be written ({error}): give another --output.") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@torch.no_grad()
def _round(model: LanguageModel) -> None:
    """Give the weights the values that bfloat16 has, so that what is compared is what is written."""
    for parameter in model.parameters():
        parameter.copy_(parameter.bfloat16())


def _checked_set(path: Path, tokenizer: str, run: Path) -> PackedRows:
    data = PackedRows(path)
    if data.identity.tokenizer != tokenizer:
        raise UsageError(f"--check {path} has another tokenizer than {run}: give a set that is packed with the run's.")
    return data
