"""`trainer sweep`: the same training on variants of the data or of settings, and what that changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import corpus
from corpus.data.files import write_atomic
from corpus.data.provenance import FOLDER, DocumentList, hash_id, id_file
from corpus.errors import DataError, UsageError
from trainer.config.options import FitOptions
from trainer.config.resolve import resolve_config
from trainer.data.validation_sets import PackedRows, open_validation
from trainer.loop.loop import fit
from trainer.models.model import LanguageModel
from trainer.run.directory import Run
from trainer.run.metrics import MetricsLog
from trainer.science.data_trail import DataTrail, data_trail
from trainer.science.grid_run import check_run, remedies_of_grid
from trainer.science.sweep_grid import Sweep, Variant, read_sweep

_ROWS = 1024


@dataclass(frozen=True)
class VariantResult:
    """What a variant came to: its losses by domain in nats a token, of each seed in order; its data; and how many of the
    validation documents its training set holds."""

    name: str
    losses: Mapping[str, tuple[float, ...]]
    tokens: int
    flops: float
    trail: DataTrail
    leaked: int


@dataclass(frozen=True)
class SweepResult:
    """All variants, the baseline's among them; `shares` weigh the domains in the mean, as the baseline is mixed."""

    sweep: Sweep
    validation: Path
    documents: int
    """Of the validation sets."""
    shares: Mapping[str, float]
    variants: tuple[VariantResult, ...]

    @property
    def baseline(self) -> VariantResult:
        """The variant that others are compared with."""
        return next(each for each in self.variants if each.name == self.sweep.baseline)


def run_sweep(path: Path, say: Callable[[str], None]) -> SweepResult:
    """Make the data that are not there, train what is not trained, and read what came of it. All that can be checked is
    checked before anything is trained; the same command goes on where it was stopped."""
    sweep = read_sweep(path)
    first = next(variant for variant in sweep.variants if variant.name == sweep.baseline)
    data = {first.name: _made(sweep, first, None, say)}
    for each in sweep.variants:
        if each.name not in data:
            # variants of settings alone share their data
            same = [known for known in sweep.variants if known.name in data and _makes(known) == _makes(each)]
            data[each.name] = data[same[0].name] if same else _made(sweep, each, data[first.name], say)
    validation = sweep.validation or data[first.name].parent / "validation"
    if not validation.exists():
        raise UsageError(f"{path}: there is no {validation} beside the baseline's data: give validation: SETS.")
    rows = {name: PackedRows(where) for name, where in data.items()}
    _check_alike(path, sweep, rows)
    runs = {
        variant.name: [
            _options(sweep, variant, data[variant.name], rows[variant.name], validation, seed) for seed in sweep.seeds
        ]
        for variant in sweep.variants
    }
    sets = {name: each.identity for name, each in open_validation(validation).items()}
    for name, several in runs.items():
        for options in several:
            check_run(options, rows[name].identity, sets)
    everything = [options for several in runs.values() for options in several]
    for number, options in enumerate(everything, 1):
        say(f"run {number} of {len(everything)}: {options.output.name}, {options.tokens:,} tokens")
        with remedies_of_grid(options.output):
            fit(options)
    held = _held_out(validation)
    results = [
        _result(variant.name, [each.output for each in runs[variant.name]], rows[variant.name], held)
        for variant in sweep.variants
    ]
    shares = Run(runs[first.name][0].output).training_shares()
    return SweepResult(sweep, validation, len(held), shares, tuple(results))


def _makes(variant: Variant) -> tuple[Any, ...]:
    """What the data of a variant follow from."""
    return variant.data, variant.recipe, variant.raw


def _made(sweep: Sweep, variant: Variant, baseline: Path | None, say: Callable[[str], None]) -> Path:
    """The packed set of a variant; what a recipe makes has the baseline's tokenizer, so that losses compare."""
    if variant.data is not None:
        return variant.data
    assert variant.recipe is not None
    recipe = dict(variant.recipe)
    if baseline is not None:
        recipe["tokenizer"] = _tokenizer(baseline)
    output = sweep.output / "data" / variant.name
    output.parent.mkdir(parents=True, exist_ok=True)
    file = output.parent / f"{variant.name}.yaml"
    write_atomic(file, yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True))
    given = dict(sweep.corpus)
    if baseline is not None:
        given.pop("vocab_size", None)  # it is the tokenizer's
    say(f"data of {variant.name}")
    with remedies_of_grid(output):
        corpus.run(file, variant.raw, output, quiet=True, **given)
    return output / "packed"


