"""A plan as lines, and as a drawing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from trainer.config.gpus import find_gpu
from trainer.science.allocation import Allocation
from trainer.science.batch_rules import WARMUPS
from trainer.science.chart import Axis, Series, draw
from trainer.science.known_runs import KNOWN_RUNS
from trainer.science.plan import LAWS, Placement, Plan, loss_of

_UNITS = ((1e15, "P"), (1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K"))


def short(number: float) -> str:
    """A count with three digits and a unit: 67.2B."""
    scale, unit = next(((s, u) for s, u in _UNITS if number >= s), (1.0, ""))
    return f"{number / scale:.3g}{unit}"


def plan_lines(plan: Plan) -> Iterator[str]:
    """The plan as lines: the optima, the placement, repetition, batch, time."""
    width = max(len(law.name) for law in LAWS.values())
    yield f"{'':<{width}}  {'parameters':>10}  {'tokens':>8}  {'per par.':>8}  {'FLOPs':>9}  {'loss':>6}  source"
    for name, optimum in plan.optima.items():
        law = LAWS[name]
        loss = loss_of(law, optimum)
        told = "" if loss is None else f"{loss:.3f}"
        mark = f" ({law.note})" if law.note else ""
        yield f"{law.name:<{width}}  {_numbers(optimum)}  {told:>6}  {law.source}{mark}"
    yield "the losses are of each paper's own data: compare allocations by them, not corpora"
    if plan.placements:
        yield ""
        yield from _placements(plan.chosen, plan.placements, width)
    if plan.inference is not None:
        yield ""
        yield from _inference(plan)
    if plan.repetition is not None:
        yield ""
        yield from _corpus(plan)
    yield ""
    yield from _batches(plan, width)
    yield ""
    yield from _time(plan)


def _numbers(allocation: Allocation) -> str:
    return (
        f"{short(allocation.parameters):>10}  {short(allocation.tokens):>8}  {allocation.ratio:>8.1f}  "
        f"{allocation.compute:>9.3g}"
    )


def _placements(placed: Allocation, placements: dict[str, Placement], width: int) -> Iterator[str]:
    yield f"asked: {short(placed.parameters)} parameters on {short(placed.tokens)} tokens, {placed.ratio:.1f} a parameter"
    for name, placement in placements.items():
        relative = placed.parameters / placement.optimum.parameters
        size = f"{1 / relative:.2f} times smaller" if relative < 1 else f"{relative:.2f} times larger"
        text = f"{LAWS[name].name:<{width}}  {size} than the optimum of its compute"
        if placement.loss is not None and placement.optimal_loss is not None:
            text += f", loss {placement.loss:.3f} against {placement.optimal_loss:.3f}"
        if placement.compute_ratio is not None:
            text += f", which the optimum reaches with {1 / placement.compute_ratio:.0%} of the compute"
        yield text


def _inference(plan: Plan) -> Iterator[str]:
    assert plan.inference is not None and plan.options.inference_tokens is not None
    optimum, chosen, used = plan.optima[plan.options.law], plan.inference, plan.options.inference_tokens
    together = [2 * each.parameters * used + each.compute for each in (optimum, chosen)]
    yield (
        f"in use: {short(used)} tokens are read and written after training (Sardana and Frankle 2024, {plan.options.law})"
    )
    yield (
        f"{short(chosen.parameters)} parameters on {short(chosen.tokens)} tokens ({chosen.ratio:.1f} a parameter) reach "
        f"the loss of {short(optimum.parameters)} on {short(optimum.tokens)}; training and use take {together[1]:.3g} "
        f"FLOPs and not {together[0]:.3g}"
    )


def _corpus(plan: Plan) -> Iterator[str]:
    repetition, best = plan.repetition, plan.best_repetition
    assert repetition is not None and best is not None
    yield f"corpus: {short(repetition.unique)} unique tokens in {len(plan.domains)} domains"
    if repetition.epochs <= 1:
        yield f"{short(plan.chosen.tokens)} tokens are {repetition.epochs:.0%} of it: nothing is read twice"
        return
    yield (
        f"{short(plan.chosen.tokens)} tokens are {repetition.epochs:.2f} epochs, worth {short(repetition.effective)} fresh "
        f"tokens: loss {repetition.loss:.3f} and not {repetition.fresh_loss:.3f} (Muennighoff et al. 2023, on C4)"
    )
    yield (
        f"best for this compute and corpus: {short(best.allocation.parameters)} parameters on "
        f"{short(best.allocation.tokens)} tokens, {best.epochs:.2f} epochs, loss {best.loss:.3f}"
    )


def _batches(plan: Plan, width: int) -> Iterator[str]:
    chosen, length = plan.chosen, plan.options.sequence_length
    yield (
        f"batch and peak rate for {short(chosen.parameters)} parameters on {short(chosen.tokens)} tokens, sequences of "
        f"{length:,}:"
    )
    for each in plan.batches:
        parts = []
        if each.batch is not None:
            rows = max(1, round(each.batch / length))
            parts.append(
                f"{short(each.batch)} tokens (--batch-size {rows:,}; {short(chosen.tokens / each.batch)} steps)"
            )
        if each.lr is not None:
            parts.append(f"rate {each.lr:.2g}")
        yield f"{each.name:<{width}}  {', '.join(parts)}  {each.source}"
    yield f"{'warm-up':<{width}}  " + "; ".join(f"{length} ({name})" for name, length in WARMUPS)


def _time(plan: Plan) -> Iterator[str]:
    options, hours = plan.options, plan.gpu_hours
    line = f"time: {hours:,.{0 if hours >= 10 else 3}f} {find_gpu(options.gpu)} hours at {options.mfu:.0%} of its peak"
    yield line + (f", {hours / options.gpus / 24:,.3g} days on {options.gpus:,}" if options.gpus else "")


def draw_plan(plan: Plan, path: Path) -> None:
    """The optimal sizes over compute by every approach, the papers' models, and what was asked for."""
    middle = plan.chosen.compute
    budgets = [middle * 10 ** (k / 2) for k in range(-6, 7)]
    lines = [
        Series(law.name, [(c, law.at_compute(c).parameters) for c in budgets])
        for name, law in LAWS.items()
        if name not in ("approach-3-printed",)
    ]
    near = {name: run for name, run in KNOWN_RUNS.items() if budgets[0] <= run.compute <= budgets[-1]}
    papers = Series("papers' models", [(r.compute, r.parameters) for r in near.values()], False, tuple(near))
    asked = Series("this plan", [(middle, plan.chosen.parameters)], False)
    axes = Axis("training compute, FLOPs", log=True), Axis("parameters", log=True)
    draw(path, "Compute-optimal sizes", *axes, [*lines, *([papers] if near else []), asked])
