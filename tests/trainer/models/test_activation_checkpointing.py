"""Recomputation: the same gradients to the bit, fewer bytes kept. Compiled blocks: the same function."""

from __future__ import annotations

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from tests.trainer.shapes import build, small
from trainer.models.attention import _document_blocks, document_mask
from trainer.models.dropout import Dropout
from trainer.models.model import LanguageModel


class Alive(TorchDispatchMode):
    """The storages that operations have made, and what of them is still held."""

    def __init__(self) -> None:
        super().__init__()
        self.storages: dict[int, tuple[StorageWeakRef, int]] = {}
        self.products = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        self.products += func is torch.ops.aten.mm.default
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                self.storages[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        return result

    @property
    def held(self) -> int:
        return sum(size for reference, size in self.storages.values() if not reference.expired())


def step(model: LanguageModel, mode: str, dropped: bool = True) -> tuple[list[torch.Tensor], int, int]:
    """Gradients, bytes held between forward and backward, products made in the backward pass."""
    model.checkpoint_activations(mode)
    model.zero_grad()
    tokens = torch.randint(50, (2, 17), generator=torch.Generator().manual_seed(3))
    dropout = Dropout.of(0.1, 1, 1, [5, 6]) if dropped else None
    with Alive() as alive:
        hidden = model(tokens[:, :-1], document_mask(torch.tensor([[0] * 7 + [1] * 9] * 2)), None, dropout)
        held, products = alive.held, alive.products
        hidden.square().sum().backward()
    grads = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    return grads, held, alive.products - products


@pytest.mark.parametrize(
    "changes",
    [
        {"bias": True, "norm": "layer-bias", "gated": False, "activation": "gelu-tanh", "positions": "alibi"},
        {"positions": "t5", "block": "glm"},
        {"positions": "transformer-xl", "rezero": True},
    ],
)
def test_recomputation_changes_no_bit_of_other_families(changes: dict[str, object]) -> None:
    model = build(small("llama", layers=3, **changes))
    results = {mode: step(model, mode) for mode in ("none", "selective", "full")}
    for mode in ("selective", "full"):
        assert all(torch.equal(a, b) for a, b in zip(results["none"][0], results[mode][0], strict=True)), mode
        assert results[mode][1] < results["none"][1]


@pytest.mark.parametrize("family", ["llama", "palm"])
def test_recomputation_changes_no_bit_and_keeps_less(family: str) -> None:
    model = build(small(family, layers=3, tied=True))
    results = {mode: step(model, mode) for mode in ("none", "selective", "full")}
    for mode in ("selective", "full"):
        assert all(torch.equal(a, b) for a, b in zip(results["none"][0], results[mode][0], strict=True)), mode
    kept = {mode: result[1] for mode, result in results.items()}
    assert kept["full"] < 0.5 * kept["selective"]
    assert kept["selective"] < 0.85 * kept["none"]
    products = {mode: result[2] for mode, result in results.items()}
    # what selective keeps are the linear outputs: no product of the forward pass is made twice
    assert products["selective"] == products["none"] < products["full"]


def test_checkpointing_without_gradients_is_nothing() -> None:
    model = build(small("llama"))
    tokens = torch.arange(16)[None]
    before = model.logits(tokens).detach()
    model.checkpoint_activations("selective")
    with torch.no_grad():
        assert torch.equal(model.logits(tokens), before)
        cache = model.new_cache(1)
        torch.testing.assert_close(model.logits(tokens, cache=cache), before)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch warns of its own compiler
@pytest.mark.parametrize("mode", ["none", "selective"])
def test_compiled_blocks_compute_the_same(mode: str) -> None:
    model = build(small("llama"))
    wanted, _, _ = step(model, "none")
    torch.use_deterministic_algorithms(True)
    try:
        model.checkpoint_activations(mode)
        model.compile_blocks()
        runs = []
        for _ in range(2):
            model.zero_grad()
            tokens = torch.randint(50, (2, 17), generator=torch.Generator().manual_seed(3))
            mask = document_mask(torch.tensor([[0] * 7 + [1] * 9] * 2))
            model(tokens[:, :-1], mask, None, Dropout.of(0.1, 1, 1, [5, 6])).square().sum().backward()
            runs.append([parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None])
    finally:
        torch.use_deterministic_algorithms(False)
        torch._dynamo.reset()
    for ours, again, eager in zip(*runs, wanted, strict=True):
        assert torch.equal(ours, again)
        torch.testing.assert_close(ours, eager, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch warns of its own compiler
@pytest.mark.parametrize("family", ["llama", "palm"])
def test_a_compiled_block_is_one_program_for_all_blocks(family: str) -> None:
    model = build(small(family, layers=3))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    try:
        model.compile_blocks()
        tokens = torch.randint(50, (2, 16), generator=torch.Generator().manual_seed(3))
        model(tokens).square().sum().backward()
        counters = torch._dynamo.utils.counters
        assert not counters["graph_break"]
        assert counters["stats"]["unique_graphs"] == 1
    finally:
        torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch warns of its own compiler
@pytest.mark.parametrize("positions", ["rope", "alibi", "t5", "transformer-xl", "learned"])
def test_flex_attention_keeps_documents_apart_as_the_boolean_mask_does(positions: str) -> None:
    """FlexAttention runs forward on a CPU too; backward and training with it need a GPU. It adds the scores of positions."""
    model = build(small("llama", head_size=16, sequence_length=256, positions=positions))
    tokens = torch.randint(50, (2, 256), generator=torch.Generator().manual_seed(3))
    documents = torch.cat([torch.zeros(2, 100), torch.ones(2, 156)], dim=1).long()
    documents[1, 200:] = 2
    try:
        with torch.no_grad():
            wanted = model.logits(tokens, document_mask(documents))
            torch.testing.assert_close(model.logits(tokens, _document_blocks(documents)), wanted, atol=1e-4, rtol=1e-4)
            model.compile_blocks()
            torch.testing.assert_close(model.logits(tokens, _document_blocks(documents)), wanted, atol=1e-4, rtol=1e-4)
    finally:
        torch._dynamo.reset()
