"""What RegMix found: the mixture, how far its predictions hold, and what it cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trainer.science.regmix import Regmix
from trainer.science.regmix_options import MEAN, RegmixOptions

_GOOD = 0.7
"""A rank correlation below this is said to be low."""


def regmix_lines(found: Regmix, options: RegmixOptions) -> Iterator[str]:
    """The table, the predictions and what was reached, and the cost."""
    width = max(map(len, found.domains))
    yield f"{'':<{width}}  {'tokens':>7}  {'answer':>7}"
    for domain, prior, share in zip(found.domains, found.prior, found.shares, strict=True):
        yield f"{domain:<{width}}  {prior:>7.4f}  {share:>7.4f}"
    ranks = ", ".join(f"{name} {value:.3f}" for name, value in found.ranking.items())
    yield f"rank correlation with the losses of left-out mixtures: {ranks}; {found.regression} predicts"
    if found.ranking[found.regression] < _GOOD:
        yield "note: that is low: give more --mixtures, or more --steps, before this mixture is trusted"
    goal = "the mean of all domains" if options.target == MEAN else options.target
    yield (
        f"loss of {goal}: predicted {found.predicted:.4f}, reached by a proxy {found.reached:.4f}; by one of the tokens' own shares "
        f"{found.reached_prior:.4f}"
    )
    if found.reached >= found.reached_prior:
        yield "note: the proxy of the answer is no better than that of the tokens' own shares"
    of = "" if options.serves is None else f", {found.flops / options.serves:.1%} of the run that it serves"
    yield f"cost: {found.flops:.3g} FLOPs{of}, {found.proxies} proxies of {options.steps:,} steps"


def regmix_json(found: Regmix) -> dict[str, Any]:
    """The same for programs, with every mixture and its losses."""
    return {
        "domains": list(found.domains),
        "weights": found.weights,
        "prior": found.prior.tolist(),
        "ranking": dict(found.ranking),
        "regression": found.regression,
        "predicted": found.predicted,
        "reached": found.reached,
        "reached_prior": found.reached_prior,
        "targets": list(found.targets),
        "mixtures": found.mixtures.tolist(),
        "losses": found.losses.tolist(),
        "flops": found.flops,
    }
