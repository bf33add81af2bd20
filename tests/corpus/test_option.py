"""Documented fields: nearest names, ranges in all three places, and their command-line options."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from corpus.cli import COMMANDS
from corpus.cli import cli as corpus_cli
from corpus.cli_options import build_config, config_options
from corpus.config import build, check_options, options_of, parse_option
from corpus.errors import UsageError
from corpus.option import nearest, option
from pipelines.readers.registry import READERS
from pipelines.recipes.sections import PackingRecipe, TokenizerRecipe
from tests.corpus.test_cli import HEAVY
from trainer.cli import main as trainer_cli
from trainer.config.config import SECTIONS
from trainer.config.options import FitOptions
from trainer.run.sampling import SamplingConfig

SETTINGS = [f"{section}.{name}" for section, kind in SECTIONS.items() for name in options_of(kind)]
FIT = [entry.flag for entry in options_of(FitOptions).values()]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("optimizer.learning_rate", "optimizer.lr"),
        ("optimizer.learing_rate", "optimizer.lr"),
        ("optim.lr", "optimizer.lr"),
        ("optimizer.rate", "optimizer.lr"),
        ("training.learning_rate", "optimizer.lr"),
        ("learning-rate", "optimizer.lr"),
        ("optimizer.eps", "optimizer.epsilon"),
        ("optimizer.max_grad_norm", "optimizer.clip"),
        ("optimizer.wd", "optimizer.weight_decay"),
        ("schedule.warmup_steps", "schedule.warmup"),
        ("optimizer.warmup", "schedule.warmup"),
        ("schedule.min_lr", "schedule.final"),
        ("model.hidden_size", "model.d_model"),
        ("model.width", "model.d_model"),
        ("model.num_layers", "model.layers"),
        ("model.n_layers", "model.layers"),
        ("model.num_attention_heads", "model.heads"),
        ("model.num_key_value_heads", "model.n_kv_heads"),
        ("model.intermediate_size", "model.feed_forward"),
        ("model.vocab_size", "model.vocabulary"),
        ("model.seq_len", "model.sequence_length"),
        ("training.batch", "training.batch_size"),
        ("training.gradient_checkpointing", "training.activation_checkpointing"),
        ("training.max_steps", "training.steps"),
        ("model.layer", "model.layers"),
    ],
)
def test_settings_are_found_by_meaning(given: str, meant: str) -> None:
    assert nearest(given, SETTINGS) == f"did you mean '{meant}'?"


@pytest.mark.parametrize(
    ("given", "known", "meant"),
    [
        ("--batch", FIT, "--batch-size"),
        ("--max_steps", FIT, "--steps"),
        ("--output-dir", FIT, "--output"),
        ("--batch_size", FIT, "--batch-size"),
        ("--save-evry", FIT, "--save-every"),
        ("dedupe", COMMANDS, "dedup"),
        ("deduplicate", COMMANDS, "dedup"),
        ("tokenise", COMMANDS, "tokenize"),
        ("blend", COMMANDS, "mix"),
        ("ingset", COMMANDS, "ingest"),
        ("language-id", COMMANDS, "langid"),
        ("train", trainer_cli.commands, "fit"),
        ("evaluate", trainer_cli.commands, "eval"),
        ("vocabulary_size", TokenizerRecipe.model_fields, "vocab_size"),
        ("seq_len", PackingRecipe.model_fields, "sequence_length"),
        ("min_length", ("gopher_quality", "max_chars", "min_chars"), "min_chars"),
        ("min_length", ("min_characters",), "min_characters"),
        ("lang", ("language", "threshold"), "language"),
        ("lang", ("languages", "rules"), "languages"),
    ],
)
def test_other_names_are_found_by_meaning(given: str, known: Any, meant: str) -> None:
    assert nearest(given, known) == f"did you mean '{meant}'?"


def test_without_any_near_name_all_are_named() -> None:
    assert nearest("zzz", ["b", "a"]) == "known are a, b"


@dataclass(frozen=True)
class Toy:
    tokens: int = option(2000, "tokens to read", least=1, below=1 << 40)
    cache_bytes: int = option(256_000_000, "bytes of a cache", least=1)
    share: float = option(0.5, "a share", above=0, most=1)
    mode: str = option("fast", "how", choices=("fast", "slow"))
    name: str | None = option(None, "a name")
    keep: tuple[str, ...] = option((), "what stays")

    def __post_init__(self) -> None:
        check_options(self)


def made(*arguments: str) -> Toy | str:
    found: list[Toy] = []

    @click.command()
    @config_options(Toy)
    def command(**values: Any) -> None:
        found.append(build_config(Toy, values))

    result = CliRunner().invoke(command, arguments)
    return found[0] if found else result.output


GOOD: list[tuple[str, Any, Any]] = [
    ("tokens", "10B", 10**10),
    ("tokens", "2Ki", 2048),
    ("cache_bytes", "4GiB", 4 << 30),
    ("cache_bytes", "10B", 10),
    ("share", "5%", 0.05),
    ("share", "1e-3", 0.001),
    ("mode", "slow", "slow"),
]
BAD: list[tuple[str, Any]] = [
    ("tokens", "0"),
    ("tokens", "2T"),
    ("tokens", "10MB"),
    ("tokens", "1.5"),
    ("cache_bytes", "0"),
    ("share", "0"),
    ("share", "1.5"),
    ("share", "nan"),
    ("mode", "fsat"),
]


@pytest.mark.parametrize(("name", "text", "value"), GOOD)
def test_a_value_is_the_same_on_the_command_line_in_a_file_and_in_a_setting(name: str, text: str, value: Any) -> None:
    wanted = Toy(**{name: value})
    assert made("--" + name.replace("_", "-"), text) == wanted
    assert build("toy", Toy, {name: text}) == build("toy", Toy, {name: value}) == wanted
    assert parse_option(Toy, name, text) == value


@pytest.mark.parametrize(("name", "text"), BAD)
def test_a_wrong_value_is_refused_everywhere(name: str, text: str) -> None:
    said = made("--" + name.replace("_", "-"), text)
    assert isinstance(said, str) and "Error: Invalid value" in said and "Traceback" not in said
    for attempt in (lambda: build("toy", Toy, {name: text}), lambda: parse_option(Toy, name, text)):
        with pytest.raises(UsageError, match=name) as caught:
            attempt()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "value"), [("tokens", 0), ("share", 0.0), ("share", float("nan")), ("mode", "x")])
def test_python_is_checked_too(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"--{name} is"):
        Toy(**{name: value})


def test_values_of_yaml_keep_their_types() -> None:
    for table in ({"tokens": True}, {"name": 3}, {"mode": True}, {"keep": "a"}, {"share": [1]}):
        with pytest.raises(UsageError, match="toy: "):
            build("toy", Toy, table)
    assert build("toy", Toy, {"keep": ["a"], "share": 1}) == Toy(keep=("a",), share=1)


def every_command() -> Iterator[tuple[str, click.Command]]:
    for name, (where, _) in COMMANDS.items():
        module, _, attribute = where.partition(":")
        yield f"corpus {name}", getattr(importlib.import_module(module), attribute)
    ingest = importlib.import_module("corpus.commands.ingest").ingest
    for name in READERS:
        yield f"corpus ingest {name}", ingest.get_command(click.Context(ingest), name)
    for name, command in trainer_cli.commands.items():
        yield f"trainer {name}", command


@pytest.mark.parametrize(("name", "command"), [pytest.param(*pair, id=pair[0]) for pair in every_command()])
def test_every_help_renders_and_every_default_passes_its_own_check(name: str, command: click.Command) -> None:
    result = CliRunner().invoke(command, ["--help"])
    assert result.exit_code == 0 and "Usage" in result.output
    context = click.Context(command)
    for parameter in command.params:
        default = parameter.get_default(context)
        if isinstance(parameter, click.Option) and isinstance(default, bool | int | float | str | tuple):
            parameter.type_cast_value(context, default)


def test_defaults_of_settings_pass_their_own_check() -> None:
    for kind in (*SECTIONS.values(), FitOptions, SamplingConfig):
        for entry in options_of(kind).values():
            if entry.default is not None and not repr(entry.default).startswith("<dataclasses"):
                assert not entry.problem(entry.default), entry


@pytest.mark.parametrize("command", [["--help"], *([name, "--help"] for name in trainer_cli.commands)])
def test_no_help_of_the_trainer_imports_anything_heavy(command: list[str]) -> None:
    program = f"import sys; from trainer.cli import main\ntry: main()\nexcept SystemExit: print(sorted({HEAVY!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program, *command], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("program", "args", "words"),
    [
        (corpus_cli, ["dedupe"], "did you mean 'dedup'?"),
        (corpus_cli, ["--vesion"], "did you mean '--version'?"),
        (corpus_cli, ["dedup", "x", "--output-dir", "y"], "did you mean '--output'?"),
        (corpus_cli, ["ingest", "jsonl", "x", "-o", "y", "--num-workers", "3"], "did you mean '--workers'?"),
        (trainer_cli, ["train"], "did you mean 'fit'?"),
        (trainer_cli, ["fit", "--learning-rate", "1"], "did you mean '--set optimizer.lr'?"),
        (trainer_cli, ["fit", "--num-steps", "1"], "did you mean '--steps'?"),
        (trainer_cli, ["eval", "run", "--zzz"], "eval --help lists them."),
    ],
)
def test_unknown_commands_and_options_are_answered(program: click.Command, args: list[str], words: str) -> None:
    result = CliRunner().invoke(program, args)
    assert result.exit_code == 2 and words in result.output, result.output


def test_settings_as_json() -> None:
    result = CliRunner().invoke(trainer_cli, ["settings", "llama-7b", "--json"])
    value = json.loads(result.output)
    assert value["model.d_model"]["default"] == 4096
    assert value["training.steps"]["default"] is None
    assert value["training.precision"]["choices"] == ["fp32", "tf32", "bf16"]


def test_a_plan_as_json(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("a: 1B\nb: {tokens: 3B, documents: 2K}\n")
    (tmp_path / "w.yaml").write_text("{a: 25%, b: 75%}")
    args = ["mix", "--plan", "--counts", str(tmp_path / "c.yaml"), "--weights", str(tmp_path / "w.yaml")]
    result = CliRunner().invoke(corpus_cli, [*args, "--tokens", "2B", "--sequence-length", "2Ki", "--json"])
    value = json.loads(result.stdout)
    assert value["sequence_length"] == 2048
    assert [domain["domain"] for domain in value["domains"]] == ["a", "b"]
    assert sum(domain["sampled"] for domain in value["domains"]) == value["rows"] * 2048
