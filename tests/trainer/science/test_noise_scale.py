"""The gradient noise scale: unbiased on a quadratic with known noise, at no cost to the weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from tests.trainer.packed import learnable_rows, write_packed
from trainer.cli import main
from trainer.loop.noise_scale import MicroGradients, Noise
from trainer.run.metrics import MetricsLog
from trainer.science.critical_batch import CriticalBatch, Part, critical_batch


def test_estimates_are_unbiased_on_a_quadratic() -> None:
    # the loss of an example is |w - x|² / 2 with x ~ N(0, s²): its gradient is w - x, G = w, tr Σ = n·s²
    generator = np.random.default_rng(0)
    w, s, parts, batch = np.array([0.3, -0.2, 0.1, 0.4]), 1.5, 4, 8
    estimates = []
    for _ in range(4000):
        gradients = (w - s * generator.standard_normal((parts, batch, 4))).mean(1)
        small, whole = (gradients**2).sum(1).mean(), (gradients.mean(0) ** 2).sum()
        estimates.append(Noise.of(small, whole, parts, batch))
    square = np.mean([each.square for each in estimates])
    trace = np.mean([each.trace for each in estimates])
    assert square == pytest.approx((w**2).sum(), abs=0.02)
    assert trace == pytest.approx(4 * s**2, rel=0.03)
    # the biased form would add tr Σ over the batch to |G|²
    assert abs(square - (w**2).sum()) < 0.2 * 4 * s**2 / (parts * batch)


def test_micro_gradients_add_as_autograd_does() -> None:
    torch.manual_seed(0)
    layer, twin = torch.nn.Linear(5, 3), torch.nn.Linear(5, 3)
    twin.load_state_dict(layer.state_dict())
    apart = MicroGradients(layer.parameters())
    norms = []
    for x in torch.randn(4, 6, 5):
        (layer(x).square().sum() / 24).backward()
        norms.append(sum(float(p.grad.square().sum()) for p in layer.parameters() if p.grad is not None))
        apart.take()
        assert all(p.grad is None for p in layer.parameters())
        (twin(x).square().sum() / 24).backward()
    apart.put_back()
    for ours, theirs in zip(layer.parameters(), twin.parameters(), strict=True):
        assert ours.grad is not None and theirs.grad is not None
        assert torch.equal(ours.grad, theirs.grad)
    whole = sum(float(p.grad.square().sum()) for p in twin.parameters() if p.grad is not None)
    found = apart.noise(whole**0.5, 24)
    expected = Noise.of(4 * sum(norms), whole, 4, 6)
    assert (found.square, found.trace) == pytest.approx((expected.square, expected.trace), rel=1e-5)


def _fit(tmp_path: Path, name: str, *more: str, code: int = 0) -> Path:
    if not (tmp_path / "packed").exists():
        write_packed(tmp_path / "packed", learnable_rows(240, 8, 30), 30)
    arguments = [
        "fit", "--data", str(tmp_path / "packed"), "--model", "llama-tiny", "--output", str(tmp_path / name), "--steps", "24",
        "--batch-size", "8", "--threads", "1", "--quiet", "--set", "model.layers=1", "--set", "model.d_model=16",
        "--set", "model.heads=1", "--set", "model.n_kv_heads=1", "--set", "model.head_size=16",
        "--set", "model.feed_forward=32", "--set", "optimizer.lr=0.02", *more,
    ]  # fmt: skip
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, result.output
    return tmp_path / name if not code else Path(result.output)


def test_a_run_measures_it_and_trains_the_same_weights(tmp_path: Path) -> None:
    plain = _fit(tmp_path, "plain", "--micro-batch-size", "2")
    noisy = _fit(tmp_path, "noisy", "--micro-batch-size", "2", "--noise-scale", "2")
    weights = [load_file(next(run.glob("checkpoints/step-*24/model.safetensors"))) for run in (plain, noisy)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    records = [json.loads(line) for line in (noisy / "metrics.jsonl").read_text().splitlines()]
    measured = [record["step"] for record in records if "noise_trace" in record]
    assert measured == list(range(2, 25, 2))
    # a step's own numbers agree: m = |G|² + tr Σ / tokens of a part, and the norm of the whole is between
    record = next(record for record in records if "noise_trace" in record)
    whole = record["noise_square"] + record["noise_trace"] / 64
    assert whole == pytest.approx(record["gradient_norm"] ** 2, rel=1e-4)
    result = CliRunner().invoke(main, ["noise", str(noisy)])
    assert result.exit_code == 0, result.output
    assert "noise scale in tokens" in result.output and "times the least steps" in result.output
    assert json.loads(CliRunner().invoke(main, ["noise", str(noisy), "--json"]).output)["batch_tokens"] == 64
    assert "measured the noise scale in 0 steps" in CliRunner().invoke(main, ["noise", str(plain)]).output


@pytest.mark.parametrize("micro", ["8", "3"])
def test_steps_without_equal_micro_batches_are_refused(tmp_path: Path, micro: str) -> None:
    said = str(_fit(tmp_path, "run", "--micro-batch-size", micro, "--noise-scale", "2", code=2))
    assert "two or more equal micro-batches" in said
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_means_are_divided_and_ramps_follow(tmp_path: Path) -> None:
    run = _fit(tmp_path, "run", "--micro-batch-size", "4", "--noise-scale", "1")
    log = MetricsLog(run / "metrics.jsonl")
    records = [dict(record) for record in log.records()]
    log.path.unlink()
    for number, record in enumerate(records):
        # every other step is negative alone; the scale is 16 tokens at first and 128 at the end
        record |= {"loss": 4.0 - number / 24, "noise_square": 3.0 if number % 2 else -1.0}
        record["noise_trace"] = 16.0 if number < 12 else 128.0
        log.append(record)
    log.close()
    found = critical_batch(run)
    assert [part.noise_scale for part in found.parts] == [16.0] * 3 + [128.0] * 3
    assert found.exponent is not None and found.exponent > 0
    assert found.ramp() == "0:2,12:16"
    silent = CriticalBatch((Part(1, 1, 1.0, None),), None, None, 8, 8)
    assert silent.ramp() == ""
