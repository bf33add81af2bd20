"""PaLM's Adafactor and AdamW against twins in NumPy, and the loss against autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from corpus.errors import UsageError
from trainer.models import loss as loss_module
from trainer.models.loss import position_losses, training_loss
from trainer.optim.optimizers import (
    OptimizerConfig,
    PalmAdafactor,
    _palm_update,
    build_optimizer,
    clip_gradients,
    load_optimizer,
    optimizer_tensors,
    set_rate,
)

STEPS = 100


def parameters() -> dict[str, nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return {
        "fused": nn.Parameter(torch.randn(7, 5, generator=generator)),
        "plain": nn.Parameter(torch.randn(4, 3, generator=generator) * 3),
        "zero": nn.Parameter(torch.zeros(2, 3)),
        "scale": nn.Parameter(torch.ones(6)),
    }


def gradients(step: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(step)
    return {name: generator.normal(size=tuple(p.shape)) * 0.1 for name, p in parameters().items()}


def rate(step: int) -> float:
    return 0.05 / step**0.5


def run(optimizer: torch.optim.Optimizer, named: dict[str, nn.Parameter], first: int, last: int) -> None:
    for step in range(first, last + 1):
        for name, gradient in gradients(step).items():
            named[name].grad = torch.tensor(gradient, dtype=torch.float32)
        set_rate(optimizer, rate(step))
        optimizer.step()


def test_palm_adafactor_equals_the_twin_over_100_steps() -> None:
    named = parameters()
    optimizer = build_optimizer(OptimizerConfig(name="palm-adafactor"), named, {"fused": (4, 2, 1)})
    assert isinstance(optimizer, PalmAdafactor)
    run(optimizer, named, 1, STEPS)

    # the twin: one matrix at a time, in float64; the fused one is three matrices
    values = {name: p.detach().double().numpy() for name, p in parameters().items()}
    matrices = {"plain": values["plain"], "zero": values["zero"], "scale": values["scale"]}
    cuts = {"fused0": slice(0, 4), "fused1": slice(4, 6), "fused2": slice(6, 7)}
    matrices |= {key: values["fused"][rows] for key, rows in cuts.items()}
    first = {key: np.zeros_like(p) for key, p in matrices.items()}
    second = {key: np.zeros_like(p) for key, p in matrices.items()}
    for k in range(1, STEPS + 1):
        given = gradients(k)
        for key in matrices:
            g = given["fused"][cuts[key]] if key in cuts else given[key]
            p, lr, beta2 = matrices[key], rate(k), 1 - k**-0.8
            second[key] = beta2 * second[key] + (1 - beta2) * (g**2 + 1e-30)
            update = lr * max(np.sqrt((p**2).mean()), 1e-3) * g / np.sqrt(second[key])
            first[key] = 0.9 * first[key] + 0.1 * update
            decay = lr**2 if p.ndim > 1 else 0.0
            matrices[key] = p - decay * p - first[key]
    fused = np.concatenate([matrices["fused0"], matrices["fused1"], matrices["fused2"]])
    for name, wanted in {**matrices, "fused": fused}.items():
        if name in named:
            np.testing.assert_allclose(named[name].detach().numpy(), wanted, rtol=2e-4, atol=2e-6, err_msg=name)


def test_adamw_equals_the_twin_and_spares_norms() -> None:
    named = parameters()
    optimizer = build_optimizer(OptimizerConfig(), named, {})
    run(optimizer, named, 1, STEPS)
    for name, parameter in parameters().items():
        p = parameter.detach().double().numpy()
        m, v = np.zeros_like(p), np.zeros_like(p)
        for k in range(1, STEPS + 1):
            g, lr = gradients(k)[name], rate(k)
            m = 0.9 * m + 0.1 * g
            v = 0.95 * v + 0.05 * g**2
            p = p * (1 - lr * (0.1 if p.ndim > 1 else 0.0))
            p = p - lr * (m / (1 - 0.9**k)) / (np.sqrt(v / (1 - 0.95**k)) + 1e-8)
        np.testing.assert_allclose(named[name].detach().numpy(), p, rtol=2e-4, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("kind", ["adamw", "palm-adafactor"])
def test_a_restored_optimizer_goes_on_to_the_bit(kind: str) -> None:
    config = OptimizerConfig(name=kind)
    straight = parameters()
    run(build_optimizer(config, straight, {}), straight, 1, 20)
    half = parameters()
    optimizer = build_optimizer(config, half, {})
    run(optimizer, half, 1, 10)
    saved = {name: tensor.clone() for name, tensor in optimizer_tensors(optimizer, half).items()}
    fresh = build_optimizer(config, half, {})
    load_optimizer(fresh, half, saved)
    run(fresh, half, 11, 20)
    assert all(torch.equal(straight[name], half[name]) for name in straight)


def test_impossible_numbers_are_refused() -> None:
    with pytest.raises(UsageError, match=r"optimizer\.lr"):
        OptimizerConfig(lr=0)
    with pytest.raises(UsageError, match=r"optimizer\.beta1"):
        OptimizerConfig(beta1=1.0)


def problem() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(23, 6, generator=generator).requires_grad_()
    output = torch.randn(17, 6, generator=generator).requires_grad_()
    targets = torch.randint(17, (23,), generator=generator)
    return hidden, output, targets


@pytest.mark.parametrize("chunk_logits", [1 << 20, 17 * 5, 1])
@pytest.mark.parametrize("z_weight", [0.0, 0.3])
def test_loss_and_gradients_equal_autograd(monkeypatch: pytest.MonkeyPatch, chunk_logits: int, z_weight: float) -> None:
    monkeypatch.setattr(loss_module, "CHUNK_LOGITS", chunk_logits)
    monkeypatch.setattr(loss_module, "CHUNK_ROWS", 1)
    hidden, output, targets = problem()
    loss, sums = training_loss(hidden, output, targets, 0.7, z_weight, 40)
    (2.5 * loss).backward()
    wanted_hidden, wanted_output, _ = problem()
    logits = 0.7 * wanted_hidden @ wanted_output.T
    z = torch.logsumexp(logits, 1).square().sum()
    wanted = (functional.cross_entropy(logits, targets, reduction="sum") + z_weight * z) / 40
    (2.5 * wanted).backward()
    torch.testing.assert_close(loss, wanted)
    torch.testing.assert_close(hidden.grad, wanted_hidden.grad)
    torch.testing.assert_close(output.grad, wanted_output.grad)
    assert float(sums[1]) == pytest.approx(float(z.detach()), rel=1e-5)
    each = position_losses(hidden.detach(), output.detach(), targets, 0.7)
    torch.testing.assert_close(each, functional.cross_entropy(logits, targets, reduction="none").detach())
    assert float(sums[0]) == pytest.approx(float(each.sum()), rel=1e-5)


def test_the_gradient_is_clipped_to_a_norm_or_left() -> None:
    weight = torch.nn.Parameter(torch.ones(4))
    for largest, norm in ((0.0, 6.0), (100.0, 6.0), (1.5, 1.5)):
        weight.grad = torch.full((4,), 3.0)
        assert clip_gradients([weight], largest) == 6.0
        assert float(weight.grad.norm()) == pytest.approx(norm, rel=1e-5)


def test_the_update_that_a_gpu_compiles_is_the_same() -> None:
    named, copies = parameters(), parameters()
    sizes = {"fused": (4, 2, 1)}
    optimizer = build_optimizer(OptimizerConfig(name="palm-adafactor"), named, sizes)
    moments = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in copies.items()}
    for step in range(1, 30):
        run(optimizer, named, step, step)
        lr, beta2 = rate(step), 1.0 - step**-0.8
        for name, parameter in copies.items():
            gradient = torch.tensor(gradients(step)[name], dtype=torch.float32)
            decay = 1.0 - lr * lr if parameter.dim() > 1 else 1.0
            numbers = [torch.tensor(number) for number in (beta2, lr, 0.9, decay)]
            parts = sizes.get(name, (parameter.shape[0],))
            _palm_update(parameter.data, gradient, *moments[name], *numbers, parts)
    for name, parameter in copies.items():
        torch.testing.assert_close(parameter, named[name], rtol=1e-4, atol=1e-6)