def _tokenizer(baseline: Path) -> dict[str, Any]:
    path = PackedRows(baseline).tokenizer_file
    if path is None:
        raise UsageError(f"{baseline} carries no tokenizer that other variants could be made with: give them as data.")
    return {"path": str(path.resolve())}


def _check_alike(path: Path, sweep: Sweep, rows: Mapping[str, PackedRows]) -> None:
    known = rows[sweep.baseline].identity
    for name, each in rows.items():
        if each.identity.tokenizer != known.tokenizer or each.identity.sequence_length != known.sequence_length:
            raise UsageError(
                f"{path}: {name} and {sweep.baseline} have other tokenizers or sequence lengths, so that their losses do not "
                "compare: make them with one."
            )


def _options(sweep: Sweep, variant: Variant, data: Path, rows: PackedRows, validation: Path, seed: int) -> FitOptions:
    """A run of the budget; a UsageError where the data are too few for it."""
    base: dict[str, Any] = {
        "data": str(data),
        "model": variant.model,
        "output": sweep.output / "runs" / f"{variant.name}-seed{seed}",
        "validation": str(validation),
        "seed": seed,
        "quiet": True,
        "settings": tuple(variant.settings.items()),
        **sweep.training,
    }
    kind, amount = sweep.budget
    try:
        config = resolve_config(FitOptions(**base, steps=1), rows.identity, {})
        if kind == "compute":
            amount /= LanguageModel.flops_per_token(config.model, config.data.sequence_length)
        options = FitOptions(**base, tokens=max(1, math.ceil(amount)))
        resolve_config(options, rows.identity, {})
    except UsageError as error:
        raise UsageError(f"variant {variant.name}: {error.message}") from None
    return options


def _result(name: str, runs: Sequence[Path], rows: PackedRows, held: Sequence[str]) -> VariantResult:
    scored = [_final(path) for path in runs]
    domains = sorted(scored[0][0])
    losses = {domain: tuple(found[domain] for found, _ in scored) for domain in domains}
    config = Run(runs[0]).config()
    flops = LanguageModel.flops_per_token(config.model, config.data.sequence_length) * float(scored[0][1])
    return VariantResult(name, losses, scored[0][1], flops, data_trail(rows), _listed(rows, held))


def _final(path: Path) -> tuple[dict[str, float], int]:
    """The last validation losses of a run by domain, and the tokens that it was trained on."""
    records = MetricsLog(Run(path).metrics).records()
    tokens = [int(record["tokens"]) for record in records if record["kind"] == "train"]
    found = [record for record in records if record["kind"] == "validation"]
    if not tokens or not found:
        raise DataError(f"{path} has no validation loss: remove it to train it again.")
    return {name: float(score["loss"]) for name, score in found[-1]["domains"].items()}, tokens[-1]


def _held_out(validation: Path) -> list[str]:
    """The ids of all documents of the validation sets."""
    found: set[str] = set()
    for rows in open_validation(validation).values():
        numbers: set[int] = set()
        for start in range(0, len(rows), _ROWS):
            for segments in rows.segments(slice(start, min(start + _ROWS, len(rows)))):
                numbers.update(segment.document for segment in segments)
        listed = DocumentList(rows.dataset)
        if len(listed):
            found.update(document.id for document in listed.read(numbers).values())
    return sorted(found)


def _listed(rows: PackedRows, ids: Sequence[str]) -> int:
    """How many of these documents a packed set was made from."""
    files = rows.dataset.files(FOLDER)
    hashes = np.array([hash_id(id) for id in ids], np.uint64)
    return sum(
        int(np.isin(hashes, files[id_file(number)].mapped()[0]).sum())
        for number in range(int(rows.manifest.extra.get("id_files", 0)))
    )
