"""The options of `trainer fit`: those of the command line, over those of a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.config import Option, check_options, options_of, sentence
from corpus.errors import UsageError
from corpus.option import meant_name, option, option_required
from trainer.config.finetuning import PRESETS, preset_settings
from trainer.config.renamed import RENAMED, instead
from trainer.models.precision import PRECISIONS

CHECKPOINT = "checkpoint"
"""The name of a model whose shape is that of --init-from."""
Setting = str | tuple[str, Any]
"""A setting as text, `optimizer.lr=3e-4`, or as the key and the value of a file."""
DEVICES = ("cpu", "cuda")
DEVICE_DOC = "Where to compute. Default: a GPU if there is one."


@dataclass(frozen=True)
class FitOptions:
    """The options of `trainer fit`. Those below `settings` change how the run is made, and nothing of its result."""

    data: str = option_required("The packed set to train on (from corpus mix), a directory or a URL.")
    model: str = option_required("Name of a model, such as llama-tiny, llama-7b. With --init-from: of a recipe.")
    output: Path = option_required("Directory of the run; an unfinished run goes on, with other settings too.")
    steps: int | None = option(None, "Number of updates. Default: one reading of the set, less a reserve.", least=1)
    tokens: int | None = option(None, "Instead of --steps: tokens to train on, such as 10B, rounded up.", least=1)
    batch_size: int | None = option(None, "Sequences of one update. Default: the model's.", least=1)
    micro_batch_size: int | None = option(
        None, "Sequences at once. Default: the whole batch; on a GPU what fits.", least=1
    )
    validation: str | None = option(None, "A packed set, or a directory of them, to evaluate on; also a URL.")
    validate_every: int | None = option(None, "Steps between evaluations. Default: at the end.", least=1)
    document_mask: bool = option(False, "Let tokens attend within their own document only.")
    precision: str | None = option(None, "Products of the model. Default: fp32; on a GPU bf16.", choices=PRECISIONS)
    seed: int | None = option(None, "Seed of the first weights. Default: 0.", least=0)
    source: str | None = option(
        None, "A run to leave at its newest or a named checkpoint.", flag="--from", metavar="RUN[@STEP]"
    )
    init_from: str | None = option(
        None,
        "Begin with the weights of a model: DIR of transformers, or RUN[@STEP]; the optimizer is new.",
        metavar="DIR",
    )
    preset: str | None = option(None, "How a paper fine-tuned, as settings.", choices=tuple(PRESETS))
    skip_log: Path | None = option(None, "A skip_log.json to replay: what it skips is skipped from the start.")
    settings: tuple[Setting, ...] = option(
        (),
        "A setting, such as optimizer.lr=3e-4; trainer settings lists them.",
        flag="--set",
        metavar="KEY=VALUE",
    )
    on_change: str = option(
        "extend",
        "What another length or schedule of a run that goes on means: that of a run which always had it, or a new "
        "warm-up from here.",
        choices=("extend", "restart-warmup"),
    )
    accept_resume: bool = option(False, "Go on where the self-check of a resume fails, and note it.")
    noise_scale: int = option(
        0, "Measure the gradient noise scale every so many steps, from the micro-batches; 0: not.", least=0
    )
    save_every: int = option(100, "Steps between saves.", least=1)
    save_minutes: float = option(0.0, "Also save when as many minutes have passed; 0: not.", least=0)
    background_saves: bool = option(False, "Save from a copy in memory while the training goes on; on a GPU always.")
    keep: int = option(2, "Newest checkpoints to keep; 0: all.", least=0)
    keep_every: int = option(0, "Also keep those of steps that are multiples of this; 0: none.", least=0)
    threads: int | None = option(None, "CPU threads. Default: all; a resumed run keeps its number.", least=1)
    device: str | None = option(None, DEVICE_DOC, choices=DEVICES)
    parallel: str = option(
        "ddp",
        "Under torchrun: ranks hold the whole model (ddp), or a part of it each (fsdp), which waits in the host's memory, "
        "optimizer and all, until it is needed (fsdp-offload).",
        choices=("ddp", "fsdp", "fsdp-offload"),
    )
    data_cache: Path | None = option(None, "Where shards of a set behind a URL are kept. Default: ~/.cache/corpusmill.")
    data_cache_bytes: int = option(20_000_000_000, "Bytes of shards that are kept there.", least=1)
    loggers: tuple[str, ...] = option(
        (), "Give the metrics to tensorboard, wandb or csv too.", flag="--logger", metavar="NAME"
    )
    stall_seconds: float = option(
        300.0, "Under torchrun: seconds without progress after which the rank that is waited for is named.", least=0.1
    )
    profile: str | None = option(None, "Profile these steps into the run's profile/.", metavar="FIRST:LAST")
    overwrite: bool = option(False, "Start the run anew, with another configuration too.")
    quiet: bool = option(False, "Print errors only.")

    def __post_init__(self) -> None:
        check_options(self)
        self.profiled_steps()
        if self.init_from is not None and self.source is not None:
            raise UsageError("--from goes on with a run and --init-from begins a new one: give one of them.")
        keys = {_key(setting) for setting in self.settings}
        for name, key in _OF_TRAINING.items():
            if getattr(self, name) is not None and getattr(self, name) is not False and key in keys:
                raise UsageError(f"--{name.replace('_', '-')} and {key} say the same thing twice: give one of them.")

    def profiled_steps(self) -> tuple[int, int] | None:
        """The first and the last step to profile."""
        if self.profile is None:
            return None
        first, colon, last = self.profile.partition(":")
        if not (colon and first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)):
            raise UsageError(f"--profile {self.profile} names no steps: give the first and the last, such as 10:12.")
        return int(first), int(last)


_OF_TRAINING = {
    "steps": "training.steps",
    "tokens": "training.steps",
    "batch_size": "training.batch_size",
    "micro_batch_size": "training.micro_batch_size",
    "validate_every": "training.validate_every",
    "document_mask": "training.document_mask",
    "precision": "training.precision",
    "seed": "training.seed",
}
"""The options that are settings too."""
_BATCH = {"training.batch_size", "training.batch_ramp"}
"""Two ways to say how large a batch is."""
_SECTIONS = ("model", "optimizer", "schedule", "training", "spikes", "finetuning")


def make_options(given: Mapping[str, Any], file: Path | None) -> FitOptions:
    """The options `given` on the command line, and those of a YAML file that it does not give."""
    values: dict[str, Any] = {}
    settings: tuple[Setting, ...] = ()
    if file is not None:
        values, settings = read_config_file(file)
    preset = given.get("preset", values.get("preset"))
    if preset is not None:
        said = {**values, "settings": settings}
        settings = (*_without({}, preset_settings(preset), said)[1], *settings)
    values, settings = _without(values, settings, given)
    values.update({name: value for name, value in given.items() if name != "settings"})
    if values.get("init_from") is not None:
        values.setdefault("model", CHECKPOINT)
    if "model" not in values and "output" in values and not values.get("overwrite"):
        values |= _model_of_run(values["output"])
    missing = [f"--{name}" for name in ("data", "model", "output") if name not in values]
    if missing:
        raise UsageError(f"{' and '.join(missing)} must be given, on the command line or in the --config file.")
    return FitOptions(**values, settings=(*settings, *given.get("settings", ())))


def _model_of_run(output: Path) -> dict[str, str]:
    """The model of the run that is at `output`, which goes on without being told; nothing where there is none."""
    try:
        value = json.loads((Path(output) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # what is wrong with it is said when the run is opened
        return {}
    begun = isinstance(value, dict) and value.get("kind") == "run" and "name" in value
    return {"model": str(value["name"])} if begun else {}


def _without(
    options: Mapping[str, Any], settings: tuple[Setting, ...], given: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[Setting, ...]]:
    """Of the options and settings of a file those that the command line does not say otherwise, in either form."""
    said = {_OF_TRAINING[name] for name in given if name in _OF_TRAINING}
    said |= {_key(setting) for setting in given.get("settings", ())}
    if said & _BATCH:
        said |= _BATCH
    return (
        {name: value for name, value in options.items() if _OF_TRAINING.get(name) not in said},
        tuple(setting for setting in settings if _key(setting) not in said),
    )


def _key(setting: Setting) -> str:
    return setting.partition("=")[0] if isinstance(setting, str) else setting[0]


def read_config_file(path: Path) -> tuple[dict[str, Any], tuple[tuple[str, Any], ...]]:
    """Options, and keys and values of settings, of a YAML file; a UsageError names the nearest of an unknown key.

    Options have the names of the command line's; settings stand in sections (`optimizer: {lr: 3e-4}`) or under whole
    names (`optimizer.lr: 3e-4`). The section of the model has its preset under `name`, or is only its name.
    """
    options: dict[str, Any] = {}
    settings: list[tuple[str, Any]] = []
    fields = options_of(FitOptions)
    for key, content in _read_yaml(path).items():
        name = str(key).replace("-", "_")
        if name in _SECTIONS and name != "model" and not isinstance(content, dict):
            raise UsageError(
                f"--config {path} has {key}: {content}, which is a section: write {key}: {{FIELD: VALUE}}."
            )
        if name in _SECTIONS and isinstance(content, dict):
            rest = dict(content)
            if name == "model" and "name" in rest:
                options["model"] = _taken(path, "model.name", fields["model"], rest.pop("name"))
            settings += [(f"{name}.{field}", value) for field, value in rest.items()]
        elif "." in name:
            settings.append((name, content))
        elif name in fields and name != "settings":
            options[name] = _taken(path, str(key), fields[name], content)
        else:
            known = {*(field.replace("_", "-") for field in fields if field != "settings"), *_SECTIONS}
            raise UsageError(f"--config {path} has the unknown key '{key}': {_instead(str(key), known)}")
    return options, tuple(settings)


def _instead(key: str, known: set[str]) -> str:
    """What to write for an unknown key: the setting that it means, else the nearest option or section."""
    from trainer.config.config import SECTIONS

    settings = [f"{section}.{name}" for section, kind in SECTIONS.items() for name in options_of(kind)]
    former = {name.rpartition(".")[2]: new for name, new in RENAMED.items()}
    meant = former.get(key) or meant_name(key, settings)
    return f"did you mean '{meant}'?" if meant and key not in RENAMED else instead(key, known)


def _read_yaml(path: Path) -> dict[Any, Any]:
    import yaml

    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"--config {path} cannot be read ({reason}): give a YAML file.") from None
    if not isinstance(value, dict):
        raise UsageError(f"--config {path} holds no settings: write KEY: VALUE lines.")
    return value


def _taken(path: Path, key: str, entry: Option, value: Any) -> Any:
    """A value of the type that the option has."""
    try:
        return entry.take(value)
    except ValueError as error:
        raise UsageError(f"--config {path} has {key}: {sentence(error)}") from None
