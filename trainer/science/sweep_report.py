"""What a sweep found: losses by domain, differences from the baseline, and what each stage did to the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import Any

from trainer.science.paired import Difference
from trainer.science.sweep import SweepResult, VariantResult


def mean_name(found: SweepResult) -> str:
    """What the mean of the domains is called beside them."""
    return "mean of domains" if "mean" in found.baseline.losses else "mean"


def mean_losses(found: SweepResult, variant: VariantResult) -> tuple[float, ...]:
    """The mean of a variant's domains for each seed, weighted as the baseline is mixed, so that all are measured by one
    measure; all domains alike where none of them is mixed."""
    weights = {domain: found.shares.get(domain, 0.0) for domain in variant.losses}
    total = sum(weights.values())
    if not total:
        weights, total = dict.fromkeys(weights, 1.0), float(len(weights))
    return tuple(
        sum(weights[domain] * losses[number] for domain, losses in variant.losses.items()) / total
        for number in range(len(found.sweep.seeds))
    )


def differences(found: SweepResult, variant: VariantResult) -> dict[str, Difference]:
    """How much higher a variant's losses are than the baseline's, by domain, and in the mean."""
    known = found.baseline
    pairs = {domain: Difference.of(losses, known.losses[domain]) for domain, losses in variant.losses.items()}
    return {**pairs, mean_name(found): Difference.of(mean_losses(found, variant), mean_losses(found, known))}


def sweep_lines(found: SweepResult) -> Iterator[str]:
    """The tables, and a sentence about each variant."""
    sweep, others = found.sweep, [each for each in found.variants if each is not found.baseline]
    seeds = f"{len(sweep.seeds)} seed{'s' * (len(sweep.seeds) > 1)}"
    yield (
        f"{len(found.variants)} variants, {seeds}, {found.baseline.tokens:,} tokens each run of {sweep.baseline}; "
        f"loss in nats a token on {found.validation}"
    )
    yield ""
    yield from _losses(found, others)
    yield ""
    for each in others:
        yield verdict(found, each)
    for each in found.variants:
        if each.leaked:
            yield (
                f"note: {each.leaked:,} of {found.documents:,} validation documents are among those that {each.name} is mixed "
                "from: its losses are too low by what it learned of them; hold documents out before the step that differs, "
                "so that no variant is made from them, pack them, and give them as validation:"
            )
    yield ""
    yield from _data(found)


def verdict(found: SweepResult, variant: VariantResult) -> str:
    """Whether a variant helps, in a sentence; where one of the two learned of validation, why that is not said."""
    learned = [each.name for each in (found.baseline, variant) if each.leaked]
    if learned:
        return (
            f"{variant.name}: whether it helps is not said, for {' and '.join(learned)} learned of validation documents"
        )
    by = differences(found, variant)
    mean = by.pop(mean_name(found))
    name, baseline = variant.name, found.sweep.baseline
    amount = f"{abs(mean.mean):.4f}" + ("" if mean.half is None else f" ± {mean.half:.4f}")
    if mean.half is None:
        side = "lower" if mean.mean < 0 else "higher"
        said = f"{name}: {amount} {side} than {baseline} in the mean; one seed does not tell whether that is chance"
    elif not mean.told:
        said = f"{name}: no difference from {baseline} that {len(found.sweep.seeds)} seeds tell ({mean.mean:+.4f} ± {mean.half:.4f})"
    else:
        said = f"{name} {'helps' if mean.mean < 0 else 'hurts'}: {amount} {'below' if mean.mean < 0 else 'above'} {baseline} in the mean"
    better = [domain for domain, each in by.items() if each.told and each.mean < 0]
    worse = [domain for domain, each in by.items() if each.told and each.mean > 0]
    said += f"; better in {', '.join(better)}" if better else ""
    return said + (f"; worse in {', '.join(worse)}" if worse else "")


def _losses(found: SweepResult, others: list[VariantResult]) -> Iterator[str]:
    by = {each.name: differences(found, each) for each in others}
    rows = [["domain", found.sweep.baseline, *(each.name for each in others)]]
    for domain in [*found.baseline.losses, mean_name(found)]:
        cells = [f"{_level(found, found.baseline, domain):.4f}"]
        for each in others:
            change = by[each.name][domain]
            half = "" if change.half is None else f" ± {change.half:.4f}"
            cells.append(f"{_level(found, each, domain):.4f} ({change.mean:+.4f}{half})")
        rows.append([domain, *cells])
    yield from _table(rows)


def _level(found: SweepResult, variant: VariantResult, domain: str) -> float:
    return fmean(mean_losses(found, variant) if domain == mean_name(found) else variant.losses[domain])


def _data(found: SweepResult) -> Iterator[str]:
    """What each stage kept, where the variants differ, and what was mixed."""
    names = [each.name for each in found.variants]
    rows = [["data", *names]]
    steps = list(dict.fromkeys(step for each in found.variants for step in each.trail.stages))
    for step in sorted(steps, key=lambda step: step[0]):
        passed = [each.trail.stages.get(step) for each in found.variants]
        if len(set(passed)) > 1:
            cells = [
                "left out" if each is None else f"{each.kept:,} of {each.seen:,} (-{each.lost:.1%})" for each in passed
            ]
            rows.append([f"{step[0]}/{step[1]}", *cells])
    for domain in sorted({domain for each in found.variants for domain in each.trail.shares}):
        cells = [
            f"{each.trail.unique.get(domain, 0):,} tokens, {each.trail.shares.get(domain, 0.0):.1%} of the mixture"
            for each in found.variants
        ]
        if len(set(cells)) > 1:
            rows.append([domain, *cells])
    if len(rows) == 1:
        yield "the data of all variants are the same"
        return
    yield from _table(rows)


def _table(rows: list[list[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def sweep_json(found: SweepResult) -> dict[str, Any]:
    """The same for programs."""

    def change(value: Difference) -> dict[str, float | None]:
        return {"difference": value.mean, "half_width": value.half}

    def variant(each: VariantResult) -> Mapping[str, Any]:
        return {
            "losses": {domain: list(losses) for domain, losses in each.losses.items()}
            | {mean_name(found): list(mean_losses(found, each))},
            "differences": {domain: change(value) for domain, value in differences(found, each).items()},
            "tokens": each.tokens,
            "flops": each.flops,
            "leaked_documents": each.leaked,
            "stages": [
                {"domain": domain, "stage": stage, "in": passed.seen, "kept": passed.kept}
                for (domain, stage), passed in each.trail.stages.items()
            ],
            "unique_tokens": each.trail.unique,
            "shares": each.trail.shares,
        }

    return {
        "baseline": found.sweep.baseline,
        "seeds": list(found.sweep.seeds),
        "validation": str(found.validation),
        "validation_documents": found.documents,
        "variants": {each.name: variant(each) for each in found.variants},
    }
