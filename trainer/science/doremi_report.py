"""What DoReMi found: the mixture file, the table, the drawing of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from corpus.data.files import write_atomic
from corpus.errors import DataError
from trainer.data.validation_sets import PackedRows
from trainer.science.chart import Axis, Series, draw
from trainer.science.doremi import Doremi
from trainer.science.doremi_options import DoremiOptions

_MOST = 0.5
"""A larger weight is said to be so: with small batches or badly shuffled data weights run to one domain."""
_DIGITS = 9


def write_mixture(found: Doremi, data: Path, options: DoremiOptions) -> Path:
    """`mixture.yaml` in the output: the shares of the domains, as `corpus mix --weights` takes them."""
    identity = PackedRows(data).identity
    lines = [
        "# DoReMi: mean weights of domains over the steps of a proxy (corpus mix --weights)",
        f"# proxy {options.proxy}, {options.steps} steps of {options.batch_size} sequences, round {len(found.rounds)}",
        f"# packed set {identity.digest}, tokenizer {identity.tokenizer}: other tokenizers give other weights",
        *(f"{_quoted(domain)}: {{share: {share}}}" for domain, share in _shares(found.weights).items()),
    ]
    path = options.output / "mixture.yaml"
    try:
        write_atomic(path, "\n".join(lines) + "\n")
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}): give another --output.") from None
    return path


def _shares(weights: dict[str, float]) -> dict[str, str]:
    """Decimals that sum to 1 exactly: the largest takes what rounding left."""
    scale = 10**_DIGITS
    whole = {domain: round(weight * scale) for domain, weight in weights.items()}
    largest = max(whole, key=lambda domain: (whole[domain], domain))
    whole[largest] += scale - sum(whole.values())
    return {domain: f"{number / scale:.{_DIGITS}f}" for domain, number in whole.items()}


def _quoted(domain: str) -> str:
    return "'" + domain.replace("'", "''") + "'"


def doremi_lines(found: Doremi, options: DoremiOptions) -> Iterator[str]:
    """The table of the last round, what is remarkable in it, and what it cost."""
    last = found.rounds[-1]
    width = max(len(domain) for domain in found.domains)
    yield f"{'':<{width}}  {'mixed':>7}  {'reference':>9}  {'weight':>7}  excess loss at the end"
    for index, domain in enumerate(found.domains):
        mixed = found.mixed.get(domain)
        shown = "" if mixed is None else f"{mixed:.4f}"
        yield (
            f"{domain:<{width}}  {shown:>7}  {last.reference[index]:>9.4f}  {last.weights[index]:>7.4f}  "
            f"{last.excess[index]:.4f}"
        )
    top = max(found.weights, key=lambda domain: found.weights[domain])
    if found.weights[top] > _MOST:
        yield (
            f"note: {top} has more than half of the weight: shuffle better, give a larger --batch-size or a smaller --step-size, "
            "and compare"
        )
    training, scoring, proxy = (
        sum(getattr(each, name) for each in found.rounds)
        for name in ("reference_flops", "scoring_flops", "proxy_flops")
    )
    of = "" if options.serves is None else f", {found.flops / options.serves:.1%} of the run that it serves"
    yield (
        f"cost: {found.flops:.3g} FLOPs{of}: reference {training:.3g}, its scoring {scoring:.3g}, proxy {proxy:.3g}, in "
        f"{len(found.rounds)} round{'s' * (len(found.rounds) > 1)}"
    )


def doremi_json(found: Doremi) -> dict[str, Any]:
    """The same for programs."""
    return {
        "domains": found.domains,
        "weights": found.weights,
        "mixed": dict(found.mixed),
        "rounds": [
            {"reference": each.reference, "weights": each.weights, "excess": each.excess} for each in found.rounds
        ],
        "flops": found.flops,
    }


def draw_weights(found: Doremi, path: Path) -> None:
    """The weights over the steps of the last round's proxy."""
    trajectory = found.rounds[-1].trajectory
    series = [
        Series(domain, [(float(step), weights[index]) for step, weights in enumerate(trajectory)])
        for index, domain in enumerate(found.domains)
    ]
    draw(path, "Weights of domains", Axis("step of the proxy"), Axis("weight"), series)
