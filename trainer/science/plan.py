"""`trainer plan`: how large a model, how many tokens, what for a budget. Nothing here needs torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.config import check_options
from corpus.errors import UsageError
from corpus.option import option
from trainer.config.gpus import find_gpu, peak_flops
from trainer.run.picture import check_ending
from trainer.science.allocation import FLOPS_PER_PAIR, Allocation, AllocationLaw
from trainer.science.batch_rules import Suggestion, suggestions
from trainer.science.chinchilla import (
    APPROACH_1,
    APPROACH_2,
    APPROACH_3_CORRECTED,
    APPROACH_3_PRINTED,
    APPROACH_3_UNROUNDED,
    TWENTY,
    ParametricLoss,
)
from trainer.science.kaplan import KAPLAN
from trainer.science.overtraining import least_total
from trainer.science.repetition import Repetition, best_with
from trainer.science.unique_tokens import unique_tokens

LAWS = {
    "twenty": TWENTY,
    "approach-1": APPROACH_1,
    "approach-2": APPROACH_2,
    "approach-3-printed": APPROACH_3_PRINTED,
    "approach-3-unrounded": APPROACH_3_UNROUNDED,
    "approach-3-corrected": APPROACH_3_CORRECTED,
    "kaplan": KAPLAN,
}
"""The approaches by the names of --law and --json."""
_HOUR = 3600.0


@dataclass(frozen=True)
class PlanOptions:
    """What is given and what is asked. Two of compute, parameters and tokens place a training among the optimal ones."""

    compute: float | None = option(None, "FLOPs to spend, such as 5e23", above=0)
    gpu_hours: float | None = option(None, "instead of --compute: hours of one --gpu", above=0)
    parameters: int | None = option(None, "size of the model, such as 7B", least=1)
    tokens: int | None = option(None, "tokens to train on, such as 1T", least=1)
    law: str = option(
        "approach-3-corrected", "the approach that shape, batch and time are worked out for", choices=tuple(LAWS)
    )
    inference_tokens: int | None = option(
        None, "tokens that the model will read and write in use: a smaller model is trained for longer", least=1
    )
    corpus: Path | None = option(None, "a packed set, or a file of counts, with the unique tokens that there are")
    gpu: str = option("H100", "the hardware, such as h100, a100, 4090")
    gpus: int = option(0, "how many of them; 0: as few as hold the training", least=0)
    mfu: float = option(0.4, "share of the peak that the training reaches", above=0, most=1)
    model: str = option("llama", "the family whose proportions the shape has")
    vocabulary: int | None = option(None, "rows of the embedding. Default: the family's", least=1)
    sequence_length: int = option(2048, "tokens of a sequence", least=1)
    plot: Path | None = option(None, "write the optima as a drawing: SVG, PDF or PNG by its ending")

    def __post_init__(self) -> None:
        check_options(self)
        if self.plot is not None:
            check_ending(self.plot)
        if self.compute is not None and self.gpu_hours is not None:
            raise UsageError("--compute and --gpu-hours say the same thing twice: give one of them.")
        given = [self.budget is not None, self.parameters is not None, self.tokens is not None]
        if not any(given):
            raise UsageError("nothing is given: give --compute, --gpu-hours with --gpu, --parameters, or --tokens.")
        if all(given):
            raise UsageError("C = 6·N·D: give at most two of the compute, --parameters and --tokens.")

    @property
    def flops_per_second(self) -> float:
        """Of one GPU, at the share of its peak that is reached."""
        peak = peak_flops(find_gpu(self.gpu))
        assert peak is not None
        return peak * self.mfu

    @property
    def budget(self) -> float | None:
        """FLOPs, however they were said."""
        return self.gpu_hours * _HOUR * self.flops_per_second if self.gpu_hours is not None else self.compute


@dataclass(frozen=True)
class Placement:
    """A training against the optimum of one approach at the same compute. `compute_ratio`: its compute over that with
    which the optimum reaches its loss."""

    optimum: Allocation
    loss: float | None
    optimal_loss: float | None
    compute_ratio: float | None


@dataclass(frozen=True)
class Plan:
    """The answer: the optimum of every approach, what was asked for, and what follows for the chosen approach."""

    options: PlanOptions
    optima: dict[str, Allocation]
    chosen: Allocation
    placements: dict[str, Placement]
    inference: Allocation | None
    domains: dict[str, int]
    repetition: Repetition | None
    best_repetition: Repetition | None
    batches: list[Suggestion]

    @property
    def loss(self) -> float | None:
        """The chosen approach's loss of the chosen allocation."""
        return loss_of(LAWS[self.options.law], self.chosen)

    @property
    def gpu_hours(self) -> float:
        """Hours of one GPU for the chosen allocation."""
        return self.chosen.compute / self.options.flops_per_second / _HOUR


