"""`trainer scale run`: the ladder of a YAML file, trained one run after the other on this machine.

    data: out/packed
    validation: out/validation
    output: ladder
    model: llama-tiny                # what the sizes depart from
    sizes:                           # a name for each, and the fields of its shape
      s: {layers: 2, d_model: 64, heads: 2, n_kv_heads: 2, feed_forward: 192}
      m: {layers: 4, d_model: 128, heads: 4, n_kv_heads: 4, feed_forward: 384}
    budgets: {tokens_per_parameter: [20]}   # or compute: [1e13, 1e14], or tokens: [1M]
    seeds: [0]
    batch_size: 8
    threads: 1
    settings: {optimizer.lr: 1e-3}   # of every run; a size may have settings of its own

Each run is one of `trainer fit`, in OUTPUT/<size>-<budget>; the same command goes on where it was stopped. FLOPs are the
trainer's count, attention and output layer included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.errors import UsageError
from trainer.config.options import FitOptions
from trainer.config.resolve import resolve_config
from trainer.data.validation_sets import PackedRows, open_validation
from trainer.loop.loop import fit
from trainer.models.model import LanguageModel
from trainer.science.grid import positive, read_grid
from trainer.science.grid_run import check_run, remedies_of_grid

_KEYS = (
    "data", "validation", "output", "model", "sizes", "budgets", "seeds", "batch_size", "micro_batch_size", "threads",
    "device", "settings",
)  # fmt: skip
_BUDGETS = ("tokens_per_parameter", "compute", "tokens")


@dataclass(frozen=True)
class Rung:
    """One run of a ladder."""

    name: str
    options: FitOptions


def read_ladder(path: Path) -> list[Rung]:
    """The runs of a ladder's file, smallest first. A UsageError names what is missing, unknown or too long for the data."""
    grid = read_grid(path, "ladder", _KEYS, ("data", "output", "model", "sizes", "budgets"))
    sizes, budgets = grid["sizes"], grid["budgets"]
    if not isinstance(sizes, dict) or not sizes or not all(isinstance(size, dict) for size in sizes.values()):
        raise UsageError(f"{path}: sizes is no table of names and shapes: write sizes: {{s: {{layers: 2, …}}}}.")
    if not isinstance(budgets, dict) or len(budgets) != 1 or next(iter(budgets)) not in _BUDGETS:
        raise UsageError(f"{path}: budgets names one of {', '.join(_BUDGETS)}, with a list of numbers.")
    kind, amounts = next(iter(budgets.items()))
    if not isinstance(amounts, list) or not amounts:
        raise UsageError(f"{path}: {kind} is no list of numbers: write {kind}: [20].")
    data = PackedRows(grid["data"])
    found = []
    for seed in grid.get("seeds", [0]):
        for size, fields in sizes.items():
            for amount in amounts:
                name = f"{size}-{amount}" + (f"-seed{seed}" if len(grid.get("seeds", [0])) > 1 else "")
                found.append((_rung(path, grid, name, fields, kind, amount, seed, data), name))
    return [Rung(name, options) for (_, options), name in sorted(found, key=lambda each: (each[0][0], each[1]))]


def _rung(
    path: Path, grid: Mapping[str, Any], name: str, fields: Mapping[str, Any], kind: str, amount: Any, seed: int,
    data: PackedRows,
) -> tuple[float, FitOptions]:  # fmt: skip
    """The FLOPs and the options of one run."""
    settings = {str(key): value for key, value in (grid.get("settings") or {}).items()}
    settings |= {key if "." in key else f"model.{key}": value for key, value in fields.items()}
    number = positive(str(path), kind, amount)
    base: dict[str, Any] = {
        "data": str(grid["data"]),
        "model": str(grid["model"]),
        "output": Path(grid["output"]) / name,
        "seed": seed,
        "quiet": True,
        "settings": tuple(settings.items()),
    }
    for key in ("batch_size", "micro_batch_size", "threads", "device"):
        if key in grid:
            base[key] = grid[key]
    if "validation" in grid:
        base["validation"] = Path(grid["validation"])
    config = resolve_config(FitOptions(**base, steps=1), data.identity, {})
    length = config.data.sequence_length
    per_token = LanguageModel.flops_per_token(config.model, length)
    tokens = {
        "tokens": number,
        "compute": number / per_token,
        "tokens_per_parameter": number * LanguageModel.count(config.model).total,
    }[kind]
    options = FitOptions(**base, tokens=max(1, math.ceil(tokens)))
    config = resolve_config(options, data.identity, {})  # says where the data is too small
    return per_token * config.tokens_after(config.training.steps), options


def run_ladder(path: Path, say: Callable[[str], None]) -> list[Path]:
    """Train what is left of a ladder; the directories of its runs."""
    rungs = read_ladder(path)
    for rung in rungs:
        sets = {} if rung.options.validation is None else open_validation(rung.options.validation)
        identities = {name: each.identity for name, each in sets.items()}
        check_run(rung.options, PackedRows(Path(rung.options.data)).identity, identities)
    for number, rung in enumerate(rungs, 1):
        say(f"run {number} of {len(rungs)}: {rung.name}, {rung.options.tokens:,} tokens")
        with remedies_of_grid(rung.options.output):
            fit(rung.options)
    return [rung.options.output for rung in rungs]
