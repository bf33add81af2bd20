"""`trainer export`: the newest checkpoint of a run as a directory of another program's format, checked, then renamed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError

from corpus.data.files import sync_tree
from corpus.errors import DataError, UsageError
from trainer.export.gguf import write_gguf
from trainer.export.hf import write_hf
from trainer.export.llama import refuse_other_shapes
from trainer.export.verify import compare
from trainer.run.directory import Run
from trainer.run.load import load_model

FORMATS = {"hf": write_hf, "gguf": write_gguf}


def export_run(path: Path, kind: str, output: Path, report: Callable[[str], None]) -> None:
    """Write the model of `path` to `output`, which must not hold anything yet; an error leaves nothing there."""
    run = Run(path)
    refuse_other_shapes(run.shape())
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(f"{output} exists already: give another --output.")
    model, step = load_model(run, report)
    tokenizer_model = run.checked_tokenizer()
    unfinished = output.parent / f".{output.name}.unfinished"
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        config = run.config()
        note = FORMATS[kind](model, config.data.eod, tokenizer_model, unfinished, config.training.document_mask)
        difference = compare(model, unfinished, kind)
        sync_tree(unfinished)
        unfinished.rename(output)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{output} cannot be written ({error}): give another --output.") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    if note:
        report(f"note        {note}")
    if difference is None:
        report("compared    not: transformers is not installed")
    else:
        report(f"compared    logits within {difference:.1e} of those of transformers")
    report(f"exported    step {step} to {output}")
