"""Exports: what transformers computes and tokenizes from them, what a reader of GGUF finds, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
import torch
from click.testing import CliRunner, Result
from torch import Tensor

from tests.trainer.export.tokenizers import END, TEXT, library_tokenizer, tokenizer
from tests.trainer.huggingface.families import back
from tests.trainer.packed import learnable_rows, write_packed
from trainer.cli import main
from trainer.export import verify
from trainer.export.gguf_read import read_model
from trainer.huggingface.llama import LLAMA
from trainer.huggingface.registry import layout_of
from trainer.models.model import LanguageModel
from trainer.run.decoding import continue_ids
from trainer.run.directory import Run
from trainer.run.generate import LoadedModel
from trainer.run.load import load_model
from trainer.run.sampling import SamplingConfig

SMALL = {
    "layers": 2,
    "d_model": 32,
    "heads": 4,
    "n_kv_heads": 2,
    "head_size": 12,
    "feed_forward": 48,
    "rope_base": 700.0,
}


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


FAMILY = {name: SMALL[name] for name in ("layers", "d_model", "heads")} | {"head_size": 8, "feed_forward": 128}
"""Sizes that every class of transformers can have."""


def make_run(
    directory: Path,
    kind: str,
    model: str = "llama-tiny",
    symbols: list[str] | None = None,
    options: Sequence[str] = (),
    bos: int | None = None,
    **changes: object,
) -> Path:
    carried = tokenizer(directory, kind, symbols or []) if kind else None
    packed = write_packed(directory / "packed", learnable_rows(8, 32, 280), 290, tokenizer_model=carried, bos=bos)
    settings = [
        word
        for name, value in (changes if model != "llama-tiny" else SMALL | changes).items()
        for word in ("--set", f"model.{name}={value}")
    ]
    usual = ["--model", model, "--steps", "2", "--batch-size", "2", "--threads", "1", *settings]
    result = call("fit", "--data", packed, "--output", directory / "run", *usual, *options)
    assert result.exit_code == 0, result.output
    return directory / "run"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("export"), "bpe")


def model_of(run: Path) -> LanguageModel:
    return load_model(Run(run), print)[0]


def test_transformers_computes_and_tokenizes_the_same(run: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    result = call("export", run, "--format", "hf", "--output", tmp_path / "hf")
    assert result.exit_code == 0, result.output
    assert "compared    logits within" in result.output
    model = model_of(run)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "hf", dtype=torch.float32)
    assert type(theirs).__name__ == "LlamaForCausalLM"
    ids = torch.randint(290, (3, 32), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        torch.testing.assert_close(model.logits(ids), theirs(ids).logits, atol=1e-5, rtol=1e-5)
        added = theirs.generate(torch.tensor([[2]]), max_new_tokens=12, do_sample=False, pad_token_id=0)[0, 1:]
    # greedy, from the EOD on which a document begins
    assert continue_ids(model, [2], SamplingConfig(temperature=0.0, max_tokens=12), stop=2) == [
        n for n in added.tolist() if n != 2
    ]
    processor = sentencepiece.SentencePieceProcessor(model_file=str(run / "tokenizer.model"))
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    for text in (TEXT, "  sea  side ", "naïve 東", "<mask>", ""):
        # a document began after the EOD of the one before; the model never saw the tokenizer's own <s>
        assert loaded(text)["input_ids"] == [2, *processor.encode(text)]
        assert loaded(text, add_special_tokens=False)["input_ids"] == processor.encode(text)
    assert loaded.eos_token == loaded.bos_token == "</s>"
    assert theirs.config.bos_token_id == loaded.bos_token_id == theirs.generation_config.bos_token_id == 2
    again = tmp_path / "again"
    assert call("export", run, "--format", "hf", "--output", again).exit_code == 0
    for path in (tmp_path / "hf").iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes()
        assert path.stat().st_mode & 0o777 == (tmp_path / "hf" / "config.json").stat().st_mode & 0o777


def test_a_model_that_saw_documents_alone_gets_them_alone(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    run = make_run(tmp_path, "bpe", options=("--document-mask",))
    assert call("export", run, "--format", "hf", "--output", tmp_path / "hf").exit_code == 0
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    processor = sentencepiece.SentencePieceProcessor(model_file=str(run / "tokenizer.model"))
    assert loaded(TEXT)["input_ids"] == processor.encode(TEXT)
    here = LoadedModel.load(run, print)
    sampling = SamplingConfig(temperature=0.0, max_tokens=5)
    added = continue_ids(here.model, processor.encode(TEXT), sampling, 2, here.vocabulary)
    assert here.generate(TEXT, sampling) == here.codec.decode([*processor.encode(TEXT), *added])
    assert here.generate("", sampling) == here.codec.decode(continue_ids(here.model, [2], sampling, 2, here.vocabulary))


@pytest.mark.parametrize("options", [(), ("--document-mask",)])
def test_a_model_that_saw_a_bos_before_each_document_gets_it(options: Sequence[str], tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    gguf = pytest.importorskip("gguf")
    run = make_run(tmp_path, "bpe", options=options, bos=1)
    for kind in ("hf", "gguf"):
        result = call("export", run, "--format", kind, "--output", tmp_path / kind)
        assert result.exit_code == 0, result.output
    here = LoadedModel.load(run, print)
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    assert loaded(TEXT)["input_ids"] == [1, *here.codec.encode(TEXT)]
    assert (loaded.bos_token, loaded.eos_token) == ("<s>", "</s>")
    for name in ("config.json", "generation_config.json"):
        config = json.loads((tmp_path / "hf" / name).read_text())
        assert (config["bos_token_id"], config["eos_token_id"]) == (1, 2)
    reader = gguf.GGUFReader(tmp_path / "gguf" / "model.gguf")
    special = {name: reader.fields[f"tokenizer.ggml.{name}"].contents() for name in ("bos_token_id", "eos_token_id")}
    assert special == {"bos_token_id": 1, "eos_token_id": 2}
    assert reader.fields["tokenizer.ggml.add_bos_token"].contents() is True


@pytest.mark.parametrize("options", [(), ("--document-mask",)])
def test_the_bos_of_a_run_with_a_tokenizer_json(options: Sequence[str], tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    file = library_tokenizer(tmp_path)
    packed = write_packed(tmp_path / "packed", learnable_rows(8, 32, 280), 300, tokenizer_model=file, eod=0, bos=1)
    settings = [word for name, value in SMALL.items() for word in ("--set", f"model.{name}={value}")]
    usual = ("--model", "llama-tiny", "--steps", "2", "--batch-size", "2", "--threads", "1", *settings, *options)
    assert call("fit", "--data", packed, "--output", tmp_path / "run", *usual).exit_code == 0
    assert call("export", tmp_path / "run", "--format", "hf", "--output", tmp_path / "hf").exit_code == 0
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    assert loaded(TEXT)["input_ids"] == [1, *LoadedModel.load(tmp_path / "run", print).codec.encode(TEXT)]
    assert (loaded.bos_token, loaded.eos_token) == ("<s>", END)


def gguf_logits(tensors: dict[str, Tensor], ids: Tensor) -> Tensor:
    """A forward pass by hand as llama.cpp does it: rotary pairs are neighbours (2i, 2i + 1). [T] -> [T, V]."""
    heads, n_kv_heads, size = SMALL["heads"], SMALL["n_kv_heads"], SMALL["head_size"]
    assert isinstance(heads, int) and isinstance(n_kv_heads, int) and isinstance(size, int)

    def norm(x: Tensor, name: str) -> Tensor:
        return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-6) * tensors[name]

    def turned(x: Tensor) -> Tensor:
        x = x.clone()
        for t in range(len(x)):
            for pair in range(size // 2):
                angle = t * 700.0 ** (-2 * pair / size)
                a, b = x[t, :, 2 * pair].clone(), x[t, :, 2 * pair + 1].clone()
                x[t, :, 2 * pair] = a * math.cos(angle) - b * math.sin(angle)
                x[t, :, 2 * pair + 1] = a * math.sin(angle) + b * math.cos(angle)
        return x

    x = tensors["token_embd.weight"][ids]
    for layer in range(2):
        w = {name.split(".")[2]: tensor for name, tensor in tensors.items() if name.startswith(f"blk.{layer}.")}
        h = norm(x, f"blk.{layer}.attn_norm.weight")
        query = turned((h @ w["attn_q"].T).view(-1, heads, size))
        key = turned((h @ w["attn_k"].T).view(-1, n_kv_heads, size)).repeat_interleave(heads // n_kv_heads, 1)
        value = (h @ w["attn_v"].T).view(-1, n_kv_heads, size).repeat_interleave(heads // n_kv_heads, 1)
        scores = torch.einsum("the,she->hts", query, key) / math.sqrt(size)
        scores = scores.masked_fill(torch.ones(len(x), len(x)).triu(1).bool(), -math.inf).softmax(-1)
        x = x + torch.einsum("hts,she->the", scores, value).flatten(1) @ w["attn_output"].T
        h = norm(x, f"blk.{layer}.ffn_norm.weight")
        x = x + (torch.nn.functional.silu(h @ w["ffn_gate"].T) * (h @ w["ffn_up"].T)) @ w["ffn_down"].T
    return norm(x, "output_norm.weight") @ tensors.get("output.weight", tensors["token_embd.weight"]).T


def test_gguf_holds_the_model_and_its_tokenizer(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    run = make_run(tmp_path, "bpe", symbols=["[WORK]"])
    result = call("export", run, "--format", "gguf", "--output", tmp_path / "gguf")
    assert result.exit_code == 0, result.output
    model = model_of(run)
    path = tmp_path / "gguf" / "model.gguf"
    reader = gguf.GGUFReader(path)
    tensors = {tensor.name: torch.from_numpy(np.array(tensor.data)) for tensor in reader.tensors}
    ids = torch.randint(290, (20,), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        torch.testing.assert_close(gguf_logits(tensors, ids), model.logits(ids[None])[0], atol=1e-5, rtol=1e-5)
    ours, again = back(model, LLAMA), back(read_model(path), LLAMA)
    assert set(ours) == set(again)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2)
    assert {names.get_name(name, (".weight",)) for name in ours} == set(tensors)
    assert all(torch.equal(ours[name], again[name]) for name in ours)
    fields: dict[str, Any] = {name: field.contents() for name, field in reader.fields.items()}
    assert fields["general.architecture"] == "llama"
    processor = sentencepiece.SentencePieceProcessor(model_file=str(run / "tokenizer.model"))
    size = processor.get_piece_size()
    assert fields["tokenizer.ggml.tokens"][:size] == [processor.id_to_piece(n) for n in range(size)]
    assert fields["tokenizer.ggml.scores"][:size] == [processor.get_score(n) for n in range(size)]
    assert len(fields["tokenizer.ggml.tokens"]) == model.shape.vocabulary > size
    kinds = fields["tokenizer.ggml.token_type"]
    assert [kinds[n] == gguf.TokenType.BYTE for n in range(size)] == [processor.is_byte(n) for n in range(size)]
    assert [kinds[n] == gguf.TokenType.CONTROL for n in range(size)] == [processor.is_control(n) for n in range(size)]
    assert kinds[processor.piece_to_id("[WORK]")] == gguf.TokenType.USER_DEFINED
    assert fields["tokenizer.ggml.bos_token_id"] == fields["tokenizer.ggml.eos_token_id"] == 2
    assert fields["tokenizer.ggml.add_space_prefix"] is True
    assert "keeps runs of blanks" in result.output
    transformers = pytest.importorskip("transformers")
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path / "gguf", gguf_file="model.gguf")
    for text in (TEXT, "naïve 東\n1984", "birds"):
        assert loaded(text)["input_ids"] == [2, *processor.encode(text)]
    assert fields["llama.rope.freq_base"] == 700.0 and fields["llama.attention.head_count_kv"] == 2


@pytest.mark.parametrize("kind", ["hf", "gguf"])
def test_tied_embeddings(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("gguf")
    run = make_run(tmp_path, "bpe", tied=True)
    result = call("export", run, "--format", kind, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "logits within" in result.output


CLASSES = {
    "llama3-tiny": "LlamaForCausalLM",
    "gpt3-tiny": "GPT2LMHeadModel",
    "pythia-tiny": "GPTNeoXForCausalLM",
    "opt-tiny": "OPTForCausalLM",
    "galactica-tiny": "OPTForCausalLM",
    "bloom-tiny": "BloomForCausalLM",
    "starcoder-tiny": "GPTBigCodeForCausalLM",
}


@pytest.mark.parametrize("name", CLASSES)
def test_every_family_is_written_for_its_class(name: str, tmp_path: Path) -> None:
    """In bf16 and in several files, of a chosen checkpoint: transformers computes what we do with the rounded weights."""
    transformers = pytest.importorskip("transformers")
    kv = 1 if name == "starcoder-tiny" else 4
    run = make_run(tmp_path, "bpe", name, options=("--save-every", "1", "--keep", "0"), n_kv_heads=kv, **FAMILY)
    written = ("--checkpoint", "1", "--dtype", "bf16", "--shard-bytes", "20kB", "--check", tmp_path / "packed")
    result = call("export", run, "--format", "hf", "--output", tmp_path / "hf", *written)
    assert result.exit_code == 0, result.output
    assert "24 greedy tokens the same, the loss of 8 documents within" in result.output
    assert "exported    step 1" in result.output
    files = sorted(path.name for path in (tmp_path / "hf").glob("*.safetensors"))
    index = json.loads((tmp_path / "hf" / "model.safetensors.index.json").read_text())
    assert len(files) > 2 and set(index["weight_map"].values()) == set(files)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "hf")
    assert type(theirs).__name__ == CLASSES[name]
    assert theirs.dtype == torch.bfloat16 == next(theirs.parameters()).dtype
    model, step = load_model(Run(run), print, 1)
    assert step == 1
    for parameter in model.parameters():
        parameter.data = parameter.data.bfloat16().float()
    ids = torch.randint(290, (3, 32), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        torch.testing.assert_close(model.logits(ids), theirs.float()(ids).logits, atol=1e-5, rtol=1e-5)
        added = theirs.generate(torch.tensor([[2]]), max_new_tokens=12, do_sample=False, pad_token_id=0)[0, 1:]
    assert continue_ids(model, [2], SamplingConfig(temperature=0.0, max_tokens=12), stop=2) == [
        n for n in added.tolist() if n != 2
    ]


def test_a_checkpoint_that_is_not_there(run: Path, tmp_path: Path) -> None:
    result = call("export", run, "--format", "hf", "--output", tmp_path / "hf", "--checkpoint", "7")
    assert result.exit_code == 2 and "has no valid checkpoint of step 7: give one of 0, 2" in result.output


def test_a_set_of_another_tokenizer_is_no_check(run: Path, tmp_path: Path) -> None:
    other = write_packed(tmp_path / "packed", learnable_rows(8, 32, 280), 290)
    result = call("export", run, "--format", "hf", "--output", tmp_path / "hf", "--check", other)
    assert result.exit_code == 2 and "has another tokenizer" in result.output


def test_gguf_of_the_families(tmp_path: Path) -> None:
    """Files of them in llama.cpp itself: test_llama_cpp."""
    gguf = pytest.importorskip("gguf")
    run = make_run(tmp_path, "bpe", "bloom-tiny", n_kv_heads=4, **FAMILY)
    result = call("export", run, "--format", "gguf", "--output", tmp_path / "out", "--check", tmp_path / "packed")
    assert result.exit_code == 0, result.output
    assert "those of the file as it is read, 24 greedy tokens the same, the loss of 8 documents" in result.output
    reader = gguf.GGUFReader(tmp_path / "out" / "model.gguf")
    assert reader.fields["general.architecture"].contents() == "bloom"
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BLOOM, 2)
    theirs = back(model_of(run), layout_of(model_of(run).shape))
    known = {names.get_name(name.removeprefix("transformer."), (".weight", ".bias")) for name in theirs}
    assert known == {tensor.name for tensor in reader.tensors}
    for options, said in ((("--dtype", "bf16"), "written in fp32"), ((), "")):
        result = call("export", run, "--format", "gguf", "--output", tmp_path / "other", *options)
        assert (result.exit_code == 2) == bool(said) and said in result.output


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("opt-tiny", {}, "llama.cpp has none that computes a OPTForCausalLM"),
        ("gpt3-tiny", {"activation": "relu"}, "llama.cpp's gpt2 computes GELU, and not relu"),
        ("llama3-tiny", {"bias": "true"}, "without biases and with SwiGLU"),
    ],
)
def test_gguf_of_what_llama_cpp_has_not_is_refused(
    name: str, changes: dict[str, object], said: str, tmp_path: Path
) -> None:
    run = make_run(tmp_path, "bpe", name, n_kv_heads=4, **FAMILY, **changes)
    result = call("export", run, "--format", "gguf", "--output", tmp_path / "out")
    assert result.exit_code == 2 and said in result.output, result.output


def test_palm_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path, "", "palm-tiny")
    result = call("export", run, "--format", "hf", "--output", tmp_path / "out")
    assert result.exit_code == 2
    assert "no class of transformers computes" in result.output
    assert not (tmp_path / "out").exists()


def test_tokenizers_that_gguf_cannot_hold(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    for kind, text in (("unigram", "unigram model"), ("", "no tokenizer")):
        (tmp_path / kind / "x").mkdir(parents=True)
        run = make_run(tmp_path / kind / "x", kind)
        result = call("export", run, "--format", "gguf", "--output", tmp_path / "out")
        assert result.exit_code == 1 and text in result.output, result.output
    assert not (tmp_path / "out").exists()
    result = call("export", run, "--format", "hf", "--output", tmp_path / "out")
    assert result.exit_code == 0 and "no tokenizer" in result.output
    assert not (tmp_path / "out" / "tokenizer.json").exists()


def test_an_export_that_computes_something_else_is_refused(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers")
    from trainer.export import hf

    right = hf.hf_config
    monkeypatch.setattr(hf, "hf_config", lambda *given: right(*given) | {"rope_theta": 10000.0})
    monkeypatch.setattr(verify, "TOLERANCE", 1e-7)
    result = call("export", run, "--format", "hf", "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert "differ from the run's" in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_tokenizer_that_hugging_face_cannot_follow_goes_along_as_it_is(tmp_path: Path) -> None:
    run = make_run(tmp_path, "bpe", symbols=["[WORK]"])
    result = call("export", run, "--format", "hf", "--output", tmp_path / "out")
    assert result.exit_code == 0 and "has no tokenizer.json, since" in result.output
    assert (tmp_path / "out" / "tokenizer.model").read_bytes() == (run / "tokenizer.model").read_bytes()
    assert not (tmp_path / "out" / "tokenizer.json").exists()


@pytest.mark.parametrize("alone", [False, True])
def test_a_run_with_a_tokenizer_json(alone: bool, tmp_path: Path) -> None:
    """That of a model of transformers: generation, evaluation by bytes and the export go by it, template aside."""
    transformers = pytest.importorskip("transformers")
    file = library_tokenizer(tmp_path)
    packed = write_packed(tmp_path / "packed", learnable_rows(8, 32, 280), 300, tokenizer_model=file, eod=0)
    settings = [word for name, value in SMALL.items() for word in ("--set", f"model.{name}={value}")]
    usual = ("--model", "llama-tiny", "--steps", "2", "--batch-size", "2", "--threads", "1", "--validation", packed)
    masked = ("--document-mask",) if alone else ()
    result = call("fit", "--data", packed, "--output", tmp_path / "run", *usual, *settings, *masked)
    assert result.exit_code == 0, result.output
    assert "first text" in result.output and "bits/byte" in call("eval", tmp_path / "run", *usual[-2:]).output
    said = call("generate", tmp_path / "run", "--prompt", "the sea", "--max-tokens", "5")
    assert said.exit_code == 0 and said.output.startswith("the sea"), said.output
    assert call("export", tmp_path / "run", "--format", "hf", "--output", tmp_path / "hf").exit_code == 0
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    here = LoadedModel.load(tmp_path / "run", print)
    for text in (TEXT, f"a {END} b"):
        assert loaded(text)["input_ids"] == [*([] if alone else [0]), *here.codec.encode(text)]
    assert loaded.eos_token == END and loaded.eos_token_id == 0
    assert not (tmp_path / "hf" / "tokenizer.model").exists()
    refused = call("export", tmp_path / "run", "--format", "gguf", "--output", tmp_path / "gguf")
    assert refused.exit_code == 1 and "let llama.cpp's convert_hf_to_gguf.py" in refused.output
    (tmp_path / "run" / "tokenizer.json").write_text("{}")
    assert "is damaged" in call("generate", tmp_path / "run", "--prompt", "the sea").output


def test_an_output_that_exists_is_kept(run: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    result = call("export", run, "--format", "hf", "--output", tmp_path / "out")
    assert result.exit_code == 2 and "exists already" in result.output
    assert (tmp_path / "out" / "mine").read_text() == "x"


def test_the_configuration_is_what_transformers_reads(run: Path, tmp_path: Path) -> None:
    assert call("export", run, "--format", "hf", "--output", tmp_path / "hf").exit_code == 0
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    assert (config["head_dim"], config["num_key_value_heads"], config["vocab_size"]) == (12, 2, 320)
