"""The checks of `benchmarks/trainer_gpu.sh`: losses against a CPU's, resumes, waits, memory that does not suffice."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.trainer_gpu_runs import GPU, apart, fresh, guarded, losses, options, packed, state_of, verdict
from trainer.config.gpu_defaults import planned_bytes
from trainer.config.hardware import Hardware
from trainer.config.options import FitOptions
from trainer.config.resolve import resolve_config
from trainer.data.validation_sets import PackedRows
from trainer.loop.determinism import same_bits
from trainer.loop.loop import fit
from trainer.loop.step import measure, update

TINY = ("model.layers=2", "model.d_model=256", "model.heads=4", "model.head_size=64", "model.feed_forward=512")


def processors() -> None:
    """A GPU's losses are a CPU's: both families, in fp32 and in bf16, compiled and not."""
    with packed(64, 256, 1000, documents=True) as path:
        data = PackedRows(path)
        for model in ("llama-tiny", "palm-tiny"):
            heads = "4" if model == "llama-tiny" else "1"
            settings = (*TINY, f"model.n_kv_heads={heads}")
            wanted = losses(options(path, model, 4, 8, *settings), data, torch.device("cpu"), 4)
            for precision, allowed in (("fp32", 1e-4), ("tf32", 5e-3), ("bf16", 2e-2)):
                for compiled in ("false", "true"):
                    more = (f"training.precision={precision}", f"training.compile={compiled}")
                    loss, norm = apart(losses(options(path, model, 4, 8, *settings, *more), data, GPU, 4), wanted)
                    seen = f"losses {loss:.1e}, gradient norms {norm:.1e} from the CPU's fp32"
                    verdict(f"{model} {precision} compile={compiled}", loss < allowed and norm < 10 * allowed, seen)


def masks() -> None:
    """Document masks, compilation and recomputation give one and the same loss."""
    with packed(32, 512, 1000, documents=True) as path:
        data = PackedRows(path)
        for masked in (False, True):
            wanted = losses(
                options(path, "llama-tiny", 2, 4, *TINY, document_mask=masked), data, torch.device("cpu"), 2
            )
            for compiled in ("false", "true"):
                for mode in ("none", "selective", "full"):
                    more = (f"training.compile={compiled}", f"training.activation_checkpointing={mode}")
                    asked = options(path, "llama-tiny", 2, 4, *TINY, *more, document_mask=masked)
                    name = f"mask={masked} compile={compiled} recomputed={mode}"
                    guarded(name, partial(_same_as_cpu, name, asked, data, wanted))


def _same_as_cpu(name: str, asked: FitOptions, data: PackedRows, wanted: list[tuple[float, float]]) -> None:
    loss, norm = apart(losses(asked, data, GPU, 2), wanted)
    verdict(name, loss < 1e-4 and norm < 1e-3, f"losses {loss:.1e}, gradient norms {norm:.1e} from the CPU's")


def families() -> None:
    """Positions added to the scores (ALiBi, T5, Transformer-XL), learned ones and partial rotation: a GPU's losses are a
    CPU's, with documents in one and apart, where FlexAttention takes the scores."""
    with packed(32, 256, 1000, documents=True) as path:
        data = PackedRows(path)
        for model in (
            "bloom-tiny",
            "lamda-tiny",
            "gopher-tiny",
            "opt-tiny",
            "pythia-tiny",
            "glm-tiny",
            "nanochat-tiny",
        ):
            for masked in (False, True):
                wanted = losses(options(path, model, 2, 4, document_mask=masked), data, torch.device("cpu"), 2)
                for compiled in ("false", "true"):
                    asked = options(path, model, 2, 4, f"training.compile={compiled}", document_mask=masked)
                    name = f"{model} mask={masked} compile={compiled}"
                    guarded(name, partial(_same_as_cpu, name, asked, data, wanted))


def resumes() -> None:
    """A run that is resumed, and one that is made again, give the bytes of a straight one."""
    with packed(128, 512, 1000, documents=True) as path, tempfile.TemporaryDirectory() as folder:
        for name, more in {
            "llama": {"model": "llama-tiny"},
            "llama, documents apart": {"model": "llama-tiny", "document_mask": True},
            "palm": {"model": "palm-tiny"},
        }.items():
            heads = ("model.n_kv_heads=1",) if name == "palm" else ("model.n_kv_heads=4",)
            guarded(f"resume {name}", partial(_resume, path, Path(folder) / name, dict(more), heads))


def _resume(path: Path, folder: Path, more: dict[str, Any], heads: tuple[str, ...]) -> None:
    model = more.pop("model")
    said: list[str] = []
    rest = {"save_every": 6, "keep": 0, "quiet": True, **more}
    for run in ("straight", "again"):
        fit(options(path, model, 12, 8, *TINY, *heads, output=folder / run, **rest), said.append)
    shutil.copytree(folder / "straight", folder / "resumed")
    shutil.rmtree(folder / "resumed/checkpoints/step-000012")
    fit(options(path, model, 12, 8, *TINY, *heads, output=folder / "resumed", **rest), said.append)
    ends = [folder / run / "checkpoints/step-000012/model.safetensors" for run in ("straight", "again", "resumed")]
    same = [end.read_bytes() == ends[0].read_bytes() for end in ends]
    verdict(f"resume {folder.name}", all(same), f"made again: {same[1]}, resumed: {same[2]}")


def waits() -> None:
    """A steady step waits for the GPU once, and a step that does not fit is made in halves."""
    with packed(256, 512, 1000) as path:
        data = PackedRows(path)
        fresh()
        state = state_of(options(path, "llama-tiny", 20, 8, *TINY, "model.n_kv_heads=4"), data, GPU, planned=True)
        with same_bits(state.config.training, GPU):
            for _ in range(4):
                update(state, measure(state, data))
            torch.cuda.set_sync_debug_mode("warn")
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                update(state, measure(state, data))
            torch.cuda.set_sync_debug_mode("default")
        where = sorted(
            {f"{Path(entry.filename).name}:{entry.lineno}" for entry in caught if "synchron" in str(entry.message)}
        )
        verdict("waits for the GPU in a step", len(where) == 1, f"{where}")
        with tempfile.TemporaryDirectory() as folder:
            fresh()
            said: list[str] = []
            asked = options(path, "llama-60m", 1, 256, "training.micro_batch_size=256", output=Path(folder) / "run")
            config = resolve_config(asked, data.identity, {}, hardware=Hardware("cuda"))
            # between what the plan gives the whole batch and its half
            room = 0.75 * planned_bytes(config, 256, Hardware("cuda"))
            torch.cuda.set_per_process_memory_fraction(room / torch.cuda.get_device_properties(GPU).total_memory)
            try:
                fit(replace(asked, quiet=True), said.append)
                history = (Path(folder) / "run/changes.json").read_text(encoding="utf-8")
                pictures = [entry.name for entry in (Path(folder) / "run").rglob("memory-step-*.pickle")]
                verdict("a picture of full memory", len(pictures) == 1, f"{pictures}")
                verdict("out of memory", '"training.micro_batch_size": 128' in history, "half of the sequences at once")
            finally:
                torch.cuda.set_per_process_memory_fraction(1.0)
