"""`trainer doremi`: weights of domains by group-DRO against a reference (Xie et al. 2023, arXiv 2305.10429).

A reference is trained with the weights α_ref; a proxy then trains on batches that are uniform over domains, its domains
weighted by α, which grows where the proxy's loss exceeds the reference's, clipped at 0 token by token. The mean of α over the
steps is the mixture. Where the paper and its author's code differ, this is the paper's Algorithm 1: the loss is the sum of
the domains' mean losses times α, and α moves before the step that uses it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file

from corpus.data.files import digest_of, write_atomic
from corpus.errors import DataError, UsageError
from trainer.data.validation_sets import PackedRows, training_shares
from trainer.distributed.ranks import pick_device
from trainer.models.model import LanguageModel
from trainer.models.objective import TrainingModel
from trainer.models.precision import precision_context
from trainer.run.directory import Run
from trainer.run.load import load_model
from trainer.science.domain_rows import DomainBatches, rows_by_domain
from trainer.science.doremi_options import DoremiOptions
from trainer.science.group_weights import GroupWeights
from trainer.science.proxy import Proxy, check_reference, proxy_config, read_rows

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_AT_ONCE = 16
"""Rows that are scored at once."""
_LAST = 0.1
"""Excess losses are shown as means over this last share of the steps."""


@dataclass(frozen=True)
class Round:
    """One round: the reference's weights, the mean of the proxy's, each domain's excess loss at the end (nats a token), and
    FLOPs of the reference's training, of its scoring, and of the proxy."""

    reference: list[float]
    weights: list[float]
    excess: list[float]
    trajectory: list[list[float]]
    reference_flops: float
    scoring_flops: float
    proxy_flops: float


@dataclass(frozen=True)
class Doremi:
    """What came out: the domains with their weights in the last round, and all rounds."""

    domains: list[str]
    rounds: list[Round]
    mixed: Mapping[str, float]
    """The shares that the packed set was mixed by."""

    @property
    def weights(self) -> dict[str, float]:
        """Of the last round, by domain."""
        return dict(zip(self.domains, self.rounds[-1].weights, strict=True))

    @property
    def flops(self) -> float:
        """Of all rounds."""
        return sum(each.reference_flops + each.scoring_flops + each.proxy_flops for each in self.rounds)


def run_doremi(path: Path, options: DoremiOptions, say: Callable[[str], None]) -> Doremi:
    """Do the rounds that are not done yet; a round, and a reference, that is finished in the output is taken as it is."""
    data = PackedRows(path)
    rows = rows_by_domain(data)
    if options.batch_size < len(rows):
        raise UsageError(
            f"a batch of {options.batch_size} has no row of each of {len(rows)} domains: give a larger --batch-size."
        )
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    work = _Work(options, data, list(rows.values()), pick_device(options.device), say)
    rounds: list[Round] = []
    for number in range(1, options.rounds + 1):
        say(f"round {number} of at most {options.rounds}")
        before = np.array(rounds[-1].weights) if rounds else np.full(len(rows), 1 / len(rows))
        rounds.append(work.round(number, before))
        moved = float(np.abs(np.array(rounds[-1].weights) - before).max())
        if moved < options.settle:
            say(f"no weight moved by {options.settle:g}: settled")
            break
    return Doremi(list(rows), rounds, training_shares(data))


