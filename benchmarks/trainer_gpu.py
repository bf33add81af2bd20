"""`benchmarks/trainer_gpu.sh [PART ...]`: the trainer on one GPU, first whether it is right, then how fast it is.

A line for each result: `ok`, `FAIL`, or a measurement. A part that fails is said and the next one begins. Speeds are of
`measure` and `update`, as a run makes them, on packed random tokens: medians after the first steps, data included. MFU is
that of PaLM's appendix B, 6·N + 12·L·d·T, of the card's dense bf16 peak.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from unittest import mock

import torch
from torch import nn

from benchmarks.trainer_gpu_checks import families, masks, processors, resumes, waits
from benchmarks.trainer_gpu_runs import GPU, fresh, guarded, options, packed, say, state_of
from benchmarks.trainer_peers import transformers
from trainer.checkpoints.checkpoint import CheckpointStore
from trainer.config.families.registry import PRESETS
from trainer.config.hardware import Hardware, Utilisation
from trainer.data.validation_sets import PackedRows
from trainer.loop.determinism import same_bits
from trainer.loop.saving import Saver
from trainer.loop.state import TrainingState
from trainer.loop.step import measure, update
from trainer.models.shape import ModelShape

TINYLLAMA = ModelShape(22, 2048, 32, 4, 64, 5632, 32000, 2048)
WARM = 3
"""Steps that do not count: compilation, the first moments."""


@dataclass(frozen=True)
class Case:
    """A speed: the shape, sequences of a batch, settings."""

    name: str
    shape: ModelShape
    rows: int
    settings: tuple[str, ...] = ()
    masked: bool = False
    model: str = "llama-tiny"
    steps: int = 5
    watched: bool = False
    """Whether its kernels are listed."""
    saved: bool = False
    """Whether it is saved too."""


def drawn_there(model: nn.Module, seed: int) -> Iterator[tuple[nn.Parameter, torch.Tensor]]:
    """First weights from the GPU's own generator: it saves minutes of the card and no step takes another time."""
    generator = torch.Generator(GPU).manual_seed(seed)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            yield parameter, torch.ones(parameter.shape, device=GPU)
        else:
            yield parameter, torch.empty(parameter.shape, device=GPU).normal_(0.0, 0.02, generator=generator)


def shape_settings(shape: ModelShape) -> tuple[str, ...]:
    """The settings that make a LLaMA of this shape."""
    names = ("layers", "d_model", "heads", "n_kv_heads", "head_size", "feed_forward", "vocabulary", "sequence_length")
    return tuple(f"model.{name}={getattr(shape, name)}" for name in names)


def speed(case: Case) -> None:
    """Time, utilisation and memory of a case's steps."""
    fresh()
    length, steps = case.shape.sequence_length, WARM + case.steps + 1
    with packed(case.rows * steps, length, case.shape.vocabulary, documents=case.masked) as path:
        data = PackedRows(path)
        asked = options(
            path,
            case.model,
            steps,
            case.rows,
            *shape_settings(case.shape),
            "spikes.mode=ignore",
            *case.settings,
            document_mask=case.masked,
        )
        with mock.patch("trainer.loop.state.first_weights", drawn_there):
            state = state_of(asked, data, GPU, planned=True)
        with same_bits(state.config.training, GPU):
            for _ in range(WARM):
                update(state, measure(state, data))
            torch.cuda.synchronize()
            seconds, waited = [], []
            for _ in range(case.steps):
                began = time.perf_counter()
                measured = measure(state, data)
                update(state, measured)
                seconds.append(time.perf_counter() - began)
                waited.append(measured.data_seconds)
        _report(case, state, seconds, sum(waited) / sum(seconds))
        if case.watched:
            kernels(state, data)
        if case.saved:
            saves(state, statistics.median(seconds))


def _report(case: Case, state: TrainingState, seconds: list[float], waited: float) -> None:
    from trainer.config.cost import memory_bytes

    use = Utilisation.of(case.shape, case.shape.sequence_length, GPU, 1)
    rate = case.rows * case.shape.sequence_length / statistics.median(seconds)
    planned = memory_bytes(state.config, Hardware.of(GPU, 1))
    say(
        f"      {case.name}: {statistics.median(seconds):.4f} s a step of {case.rows} x {case.shape.sequence_length} "
        f"({state.config.training.micro_rows} at once), {rate:,.0f} tokens/s, {use.text(rate)}, data {waited:.2%}, peak "
        f"{torch.cuda.max_memory_allocated() / 1e9:.1f} GB (planned {planned / 1e9:.1f}), spread "
        f"{min(seconds):.4f} to {max(seconds):.4f}"
    )


