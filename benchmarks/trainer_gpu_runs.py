"""What the parts of `benchmarks/trainer_gpu.sh` share: runs on packed random tokens, and a line for each result."""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.trainer.packed import write_packed
from trainer.config.hardware import Hardware
from trainer.config.history import History
from trainer.config.options import FitOptions
from trainer.config.resolve import resolve_config
from trainer.data.validation_sets import PackedRows
from trainer.distributed.ranks import Ranks
from trainer.loop.determinism import same_bits
from trainer.loop.state import TrainingState
from trainer.loop.step import measure, update

GPU = torch.device("cuda", 0)
_began = time.monotonic()


def say(text: str) -> None:
    """A line with the seconds since the start."""
    print(f"[{time.monotonic() - _began:5.0f} s] {text}", flush=True)


def verdict(name: str, good: bool, seen: str) -> None:
    """A line for a check."""
    say(f"{'ok  ' if good else 'FAIL'}  {name}: {seen}")


@contextmanager
def packed(rows: int, length: int, vocabulary: int, documents: bool = False) -> Iterator[Path]:
    """A packed set of random tokens, four documents a row where it is asked for."""
    with tempfile.TemporaryDirectory() as folder:
        tokens = np.random.default_rng(0).integers(3, vocabulary, (rows, length + 1))
        spans = [[(0, part) for part in (length // 4, length // 8, length // 2)]] * rows
        spans = [[*row, (0, length + 1 - sum(size for _, size in row))] for row in spans]
        yield write_packed(Path(folder) / "packed", tokens, vocabulary, segments=spans if documents else None)


def options(data: Path, model: str, steps: int, batch: int, *settings: str, **more: Any) -> FitOptions:
    """The options of a run."""
    output = more.pop("output", Path("unused"))
    return FitOptions(data, model, output, steps, None, batch, settings=settings, **more)


def state_of(asked: FitOptions, data: PackedRows, device: torch.device, planned: bool = False) -> TrainingState:
    """A run's state at step 0; `planned`: with what a new run on a GPU takes where nothing is said."""
    hardware = Hardware.of(device, 1)
    config = resolve_config(asked, data.identity, {}, hardware=hardware if planned else Hardware())
    return TrainingState(History(config), Ranks(device=device), "ddp", None, hardware)


def fresh() -> None:
    """Forget programs and memory of the last case."""
    torch._dynamo.reset()
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()


def losses(asked: FitOptions, data: PackedRows, device: torch.device, steps: int) -> list[tuple[float, float]]:
    """Loss and gradient norm of the first steps."""
    fresh()
    state = state_of(asked, data, device)
    found = []
    with same_bits(state.config.training, device):
        for _ in range(steps):
            measured = measure(state, data)
            update(state, measured)
            found.append((measured.loss, measured.gradient_norm))
    return found


def apart(ours: list[tuple[float, float]], theirs: list[tuple[float, float]]) -> tuple[float, float]:
    """The largest relative difference of losses, and of norms."""
    pairs = [[abs(a - b) / abs(b) for a, b in zip(x, y, strict=True)] for x, y in zip(ours, theirs, strict=True)]
    return max(pair[0] for pair in pairs), max(pair[1] for pair in pairs)


def guarded(name: str, work: Callable[[], None]) -> None:
    """Do a part; what goes wrong is said and is not the end."""
    try:
        work()
    except Exception as error:  # a card is at hand for minutes: the other parts are still worth having
        import traceback

        traceback.print_exc(limit=-4)
        say(f"FAIL  {name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
