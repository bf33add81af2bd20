"""`trainer probe`: how a run's layers work, checkpoint by checkpoint, and before any training.

Feed-forward layers of trained transformers are sparse: few neurons are active for a token (Zhang et al. 2022, MoEfication,
arXiv 2110.01786; Li et al. 2023, the lazy neuron, arXiv 2210.06313), and neurons come to serve kinds of text. A share of
near-zero activations alone says little, for products of Gaussians are often near zero too: the first weights of the same
run are the control.

Shape suffixes: B sequences, T positions, S positions seen, N tokens that count, F neurons, H heads, D width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from corpus.errors import UsageError
from trainer.checkpoints.checkpoint import CheckpointStore
from trainer.data.targets import read_inputs
from trainer.data.validation_sets import PackedRows, open_validation
from trainer.distributed.ranks import pick_device
from trainer.models.attention import Attention
from trainer.models.block import Block
from trainer.models.initialisation import initialise
from trainer.models.loss import IGNORED
from trainer.models.model import LanguageModel
from trainer.models.precision import precision_context
from trainer.run.directory import Run
from trainer.run.load import load_model
from trainer.science.probe_options import ProbeOptions

_TOP = 0.1
"""Concentration is the part of a token's energy (the sum of the squares) in this part of the neurons."""


@dataclass(frozen=True)
class LayerProbe:
    """What was measured of a layer.

    `near_zero`: the share of activations below `near` of the RMS of their token's. `never`: the share of neurons that are
    so for every token. `top`: the part of a token's energy in a tenth of the neurons. `gini`: that of the neurons' mean
    absolute activations (0: all work alike). `special`: the share of used neurons of which one domain has more than halfway
    from an even part to all of the use; None with one domain. `entropy`: of attention over the entropy of attending to
    all positions alike, mean over heads, and `sharpest` of the head with the least. `first`: the attention to the first
    position. `residual`: the RMS of the stream after the layer. `weights`: the RMS of its matrices.
    """

    near_zero: float
    never: float
    top: float
    gini: float
    special: float | None
    entropy: float
    sharpest: float
    first: float
    residual: float
    weights: float


@dataclass(frozen=True)
class Probe:
    """A run's layers at each of its checkpoints; `control` are those of its first weights, None where they are not at hand."""

    run: Path
    options: ProbeOptions
    tokens: int
    control: tuple[LayerProbe, ...] | None
    steps: Mapping[int, tuple[LayerProbe, ...]]


def probe_run(path: Path, options: ProbeOptions, report: Callable[[str], None]) -> Probe:
    """Probe the first weights and every checkpoint of a run. A UsageError where the data have other tokens than the run's."""
    run = Run(path)
    config = run.config()
    sets = open_validation(options.data)
    for name, rows in sets.items():
        if rows.identity.tokenizer != config.data.tokenizer:
            raise UsageError(f"the set '{name}' has another tokenizer than {path}: pack it with the run's tokenizer.")
        if rows.identity.sequence_length > config.model.sequence_length:
            raise UsageError(
                f"the set '{name}' has sequences of {rows.identity.sequence_length} tokens and the model takes "
                f"{config.model.sequence_length}: mix with --sequence-length {config.model.sequence_length}."
            )
    reader = _Reader(sets, options, config.training.document_mask, config.training.precision)
    device = pick_device(options.device)
    control = None
    if config.initial or config.finetuning.method != "full":
        report("no control: the run began with the weights of another model")
    else:
        report("probing the first weights")
        model = LanguageModel(config.model)
        initialise(model, run.first_config().training.seed)
        control = reader.probe(model.eval().to(device))
    found = {}
    for step in sorted(CheckpointStore(run.checkpoints).steps()):
        report(f"probing step {step:,}")
        model, _ = load_model(run, lambda text: None, step)
        if model.soft_prompt is not None:
            raise UsageError(f"{path} has a soft prompt: probe the run that it was tuned on.")
        found[step] = reader.probe(model.to(device))
    if not found:
        raise UsageError(f"{path} has no checkpoint: give its command of trainer fit again.")
    return Probe(path, options, reader.tokens, control, found)


