"""--init-from: models of transformers of every family, and of other runs; there and back through the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.trainer.packed import learnable_rows, write_packed
from trainer.cli import main
from trainer.run.directory import Run
from trainer.run.load import load_model

pytest.importorskip("transformers")
from tests.trainer.huggingface.families import SHAPES, named_layout, theirs  # needs transformers

STEPS = ("--steps", "1", "--batch-size", "2", "--threads", "1")


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def saved(directory: Path, name: str, **options: Any) -> Any:
    """Transformers' own save of a tiny model."""
    layout, model = theirs(name)
    if layout.model_type == "bloom":
        model.config.seq_length = SHAPES[name].sequence_length
    model.save_pretrained(directory, **options)
    return model


def weights(directory: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for file in directory.glob("*.safetensors"):
        found |= load_file(file)
    return found


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_packed(tmp_path_factory.mktemp("initial") / "packed", learnable_rows(12, 32, 200), 205)


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "bigcode-many-heads"])
def test_there_and_back_through_the_commands(name: str, packed: Path, tmp_path: Path) -> None:
    """The weights of step 0, exported, are the bytes that transformers had saved."""
    other = saved(tmp_path / "hf", name, max_shard_size="30kB")
    result = call("fit", "--data", packed, "--init-from", tmp_path / "hf", "--output", tmp_path / "run", *STEPS)
    assert result.exit_code == 0, result.output
    assert "begins      with the weights" in result.output and "differs     model." not in result.output
    model, _ = load_model(Run(tmp_path / "run"), print, 0)
    ids = torch.randint(200, (2, 30), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        torch.testing.assert_close(model.logits(ids), other(ids).logits, atol=1e-5, rtol=1e-5)
    back = ("--format", "hf", "--checkpoint", "0", "--output", tmp_path / "back")
    assert call("export", tmp_path / "run", *back).exit_code == 0
    before, after = weights(tmp_path / "hf"), weights(tmp_path / "back")
    assert set(before) == set(after)
    for key, tensor in before.items():
        assert tensor.numpy().tobytes() == after[key].numpy().tobytes(), key
    moved, _ = load_model(Run(tmp_path / "run"), print)
    assert not torch.equal(moved.embedding, model.embedding)


def test_bf16_comes_back_as_bf16(packed: Path, tmp_path: Path) -> None:
    saved(tmp_path / "hf", "llama")
    file = tmp_path / "hf" / "model.safetensors"
    save_file({key: tensor.bfloat16() for key, tensor in load_file(file).items()}, file, {"format": "pt"})
    result = call("fit", "--data", packed, "--init-from", tmp_path / "hf", "--output", tmp_path / "run", *STEPS)
    assert result.exit_code == 0, result.output
    back = ("--format", "hf", "--checkpoint", "0", "--dtype", "bf16", "--output", tmp_path / "back")
    assert call("export", tmp_path / "run", *back).exit_code == 0
    before, after = weights(tmp_path / "hf"), weights(tmp_path / "back")
    assert all(torch.equal(tensor.view(torch.int16), after[key].view(torch.int16)) for key, tensor in before.items())


def renamed(directory: Path, change: Any) -> None:
    """Write the one file of weights anew under the names that `change` gives; those it gives "" are left out."""
    file = directory / "model.safetensors"
    tensors = {change(key): tensor for key, tensor in load_file(file).items()}
    save_file({key: tensor for key, tensor in tensors.items() if key}, file, {"format": "pt"})


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("gpt3", lambda key: key.removeprefix("transformer.")),
        ("bloom", lambda key: key.removeprefix("transformer.")),
        ("opt", lambda key: key.removeprefix("model.")),
        ("neox", lambda key: key.replace("embed_out.", "lm_head.")),
    ],
)
def test_names_of_older_files(name: str, change: Any, packed: Path, tmp_path: Path) -> None:
    other = saved(tmp_path / "hf", name)
    renamed(tmp_path / "hf", change)
    tensors = load_file(tmp_path / "hf" / "model.safetensors")
    ignored = named_layout(name).ignored
    if ignored:  # buffers that such files hold
        tensors["h.0." + ignored[0]] = torch.ones(1, 1, 4, 4)
        save_file(tensors, tmp_path / "hf" / "model.safetensors", {"format": "pt"})
    result = call("fit", "--data", packed, "--init-from", tmp_path / "hf", "--output", tmp_path / "run", *STEPS)
    assert result.exit_code == 0, result.output
    model, _ = load_model(Run(tmp_path / "run"), print, 0)
    ids = torch.randint(200, (2, 30), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        torch.testing.assert_close(model.logits(ids), other(ids).logits, atol=1e-5, rtol=1e-5)


def test_what_is_missing_left_over_or_of_another_size_is_named(packed: Path, tmp_path: Path) -> None:
    saved(tmp_path / "hf", "llama")
    file = tmp_path / "hf" / "model.safetensors"
    tensors = load_file(file)
    tensors["model.norm.extra"] = tensors.pop("model.norm.weight")
    tensors["lm_head.weight"] = tensors["lm_head.weight"][:, :5].contiguous()
    save_file(tensors, file, {"format": "pt"})
    result = call("fit", "--data", packed, "--init-from", tmp_path / "hf", "--output", tmp_path / "run", *STEPS)
    assert result.exit_code == 1
    for said in (
        "it lacks model.norm.weight",
        "it has besides model.norm.extra",
        "it has of another size lm_head.weight [211, 5] for [211, 48]",
    ):
        assert said in result.output
    assert not (tmp_path / "run").exists()


def configured(directory: Path, changes: Mapping[str, Any]) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"architectures": ["BertForMaskedLM"], "model_type": "bert"},
            "is of a BertForMaskedLM, and the trainer reads LlamaForCausalLM",
        ),
        ({"hidden_act": "mish"}, "names the activation mish"),
        ({"num_hidden_layers": 3}, "it lacks model.layers.2."),
        ({"hidden_size": "48"}, "has hidden_size: '48', which is not a whole number of at least 1"),
        ({"num_hidden_layers": 2.0}, "has num_hidden_layers: 2.0, which is not a whole number"),
        ({"num_attention_heads": 0}, "has num_attention_heads: 0, which is not a whole number"),
        ({"vocab_size": None}, "does not say vocab_size"),
        ({"hidden_act": ["silu"]}, "has hidden_act: ['silu'], which is not a name"),
        ({"hidden_act": None}, "has hidden_act: None, which is not a name"),
        ({"rms_norm_eps": "1e-5"}, "has rms_norm_eps: '1e-5', which is not a number"),
        ({"tie_word_embeddings": "false"}, "has tie_word_embeddings: 'false', which is not true or false"),
        ({"rope_parameters": {"rope_type": "linear", "factor": None}}, "does not say factor"),
        ({"rope_parameters": {"rope_type": "linear", "factor": "2"}}, "has factor: '2', which is not a number"),
        ({"rope_parameters": "x"}, "has rope_parameters: 'x', which is not a table"),
        ({"architectures": 5, "model_type": "bert"}, "is of a 5, and the trainer reads"),
    ],
)
def test_a_configuration_that_is_not_known(changes: dict[str, Any], said: str, packed: Path, tmp_path: Path) -> None:
    saved(tmp_path / "hf", "llama")
    configured(tmp_path / "hf", changes)
    result = call("fit", "--data", packed, "--init-from", tmp_path / "hf", "--output", tmp_path / "run", *STEPS)
    assert result.exit_code == 1 and said in result.output, result.output


