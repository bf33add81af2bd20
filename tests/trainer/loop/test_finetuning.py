"""Fine-tuning from end to end: weights to begin with, answers alone, adapters, soft prompts, presets."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from corpus.errors import DataError, UsageError
from tests.trainer.packed import learnable_rows, write_packed
from trainer.config.finetuning import PRESETS
from trainer.config.options import FitOptions, make_options
from trainer.data import targets
from trainer.data.targets import Inputs, read_inputs
from trainer.data.validation_sets import PackedRows
from trainer.export.run import export_run
from trainer.loop import step
from trainer.loop.loop import fit
from trainer.loop.state import TrainingState
from trainer.run.directory import Run
from trainer.run.initial import InitialWeights
from trainer.run.kept import KeptWeights
from trainer.run.load import load_model
from trainer.run.metrics import MetricsLog

VOCABULARY, LENGTH = 64, 12
TINY = ("model.layers=2", "model.d_model=32", "model.heads=2", "model.n_kv_heads=2", "model.head_size=16")
LORA = ("finetuning.method=lora", "finetuning.rank=4", "finetuning.targets=all", "optimizer.lr=1e-2")
PROMPT = ("finetuning.method=prompt", "finetuning.prompt_tokens=4", "optimizer.lr=1e-2")


def quiet(text: str) -> None:
    """Swallow what the run says."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four steps to begin with, whose model takes 16 tokens."""
    folder = tmp_path_factory.mktemp("base")
    packed = write_packed(folder / "packed", learnable_rows(40, 16, VOCABULARY), VOCABULARY)
    fit(
        FitOptions(
            data=packed, model="llama-tiny", output=folder / "run", steps=4, batch_size=4, settings=TINY, threads=1
        ),
        quiet,
    )
    return folder / "run"


@pytest.fixture
def ask(tmp_path: Path, base: Path) -> FitOptions:
    """Conversations: of each row the last half is trained on."""
    packed = conversations(tmp_path / "chat")
    return FitOptions(
        data=packed,
        model="checkpoint",
        init_from=str(base),
        output=tmp_path / "run",
        steps=8,
        batch_size=4,
        save_every=3,
        threads=1,
    )


