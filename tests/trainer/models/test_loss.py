"""The chunked loss: padding, bf16, memory; its values and gradients against autograd are in `test_optimizers`."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from trainer.models import loss as loss_module
from trainer.models.loss import IGNORED, _formula, _gradient, chunk_rows, position_losses, training_loss


def problem(positions: int = 23, width: int = 6, vocabulary: int = 17) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(positions, width, generator=generator).requires_grad_()
    output = torch.randn(vocabulary, width, generator=generator).requires_grad_()
    targets = torch.randint(vocabulary, (positions,), generator=generator)
    return hidden, output, targets


@pytest.mark.parametrize("chunk_logits", [1 << 20, 17 * 5, 1])
def test_ignored_targets_count_nowhere(monkeypatch: pytest.MonkeyPatch, chunk_logits: int) -> None:
    monkeypatch.setattr(loss_module, "CHUNK_LOGITS", chunk_logits)
    monkeypatch.setattr(loss_module, "CHUNK_ROWS", 1)
    hidden, output, targets = problem()
    kept = torch.ones(23, dtype=torch.bool)
    kept[[0, 4, 5, 22]] = False
    loss, sums = training_loss(hidden, output, targets.masked_fill(~kept, IGNORED), 0.7, 0.3, 19)
    loss.backward()
    alone_hidden, alone_output, _ = problem()
    logits = 0.7 * alone_hidden[kept] @ alone_output.T
    z = torch.logsumexp(logits, 1).square()
    entropy = functional.cross_entropy(logits, targets[kept], reduction="none")
    wanted = (entropy + 0.3 * z).sum() / 19
    wanted.backward()
    torch.testing.assert_close(loss, wanted)
    torch.testing.assert_close(sums, torch.stack([entropy.sum(), z.sum()]).double().detach(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(hidden.grad, alone_hidden.grad)
    assert torch.equal(hidden.grad[~kept], torch.zeros(4, 6))
    torch.testing.assert_close(output.grad, alone_output.grad)
    each = position_losses(hidden.detach(), output.detach(), targets.masked_fill(~kept, IGNORED), 0.7)
    assert torch.equal(each[~kept], torch.zeros(4))
    torch.testing.assert_close(each[kept], entropy.detach())


def test_a_batch_of_padding_alone_has_no_loss_and_no_gradient() -> None:
    hidden, output, targets = problem()
    loss, sums = training_loss(hidden, output, torch.full_like(targets, IGNORED), 1.0, 0.1, 50)
    loss.backward()
    assert loss.item() == 0.0
    assert sums.tolist() == [0.0, 0.0]
    assert not hidden.grad.any() and not output.grad.any()


def test_huge_logits_stay_finite() -> None:
    hidden, output, targets = problem()
    loss, _ = training_loss(1e4 * hidden.detach(), output.detach(), targets, 1.0, 0.0, 23)
    logits = 1e4 * hidden.detach() @ output.detach().T
    torch.testing.assert_close(loss, functional.cross_entropy(logits, targets))


def test_bf16_is_near_float32() -> None:
    hidden, output, targets = problem(64, 32, 50)
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = training_loss(hidden, output, targets, 1.0, 1e-4, 64)
    loss.backward()
    exact_hidden, exact_output, _ = problem(64, 32, 50)
    exact, _ = training_loss(exact_hidden, exact_output, targets, 1.0, 1e-4, 64)
    exact.backward()
    assert loss.item() == pytest.approx(exact.item(), rel=2e-2)
    assert hidden.grad.dtype == output.grad.dtype == torch.float32
    for ours, theirs in ((hidden.grad, exact_hidden.grad), (output.grad, exact_output.grad)):
        assert float((ours - theirs).norm() / theirs.norm()) < 2e-2
    assert not torch.equal(loss, exact)  # that is: bf16 was used


class LargestTensor(TorchDispatchMode):
    """Notes the largest tensor that any operation makes."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.numbers = max(self.numbers, result.numel())
        return result


def test_the_logits_of_a_batch_never_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_module, "CHUNK_LOGITS", 300 * 16)
    monkeypatch.setattr(loss_module, "CHUNK_ROWS", 1)
    hidden, output, targets = problem(256, 4, 300)
    with LargestTensor() as largest:
        loss, _ = training_loss(hidden, output, targets, 1.0, 1e-4, 256)
        loss.backward()
        position_losses(hidden.detach(), output.detach(), targets, 1.0)
    assert largest.numbers == 300 * 16


def test_gradients_become_the_parameters_without_a_copy() -> None:
    hidden, output, targets = problem(64, 32, 5000)
    loss, _ = training_loss(hidden, output, targets, 1.0, 0.0, 64)
    made = loss.grad_fn.gradients[1].data_ptr()  # type: ignore[union-attr]
    loss.backward()
    assert output.grad.data_ptr() == made


@pytest.mark.parametrize("cap", [0.0, 5.0])
@pytest.mark.parametrize("z_weight", [0.0, 0.3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_formula_that_a_gpu_compiles_is_the_gradient(z_weight: float, dtype: torch.dtype, cap: float) -> None:
    generator = torch.Generator().manual_seed(5)
    logits = (4 * torch.randn(37, 50, generator=generator)).to(dtype)
    targets = torch.randint(50, (37, 1), generator=generator)
    targets[[0, 9, 36]] = IGNORED
    counted = targets[:, 0] != IGNORED
    ours, sums = _formula(logits.clone(), targets, z_weight, cap)
    wanted, wanted_sums = _gradient(logits.clone(), targets, z_weight, cap)
    assert ours.dtype == wanted.dtype == dtype
    torch.testing.assert_close(sums, wanted_sums, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours[counted], wanted[counted])


def test_chunks_of_a_gpu_are_equally_long() -> None:
    for positions in (1, 100, 16384, 32768, 40000):
        size = chunk_rows(positions, 32000, "cuda")
        assert size * 32000 <= loss_module.GPU_CHUNK_LOGITS
        chunks = -(-positions // size)
        assert chunks * size - positions < chunks
