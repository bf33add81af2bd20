"""The options of `trainer fit` from a file and the command line, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from corpus.errors import UsageError
from trainer.config.config import SECTIONS
from trainer.config.options import Setting, make_options, read_config_file
from trainer.config.settings import parse_settings


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "fit.yaml"
    path.write_text(text)
    return path


def test_a_file_gives_options_and_settings_and_the_command_line_wins(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "data: sets/packed\noutput: run\nsteps: 50\nsave-every: 7\nsave_minutes: 5\ndocument-mask: true\n"
        "model: {name: llama-tiny, layers: 2}\noptimizer:\n  lr: 3e-4\ntraining.compile: false\n",
    )
    request = make_options({"steps": 60, "settings": ("optimizer.lr=1e-3",)}, path)
    assert (request.data, request.model, request.output) == ("sets/packed", "llama-tiny", Path("run"))
    assert (request.steps, request.save_every, request.save_minutes) == (60, 7, 5.0)
    assert request.document_mask is True
    assert request.settings == (("model.layers", 2), ("training.compile", False), "optimizer.lr=1e-3")
    assert make_options({"data": Path("d"), "output": Path("o")}, write(tmp_path, "model: palm-tiny\n")).model == (
        "palm-tiny"
    )


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("save-evry: 3\n", "unknown key 'save-evry': did you mean 'save-every'"),
        ("optimiser: {lr: 1}\n", "did you mean 'optimizer'"),
        ("steps: many\n", "steps: 'many' is not a whole number"),
        ("steps: true\n", "not a whole number"),
        ("overwrite: 1\n", "give true or false"),
        ("- steps\n", "holds no settings"),
        ("steps: [\n", "cannot be read"),
        ("ledger: old.json\n", "unknown key 'ledger': it is called 'skip-log' now"),
        ("optimizer: adamw\n", "optimizer: adamw, which is a section: write optimizer: {FIELD: VALUE}"),
    ],
)
def test_wrong_files_are_one_sentence(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(UsageError, match=match) as caught:
        read_config_file(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_the_command_line_wins_in_either_form(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "data: d\noutput: o\nmodel: llama-tiny\nsteps: 50\nseed: 3\ntraining: {batch_ramp: 0:4, precision: bf16}\n",
    )
    request = make_options({"settings": ("training.steps=7", "training.seed=0")}, file)
    assert (request.steps, request.seed) == (None, None)
    assert request.settings[-2:] == ("training.steps=7", "training.seed=0")
    request = make_options({"tokens": 100, "batch_size": 2, "precision": "fp32"}, file)
    assert (request.steps, request.tokens, request.batch_size, request.settings) == (None, 100, 2, ())


@pytest.mark.parametrize(
    ("given", "setting", "match"),
    [
        ({"steps": 3}, "training.steps=7", "--steps and training.steps"),
        ({"tokens": 30}, "training.steps=7", "--tokens and training.steps"),
        ({"batch_size": 4}, "training.batch_size=2", "--batch-size and training.batch_size"),
        ({"seed": 0}, "training.seed=1", "--seed and training.seed"),
        ({"document_mask": True}, "training.document_mask=false", "--document-mask and training.document_mask"),
    ],
)
def test_what_is_said_twice_is_refused(given: dict[str, Any], setting: str, match: str) -> None:
    options = {"data": Path("d"), "output": Path("o"), "model": "llama-tiny", **given}
    with pytest.raises(UsageError, match=f"{match} say the same thing twice"):
        make_options({**options, "settings": (setting,)}, None)


def test_what_must_be_given(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--model and --output must be given"):
        make_options({"data": Path("d")}, None)
    with pytest.raises(UsageError, match="cannot be read"):
        make_options({}, tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("line", "match"), [("save-every: 0", "--save-every is 0: give at least 1"), ("device: tpu", "none of cpu, cuda")]
)
def test_values_of_a_file_are_checked_as_those_of_the_command_line(tmp_path: Path, line: str, match: str) -> None:
    path = write(tmp_path, f"data: d\noutput: o\nmodel: llama-tiny\n{line}\n")
    with pytest.raises(UsageError, match=match):
        make_options({}, path)


def test_units_and_types_of_a_file(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "data: d\noutput: o\nmodel: llama-tiny\ntokens: 10B\nbatch_size: 2Ki\nsave-minutes: 5\n"
        "optimizer: {lr: 3e-4, clip: 1}\nschedule.warmup: 2K\nspikes: {mode: ignore}\n",
    )
    made = make_options({}, path)
    assert (made.tokens, made.batch_size, made.save_minutes) == (10**10, 2048, 5.0)
    values = parse_settings(made.settings, SECTIONS)
    assert values["optimizer"] == {"lr": 3e-4, "clip": 1.0}
    assert type(values["optimizer"]["clip"]) is float
    assert values["schedule"] == {"warmup": 2000.0}
    assert values == parse_settings(
        ("optimizer.lr=3e-4", "optimizer.clip=1", "schedule.warmup=2K", "spikes.mode=ignore"), SECTIONS
    )


@pytest.mark.parametrize(
    ("setting", "match"),
    [
        (("optimizer.learning_rate", 1), "no setting 'optimizer.learning_rate': did you mean 'optimizer.lr'"),
        (("training.seed", True), "training.seed: True .*is not a whole number"),
        (("training.precision", 16), "training.precision: 16 .*give text"),
        (("training.precision", "bf61"), "none of fp32, tf32, bf16: did you mean 'bf16'"),
        (("training.compile", "yes please"), "give true or false"),
        (("optimizer.lr", float("nan")), "not finite"),
        ("training.steps=10MB", "unit of bytes"),
    ],
)
def test_values_of_settings_are_checked_as_they_are(setting: Setting, match: str) -> None:
    with pytest.raises(UsageError, match=match) as caught:
        parse_settings((setting,), SECTIONS)
    assert "\n" not in str(caught.value)


def test_the_command_line_takes_back_a_flag_of_a_file(tmp_path: Path) -> None:
    path = write(tmp_path, "data: d\noutput: o\nmodel: llama-tiny\ntraining.document_mask: true\n")
    made = make_options({"document_mask": False}, path)
    assert made.document_mask is False and made.settings == ()
