"""`trainer regmix`: the mixture with the least predicted loss (Liu et al. 2024, RegMix, arXiv 2407.01492).

Mixtures are drawn, a small proxy is trained on each, a regression learns the losses from the shares, and of many more
mixtures those with the least predicted loss are averaged. Then two more proxies are trained, on the answer and on the
tokens' own shares, which say whether the prediction holds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from corpus.data.files import digest_of, write_atomic
from corpus.errors import DataError, UsageError
from corpus.option import nearest
from trainer.data.validation_sets import DataIdentity, PackedRows, open_validation
from trainer.distributed.ranks import Ranks, pick_device
from trainer.evaluation.perplexity import Validation, evaluate
from trainer.models.model import LanguageModel
from trainer.models.objective import TrainingModel
from trainer.science.domain_rows import DomainBatches, rows_by_domain
from trainer.science.mixture_draws import MixtureDraws
from trainer.science.mixture_regression import FITS, Floats, check_regressions, left_out, rank_correlation
from trainer.science.proxy import Proxy, check_reference, proxy_config, read_rows
from trainer.science.regmix_options import MEAN, RegmixOptions

Ints = npt.NDArray[np.int64]
_AT_ONCE = 16
"""Rows that are scored at once."""


@dataclass(frozen=True)
class Regmix:
    """What came out: `mixtures` [n, domains] with their `losses` [n, targets] by validation domain; how well each regression
    ranked mixtures that it had not seen; the answer with its predicted loss, and what proxies reached on it and on the `prior`."""

    data: DataIdentity
    domains: tuple[str, ...]
    prior: Floats
    mixtures: Floats
    targets: tuple[str, ...]
    losses: Floats
    ranking: Mapping[str, float]
    regression: str
    shares: Floats
    predicted: float
    reached: float
    reached_prior: float
    proxies: int
    flops: float

    @property
    def weights(self) -> dict[str, float]:
        """The answer by domain."""
        return dict(zip(self.domains, self.shares.tolist(), strict=True))


def run_regmix(path: Path, options: RegmixOptions, say: Callable[[str], None]) -> Regmix:
    """Draw, train, fit, predict, check; proxies that are trained are taken as they are."""
    data = PackedRows(path)
    rows = rows_by_domain(data)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    prior = token_shares(data, rows)
    # what can be refused is, before hours of training
    sets = open_validation(options.validation)
    targets = _targets(options, sets)
    regressions = tuple(FITS) if options.regression == "best" else (options.regression,)
    check_regressions(regressions)
    draws = MixtureDraws(prior, options.temperature, options.weakest, options.strongest, options.most)
    mixtures = draws.draw(options.mixtures, options.seed)
    many = draws.draw(options.draws, options.seed + 1, repeats=True)
    work = _Work(options, data, list(rows.values()), sets, pick_device(options.device), say)
    losses = [work.losses(shares, f"proxy {number} of {len(mixtures)}") for number, shares in enumerate(mixtures, 1)]
    table = np.array([[found[name] for name in targets] for found in losses])
    wanted = target_of(options.target, targets, table)
    ranking = {name: rank_correlation(left_out(FITS[name], mixtures, wanted), wanted) for name in regressions}
    regression = max(ranking, key=lambda name: ranking[name])
    predict = FITS[regression](mixtures, wanted)
    predicted = predict(many)
    shares = many[np.argsort(predicted, kind="stable")[: options.keep]].mean(0)
    shares /= shares.sum()

    # the answer may be one of the mixtures that were drawn
    proxies = len(np.unique([*mixtures, shares, prior], axis=0))

    def reached(mixture: Floats, said: str) -> float:
        found = work.losses(mixture, said)
        return float(target_of(options.target, targets, np.array([[found[name] for name in targets]]))[0])

    return Regmix(
        data.identity,
        tuple(rows),
        prior,
        mixtures,
        targets,
        table,
        ranking,
        regression,
        shares,
        float(predict(shares[None])[0]),
        reached(shares, "proxy of the answer"),
        reached(prior, "proxy of the tokens' own shares"),
        proxies,
        work.flops * proxies,
    )


def token_shares(data: PackedRows, rows: Mapping[str, Ints]) -> Floats:
    """The part of each domain in the different tokens that the set was mixed from; in its rows where it does not say."""
    unique = {row["domain"]: row.get("unique") for row in data.manifest.extra.get("domains", [])}
    known = all(unique.get(domain) for domain in rows)
    counts = np.array([float(unique[domain]) if known else len(rows[domain]) for domain in rows])
    return np.asarray(counts / counts.sum())


def target_of(target: str, targets: Sequence[str], losses: Floats) -> Floats:
    """The loss that is to be least, of each row of losses by domain."""
    return np.asarray(losses.mean(1) if target == MEAN else losses[:, targets.index(target)])


def _targets(options: RegmixOptions, sets: Mapping[str, PackedRows]) -> tuple[str, ...]:
    """The validation domains in order; a UsageError where the target is none of them."""
    targets = tuple(sorted({domain for each in sets.values() for domain in each.domains(slice(0, len(each)))}))
    if options.target not in (MEAN, *targets):
        raise UsageError(
            f"there is no validation domain '{options.target}': {nearest(options.target, (MEAN, *targets))}"
        )
    return targets


@dataclass
class _Work:
    options: RegmixOptions
    data: PackedRows
    rows: Sequence[Ints]
    sets: Mapping[str, PackedRows]
    device: torch.device
    say: Callable[[str], None]

    def __post_init__(self) -> None:
        options = self.options
        try:
            self._proxies.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{self._proxies} cannot be made ({error.strerror}): give another --output.") from None
        self.config = proxy_config(
            self.data, options.proxy, options.steps, options.batch_size, options.seed, options.settings
        )
        for name, each in self.sets.items():
            check_reference(each.identity, self.data.identity, self.options.validation / name)
            if each.identity.sequence_length > self.config.model.sequence_length:
                raise UsageError(
                    f"the set '{name}' has longer sequences than the data: mix it with their --sequence-length."
                )
        shape, length = self.config.model, self.data.identity.sequence_length
        training = options.batch_size * options.steps * length * LanguageModel.flops_per_token(shape, length)
        scored = sum(
            len(each)
            * each.identity.sequence_length
            * LanguageModel.flops_per_token(shape, each.identity.sequence_length)
            for each in self.sets.values()
        )
        self.flops = training + scored / 3
        """Of one proxy: its training, and the forward pass over validation."""

    @property
    def _proxies(self) -> Path:
        """The folder of the proxies that are trained, a file each."""
        return self.options.output / "proxies"

    def losses(self, shares: Floats, said: str) -> dict[str, float]:
        """The validation losses by domain of a proxy of this mixture, which is trained unless it was. A DataError where one
        is not finite, and such a proxy is not kept."""
        key = digest_of(
            {
                "options": {
                    name: str(getattr(self.options, name))
                    for name in ("proxy", "steps", "batch_size", "settings", "seed")
                },
                "data": self.data.identity.digest,
                "validation": {name: each.identity.digest for name, each in self.sets.items()},
                "shares": shares.tolist(),
            }
        )
        file = self._proxies / f"{key}.json"
        if file.exists():
            return _read(file)
        found = self._train(shares)
        if not all(map(math.isfinite, found.values())):
            raise DataError(f"{said} diverged, its loss is not finite: lower optimizer.lr (--set optimizer.lr=…).")
        self.say(f"{said}: " + ", ".join(f"{name} {loss:.4f}" for name, loss in found.items()))
        write_atomic(file, json.dumps({"shares": shares.tolist(), "losses": found}) + "\n")
        return found

    def _train(self, shares: Floats) -> dict[str, float]:
        proxy = Proxy(self.config, self.device)
        drawn = DomainBatches(self.rows, shares, self.options.batch_size, self.options.seed)
        for _ in range(self.options.steps):
            tokens_BT, targets_BT = read_rows(self.data, np.concatenate(drawn.next()), self.device)
            proxy.learn(tokens_BT, targets_BT)
        asked = Validation(self.sets, _AT_ONCE, precision=self.config.training.precision)
        scores = evaluate(TrainingModel(proxy.model.eval()).losses, asked, Ranks(device=self.device))
        assert scores is not None
        return {name: score.loss for name, score in scores.items()}


def _read(path: Path) -> dict[str, float]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        losses = {str(name): float(loss) for name, loss in value["losses"].items()}
        if not all(map(math.isfinite, losses.values())):
            raise ValueError("a loss is not finite")
        return losses
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} cannot be read ({error}): remove it to train the proxy again.") from None
