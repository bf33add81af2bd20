"""The `trainer` command: what it imports, its exit codes, generation and evaluation."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import torch
from click.testing import CliRunner, Result

from corpus.errors import UsageError
from tests.trainer.packed import EOD, learnable_rows, write_packed
from trainer.cli import main
from trainer.config.gpus import peak_flops
from trainer.config.hardware import Utilisation
from trainer.data.text import TextCodec, token_bytes
from trainer.data.validation_sets import PackedRows
from trainer.distributed.ranks import Ranks
from trainer.evaluation.perplexity import Validation, evaluate
from trainer.models.initialisation import initialise
from trainer.models.model import LanguageModel
from trainer.models.shape import ModelShape
from trainer.run.decoding import choose, continue_ids
from trainer.run.sampling import SamplingConfig

TINY = ["--set", "model.layers=1", "--set", "model.d_model=32", "--batch-size", "4", "--threads", "1"]
WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "and",
    "the",
    "dog",
    "ran",
    "to",
    "the",
    "red",
    "house",
    "by",
    "the",
    "sea",
    "while",
    "birds",
    "sang",
    "old",
    "songs",
]


@pytest.mark.parametrize("arguments", [["--help"], ["fit", "--help"], ["generate", "--help"], ["eval", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from trainer.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'pyarrow', 'numba', 'pydantic', 'numpy'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, stdout=subprocess.DEVNULL)


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def fit(data: Path, run: Path, *more: str) -> Result:
    return call("fit", "--data", data, "--model", "llama-tiny", "--output", run, "--steps", "2", *TINY, *more)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packed set that carries a real tokenizer."""
    directory = tmp_path_factory.mktemp("cli")
    text = directory / "text.txt"
    text.write_text("".join(" ".join(WORDS[i:] + WORDS[:i]) + "\n" for i in range(len(WORDS))) * 5)
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(directory / "t"), vocab_size=60, model_type="bpe", minloglevel=2
    )
    return write_packed(directory / "packed", learnable_rows(40, 16, 60), 60, tokenizer_model=directory / "t.model")