@dataclass(frozen=True)
class _Work:
    options: DoremiOptions
    data: PackedRows
    rows: Sequence[Ints]
    device: torch.device
    say: Callable[[str], None]

    def round(self, number: int, reference_weights: Floats) -> Round:
        folder = self.options.output / f"round-{number}"
        done = folder / "round.json"
        key = self._key(reference_weights)
        if done.exists():
            value = _read(done)
            if value.pop("key") != key:
                raise UsageError(f"{folder} was made with other settings or data: give another --output, or remove it.")
            return Round(**value)
        folder.mkdir(parents=True, exist_ok=True)
        config = proxy_config(
            self.data,
            self.options.proxy,
            self.options.steps,
            self.options.batch_size,
            self.options.seed,
            self.options.settings,
        )
        batches = self._batches(np.full(len(self.rows), 1 / len(self.rows)))
        model, precision, spent = self._reference(number, reference_weights, folder, key)
        scores, scored = self._score(model, precision, batches)
        weights = GroupWeights(len(self.rows), self.options.step_size, self.options.smoothing)
        proxy = Proxy(config, self.device)
        trajectory, excesses = [], []
        for step, batch in enumerate(batches, 1):
            self._step(proxy, weights, batch, scores)
            trajectory.append(weights.weights.tolist())
            excesses.append(weights.excess.copy())
            if step % max(1, len(batches) // 10) == 0:
                self.say(f"proxy: step {step} of {len(batches)}, largest weight {weights.weights.max():.3f}")
        last = np.mean(excesses[-max(1, round(_LAST * len(excesses))) :], axis=0)
        every = max(1, len(trajectory) // 1000)
        found = Round(
            reference_weights.tolist(),
            weights.mean.tolist(),
            last.tolist(),
            trajectory[::every],
            spent,
            scored,
            proxy.flops(self.options.batch_size * len(batches)),
        )
        write_atomic(done, json.dumps({"key": key, **asdict(found)}) + "\n")
        return found

    def _key(self, reference_weights: Floats) -> str:
        """What a round follows from."""
        options = {
            key: str(value)
            for key, value in asdict(self.options).items()
            if key not in ("output", "rounds", "settle", "serves", "threads", "device")
        }
        return digest_of({"options": options, "data": self.data.identity.digest, "weights": reference_weights.tolist()})

    def _batches(self, shares: Floats) -> list[list[Ints]]:
        drawn = DomainBatches(self.rows, shares, self.options.batch_size, self.options.seed)
        return [drawn.next() for _ in range(self.options.steps)]

    def _reference(self, number: int, shares: Floats, folder: Path, key: str) -> tuple[LanguageModel, str, float]:
        """The reference model, its precision, and the FLOPs that its training took here."""
        if self.options.reference is not None and number == 1:
            run = Run(self.options.reference)
            check_reference(run.config().data, self.data.identity, self.options.reference)
            model, _ = load_model(run, self.say)
            if model.shape.sequence_length < self.data.identity.sequence_length:
                raise UsageError(
                    f"{self.options.reference} takes {model.shape.sequence_length} tokens and the data have "
                    f"{self.data.identity.sequence_length}: mix them with its --sequence-length."
                )
            return model.to(self.device), run.config().training.precision, 0.0
        config = proxy_config(
            self.data,
            self.options.proxy,
            self.options.steps,
            self.options.batch_size,
            self.options.seed,
            self.options.settings,
        )
        proxy = Proxy(config, self.device)
        flops = proxy.flops(self.options.batch_size * self.options.steps)
        file = folder / f"reference-{key}.safetensors"
        if file.exists():
            proxy.model.load_state_dict(load_file(file))
            return proxy.model.eval(), config.training.precision, flops
        for step, batch in enumerate(self._batches(shares), 1):
            tokens_BT, targets_BT = read_rows(self.data, np.concatenate(batch), self.device)
            loss = proxy.learn(tokens_BT, targets_BT)
            if step % max(1, self.options.steps // 10) == 0:
                self.say(f"reference: step {step} of {self.options.steps}, loss {loss:.4f}")
        partial = file.with_suffix(".part")
        save_file({name: value.contiguous() for name, value in proxy.model.state_dict().items()}, partial)
        partial.rename(file)
        return proxy.model.eval(), config.training.precision, flops

    def _score(
        self, model: LanguageModel, precision: str, batches: Sequence[Sequence[Ints]]
    ) -> tuple[dict[int, npt.NDArray[np.float32]], float]:
        """The reference's loss of every target of all rows that the proxy will see, each row once; and the FLOPs."""
        wanted = np.unique(np.concatenate([rows for batch in batches for rows in batch]))
        self.say(f"reference: scores {len(wanted):,} rows")
        losses = TrainingModel(model).losses
        found: dict[int, npt.NDArray[np.float32]] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            part = wanted[start : start + _AT_ONCE]
            tokens_BT, targets_BT = read_rows(self.data, part, self.device)
            with precision_context(precision, self.device):
                scores_BT = losses(tokens_BT, targets_BT, None).cpu().numpy()
            found.update(zip(part.tolist(), scores_BT, strict=True))
        length = self.data.identity.sequence_length
        return found, len(wanted) * length * LanguageModel.flops_per_token(model.shape, length) / 3

    def _step(
        self, proxy: Proxy, weights: GroupWeights, batch: Sequence[Ints], scores: Mapping[int, npt.NDArray[np.float32]]
    ) -> None:
        """One step of Algorithm 1: losses, new weights, gradient of the weighted sum of the domains' means."""
        rows = np.concatenate(batch)
        tokens_BT, targets_BT = read_rows(self.data, rows, self.device)
        reference_BT = torch.from_numpy(np.stack([scores[int(row)] for row in rows])).to(self.device)
        bounds = np.cumsum([0, *(len(part) for part in batch)])
        parts = [slice(int(a), int(b)) for a, b in pairwise(bounds)]

        def loss() -> torch.Tensor:
            hidden_BTD = proxy.hidden(tokens_BT)
            excess_BT = (proxy.losses(hidden_BTD, targets_BT) - reference_BT).clamp(min=0)
            counted_BT = targets_BT >= 0
            sums = [float((excess_BT[part] * counted_BT[part]).sum(dtype=torch.float64)) for part in parts]
            counts = np.array([int(counted_BT[part].sum()) for part in parts], np.int64)
            now = weights.update(np.array(sums), counts)
            terms = [
                float(now[index]) * proxy.mean_loss(hidden_BTD[part], targets_BT[part])
                for index, part in enumerate(parts)
                if counts[index]
            ]
            return torch.stack(terms).sum()

        proxy.update(loss)


def _read(path: Path) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}): remove its folder to do the round again.") from None
    return value
