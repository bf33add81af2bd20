"""GGUF files in llama.cpp itself: greedy tokens and the probabilities of the next ones are those of our model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.trainer.export.tokenizers import tokenizer
from tests.trainer.huggingface.families import SHAPES
from tests.trainer.shapes import build
from trainer.export.gguf import FILE, architecture_of, write_gguf
from trainer.export.gguf_read import read_model
from trainer.export.request import ExportRequest
from trainer.models.shape import ModelShape

VOCABULARY = 320
TOLERANCE = 3e-3
"""Of logarithms of probabilities: llama.cpp looks GELU up in a table of half precision, and has the tanh form alone."""
FORMS = {
    "llama": "llama",
    "llama2-70b": "llama",
    "llama3": "llama",
    "llama-linear": "llama",
    "gpt3": "gpt2",
    "neox": "gptneox",
    "neox-sequential": "gptneox",
    "bloom": "bloom",
    "bloom-176b": "bloom",
    "starcoder": "starcoder",
    "falcon-7b": "falcon",
    "falcon-40b": "falcon",
    "mpt": "mpt",
}


def shaped(name: str) -> ModelShape:
    if name == "neox-sequential":
        return replace(SHAPES["neox"], vocabulary=VOCABULARY, block="pre-norm", tied=True)
    shape = replace(SHAPES[name], vocabulary=VOCABULARY)
    return replace(shape, bias=False, n_kv_heads=2) if name == "llama-linear" else shape


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tokenizer(tmp_path_factory.mktemp("pieces"), "bpe", [])


@pytest.mark.parametrize("name", FORMS)
def test_llama_cpp_computes_the_same(name: str, pieces: Path, tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    model = build(shaped(name)).eval()
    assert architecture_of(model.shape) == FORMS[name]
    write_gguf(model, ExportRequest(2, pieces), tmp_path)
    ids = torch.randint(290, (1, 20), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        again = read_model(tmp_path / FILE, model.shape.activation)
        torch.testing.assert_close(again.logits(ids), model.logits(ids), atol=1e-5, rtol=1e-5)
    llama = pytest.importorskip("xllamacpp")
    asked = llama.CommonParams()
    asked.model.path = str(tmp_path / FILE)
    asked.n_ctx = 64
    asked.warmup = False
    asked.flash_attn_type = llama.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    asked.cache_type_k = asked.cache_type_v = llama.ggml_type.GGML_TYPE_F32
    server = llama.Server(asked)
    seen, compared = ids[0].tolist(), 0
    for _ in range(8):
        answer = server.handle_completions(
            {"prompt": seen, "n_predict": 1, "temperature": 0.0, "logprobs": 12, "ignore_eos": True}
        )
        with torch.no_grad():
            wanted = model.logits(torch.tensor([seen]))[0, -1].log_softmax(0)
        said = answer["choices"][0]["logprobs"]
        if said is None:  # the token is a byte of a letter, of which nothing is told
            seen.append(int(wanted.argmax()))
            continue
        (step,) = said["content"]
        compared += 1
        assert len(step["top_logprobs"]) == 12
        for entry in step["top_logprobs"]:
            assert entry["logprob"] == pytest.approx(float(wanted[entry["id"]]), abs=TOLERANCE)
        assert float(wanted[step["id"]]) > float(wanted.max()) - 2 * TOLERANCE
        seen.append(step["id"])
    assert compared > 3
