"""`trainer generate DIR` of a model of transformers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from corpus.errors import DataError
from tests.trainer.export.test_export import call, make_run
from trainer.run.decoding import continue_ids
from trainer.run.generate import LoadedModel
from trainer.run.pretrained import open_model
from trainer.run.sampling import SamplingConfig

PROMPTS = ["the sea side", "", "naïve"]


def edited(path: Path, **values: object) -> None:
    """Write some values into a JSON file; None takes one out."""
    table = json.loads(path.read_text()) | values
    path.write_text(json.dumps({name: value for name, value in table.items() if value is not None}))


@pytest.mark.parametrize(("options", "bos"), [((), None), ((), 1), (("--document-mask",), None)])
def test_an_export_continues_as_its_run_does(options: Sequence[str], bos: int | None, tmp_path: Path) -> None:
    run = make_run(tmp_path, "bpe", options=options, bos=bos)
    assert call("export", run, "--format", "hf", "--output", tmp_path / "hf").exit_code == 0
    there, here = LoadedModel.load(run, print), open_model(tmp_path / "hf", print)
    assert here.vocabulary == 300 < here.model.shape.vocabulary  # the rest is padding
    for prompt in PROMPTS:
        for sampling in (SamplingConfig(temperature=0.0, max_tokens=12), SamplingConfig(seed=3, max_tokens=12)):
            # ids, since the libraries write bytes that are no characters in ways of their own
            wanted, found = (
                (start, continue_ids(loaded.model, start, sampling, loaded.eod, there.vocabulary))
                for loaded in (there, here)
                for start in (loaded.before(loaded.codec.encode(prompt)),)
            )
            assert found == wanted
    printed = call("generate", tmp_path / "hf", "--prompt", PROMPTS[0], "--max-tokens", "4", "--temperature", "0")
    assert printed.exit_code == 0 and printed.output.startswith(PROMPTS[0])
    refused = call("generate", tmp_path / "hf", "--checkpoint", "1")
    assert refused.exit_code == 2 and "leave --checkpoint out" in refused.output


@pytest.mark.parametrize("kind", ["OPT", "GPTNeoX", "Bloom"])
def test_texts_are_those_of_transformers(kind: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    run = make_run(tmp_path, "bpe")
    assert call("export", run, "--format", "hf", "--output", tmp_path / "hf").exit_code == 0
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 290}
    more = {"OPT": {"ffn_dim": 64, "word_embed_proj_dim": 32}, "GPTNeoX": {"intermediate_size": 64}}.get(kind, {})
    config = getattr(transformers, f"{kind}Config")(**sizes, **more, eos_token_id=[2, 7], bos_token_id=2)
    torch.manual_seed(0)
    theirs = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    with torch.no_grad():  # far apart, so that the greedy path is one
        for parameter in theirs.parameters():
            parameter.mul_(3.0)
    theirs.save_pretrained(tmp_path / "theirs")
    tokenizer.save_pretrained(tmp_path / "theirs")
    here = open_model(tmp_path / "theirs", print)
    for prompt in PROMPTS:
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        wanted = theirs.generate(ids, do_sample=False, max_new_tokens=10, eos_token_id=[2, 7])[0].tolist()
        wanted = wanted[: -1 if wanted[-1] in (2, 7) and len(wanted) > ids.shape[1] else None]
        assert here.before(here.codec.encode(prompt)) == ids[0].tolist()
        assert here.generate(prompt, SamplingConfig(temperature=0.0, max_tokens=10)) == here.codec.decode(wanted)
    assert here.ends == {2, 7}


def test_what_a_directory_lacks_is_said(tmp_path: Path) -> None:
    run = make_run(tmp_path, "bpe")
    assert call("export", run, "--format", "hf", "--output", tmp_path / "hf").exit_code == 0
    shutil.copytree(tmp_path / "hf", tmp_path / "endless")
    for name in ("config.json", "generation_config.json"):
        edited(tmp_path / "endless" / name, eos_token_id=None)
    with pytest.raises(DataError, match="names no eos_token_id"):
        open_model(tmp_path / "endless", print)
    # what generation_config.json leaves open is config.json's
    shutil.copytree(tmp_path / "hf", tmp_path / "null")
    table = json.loads((tmp_path / "null/generation_config.json").read_text()) | {"eos_token_id": None}
    (tmp_path / "null/generation_config.json").write_text(json.dumps(table))
    edited(tmp_path / "null/config.json", eos_token_id=7)
    assert open_model(tmp_path / "null", print).ends == {7}
    (tmp_path / "null/tokenizer.json").write_text("{}")
    refused = call("generate", tmp_path / "null", "--prompt", "a")
    assert refused.exit_code == 1 and "is no usable tokenizer" in refused.output
    (tmp_path / "hf/tokenizer.json").unlink()
    # the SentencePiece model is left: its class puts a BOS before a text unless it is told not to
    edited(tmp_path / "hf/tokenizer_config.json", add_bos_token=False)
    assert open_model(tmp_path / "hf", print).bos is None
    (tmp_path / "hf/tokenizer_config.json").unlink()
    assert open_model(tmp_path / "hf", print).bos == 2
    (tmp_path / "hf/tokenizer.model").unlink()
    with pytest.raises(DataError, match="save_pretrained"):
        open_model(tmp_path / "hf", print)
