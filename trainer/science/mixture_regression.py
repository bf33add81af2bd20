"""Losses as functions of mixtures: linear, and gradient-boosted trees (LightGBM), with how well each ranks mixtures that it
has not seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from corpus.errors import UsageError

Floats = npt.NDArray[np.float64]
Predict = Callable[[Floats], Floats]
"""Mixtures [n, K] -> losses [n]."""
Fit = Callable[[Floats, Floats], Predict]

_FOLDS = 5
_ROUNDS = 1000


def fit_linear(mixtures: Floats, losses: Floats) -> Predict:
    """Least squares. Shares sum to 1, so the constant is one of the directions: the shortest solution is taken."""
    weights = np.linalg.lstsq(mixtures, losses, rcond=None)[0]
    return lambda wanted: np.asarray(wanted @ weights)


def check_regressions(names: Iterable[str]) -> None:
    """A UsageError where the library of one of them is missing."""
    if "lightgbm" in names:
        _lightgbm()


def _lightgbm() -> Any:
    try:
        import lightgbm
    except ImportError:
        raise UsageError(
            "the trees of RegMix need LightGBM: pip install 'corpusmill[regmix]', or --regression linear."
        ) from None
    return lightgbm


def fit_lightgbm(mixtures: Floats, losses: Floats) -> Predict:
    """RegMix's trees: rate 0.01, squared error, as many rounds (at most 1,000) as are best in parts that were left out of
    training. A UsageError without the library."""
    lightgbm = _lightgbm()
    # the library's 20 examples a leaf are for larger tables
    parameters: dict[str, Any] = {
        "objective": "regression", "learning_rate": 0.01, "min_data_in_leaf": max(2, min(20, len(losses) // 20)),
        "num_leaves": max(4, min(31, len(losses) // 4)), "verbose": -1, "deterministic": True, "force_col_wise": True,
        "num_threads": 1, "seed": 0,
    }  # fmt: skip

    def data() -> Any:
        return lightgbm.Dataset(mixtures, losses, params={"verbose": -1, "min_data_in_bin": 1}, free_raw_data=False)

    stop = [lightgbm.early_stopping(50, verbose=False)]
    parts = [
        (np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for fold in [_folds(len(losses))] for k in range(_FOLDS)
    ]
    scores = lightgbm.cv(parameters, data(), _ROUNDS, folds=parts, metrics="l2", callbacks=stop)
    model = lightgbm.train(parameters, data(), max(1, len(scores["valid l2-mean"])))
    return lambda wanted: np.asarray(model.predict(wanted), np.float64)


FITS: Mapping[str, Fit] = {"linear": fit_linear, "lightgbm": fit_lightgbm}


def _folds(count: int) -> npt.NDArray[np.int64]:
    """The part of each of some examples; they are in random order already."""
    return np.arange(count) % _FOLDS


def left_out(fit: Fit, mixtures: Floats, losses: Floats) -> Floats:
    """The prediction of each mixture by a fit to the four fifths without it."""
    folds, found = _folds(len(losses)), np.empty(len(losses))
    for fold in range(_FOLDS):
        out = folds == fold
        found[out] = fit(mixtures[~out], losses[~out])(mixtures[out])
    return found


def rank_correlation(one: Floats, other: Floats) -> float:
    """Spearman's: 1 where both rank alike; 0 where one of them is constant."""
    ranks = [_ranks(one), _ranks(other)]
    if any(np.ptp(each) == 0 for each in ranks):
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(values: Floats) -> Floats:
    """Ranks, equal values with their mean."""
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[where])