@dataclass
class _Reader:
    """The sequences that every model reads, the same for all."""

    sets: Mapping[str, PackedRows]
    options: ProbeOptions
    masked: bool
    precision: str
    tokens: int = 0

    def probe(self, model: LanguageModel) -> tuple[LayerProbe, ...]:
        """All layers of a model."""
        domains = sorted({domain for _, _, names in self._batches() for domain in names})
        layers = [
            _LayerSums(block, self.options.near, len(domains)) for block in model.blocks if isinstance(block, Block)
        ]
        self.tokens = 0
        with ExitStack() as stack, torch.no_grad():
            for layer in layers:
                stack.enter_context(layer.listening())
            for data, rows, names in self._batches():
                # the mask of a CPU, which is a matrix wherever the model is
                inputs = read_inputs(data, rows, self.masked)
                real_BT = inputs.targets_BT != IGNORED
                self.tokens += int(real_BT.sum())
                where_B = torch.tensor([domains.index(name) for name in names])
                device = model.embedding.device
                for layer in layers:
                    layer.batch(real_BT.to(device), where_B.to(device))
                mask = None if inputs.mask is None else inputs.mask.to(device)
                with precision_context(self.precision, device):
                    model(inputs.tokens_BT.to(device), mask)
        return tuple(layer.probe() for layer in layers)

    def _batches(self) -> Iterator[tuple[PackedRows, range, list[str]]]:
        """Rows spread evenly over all sets, and their domains."""
        total = sum(map(len, self.sets.values()))
        wanted = np.unique(np.linspace(0, total - 1, min(total, self.options.sequences)).round().astype(np.int64))
        first = 0
        for _, data in sorted(self.sets.items()):
            inside = wanted[(wanted >= first) & (wanted < first + len(data))] - first
            first += len(data)
            for run in np.split(inside, np.flatnonzero(np.diff(inside) != 1) + 1) if len(inside) else ():
                for start in range(0, len(run), self.options.batch_size):
                    part = run[start : start + self.options.batch_size]
                    rows = range(int(part[0]), int(part[-1]) + 1)
                    yield data, rows, data.domains(slice(rows.start, rows.stop))