def test_fit_generate_eval(packed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = fit(packed, run)
    assert result.exit_code == 0, result.output
    assert "first text" in result.output
    assert "in the first step" in result.output
    assert (run / "tokenizer.model").read_bytes() == (packed / "_tokenizer" / "tokenizer.model").read_bytes()

    wanted = ("generate", run, "--prompt", "the cat", "--max-tokens", "30", "--temperature", "0")
    greedy = call(*wanted)
    assert greedy.exit_code == 0, greedy.output
    assert greedy.output.startswith("the cat")
    assert greedy.output == call(*wanted).output
    sample = ["generate", run, "--temperature", "1.5", "--top-k", "20", "--top-p", "0.9", "--seed"]
    assert call(*sample, "1").output == call(*sample, "1").output
    assert call(*sample, "1").output != call(*sample, "2").output

    result = call("eval", run, "--validation", packed)
    assert result.exit_code == 0, result.output
    assert "all tokens" in result.output
    value = json.loads(call("eval", run, "--validation", packed, "--json").stdout)
    assert value["step"] == 2 and f"loss {value['all_tokens']['loss']:.4f}" in result.output
    assert json.loads(call(*wanted, "--json").stdout) == {
        "run": str(run),
        "prompt": "the cat",
        "text": greedy.output.removesuffix("\n"),
    }
    assert fit(packed, tmp_path / "quiet", "--quiet").output == ""


def test_generate_many_prompts_and_answers(packed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert fit(packed, run).exit_code == 0
    few = ("generate", run, "--max-tokens", "8", "--json")
    alone = [json.loads(call(*few, "--prompt", text, "--temperature", "0").stdout)["text"] for text in ("the cat", "a")]
    file = tmp_path / "prompts.txt"
    file.write_text('the cat\n\n"a"\n')
    together = json.loads(call(*few, "--prompts", file, "--temperature", "0").stdout)["texts"]
    assert together == [{"prompt": prompt, "text": text} for prompt, text in zip(("the cat", "a"), alone, strict=True)]
    cut = json.loads(call(*few, "--prompt", "the cat", "--temperature", "0", "--stop", alone[0][8:10]).stdout)
    assert cut["text"] == alone[0][: alone[0].index(alone[0][8:10], len("the cat"))]
    answer = call(
        "generate", run, "--prompt", "the cat", "--template", "alpaca", "--max-tokens", "8", "--temperature", "0"
    )
    value = json.loads(call(*few, "--prompt", "the cat", "--template", "alpaca", "--temperature", "0").stdout)
    assert answer.output.removesuffix("\n") == value["text"] and "Instruction" not in value["text"]
    errors(call("generate", run, "--template", "alpacca"), 2, "did you mean 'alpaca'")
    errors(call("generate", run, "--system", "x"), 2, "give --template")
    errors(call("generate", run, "--prompts", tmp_path / "none"), 2, "cannot be read")


def errors(result: Result, code: int, text: str) -> None:
    assert result.exit_code == code, result.output
    sentence = result.output.strip().splitlines()[-1]
    assert sentence.startswith("Error: ")
    assert text in sentence
    assert "Traceback" not in result.output


def test_a_damaged_newest_checkpoint_is_named_and_another_one_asked_for(packed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    options = [*TINY, "--steps", "4", "--save-every", "2", "--keep", "3"]
    done = call("fit", "--data", packed, "--model", "llama-tiny", "--output", run, *options)
    assert done.exit_code == 0, done.output
    whole = call("generate", run, "--max-tokens", "4", "--checkpoint", "2")
    assert whole.exit_code == 0 and "whose newest checkpoint is of step 4" in whole.output
    file = run / "checkpoints/step-000004/model.safetensors"
    data = bytearray(file.read_bytes())
    data[-3] ^= 4
    file.write_bytes(data)
    for command in (
        ["generate", run],
        ["eval", run, "--validation", packed],
        ["export", run, "--format", "hf", "--output", tmp_path / "hf"],
    ):
        refused = call(*command)
        assert refused.exit_code == 1, refused.output
        assert "step-000004 is damaged (model.safetensors was changed" in refused.output
        assert "give --checkpoint 2 for the one before it" in refused.output
    assert not (tmp_path / "hf").exists()
    again = call("generate", run, "--max-tokens", "4", "--checkpoint", "2")
    assert again.output == whole.output
    assert "at step 2" in call("eval", run, "--validation", packed, "--checkpoint", "2").output
    wrong = call("eval", run, "--validation", packed, "--checkpoint", "3")
    assert wrong.exit_code == 2 and "no valid checkpoint of step 3: give one of 0, 2, 4" in wrong.output


def test_exit_codes_and_sentences(packed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    errors(fit(tmp_path / "nowhere", run), 1, "does not exist")
    errors(fit(packed, run, "--set", "optimizer.rate=1"), 2, "there is no setting 'optimizer.rate'")
    errors(fit(packed, run, "--set", "model.width=32"), 2, "'model.width': it is called 'model.d_model' now")
    errors(fit(packed, run, "--ledger", "x.json"), 2, "--ledger is called --skip-log now")
    errors(call("fit", "--data", packed, "--model", "lama-tiny", "--output", run), 2, "did you mean 'llama-tiny'?")
    errors(fit(packed, run, "--tokens", "10"), 2, "give one of them")
    errors(call("generate", tmp_path / "nowhere"), 2, "is not a run")
    errors(call("eval", tmp_path / "nowhere", "--validation", packed), 2, "is not a run")
    assert not run.exists()
    blocked = tmp_path / "file"
    blocked.write_text("")
    errors(fit(packed, blocked / "run"), 1, "cannot be written")
    cut = write_packed(tmp_path / "cut", learnable_rows(40, 16, 60), 60)
    shard = cut / "00000.arrow"
    shard.write_bytes(shard.read_bytes()[:500])
    errors(fit(cut, run), 1, "00000.arrow is damaged (it has 500 bytes")
    other = write_packed(tmp_path / "other", learnable_rows(40, 16, 60), 60, tokenizer="other")
    assert fit(packed, run).exit_code == 0
    errors(call("eval", run, "--validation", other), 2, "another tokenizer")


def test_a_run_without_tokenizer_says_so(tmp_path: Path) -> None:
    bare = write_packed(tmp_path / "bare", learnable_rows(40, 16, 60), 60)
    assert fit(bare, tmp_path / "run").exit_code == 0
    errors(call("generate", tmp_path / "run", "--prompt", "x"), 1, "tokenizer.model is missing")


def test_choosing_a_token() -> None:
    logits = torch.log(torch.tensor([0.1, 0.5, 0.15, 0.25]))
    generator = torch.Generator().manual_seed(0)

    def seen(**settings: float) -> set[int]:
        sampling = SamplingConfig(**({"temperature": 1.0, "top_p": 1.0} | settings))  # type: ignore[arg-type]
        return {choose(logits, sampling, generator) for _ in range(300)}

    assert seen(temperature=0.0) == {1}
    assert seen() == {0, 1, 2, 3}
    assert seen(top_k=2) == {1, 3}
    assert seen(top_p=0.5) == {1}
    assert seen(top_p=0.6) == {1, 3}
    assert seen(top_p=0.95) == {0, 1, 2, 3}
    with pytest.raises(UsageError, match="top-p"):
        SamplingConfig(top_p=0.0)


def slow_greedy(model: LanguageModel, prompt: Sequence[int], number: int) -> list[int]:
    ids = list(prompt)
    for _ in range(number):
        ids.append(int(model.logits(torch.tensor([ids]))[0, -1].argmax()))
    return ids[len(prompt) :]


def test_generation_equals_recomputing_everything() -> None:
    shape = ModelShape(2, 32, 4, 2, 8, 64, 90, 24)
    model = LanguageModel(shape)
    initialise(model, 3)
    with torch.no_grad():  # away from uniform, so that there is a clear best token
        model.output_VD.mul_(30)
        prompt = [5, 6, 7, 8]
        wanted = slow_greedy(model, prompt, 20)
        assert continue_ids(model, prompt, SamplingConfig(temperature=0.0, max_tokens=20), stop=-1) == wanted
        # an end token ends it and is not part of it
        assert (
            continue_ids(model, prompt, SamplingConfig(temperature=0.0, max_tokens=20), stop=wanted[4])
            == wanted[: wanted.index(wanted[4])]
        )
        # beyond the sequence length, and with a prompt longer than it, it goes on
        assert len(continue_ids(model, prompt, SamplingConfig(temperature=0.0, max_tokens=60), stop=-1)) == 60
        assert len(continue_ids(model, [EOD] * 40, SamplingConfig(temperature=0.0, max_tokens=5), stop=-1)) == 5


def test_bits_per_byte_and_a_config_file(packed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    config = tmp_path / "fit.yaml"
    config.write_text(
        f"data: {packed}\noutput: {run}\nmodel: {{name: llama-tiny, layers: 1, d_model: 32}}\nsteps: 9\n"
        f"batch-size: 4\nthreads: 1\nvalidation: {packed}\n"
    )
    result = call("fit", "--config", config, "--steps", "2")
    assert result.exit_code == 0, result.output
    assert "differs     model.d_model = 32 (preset: 128)" in result.output
    assert "steps       2 of 4 sequences" in result.output
    [record] = [
        record for record in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()) if "domains" in record
    ]
    # no document begins in these targets: their bytes, by decoding them token for token
    model = sentencepiece.SentencePieceProcessor(model_file=str(run / "tokenizer.model"))
    pieces = [model.id_to_piece(int(token)) for token in learnable_rows(40, 16, 60)[:, 1:].ravel() if token > 2]
    size = sum(len(piece.replace("▁", " ").encode()) for piece in pieces)
    tokens = 40 * 16
    assert record["bits_per_byte"] == pytest.approx(record["loss"] * tokens / math.log(2) / size, rel=1e-9)
    assert f"bits/byte {record['bits_per_byte']:.4f}" in call("eval", run, "--validation", packed).output
    errors(call("fit", "--config", config, "--steps", "x"), 2, "Invalid value for '--steps'")
    config.write_text("modle: llama-tiny\n")
    errors(call("fit", "--config", config), 2, "did you mean 'model'?")
    errors(call("fit", "--data", packed), 2, "--model and --output must be given")


def test_token_bytes_add_up_to_the_text(packed: Path) -> None:
    path = packed / "_tokenizer" / "tokenizer.model"
    codec = TextCodec(path)
    sizes = token_bytes(path, 80)
    text = "the cat sat by the red house"
    ids = codec.encode(text)
    assert sizes[0, ids].sum() == len(text.encode()) + 1  # SentencePiece puts a blank in front
    assert sizes[1, ids[0]] + sizes[0, ids[1:]].sum() == len(text.encode())
    assert sizes[:, 60:].sum() == 0
    assert sizes[:, EOD].sum() == 0


def test_bits_per_byte_counts_the_bytes_of_the_documents(packed: Path, tmp_path: Path) -> None:
    path = packed / "_tokenizer" / "tokenizer.model"
    codec = TextCodec(path)
    texts = ["the cat", "sat by the red house", "old songs"]
    parts = [[*codec.encode(text), EOD] for text in texts]
    row = [EOD, *(number for part in parts for number in part)]
    # the first segment goes on with a document of the row before, whose end it holds
    spans = [[(7, 1), *((0, len(part)) for part in parts)]]
    rows = PackedRows(write_packed(tmp_path / "p", np.array([row]), 60, segments=spans))
    asked = Validation({"p": rows}, 1, token_bytes=token_bytes(path, 64))
    scores = evaluate(lambda tokens, targets, mask: torch.ones(targets.shape), asked, Ranks())
    assert scores is not None
    assert scores["web"].bytes == sum(len(text.encode()) for text in texts)
    assert scores["web"].tokens == len(row) - 1


def test_help_says_where_the_settings_are(packed: Path) -> None:
    assert "…" not in call("--help").output
    assert "..." not in call("--help").output.partition("Commands:")[2]
    assert "trainer settings lists them" in " ".join(call("fit", "--help").output.split())
    lines = {line.split()[0]: line for line in call("settings", "palm-540b").output.splitlines()}
    assert "0:512,50000:1024,115000:2048" in lines["training.batch_ramp"]
    assert "0: it is not clipped" in lines["optimizer.clip"]
    assert "palm-adafactor" in lines["optimizer.name"]
    assert lines.keys() == {line.split()[0] for line in call("settings").output.splitlines()}
    errors(call("settings", "lama-7b"), 2, "did you mean 'llama-7b'?")


def test_device_and_launcher_errors(packed: Path, tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        errors(fit(packed, tmp_path / "run", "--device", "cuda"), 2, "torch sees no GPU here")


def test_mfu_is_given_for_known_hardware_only() -> None:
    shape = ModelShape(22, 2048, 32, 4, 64, 5632, 32000, 2048)
    known = Utilisation(shape, 2048, peak_flops("NVIDIA H200"))
    plain, whole = known.mfu(50_000.0) or (0.0, 0.0)
    assert whole == pytest.approx(50_000 * (6 * LanguageModel.count(shape).matrix + 12 * 22 * 2048 * 2048) / 989e12)
    assert plain < whole
    assert known.text(50_000.0) == f"MFU {whole:.1%} (6N: {plain:.1%})"
    assert Utilisation(shape, 2048, None).text(1.0) == "MFU n/a"
    assert peak_flops("NVIDIA A100-SXM4-80GB") == 312e12
    assert peak_flops("NVIDIA H100 PCIe") == 756e12
    assert peak_flops("NVIDIA A100 80GB PCIe") == 312e12
    assert peak_flops("NVIDIA H100 80GB HBM3") == 989e12
    assert peak_flops("NVIDIA GeForce RTX 4090") == 165.2e12
    for unknown in ("GeForce GT 710", "NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA H800 PCIe", "NVIDIA H20 NVL16", ""):
        assert peak_flops(unknown) is None


def test_options_that_are_gone_name_their_successors(packed: Path, tmp_path: Path) -> None:
    errors(fit(packed, tmp_path / "run", "--tensorboard"), 2, "give --logger tensorboard instead")
