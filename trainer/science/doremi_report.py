"""What DoReMi found: the mixture file, the table, the drawing of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainer.data.validation_sets import PackedRows
from trainer.science.chart import Axis, Series, draw
from trainer.science.doremi import Doremi
from trainer.science.doremi_options import DoremiOptions
from trainer.science.mixture_file import write_mixture

_MOST = 0.5
"""A larger weight is said to be so: with small batches or badly shuffled data weights run to one domain."""


def mixture_of(found: Doremi, data: Path, options: DoremiOptions) -> Path:
    """`mixture.yaml` in the output: the shares of the domains, as `corpus mix --weights` takes them."""
    comments = (
        "DoReMi: mean weights of domains over the steps of a proxy (corpus mix --weights)",
        f"proxy {options.proxy}, {options.steps} steps of {options.batch_size} sequences, round {len(found.rounds)}",
    )
    return write_mixture(options.output, found.weights, comments, PackedRows(data).identity)


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
