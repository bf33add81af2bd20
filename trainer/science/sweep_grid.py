"""The file of `trainer sweep`: variants of data and settings, and what they have in common.

output: sweep
model: llama-tiny
tokens: 5M                      # of every run; or compute: 1e15
seeds: [0, 1, 2]
batch_size: 8
baseline: plain                 # the variant that others are compared with; by default the first
recipe: llama                   # a name or a file: the data of a variant are made by corpus run
input: raw                      # its raw files
corpus: {sequence_length: 256, vocab_size: 2048}
variants:
  plain: {}
  no-filter: {without: [commoncrawl/filter]}            # steps left out, as domain/step
  no-dedup: {without: [github/dedup, commoncrawl/dedup]}
  more-code: {changes: {mixture: {github: {share: 20, epochs: 2}}}}   # merged into the recipe
  other: {recipe: other.yaml}
  ready: {data: out/packed}     # a packed set that is there
  faster: {settings: {optimizer.lr: 3e-3}}
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.errors import UsageError
from corpus.mixture.plan.recipe_file import load_recipe_file
from corpus.option import nearest
from corpus.quantity import Kind, parse_quantity
from trainer.science.grid import check_keys, positive, read_grid

_NAME = re.compile(r"[\w-]+")
BUDGETS = ("tokens", "compute")
_TRAINING = ("batch_size", "micro_batch_size", "threads", "device")
_OF_CORPUS = (
    "sequence_length", "vocab_size", "basis", "tokens", "exhausted", "allow_missing", "limit", "sample", "workers",
    "memory", "plugins",
)  # fmt: skip
_KEYS = (
    "output", "model", "variants", "baseline", "data", "recipe", "input", "corpus", "validation", "seeds", "settings",
    *BUDGETS, *_TRAINING,
)  # fmt: skip
_OF_VARIANT = ("data", "recipe", "input", "without", "changes", "model", "settings")


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _table(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and all(isinstance(key, str) for key in value))


def _texts(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(_text(each) for each in value))


def _count(value: Any) -> bool:
    return type(value) is int and value >= 1


_TYPES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "output": (_text, "a path, as sweep"),
    "model": (_text, "a name, as llama-tiny"),
    "data": (_text, "a path, as out/packed"),
    "recipe": (_text, "a name or a path, as llama"),
    "input": (_text, "a path, as raw"),
    "validation": (lambda value: value is None or _text(value), "a path, as out/validation"),
    "settings": (_table, "a table, as {optimizer.lr: 3e-3}"),
    "corpus": (_table, "a table, as {sequence_length: 256}"),
    "changes": (_table, "a table, as {mixture: {github: {share: 20}}}"),
    "without": (_texts, "a list of steps, as [github/filter]"),
    "batch_size": (_count, "a whole number above 0"),
    "micro_batch_size": (_count, "a whole number above 0"),
    "threads": (_count, "a whole number above 0"),
    "device": (_text, "cpu or cuda"),
    "workers": (_count, "a whole number above 0"),
    "allow_missing": (lambda value: isinstance(value, bool), "true or false"),
    "plugins": (_texts, "a list of files, as [mine.py]"),
}
_QUANTITIES: Mapping[str, Kind] = {"limit": "count", "memory": "bytes"}


@dataclass(frozen=True)
class Variant:
    """One way to train: its packed set, or the recipe (parsed, with its changes) and the raw files that make it."""

    name: str
    model: str
    settings: Mapping[str, Any]
    data: Path | None
    recipe: Mapping[str, Any] | None
    raw: str


@dataclass(frozen=True)
class Sweep:
    """What is compared, and by how much training."""

    path: Path
    output: Path
    variants: tuple[Variant, ...]
    baseline: str
    validation: Path | None
    budget: tuple[str, float]
    seeds: tuple[int, ...]
    training: Mapping[str, Any]
    corpus: Mapping[str, Any]


def read_sweep(path: Path) -> Sweep:
    """The sweep of a file; a UsageError names what is missing, unknown or does not go together."""
    grid = read_grid(path, "sweep", _KEYS, ("output", "model", "variants"))
    given = [name for name in BUDGETS if name in grid]
    if len(given) != 1:
        raise UsageError(f"{path}: every run has the same budget: write tokens: 5M, or compute: 1e15.")
    tables = grid["variants"]
    if not isinstance(tables, dict) or len(tables) < 2:
        raise UsageError(
            f"{path}: variants is no table of two or more names: write variants: {{plain: {{}}, other: …}}."
        )
    names = [str(name) for name in tables]
    for number, name in enumerate(names):
        if not _NAME.fullmatch(name):
            raise UsageError(f"{path}: '{name}' is no name of a variant: use letters, digits, - and _.")
        if name in names[:number]:
            raise UsageError(
                f"{path}: two variants are called '{name}', and would share a directory: rename one of them."
            )
    _check_types(str(path), grid)
    variants = tuple(_variant(path, grid, str(name), {} if table is None else table) for name, table in tables.items())
    baseline = str(grid.get("baseline", names[0]))
    if baseline not in names:
        raise UsageError(f"{path}: there is no variant '{baseline}' to compare with: {nearest(baseline, names)}")
    seeds = grid.get("seeds", [0])
    if not isinstance(seeds, list) or not seeds or not all(type(seed) is int and seed >= 0 for seed in seeds):
        raise UsageError(f"{path}: seeds is no list of whole numbers: write seeds: [0, 1, 2].")
    corpus = _of_corpus(path, grid.get("corpus") or {})
    validation = grid.get("validation")
    return Sweep(
        path,
        Path(grid["output"]),
        variants,
        baseline,
        None if validation is None else Path(validation),
        (given[0], positive(str(path), given[0], grid[given[0]])),
        tuple(dict.fromkeys(seeds)),
        {key: grid[key] for key in _TRAINING if key in grid},
        corpus,
    )


def _check_types(where: str, table: Mapping[str, Any]) -> None:
    for key, value in table.items():
        fits, wanted = _TYPES.get(key, (_anything, ""))
        if not fits(value):
            raise UsageError(f"{where}: {key} has {value!r}: write {wanted}.")


def _anything(value: Any) -> bool:
    """Of what the recipe checks, or another check of its own."""
    return True


def _of_corpus(path: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `corpus run`; those that are not listed here are checked with the recipe."""
    where = f"{path}, corpus"
    check_keys(where, table, _OF_CORPUS)
    _check_types(where, table)
    found = dict(table)
    for key, kind in _QUANTITIES.items():
        if key in table:
            try:
                found[key] = parse_quantity(table[key], kind)
            except ValueError as error:
                raise UsageError(f"{where}: {key}: {error}.") from None
    return found


