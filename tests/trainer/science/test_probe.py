"""`trainer probe`: each measure against its definition, planted neurons, and the control."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from corpus.errors import UsageError
from tests.trainer.packed import learnable_rows, write_packed
from tests.trainer.shapes import build, small
from trainer.cli import main
from trainer.data.validation_sets import PackedRows
from trainer.models.attention import document_mask
from trainer.science.probe import _Reader, gini, probe_run, special
from trainer.science.probe_options import ProbeOptions

LENGTH, VOCABULARY = 16, 50


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    spans = [[(0, 5), (0, 12)], [(3, 17)]] * 4
    rows = learnable_rows(8, LENGTH, VOCABULARY)
    return write_packed(tmp_path / "packed", rows, VOCABULARY, domains=["a", "b"] * 4, segments=spans)


@pytest.mark.parametrize(
    "changes",
    [{"n_kv_heads": 1}, {"positions": "alibi"}, {"positions": "t5"}, {"positions": "transformer-xl", "d_model": 24}, {"qk_norm": True}],
)  # fmt: skip
@pytest.mark.parametrize("masked", [False, True])
def test_weights_of_attention_are_those_that_mix_its_values(changes: dict[str, object], masked: bool) -> None:
    model = build(small("llama", **changes))
    attention = model.blocks[0].attention
    document_BT = torch.tensor([[0] * 6 + [1] * 10, [0] * 16])
    mask = document_mask(document_BT) if masked else None
    table, mask = model._placed(mask, 0, LENGTH)
    x_BTD = torch.randn(2, LENGTH, 24, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        weights = attention.weights(x_BTD, table, mask)
        _, _, value_BKSE = attention._projected(x_BTD, table)
        value_BHSE = value_BKSE.repeat_interleave(3 // value_BKSE.shape[1], dim=1)
        mixed = attention.output((weights @ value_BHSE).transpose(1, 2).reshape(2, LENGTH, -1))
        torch.testing.assert_close(mixed, attention(x_BTD, table, mask), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, LENGTH))


def test_every_measure_is_that_of_its_definition(packed: Path) -> None:
    model = build(small("llama", vocabulary=VOCABULARY)).eval()
    with torch.no_grad():  # a neuron that is never used, and one that is by far the largest
        model.blocks[0].mlp.project.weight[3] = 0
        model.blocks[0].mlp.project.weight[7] *= 50
    options = ProbeOptions(packed, sequences=8, batch_size=3)
    reader = _Reader({"p": PackedRows(packed)}, options, masked=False, precision="fp32")
    probe = reader.probe(model)[0]
    tokens = torch.from_numpy(PackedRows(packed)[0:8].astype(np.int64))[:, :-1]
    block = model.blocks[0]
    with torch.no_grad():
        x = functional.embedding(tokens, model.embedding)
        table, mask = model._placed(None, 0, LENGTH)
        after = x + block.attention(block.attention_norm(x), table, mask)
        projected = block.mlp.project(block.mlp_norm(after))
        gate, up = projected.chunk(2, dim=-1)
        active = (functional.silu(gate) * up).flatten(0, 1).double().numpy()
        out = block(x, table, mask)
        weights = block.attention.weights(block.attention_norm(x), table, mask).double().numpy()
    assert reader.tokens == len(active) == 8 * LENGTH
    rms = np.sqrt((active**2).mean(1, keepdims=True))
    near = np.abs(active) < 0.1 * rms
    assert probe.near_zero == pytest.approx(near.mean(), abs=1e-4)
    assert probe.never == pytest.approx(near.all(0).mean()) and near.all(0)[3]
    top = np.sort(active**2, axis=1)[:, -4:].sum(1) / (active**2).sum(1)
    assert probe.top == pytest.approx(top.mean(), rel=1e-4)
    assert probe.gini == pytest.approx(gini(torch.from_numpy(np.abs(active).sum(0))), rel=1e-4)
    assert probe.residual == pytest.approx(float(out.double().square().mean(-1).mean().sqrt()), rel=1e-5)
    entropy = np.array(
        [[-sum(w * np.log(w) for w in row[head, place, : place + 1]) / np.log(place + 1) for place in range(1, LENGTH)]
         for row in weights for head in range(3)]
    ).reshape(8, 3, -1).mean((0, 2))  # fmt: skip
    assert probe.entropy == pytest.approx(entropy.mean(), rel=1e-4)
    assert probe.sharpest == pytest.approx(entropy.min(), rel=1e-4)
    assert probe.first == pytest.approx(weights[:, :, 1:, 0].mean(), rel=1e-4)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=20))
def test_gini_is_the_mean_difference_of_pairs(values: list[float]) -> None:
    mean = sum(values) / len(values)
    pairs = sum(abs(a - b) for a in values for b in values) / len(values) ** 2
    assert gini(torch.tensor(values, dtype=torch.float64)) == pytest.approx(
        pairs / (2 * mean) if sum(values) else 0, abs=1e-9
    )


def test_neurons_of_one_domain_are_counted_by_rates_and_not_by_tokens() -> None:
    read = torch.tensor([100, 1000, 0])
    used = torch.tensor([[50, 50, 90, 0, 0], [500, 0, 60, 0, 10], [0, 0, 0, 0, 0]])
    # as often in both; in the first alone; 0.9 against 0.06; never; in the second alone
    assert special(used, read) == pytest.approx(3 / 4)
    assert special(used[:1], read[:1]) is None


def test_an_ending_that_cannot_be_drawn_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"x.txt ends in none of"):
        ProbeOptions(tmp_path, plot=tmp_path / "x.txt")


def test_a_run_is_probed_at_its_checkpoints_and_before_them(packed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = [f"--set=model.{key}={value}" for key, value in
                {"layers": 2, "d_model": 24, "heads": 3, "n_kv_heads": 3, "head_size": 8, "feed_forward": 40}.items()]  # fmt: skip
    fit = [
        "fit",
        "--data",
        str(packed),
        "--model",
        "llama-tiny",
        "--output",
        str(run),
        "--steps",
        "4",
        "--batch-size",
        "2",
    ]
    more = ["--save-every", "2", "--keep", "0", "--threads", "1", "--quiet", "--set", "optimizer.lr=0.05"]
    assert CliRunner().invoke(main, [*fit, *more, *settings, "--document-mask"]).exit_code == 0
    arguments = ["probe", str(run), "--data", str(packed), "--sequences", "5", "--quiet"]
    result = CliRunner().invoke(main, [*arguments, "--json", "--plot", str(tmp_path / "p.svg")])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert list(found["steps"]) == ["0", "2", "4"] and found["tokens"] == 5 * LENGTH
    assert found["initial"] == found["steps"]["0"] != found["steps"]["4"]
    assert len(found["initial"]) == 2 and (tmp_path / "p.svg").read_text().count("<polyline") == 3
    lines = CliRunner().invoke(main, arguments).output.splitlines()
    assert [line.split()[0] for line in lines[3:7]] == ["initial", "0", "2", "4"]
    other = write_packed(tmp_path / "other", learnable_rows(4, LENGTH, VOCABULARY), VOCABULARY, tokenizer="t1")
    with pytest.raises(UsageError, match="another tokenizer"):
        probe_run(run, ProbeOptions(other), lambda text: None)