@dataclass
class _LayerSums:
    """What is added up of one layer while the model reads."""

    block: Block
    near: float
    domains: int
    tokens: int = 0
    near_zero: int = 0
    top: float = 0.0
    square: float = 0.0
    attention: dict[str, Tensor] = field(default_factory=dict)
    real_BT: Tensor | None = None
    where_B: Tensor | None = None

    def __post_init__(self) -> None:
        width = self.block.mlp.output.in_features
        device = self.block.mlp.output.weight.device
        self.used = torch.zeros(self.domains, width, dtype=torch.int64, device=device)
        self.size = torch.zeros(width, dtype=torch.float64, device=device)
        self.read = torch.zeros(self.domains, dtype=torch.int64, device=device)

    def batch(self, real_BT: Tensor, where_B: Tensor) -> None:
        """Which tokens of the batch to come count, and the domains of its rows."""
        self.real_BT, self.where_B = real_BT, where_B

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear what goes through the layer."""
        hooks = [
            self.block.mlp.output.register_forward_pre_hook(self._activations),
            self.block.attention.register_forward_pre_hook(self._attends, with_kwargs=True),
            self.block.register_forward_hook(self._passes),
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _activations(self, module: nn.Module, given: tuple[Tensor, ...]) -> None:
        assert self.real_BT is not None and self.where_B is not None
        values_NF = given[0][self.real_BT].float()
        squares_NF = values_NF.square()
        large_NF = squares_NF >= self.near**2 * squares_NF.mean(1, keepdim=True)
        large_NF &= values_NF != 0  # where a token activates nothing
        self.tokens += len(values_NF)
        self.near_zero += int((~large_NF).sum())
        count = math.ceil(_TOP * values_NF.shape[1])
        energy_N = squares_NF.sum(1)
        part_N = squares_NF.topk(count, dim=1).values.sum(1) / energy_N.clamp(min=torch.finfo(torch.float32).tiny)
        self.top += float(part_N.sum(dtype=torch.float64))
        self.size += values_NF.abs().sum(0, dtype=torch.float64)
        domain_N = self.where_B[:, None].expand(self.real_BT.shape)[self.real_BT]
        self.used.index_add_(0, domain_N, large_NF.long())
        self.read += torch.bincount(domain_N, minlength=self.domains)

    def _attends(self, module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        assert isinstance(module, Attention) and self.real_BT is not None
        x_BTD, table, mask = given[:3]
        assert mask is None or isinstance(mask, Tensor)
        for row in range(len(x_BTD)):
            one = mask if mask is None or len(mask) == 1 else mask[row : row + 1]
            weights_HTS = module.weights(x_BTD[row : row + 1], table, one)[0]
            # a position that sees itself alone has no choice
            seen_T = (weights_HTS > 0).sum(-1).amax(0)
            real_T = self.real_BT[row] & (seen_T > 1)
            entropy_HT = torch.special.entr(weights_HTS).sum(-1) / seen_T.clamp(min=2).log()
            first_T = (weights_HTS.mean(0) > 0).float().argmax(-1)
            first_HT = weights_HTS.gather(2, first_T.expand(len(weights_HTS), -1)[..., None])[..., 0]
            for name, value in (("entropy", entropy_HT), ("first", first_HT)):
                sums_H = value[:, real_T].sum(1, dtype=torch.float64)
                self.attention[name] = self.attention.get(name, torch.zeros_like(sums_H)) + sums_H
            count = real_T.sum()
            self.attention["count"] = self.attention.get("count", torch.zeros_like(count)) + count

    def _passes(self, module: nn.Module, given: tuple[Any, ...], output: Tensor) -> None:
        assert self.real_BT is not None
        self.square += float(output[self.real_BT].float().square().mean(-1).sum(dtype=torch.float64))

    def probe(self) -> LayerProbe:
        """The measures from the sums."""
        width = len(self.size)
        heads_H = self.attention["entropy"] / self.attention["count"].clamp(min=1)
        first_H = self.attention["first"] / self.attention["count"].clamp(min=1)
        matrices = [value.detach().float() for value in self.block.parameters() if value.dim() == 2]
        squares = sum(float(value.square().sum(dtype=torch.float64)) for value in matrices)
        return LayerProbe(
            near_zero=self.near_zero / (self.tokens * width),
            never=float((self.used.sum(0) == 0).double().mean()),
            top=self.top / self.tokens,
            gini=gini(self.size),
            special=special(self.used, self.read),
            entropy=float(heads_H.mean()),
            sharpest=float(heads_H.min()),
            first=float(first_H.mean()),
            residual=math.sqrt(self.square / self.tokens),
            weights=math.sqrt(squares / sum(value.numel() for value in matrices)),
        )


def gini(values: Tensor) -> float:
    """The Gini coefficient of values that are not negative: 0 where all are alike, near 1 where one has all."""
    ascending = values.double().sort().values
    total, size = float(ascending.sum()), len(ascending)
    if not total:
        return 0.0
    ranks = torch.arange(1, size + 1, dtype=torch.float64, device=values.device)
    return float((2 * ranks - size - 1) @ ascending) / (size * total)


def special(used: Tensor, read: Tensor) -> float | None:
    """The share of used neurons that one domain has more than halfway from an even part to all of: `used` [domains, F] is in how
    many of the `read` [domains] tokens a neuron is active. None with one domain."""
    there = read > 0
    if int(there.sum()) < 2:
        return None
    rates = used[there].double() / read[there, None]
    rates = rates[:, rates.sum(0) > 0]
    if not rates.shape[1]:
        return 0.0
    largest = rates.max(0).values / rates.sum(0)
    even = 1 / len(rates)
    return float((largest > (1 + even) / 2).double().mean())