def conversations(path: Path, prompts: int = 0) -> Path:
    """Rows of which the last half is trained on; `prompts` is added to every other token."""
    tokens = learnable_rows(80, LENGTH, VOCABULARY, seed=5)
    trained = np.zeros(tokens.shape, bool)
    trained[:, LENGTH // 2 :] = True
    return write_packed(path, np.where(trained, tokens, (tokens + prompts) % VOCABULARY), VOCABULARY, trained=trained)


def weights(run: Path, step: int) -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoints" / f"step-{step:06d}" / "model.safetensors")


def losses(run: Path) -> list[float]:
    return [record["loss"] for record in MetricsLog(run / "metrics.jsonl").records() if record["kind"] == "train"]


def test_a_run_begins_with_the_weights_of_another_and_a_new_optimizer(ask: FitOptions, base: Path) -> None:
    fit(replace(ask, keep=0), quiet)
    first, source = weights(ask.output, 0), weights(base, 4)
    assert first.keys() == source.keys() and all(torch.equal(first[name], source[name]) for name in first)
    assert not (ask.output / "base.safetensors").exists(), "its checkpoints have all"
    config = Run(ask.output).config()
    assert config.model.sequence_length == 16 and config.initial
    other = replace(ask, output=ask.output.parent / "other", init_from=f"{base}@0", keep=0)
    fit(other, quiet)
    assert all(torch.equal(weights(other.output, 0)[name], weights(base, 0)[name]) for name in first)


def test_what_is_not_trained_on_has_no_gradient(
    ask: FitOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With other labels for all tokens of the prompts the loss and every gradient are the same to the bit."""
    data = PackedRows(ask.data)
    rows = targets.target_mask(data, slice(0, 4))
    assert rows is not None and rows.sum() == 4 * (LENGTH // 2 + 1)
    fit(replace(ask, steps=1, keep=0), quiet)
    found = []
    for prompts in (0, 3):
        other = PackedRows(conversations(tmp_path / f"other-{prompts}", prompts))

        def relabelled(data: PackedRows, *arguments: Any, labels: PackedRows = other, **options: Any) -> Inputs:
            targets_BT = read_inputs(labels, *arguments, **options).targets_BT
            return replace(read_inputs(data, *arguments, **options), targets_BT=targets_BT)

        monkeypatch.setattr(targets, "read_inputs", relabelled)
        state = TrainingState(Run(ask.output).history(), initial=InitialWeights.find(f"{ask.output}@0"))
        loss = step.measure(state, data).loss
        found.append((loss, {name: weight.grad for name, weight in state.named.items()}))
    assert found[0][0] == found[1][0]
    for name, gradient in found[0][1].items():
        other_gradient = found[1][1][name]
        assert gradient is not None and other_gradient is not None and torch.equal(gradient, other_gradient), name


@pytest.mark.parametrize("method", [LORA, PROMPT], ids=["lora", "prompt"])
def test_a_resume_of_adapters_is_the_same_to_the_bit(ask: FitOptions, method: tuple[str, ...]) -> None:
    options = replace(ask, settings=method, keep=0)
    fit(options, quiet)
    checkpoints = ask.output / "checkpoints"
    whole = {path.name: path.read_bytes() for path in (checkpoints / "step-000008").iterdir()}
    for number in (6, 8):
        shutil.rmtree(checkpoints / f"step-{number:06d}")
    fit(options, quiet)
    assert {path.name: path.read_bytes() for path in (checkpoints / "step-000008").iterdir()} == whole


@pytest.mark.parametrize("method", [LORA, PROMPT], ids=["lora", "prompt"])
def test_checkpoints_hold_what_is_trained_and_the_model_is_whole(
    ask: FitOptions, base: Path, method: tuple[str, ...]
) -> None:
    fit(replace(ask, settings=method), quiet)
    held = weights(ask.output, 8)
    assert all("lora" in name or name == "soft_prompt" for name in held)
    model, number = load_model(Run(ask.output), quiet)
    tokens = torch.from_numpy(PackedRows(ask.data)[0:3].astype(np.int64))[:, :-1]
    run = Run(ask.output)
    state = TrainingState(run.history(), initial=KeptWeights.open(run, run.config()))
    with torch.no_grad():
        for name, parameter in state.named.items():
            parameter.copy_(held[name])
        torch.testing.assert_close(model.logits(tokens), state.model.logits(tokens), rtol=1e-5, atol=1e-6)
    assert number == 8
    with pytest.raises(UsageError, match="which a run cannot change"):
        fit(replace(ask, settings=(*method[:1], "finetuning.rank=3", "finetuning.prompt_tokens=3", *method[3:])), quiet)


@pytest.mark.parametrize("method", [LORA, PROMPT], ids=["lora", "prompt"])
def test_what_is_added_learns_a_task(ask: FitOptions, tmp_path: Path, method: tuple[str, ...]) -> None:
    """To answer with one and the same token."""
    tokens = learnable_rows(80, LENGTH, VOCABULARY, seed=5)
    trained = np.zeros(tokens.shape, bool)
    trained[:, LENGTH // 2 :] = True
    data = write_packed(tmp_path / "task", np.where(trained, 9, tokens), VOCABULARY, trained=trained)
    settings = (*method[:-1], "optimizer.lr=0.1", "schedule.warmup=2")
    fit(replace(ask, data=data, settings=settings, steps=18), quiet)
    found = losses(ask.output)
    # a new model does little with what stands far before
    assert np.mean(found[-4:]) < found[0] - (0.1 if method is PROMPT else 0.5)


def test_a_fork_and_a_new_base_of_adapters(ask: FitOptions) -> None:
    fit(replace(ask, settings=LORA, keep=0), quiet)
    fork = replace(ask, init_from=None, source=f"{ask.output}@6", output=ask.output.parent / "fork")
    fit(fork, quiet)
    assert all(torch.equal(weights(fork.output, 8)[k], v) for k, v in weights(ask.output, 8).items())
    merged = replace(ask, init_from=str(ask.output), output=ask.output.parent / "merged", keep=0)
    fit(merged, quiet)
    model, _ = load_model(Run(ask.output), quiet)
    assert all(torch.equal(weights(merged.output, 0)[k], v) for k, v in model.state_dict().items())


def test_a_damaged_base_is_named(ask: FitOptions) -> None:
    fit(replace(ask, settings=LORA, steps=3), quiet)
    file = ask.output / "base.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(DataError, match=r"base\.safetensors.* is damaged"):
        fit(replace(ask, settings=LORA), quiet)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"init_from": None, "model": "llama-tiny", "settings": LORA}, "give that as --init-from"),
        ({"settings": ("finetuning.method=prompt", "finetuning.prompt_tokens=5")}, "--sequence-length 11"),
        ({"settings": ("finetuning.method=lora", "finetuning.targets=querry")}, "did you mean 'query'"),
    ],
)
def test_what_does_not_fit_is_said(ask: FitOptions, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fit(replace(ask, **changes), quiet)
    assert not (ask.output / "config.json").exists()


def test_a_soft_prompt_is_no_model_to_begin_with(ask: FitOptions) -> None:
    fit(replace(ask, settings=PROMPT, steps=1), quiet)
    with pytest.raises(UsageError, match="which is no weights to begin with"):
        fit(replace(ask, init_from=str(ask.output), output=ask.output.parent / "next"), quiet)


def test_a_preset_gives_way_to_what_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "fit.yaml"
    file.write_text("optimizer: {lr: 1e-3}\npreset: alpaca\n")
    given = {"data": tmp_path, "output": tmp_path, "init_from": "r"}
    options = make_options({**given, "settings": ("schedule.warmup=5",), "batch_size": 9}, file)
    said = dict(s if isinstance(s, tuple) else s.split("=") for s in options.settings)
    assert said["optimizer.lr"] == "1e-3" and said["schedule.warmup"] == "5" and said["optimizer.weight_decay"] == 0.0
    assert "training.batch_size" not in said and options.batch_size == 9
    assert dict(make_options({**given, "preset": "alpaca"}, None).settings) == PRESETS["alpaca"]


def test_a_preset_is_in_the_run(ask: FitOptions) -> None:
    options = make_options(
        {"data": ask.data, "output": ask.output, "init_from": ask.init_from, "preset": "alpaca-lora", "batch_size": 4,
         "steps": 3, "threads": 1}, None
    )  # fmt: skip
    fit(options, quiet)
    config = Run(ask.output).config()
    assert (config.finetuning.method, config.finetuning.rank, config.optimizer.lr) == ("lora", 8, 3e-4)
    fit(replace(options, steps=4), quiet)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_peft_computes_the_same(ask: FitOptions, base: Path, tmp_path: Path) -> None:
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    tokens = torch.from_numpy(PackedRows(ask.data)[0:3].astype(np.int64))[:, :-1]
    export_run(base, "hf", tmp_path / "hf", quiet)
    for method in (LORA, PROMPT):
        run = tmp_path / method[0].rpartition("=")[2]
        fit(replace(ask, settings=method, output=run), quiet)
        export_run(run, "peft", tmp_path / f"{run.name}-peft", quiet)
        theirs = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "hf", dtype=torch.float32)
        theirs = peft.PeftModel.from_pretrained(theirs, tmp_path / f"{run.name}-peft").eval()
        ours, _ = load_model(Run(run), quiet)
        with torch.no_grad():
            logits = theirs(tokens).logits[:, -LENGTH:]
            torch.testing.assert_close(ours.logits(tokens), logits, rtol=1e-4, atol=1e-5)
    with pytest.raises(UsageError, match="has no adapters"):
        export_run(base, "peft", tmp_path / "none", quiet)
    with pytest.raises(UsageError, match="--format peft"):
        export_run(tmp_path / "prompt", "hf", tmp_path / "none", quiet)
    export_run(tmp_path / "lora", "hf", tmp_path / "merged", quiet)
    merged = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32).eval()
    ours, _ = load_model(Run(tmp_path / "lora"), quiet)
    with torch.no_grad():
        torch.testing.assert_close(ours.logits(tokens), merged(tokens).logits, rtol=1e-4, atol=1e-5)
    assert json.loads((tmp_path / "lora-peft/adapter_config.json").read_text())["r"] == 4