def test_directories_that_are_none(packed: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    old = tmp_path / "old"
    saved(old, "llama")
    (old / "model.safetensors").rename(old / "pytorch_model.bin")
    torn = tmp_path / "torn"
    saved(torn, "llama")
    (torn / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    for directory, code, said in (
        (tmp_path / "none", 2, "is no directory"),
        (empty, 2, "has no config.json"),
        (old, 1, "only pytorch_model.bin: save it anew"),
        (torn, 1, "cannot be read"),
    ):
        result = call("fit", "--data", packed, "--init-from", directory, "--output", tmp_path / "run", *STEPS)
        assert result.exit_code == code and said in result.output, result.output
    result = call("fit", "--data", packed, "--model", "checkpoint", "--output", tmp_path / "run", *STEPS)
    assert result.exit_code == 2 and "is that of --init-from DIR" in result.output


def test_a_run_begins_with_the_weights_of_another(packed: Path, tmp_path: Path) -> None:
    first = ("--model", "llama-tiny", "--set", "model.layers=2", "--set", "model.d_model=32", "--steps", "2")
    some = ("--batch-size", "2", "--threads", "1")
    assert call("fit", "--data", packed, *first, *some, "--output", tmp_path / "a").exit_code == 0
    for source, step in ((f"{tmp_path / 'a'}", 2), (f"{tmp_path / 'a'}@0", 0)):
        output = tmp_path / f"b{step}"
        result = call("fit", "--data", packed, "--init-from", source, "--output", output, *STEPS)
        assert result.exit_code == 0, result.output
        begun, done = load_model(Run(output), print, 0)[0], load_model(Run(tmp_path / "a"), print, step)[0]
        assert all(torch.equal(a, b) for a, b in zip(begun.parameters(), done.parameters(), strict=True))
    assert Run(tmp_path / "b0").config().initial != Run(tmp_path / "b2").config().initial
    result = call("fit", "--data", packed, "--init-from", f"{tmp_path / 'a'}@1", "--output", tmp_path / "c", *STEPS)
    assert result.exit_code == 2 and "no valid checkpoint of step 1: give one of 0, 2" in result.output


def test_the_same_command_goes_on_and_another_source_does_not(packed: Path, tmp_path: Path) -> None:
    saved(tmp_path / "hf", "llama")
    saved(tmp_path / "other", "gpt3")
    output = tmp_path / "run"
    usual = ("--data", packed, "--output", output, "--batch-size", "2", "--threads", "1")
    assert call("fit", *usual, "--init-from", tmp_path / "hf", "--steps", "1").exit_code == 0
    result = call("fit", *usual, "--init-from", tmp_path / "other", "--steps", "2")
    assert result.exit_code == 2 and "did not begin with the weights" in result.output
    result = call("fit", *usual, "--init-from", tmp_path / "hf", "--steps", "2")
    assert result.exit_code == 0 and "goes on from step 1" in result.output, result.output
    result = call("fit", *usual, "--steps", "2")  # neither weights nor model need be named again
    assert result.exit_code == 0 and "is finished" in result.output, result.output
    (tmp_path / "hf").rename(tmp_path / "moved")  # a run has its weights
    result = call("fit", *usual, "--init-from", tmp_path / "hf", "--steps", "3")
    assert result.exit_code == 0 and "goes on from step 2" in result.output, result.output
    straight = tmp_path / "straight"
    again = ("--data", packed, "--output", straight, "--batch-size", "2", "--threads", "1")
    for steps in ("1", "2", "3"):
        assert call("fit", *again, "--init-from", tmp_path / "moved", "--steps", steps).exit_code == 0
    one, two = load_model(Run(output), print)[0], load_model(Run(straight), print)[0]
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_a_run_without_a_checkpoint_needs_its_weights(packed: Path, tmp_path: Path) -> None:
    saved(tmp_path / "hf", "llama")
    output = tmp_path / "run"
    usual = ("--data", packed, "--output", output, "--init-from", tmp_path / "hf", *STEPS)
    assert call("fit", *usual).exit_code == 0
    shutil.rmtree(output / "checkpoints")  # as a kill before the first save leaves it
    (output / "metrics.jsonl").unlink()
    (tmp_path / "hf").rename(tmp_path / "moved")
    result = call("fit", *usual)
    assert result.exit_code == 1 and "weights of its --init-from are not there: put them back" in result.output
    (tmp_path / "moved").rename(tmp_path / "hf")
    assert call("fit", *usual).exit_code == 0


def test_further_ids_begin_as_the_mean(packed: Path, tmp_path: Path) -> None:
    other = saved(tmp_path / "hf", "llama")
    usual = ("--data", packed, "--init-from", tmp_path / "hf", *STEPS)
    result = call("fit", *usual, "--output", tmp_path / "run", "--set", "model.vocabulary=256")
    assert result.exit_code == 0, result.output
    model, _ = load_model(Run(tmp_path / "run"), print, 0)
    assert model.head is not None
    for ours, rows in ((model.embedding, other.model.embed_tokens.weight), (model.head, other.lm_head.weight)):
        assert torch.equal(ours[:211], rows)
        torch.testing.assert_close(ours[211:], rows.mean(0, keepdim=True).expand(45, -1))
    wide = write_packed(tmp_path / "wide", learnable_rows(12, 32, 200), 230)
    result = call("fit", "--data", wide, "--init-from", tmp_path / "hf", "--output", tmp_path / "wider", *STEPS)
    assert result.exit_code == 2 and "--set model.vocabulary=256" in result.output, result.output


def test_settings_that_need_other_weights_are_refused(packed: Path, tmp_path: Path) -> None:
    saved(tmp_path / "hf", "gpt3")
    usual = ("--data", packed, "--init-from", tmp_path / "hf", *STEPS)
    for setting in ("model.layers=1", "model.norm=rms", "model.sequence_length=64", "model.vocabulary=64"):
        result = call("fit", *usual, "--output", tmp_path / "run", "--set", setting)
        assert result.exit_code == 2 and f"has no weights for {setting}" in result.output, result.output
    result = call("fit", *usual, "--output", tmp_path / "run", "--set", "model.norm_epsilon=1e-3")
    assert result.exit_code == 0, result.output
    long = write_packed(tmp_path / "long", learnable_rows(12, 48, 200), 205)
    result = call("fit", "--data", long, "--init-from", tmp_path / "hf", "--output", tmp_path / "longer", *STEPS)
    assert result.exit_code == 2 and "mix with --sequence-length 40" in result.output


def test_another_tokenizer_is_noted_and_a_recipe_can_be_named(packed: Path, tmp_path: Path) -> None:
    saved(tmp_path / "hf", "llama")
    (tmp_path / "hf" / "tokenizer.json").write_text("{}")
    usual = ("--data", packed, "--init-from", tmp_path / "hf", *STEPS)
    result = call("fit", *usual, "--output", tmp_path / "run", "--model", "llama-125m")
    assert result.exit_code == 0 and "is not the file that the packed set was made with" in result.output
    assert Run(tmp_path / "run").config().optimizer.lr == 6e-4
    assert Run(tmp_path / "run").config().model.d_model == 48


def damaged_newest(run: Path) -> None:
    newest = max((run / "checkpoints").iterdir(), key=lambda path: path.name)
    largest = max((path for path in newest.iterdir() if path.is_file()), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-1] + b"\0\0")


def test_the_source_is_never_the_output(packed: Path, tmp_path: Path) -> None:
    saved(tmp_path / "hf", "llama")
    (tmp_path / "hf" / "tokenizer.json").write_text("{}")
    before = {path.name: path.read_bytes() for path in (tmp_path / "hf").iterdir()}
    (tmp_path / "link").symlink_to(tmp_path / "hf")
    for more, said in (
        (("--init-from", tmp_path / "link"), "is the directory of --output itself: give another --output"),
        (("--model", "llama-tiny"), "config.json is not of a run: give another --output"),
    ):
        result = call("fit", "--data", packed, *more, "--output", tmp_path / "hf", "--overwrite", *STEPS)
        assert result.exit_code == 2 and said in result.output, result.output
    after = {path.name: path.read_bytes() for path in (tmp_path / "hf").iterdir()}
    assert after.items() >= before.items()


def test_a_damaged_newest_checkpoint_is_not_passed_over(packed: Path, tmp_path: Path) -> None:
    first = ("--model", "llama-tiny", "--set", "model.layers=1", "--set", "model.d_model=32")
    assert call("fit", "--data", packed, *first, *STEPS, "--output", tmp_path / "a").exit_code == 0
    damaged_newest(tmp_path / "a")
    usual = ("fit", "--data", packed, *STEPS, "--output", tmp_path / "b")
    result = call(*usual, "--init-from", tmp_path / "a")
    assert result.exit_code == 1 and f"give --init-from {tmp_path / 'a'}@0 for the one before" in result.output
    assert not (tmp_path / "b").exists()
    assert call(*usual, "--init-from", f"{tmp_path / 'a'}@0").exit_code == 0


def test_an_index_that_is_no_table_and_a_step_of_a_directory(packed: Path, tmp_path: Path) -> None:
    saved(tmp_path / "hf", "llama")
    usual = ("fit", "--data", packed, *STEPS, "--output", tmp_path / "run", "--init-from")
    result = call(*usual, f"{tmp_path / 'hf'}@5")
    assert result.exit_code == 2 and "is of transformers and has no steps: leave @5 out" in result.output
    (tmp_path / "hf" / "model.safetensors").rename(tmp_path / "hf" / "part.safetensors")
    (tmp_path / "hf" / "model.safetensors.index.json").write_text('{"weight_map": ["a"]}')
    result = call(*usual, tmp_path / "hf")
    assert result.exit_code == 1 and "has a weight_map that is no table" in result.output
    (tmp_path / "foreign").mkdir()
    for text in ("{}", "{"):
        (tmp_path / "foreign" / "config.json").write_text(text)
        result = call(*usual, tmp_path / "foreign")
        assert result.exit_code == 2 and "is neither of transformers nor of a run" in result.output


def test_a_stray_file_does_not_replace_the_weights(packed: Path, tmp_path: Path) -> None:
    other = saved(tmp_path / "hf", "llama")
    file = tmp_path / "hf" / "model.safetensors"
    stray = {key: torch.zeros_like(tensor) for key, tensor in load_file(file).items()}
    save_file(stray, tmp_path / "hf" / "z.safetensors", {"format": "pt"})
    usual = ("fit", "--data", packed, *STEPS, "--init-from", tmp_path / "hf", "--output")
    assert call(*usual, tmp_path / "run").exit_code == 0
    begun, _ = load_model(Run(tmp_path / "run"), print, 0)
    assert torch.equal(begun.embedding, other.model.embed_tokens.weight)
    file.rename(tmp_path / "hf" / "a.safetensors")
    result = call(*usual, tmp_path / "other")
    assert result.exit_code == 1 and "z.safetensors both hold lm_head.weight" in result.output, result.output