def saves(state: TrainingState, step: float) -> None:
    """What a save takes from the training, and how long its writing goes on behind it."""
    with tempfile.TemporaryDirectory() as folder:
        saver = Saver(CheckpointStore(Path(folder) / "checkpoints"), background=True)
        began = time.perf_counter()
        saver.reserve(state.shapes())
        assert saver._reserving is not None
        saver._reserving.join()
        say(f"      pinned memory for saves: {time.perf_counter() - began:.1f} s behind the first steps")
        for number in (1, 2):
            torch.cuda.synchronize()
            began = time.perf_counter()
            saver.save(number, state.tensors(), state.record(), sharded=False)
            handed = time.perf_counter() - began
            torch.cuda.synchronize()
            copied = time.perf_counter() - began
            saver.wait()
            whole = time.perf_counter() - began
            say(
                f"      save {number}: {handed:.3f} s until the training goes on, {copied:.3f} s of copying, "
                f"{whole:.1f} s until it is on the disk; a step takes {step:.3f} s"
            )
            shutil.rmtree(Path(folder) / "checkpoints")


def kernels(state: TrainingState, data: PackedRows) -> None:
    """Where the GPU's time of one step goes."""
    from torch.profiler import ProfilerActivity, profile

    both = [ProfilerActivity.CPU, ProfilerActivity.CUDA]
    with same_bits(state.config.training, GPU), profile(activities=both) as seen:
        update(state, measure(state, data))
        torch.cuda.synchronize()
    events = [event for event in seen.key_averages() if event.device_type == torch.autograd.DeviceType.CUDA]
    whole = sum(event.self_device_time_total for event in events)
    for event in sorted(events, key=lambda event: -event.self_device_time_total)[:22]:
        share, count = event.self_device_time_total / whole, event.count
        say(f"      {share:6.1%} {event.self_device_time_total / 1000:9.2f} ms {count:5} x {event.key[:110]}")


def peer() -> None:
    """transformers' LLaMA of 1.1 B parameters, the same rows at once, fused AdamW, eager and compiled."""
    for compiled in (False, True):
        fresh()
        case = {"vocabulary": 32000, "layers": 22, "width": 2048, "heads": 32, "feed_forward": 5632, "length": 2048}
        with torch.device(GPU):
            model, loss = transformers(case)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
        if compiled:
            model.compile()
        tokens = torch.randint(3, 32000, (8, 2048), device=GPU)
        seconds = []
        for _ in range(WARM + 4):
            torch.cuda.synchronize()
            began = time.perf_counter()
            for _ in range(4):
                with torch.autocast("cuda", torch.bfloat16):
                    value = loss(tokens, tokens)
                value.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            torch.cuda.synchronize()
            seconds.append(time.perf_counter() - began)
        use = Utilisation.of(replace(TINYLLAMA, n_kv_heads=32), 2048, GPU, 1)
        rate = 32 * 2048 / statistics.median(seconds[WARM:])
        peak = torch.cuda.max_memory_allocated() / 1e9
        say(
            f"      transformers 1.3b (32 key heads) compile={compiled}: {rate:,.0f} tokens/s, {use.text(rate)}, {peak:.1f} GB"
        )
        del model, optimizer, loss
    speed(Case("ours of that shape", replace(TINYLLAMA, n_kv_heads=32), 32, ("training.micro_batch_size=8",)))


def speeds() -> None:
    """Utilisation at 125 M, 1.1 B and eight of the 32 layers of LLaMA 7B."""
    # PaLM's blocks and optimizer at a size that fits
    palm = replace(TINYLLAMA, layers=16, heads=16, n_kv_heads=1, head_size=128, feed_forward=8192)
    small, large = PRESETS["llama-125m"].shape, PRESETS["llama-7b"].shape
    slice_of_7b = replace(large, layers=8)
    for case in (
        Case("125m", small, 64),
        Case("1.1b, as it comes", TINYLLAMA, 32, watched=True, saved=True),
        Case("7b, 8 layers", slice_of_7b, 32),
        Case("1.1b, any order of additions", TINYLLAMA, 32, ("training.deterministic=false",)),
        Case("1.1b, documents apart", TINYLLAMA, 32, masked=True),
        Case("7b, 8 layers, selective", slice_of_7b, 32, ("training.activation_checkpointing=selective",)),
        Case("palm 1b", palm, 32, model="palm-tiny"),
        Case("1.1b, not compiled", TINYLLAMA, 32, ("training.compile=false", "training.micro_batch_size=8"), steps=3),
    ):
        guarded(case.name, partial(speed, case))


PARTS: dict[str, Callable[[], None]] = {
    "processors": processors,
    "masks": masks,
    "families": families,
    "resumes": resumes,
    "waits": waits,
    "speeds": speeds,
    "peer": peer,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="default: all of them, in this order")
    asked = parser.parse_args().parts or list(PARTS)
    if not torch.cuda.is_available():
        sys.exit("torch sees no GPU here: run this on a machine with one.")
    name = torch.cuda.get_device_name()
    say(f"{name}, torch {torch.__version__}, Python {sys.version.split()[0]}")
    for part in asked:
        guarded(part, PARTS[part])


if __name__ == "__main__":
    main()
