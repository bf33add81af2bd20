"""DoReMi against a slow twin, and on a toy whose answer is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from corpus.errors import UsageError
from corpus.mixture.plan.weights import load_mixture
from tests.trainer.packed import write_packed
from trainer.cli import main
from trainer.data.validation_sets import PackedRows
from trainer.science.domain_rows import DomainBatches, rows_by_domain
from trainer.science.doremi import _Work, run_doremi
from trainer.science.doremi_options import DoremiOptions
from trainer.science.group_weights import GroupWeights
from trainer.science.proxy import Proxy, proxy_config, read_rows

SMALL = (
    "model.layers=1", "model.d_model=32", "model.heads=2", "model.n_kv_heads=2", "model.head_size=16",
    "model.feed_forward=64", "optimizer.lr=0.01",
)  # fmt: skip
CPU = torch.device("cpu")


def _twin(
    losses: Sequence[Sequence[Sequence[float]]], references: Sequence[Sequence[Sequence[float]]], eta: float, c: float
) -> list[float]:
    """Algorithm 1 word for word: for each step and domain the losses of its tokens."""
    k = len(losses[0])
    alpha, total = [1 / k] * k, [0.0] * k
    last = [0.0] * k
    for step, domains in enumerate(losses):
        for i, tokens in enumerate(domains):
            if tokens:
                last[i] = sum(max(a - b, 0.0) for a, b in zip(tokens, references[step][i], strict=True)) / len(tokens)
        raised = [a * np.exp(eta * excess) for a, excess in zip(alpha, last, strict=True)]
        alpha = [(1 - c) * value / sum(raised) + c / k for value in raised]
        total = [t + a for t, a in zip(total, alpha, strict=True)]
    return [t / len(losses) for t in total]


_TOKENS = st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9)), max_size=4)


@given(
    steps=st.integers(2, 3).flatmap(
        lambda k: st.lists(st.lists(_TOKENS, min_size=k, max_size=k), min_size=1, max_size=5)
    ),
    eta=st.floats(0.1, 2),
    c=st.floats(0, 0.1),
)
def test_weights_are_those_of_algorithm_1(steps: list[list[list[tuple[float, float]]]], eta: float, c: float) -> None:
    weights = GroupWeights(len(steps[0]), eta, c)
    for domains in steps:
        excess = np.array([sum(max(a - b, 0.0) for a, b in tokens) for tokens in domains])
        weights.update(excess, np.array([len(tokens) for tokens in domains]))
    proxy = [[[a for a, _ in tokens] for tokens in domains] for domains in steps]
    reference = [[[b for _, b in tokens] for tokens in domains] for domains in steps]
    assert weights.mean == pytest.approx(_twin(proxy, reference, eta, c), abs=1e-9)


def test_huge_excess_does_not_overflow() -> None:
    weights = GroupWeights(3, 1.0, 1e-3)
    weights.update(np.array([1e5, 0.0, 0.0]), np.array([1, 1, 1]))
    assert weights.weights == pytest.approx([1 - 1e-3 + 1e-3 / 3, 1e-3 / 3, 1e-3 / 3])


@given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=4),
    batch=st.integers(4, 12),
    data=st.data(),
)
def test_batches_follow_the_shares_and_read_each_epoch_once(sizes: list[int], batch: int, data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.integers(1, 9), min_size=len(sizes), max_size=len(sizes)))
    shares = np.array(parts) / sum(parts)
    starts = np.cumsum([0, *sizes])
    rows = [np.arange(a, b) for a, b in pairwise(starts)]
    drawn = DomainBatches(rows, shares, batch, 0)
    read: list[list[int]] = [[] for _ in sizes]
    for step in range(1, 8):
        taken = drawn.next()
        assert sum(map(len, taken)) == batch
        for index, part in enumerate(taken):
            read[index] += part.tolist()
            assert abs(len(read[index]) - shares[index] * batch * step) <= len(sizes)
    for index, size in enumerate(sizes):
        whole = len(read[index]) // size
        for epoch in range(whole):
            assert sorted(read[index][epoch * size : (epoch + 1) * size]) == rows[index].tolist()


def _toy(path: Path, length: int = 16, vocabulary: int = 64) -> Path:
    """Three domains: noise, a walk over a permutation that takes some steps to learn, and one token again and again."""
    generator = np.random.default_rng(0)
    each = 400
    noise = generator.integers(3, vocabulary, (each, length + 1))
    successor = generator.permutation(np.arange(3, vocabulary))
    learnable = np.empty((each, length + 1), np.int64)
    learnable[:, 0] = generator.integers(3, vocabulary, each)
    for at in range(1, length + 1):
        learnable[:, at] = successor[learnable[:, at - 1] - 3]
    learned = np.full((each, length + 1), 5)
    rows = np.concatenate([noise, learnable, learned])
    domains = ["noise"] * each + ["learnable"] * each + ["learned"] * each
    order = generator.permutation(len(rows))
    return write_packed(path, rows[order], vocabulary, domains=[domains[number] for number in order])


def test_a_step_has_the_gradient_of_the_weighted_sum_of_domain_means(tmp_path: Path) -> None:
    data = PackedRows(_toy(tmp_path / "packed"))
    rows = rows_by_domain(data)
    options = DoremiOptions(tmp_path / "out", "llama-tiny", 2, batch_size=7, settings=SMALL)
    work = _Work(options, data, list(rows.values()), CPU, lambda text: None)
    batch = [part[: n + 1] for part, n in zip(rows.values(), (0, 1, 3), strict=True)]
    config = proxy_config(data, "llama-tiny", 2, 7, 0, SMALL)
    reference = {int(row): np.full(16, 1.0, np.float32) for part in batch for row in part}
    proxy, twin, weights = Proxy(config, CPU), Proxy(config, CPU), GroupWeights(3)
    before = [parameter.detach().clone() for parameter in twin.model.parameters()]
    work._step(proxy, weights, batch, reference)

    means, excess = [], []
    for part in batch:
        tokens_BT, targets_BT = read_rows(data, part, CPU)
        logits = twin.model.logits(tokens_BT)
        losses = functional.cross_entropy(logits.flatten(0, 1), targets_BT.flatten(), reduction="none")
        means.append(losses.mean())
        excess.append(float((losses.detach() - 1.0).clamp(min=0).mean()))
    alpha = np.exp(excess) / np.exp(excess).sum() * (1 - 1e-3) + 1e-3 / 3
    assert weights.weights == pytest.approx(alpha, rel=1e-5)
    twin.update(lambda: torch.stack([float(a) * mean for a, mean in zip(alpha, means, strict=True)]).sum())
    for ours, theirs, old in zip(proxy.model.parameters(), twin.model.parameters(), before, strict=True):
        moved = (theirs - old).abs().max()
        assert (ours - theirs).abs().max() <= 1e-3 * moved


def test_weight_goes_to_what_can_be_learned(tmp_path: Path) -> None:
    packed = _toy(tmp_path / "packed")
    options = DoremiOptions(tmp_path / "out", "llama-tiny", 80, batch_size=24, settings=SMALL, threads=1)
    found = run_doremi(packed, options, lambda text: None)
    weights = found.weights
    assert weights["learnable"] > 0.45 > weights["noise"] > weights["learned"]
    assert sum(weights.values()) == pytest.approx(1)
    # done rounds are taken as they are; one more goes on from their weights
    again = run_doremi(packed, options, lambda text: pytest.fail(text) if "step" in text else None)
    assert again.weights == weights
    with pytest.raises(UsageError, match="other settings"):
        run_doremi(
            packed, DoremiOptions(tmp_path / "out", "llama-tiny", 81, batch_size=24, settings=SMALL), lambda t: None
        )


def test_the_command_writes_a_mixture_that_mix_takes(tmp_path: Path) -> None:
    packed = _toy(tmp_path / "packed")
    arguments = [
        "doremi", str(packed), "--proxy", "llama-tiny", "--steps", "3", "--batch-size", "6", "--output", str(tmp_path / "out"),
        "--threads", "1", "--serves", "1e12", "--rounds", "2", *(part for text in SMALL for part in ("--set", text)),
    ]  # fmt: skip
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "of the run that it serves" in result.output and "in 2 rounds" in result.output
    mixture = load_mixture(str(tmp_path / "out" / "mixture.yaml"))
    assert sorted(weight.domain for weight in mixture.weights) == ["learnable", "learned", "noise"]
    assert sum(weight.share or 0 for weight in mixture.weights) == 1
    value = json.loads(CliRunner().invoke(main, [*arguments, "--json", "--quiet"]).output)
    assert [round["reference"] for round in value["rounds"]][1] == value["rounds"][0]["weights"]
    assert (tmp_path / "out" / "weights.svg").exists()


def test_a_reference_run_is_scored_and_checked(tmp_path: Path) -> None:
    packed = _toy(tmp_path / "packed")
    fit = [
        "fit",
        "--data",
        str(packed),
        "--model",
        "llama-tiny",
        "--steps",
        "2",
        "--batch-size",
        "4",
        "--threads",
        "1",
        "--quiet",
    ]
    run = CliRunner().invoke(main, [*fit, "--output", str(tmp_path / "run")])
    assert run.exit_code == 0, run.output
    options = DoremiOptions(tmp_path / "out", "llama-tiny", 2, tmp_path / "run", batch_size=6, settings=SMALL)
    found = run_doremi(packed, options, lambda text: None)
    assert found.rounds[0].reference_flops == 0 and found.rounds[0].scoring_flops > 0
    other = write_packed(tmp_path / "other", np.ones((20, 17), np.int64), 64, domains=["a", "b"] * 10, tokenizer="t1")
    with pytest.raises(UsageError, match="another tokenizer or vocabulary"):
        run_doremi(
            other, DoremiOptions(tmp_path / "o2", "llama-tiny", 2, tmp_path / "run", settings=SMALL), lambda t: None
        )


def test_what_cannot_be_weighed_is_said(tmp_path: Path) -> None:
    one = write_packed(tmp_path / "one", np.ones((20, 17), np.int64), 24)
    with pytest.raises(UsageError, match="one domain only"):
        run_doremi(one, DoremiOptions(tmp_path / "o", "llama-tiny", 2, settings=SMALL), lambda text: None)
    many = write_packed(tmp_path / "many", np.ones((20, 17), np.int64), 24, domains=[f"d{n % 5}" for n in range(20)])
    with pytest.raises(UsageError, match="each of 5 domains"):
        run_doremi(
            many, DoremiOptions(tmp_path / "o", "llama-tiny", 2, batch_size=4, settings=SMALL), lambda text: None
        )


def test_padding_is_no_target(tmp_path: Path) -> None:
    rows: npt.NDArray[np.int64] = np.ones((4, 9), np.int64)
    packed = write_packed(
        tmp_path / "p", rows, 5, segments=[[(0, 9)], [(0, 4)], [(0, 2), (0, 3)], [(0, 9)]], packing="best-fit"
    )
    _, targets_BT = read_rows(PackedRows(packed), np.array([2, 1]), CPU)
    assert (targets_BT >= 0).sum(1).tolist() == [4, 3]