def _settings(where: str, grid: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a variant; a UsageError for what the grid says by keys of its own."""
    settings = {**(grid.get("settings") or {}), **(table.get("settings") or {})}
    own = {"training.steps": next(name for name in BUDGETS if name in grid), "training.seed": "seeds"}
    own |= {f"training.{key}": key for key in ("batch_size", "micro_batch_size") if key in grid}
    for key in settings:
        if key in own:
            raise UsageError(f"{where}: settings has {key}, which {own[key]}: says for all variants: leave it out.")
    return settings


def _variant(path: Path, grid: Mapping[str, Any], name: str, table: Any) -> Variant:
    where = f"{path}, variant {name}"
    if not isinstance(table, dict):
        raise UsageError(f"{where} is no table: write {name}: {{}} where nothing differs.")
    check_keys(where, table, _OF_VARIANT)
    _check_types(where, table)
    settings = _settings(where, grid, table)
    model = str(table.get("model", grid["model"]))
    made = {"recipe", "without", "changes", "input"} & set(table)
    if "data" in table or ("data" in grid and not made):
        if made:
            raise UsageError(f"{where} has data that are there and {min(made)}, which makes some: give one of them.")
        return Variant(name, model, settings, Path(str(table.get("data", grid.get("data")))), None, "")
    file = table.get("recipe", grid.get("recipe"))
    raw = table.get("input", grid.get("input"))
    if file is None or raw is None:
        raise UsageError(f"{where} has no data: give data: PACKED, or recipe: NAME and input: RAW.")
    recipe = load_recipe_file(str(file))
    if not isinstance(recipe, dict):
        raise UsageError(f"{file} holds no recipe: write KEY: VALUE lines.")
    for step in table.get("without") or ():
        recipe = _left_out(where, recipe, str(step))
    return Variant(name, model, settings, None, merged(recipe, table.get("changes") or {}), str(raw))


def _left_out(where: str, recipe: Mapping[str, Any], step: str) -> dict[str, Any]:
    """A recipe without a step of one of its domains, or of `across`."""
    domain, slash, name = step.partition("/")
    domains, across = (recipe.get(key) or {} for key in ("domains", "across"))
    table = across if domain == "across" else domains.get(domain) or {} if isinstance(domains, dict) else None
    if not isinstance(table, dict) or not isinstance(table.get("stages") or [], list):
        raise UsageError(
            f"{where}: the recipe has no table of domains with lists of stages to leave '{step}' out of: mend it."
        )
    if domain == "across":
        return {**recipe, "across": {**across, "stages": _others(where, step, across.get("stages") or [], name)}}
    if not slash or domain not in domains:
        raise UsageError(f"{where}: without names steps as domain/step, not '{step}': {nearest(domain, domains)}")
    kept = _others(where, step, table.get("stages") or [], name)
    return {**recipe, "domains": {**domains, domain: {**table, "stages": kept}}}


def _others(where: str, step: str, stages: list[Any], name: str) -> list[Any]:
    names = [next(iter(stage), "") if isinstance(stage, dict) else str(stage) for stage in stages]
    if name not in names:
        raise UsageError(f"{where}: the recipe has no step '{step}' to leave out: {nearest(name, names)}")
    return [stage for stage, known in zip(stages, names, strict=True) if known != name]


def merged(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A table with changes: tables of both are merged, anything else is replaced."""
    found = dict(table)
    for key, value in changes.items():
        old = found.get(key)
        found[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return found
