"""Dropout: a share is dropped, independently, and by nothing but seed, step, row, place and position."""

from __future__ import annotations

import pytest
import torch

from tests.trainer.shapes import build, small
from trainer.models.dropout import Dropout
from trainer.models.model import LanguageModel
from trainer.models.objective import TrainingModel


def kept(
    seed: int = 1, step: int = 2, rows: tuple[int, ...] = (3, 4), place: int = 0, rate: float = 0.1
) -> torch.Tensor:
    dropout = Dropout.of(rate, seed, step, rows)
    assert dropout is not None
    return dropout.at(place).kept(64, 96)


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.5])
def test_the_share_that_is_dropped(rate: float) -> None:
    bits = kept(rows=tuple(range(32)), rate=rate)
    deviation = (rate * (1 - rate) / bits.numel()) ** 0.5
    assert float((~bits).double().mean()) == pytest.approx(rate, abs=5 * deviation)
    # no row, position or channel is favoured
    for dimension in range(3):
        others = [d for d in range(3) if d != dimension]
        shares = (~bits).double().mean(others)
        spread = (rate * (1 - rate) / (bits.numel() / len(shares))) ** 0.5
        assert float((shares - rate).abs().max()) < 5 * spread


@pytest.mark.parametrize("other", [{"seed": 2}, {"step": 3}, {"rows": (5, 9)}, {"place": 1}])
def test_other_places_are_independent(other: dict[str, object]) -> None:
    a, b = ~kept(rate=0.5), ~kept(rate=0.5, **other)  # type: ignore[arg-type]
    both = float((a & b).double().mean())
    assert both == pytest.approx(0.25, abs=0.02)


def test_neighbours_are_independent() -> None:
    dropped = ~kept(rows=tuple(range(64)), rate=0.5)
    for one, two in (
        (dropped[1:], dropped[:-1]),
        (dropped[:, 1:], dropped[:, :-1]),
        (dropped[..., 1:], dropped[..., :-1]),
        (dropped[:, 1:, 1:], dropped[:, :-1, :-1]),
    ):
        assert float((one & two).double().mean()) == pytest.approx(0.25, abs=0.005)


def test_a_row_has_its_bits_wherever_it_is() -> None:
    whole = kept(rows=(7, 8, 1_000_000_000_000, 10))
    assert torch.equal(whole[2:3], kept(rows=(1_000_000_000_000,)))
    assert torch.equal(whole[[3, 0]], kept(rows=(10, 7)))


def test_rate_zero_is_none_and_the_mean_stays() -> None:
    assert Dropout.of(0.0, 1, 2, (3,)) is None
    dropout = Dropout.of(0.25, 1, 2, range(8))
    assert dropout is not None
    ones = dropout(torch.ones(8, 64, 96))
    assert sorted(ones.unique().tolist()) == [0.0, pytest.approx(1 / 0.75)]
    assert float(ones.mean()) == pytest.approx(1.0, abs=0.02)


def gradients(model: LanguageModel, tokens: torch.Tensor, parts: list[list[int]]) -> list[torch.Tensor]:
    model.zero_grad()
    for rows in parts:
        dropout = Dropout.of(0.1, 5, 11, [100 + row for row in rows])
        loss, _ = TrainingModel(model)(tokens[rows, :-1], tokens[rows, 1:], None, dropout, 0.0, tokens[:, 1:].numel())
        loss.backward()
    return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("family", ["llama", "palm"])
def test_micro_batches_and_ranks_drop_the_same(family: str) -> None:
    model = build(small(family))
    tokens = torch.randint(50, (4, 17), generator=torch.Generator().manual_seed(3))
    torch.manual_seed(0)
    whole = gradients(model, tokens, [[0, 1, 2, 3]])
    torch.manual_seed(1)  # no generator has a say
    for parts in ([[0], [1], [2], [3]], [[0, 2], [1, 3]]):
        for a, b in zip(whole, gradients(model, tokens, parts), strict=True):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)
    without = LanguageModel(model.shape)
    without.load_state_dict(model.state_dict())
    loss, _ = TrainingModel(without)(tokens[:, :-1], tokens[:, 1:], None, None, 0.0, 64)
    loss.backward()
    assert not torch.allclose(whole[0], without.embedding.grad, rtol=1e-2)


def test_every_layer_drops_others() -> None:
    model = build(small("llama"))
    seen = []
    for block in model.blocks:
        block.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[5].kept(16, 24)))
    model(torch.zeros(1, 16, dtype=torch.int64), dropout=Dropout.of(0.5, 1, 1, [0]))
    assert len(seen) == 2 and not torch.equal(*seen)