def loss_of(law: AllocationLaw, allocation: Allocation) -> float | None:
    """The loss that an approach predicts, None where it predicts none."""
    return None if law.loss is None else law.loss(allocation.parameters, allocation.tokens)


def make_plan(options: PlanOptions) -> Plan:
    """The plan for what was given."""
    compute, parameters, tokens = options.budget, options.parameters, options.tokens
    find_gpu(options.gpu)
    known = sum(value is not None for value in (compute, parameters, tokens))
    placed: Allocation | None = None
    if known == 2:
        placed = _both(compute, parameters, tokens)
        optima = {name: law.at_compute(placed.compute) for name, law in LAWS.items()}
    elif compute is not None:
        optima = {name: law.at_compute(compute) for name, law in LAWS.items()}
    elif parameters is not None:
        optima = {name: law.at_parameters(parameters) for name, law in LAWS.items()}
    else:
        assert tokens is not None
        optima = {name: law.at_tokens(tokens) for name, law in LAWS.items()}
    placements = {} if placed is None else {name: _placement(law, placed) for name, law in LAWS.items()}
    chosen = placed or optima[options.law]
    inference = None
    if options.inference_tokens is not None:
        inference = chosen = _overtrained(options, optima[options.law].compute, placed is not None)
    domains = {} if options.corpus is None else unique_tokens(options.corpus)
    unique = float(sum(domains.values()))
    if options.corpus is not None and not unique:
        raise UsageError(f"{options.corpus} holds no tokens: give the counts of a corpus that has some.")
    return Plan(
        options,
        optima,
        chosen,
        placements,
        inference,
        domains,
        Repetition(chosen, unique) if unique else None,
        best_with(unique, chosen.compute) if unique else None,
        suggestions(chosen, loss_of(LAWS[options.law], chosen)),
    )


def _both(compute: float | None, parameters: float | None, tokens: float | None) -> Allocation:
    if parameters is None:
        assert compute is not None and tokens is not None
        return Allocation(compute / FLOPS_PER_PAIR / tokens, tokens)
    if tokens is None:
        assert compute is not None
        return Allocation(parameters, compute / FLOPS_PER_PAIR / parameters)
    return Allocation(parameters, tokens)


def _placement(law: AllocationLaw, placed: Allocation) -> Placement:
    optimum = law.at_compute(placed.compute)
    loss, optimal, ratio = loss_of(law, placed), loss_of(law, optimum), None
    if isinstance(law.loss, ParametricLoss) and loss is not None:
        ratio = placed.compute / law.loss.compute_for(loss)
    return Placement(optimum, loss, optimal, ratio)


def _overtrained(options: PlanOptions, compute: float, placed: bool) -> Allocation:
    law = LAWS[options.law].loss
    if not isinstance(law, ParametricLoss):
        raise UsageError(
            f"--inference-tokens needs a loss in N and D, which --law {options.law} has not: approach-3-…."
        )
    if placed:
        raise UsageError("--inference-tokens chooses both size and tokens: give only one of them, or the compute.")
    assert options.inference_tokens is not None
    return least_total(law, compute, options.inference_tokens)


def plan_json(plan: Plan) -> dict[str, Any]:
    """The plan for programs."""

    def numbers(allocation: Allocation, law: AllocationLaw | None = None) -> dict[str, Any]:
        value: dict[str, Any] = {
            "parameters": allocation.parameters,
            "tokens": allocation.tokens,
            "compute": allocation.compute,
            "tokens_per_parameter": allocation.ratio,
        }
        if law is not None:
            value |= {"loss": loss_of(law, allocation), "source": law.source}
        return value

    value: dict[str, Any] = {
        "optima": {name: numbers(optimum, LAWS[name]) for name, optimum in plan.optima.items()},
        "law": plan.options.law,
        "chosen": numbers(plan.chosen, LAWS[plan.options.law]),
        "gpu": find_gpu(plan.options.gpu),
        "gpu_hours": plan.gpu_hours,
        "batches": [vars(each) for each in plan.batches],
    }
    if plan.placements:
        value["placements"] = {
            name: {
                "loss": placement.loss,
                "optimal_loss": placement.optimal_loss,
                "compute_ratio": placement.compute_ratio,
            }
            for name, placement in plan.placements.items()
        }
    if plan.repetition is not None and plan.best_repetition is not None:
        best = plan.best_repetition
        value["corpus"] = {
            "unique": plan.repetition.unique,
            "domains": plan.domains,
            "epochs": plan.repetition.epochs,
            "effective_tokens": plan.repetition.effective,
            "loss": plan.repetition.loss,
            "fresh_loss": plan.repetition.fresh_loss,
            "best": {**numbers(best.allocation), "epochs": best.epochs, "loss": best.loss},
        }
    return value
