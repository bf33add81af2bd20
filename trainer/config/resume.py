"""The configuration that a run goes on with: its own, and what the options say otherwise of its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from corpus.data.files import canonical_json
from corpus.errors import UsageError
from trainer.config.config import RunConfig
from trainer.config.families.registry import family_digest, find_preset
from trainer.config.history import FIXED, SETTINGS, History
from trainer.config.options import FitOptions
from trainer.config.resolve import asked_settings, asked_steps, check_length, check_validation
from trainer.data.batch_ramp import BatchRamp, parse_ramp
from trainer.data.validation_sets import DataIdentity
from trainer.optim.schedules import factor, length_of


def resumed_config(
    history: History,
    options: FitOptions,
    data: DataIdentity,
    validation: Mapping[str, DataIdentity],
    skip_log: str,
    step: int,
) -> RunConfig:
    """The last configuration of `history` with the settings that `options` name; what they do not name stays.

    `skip_log`: the digest of one that is replayed; `step`: the updates that are done. Raises UsageError where they name
    another model, seed, optimizer, packed set or tokenizer, or what the run cannot become.
    """
    asked, current = asked_settings(options), history.last
    _check_identity(current, options, data, asked, skip_log)
    check_validation(data, validation)
    training = dict(asked["training"])
    # from where on it is asked for: a change that a rewind went back over is asked for again by the same command
    spliced = [change.since for change in history.changes if "training.batch_ramp" in change.settings]
    training |= _batches(current, training, max(step, *spliced) if spliced else step)
    ramp = parse_ramp(
        training.get("batch_ramp", current.training.batch_ramp),
        training.get("batch_size", current.training.batch_size),
        data.sequence_length,
    )
    steps = asked_steps(options, ramp, data.sequence_length)
    if steps is not None:
        training["steps"] = steps
    changed = replace(
        current,
        **{name: replace(getattr(current, name), **asked[name]) for name in SETTINGS if name != "training"},
        training=replace(current.training, **training),
        validation={name: identity.digest for name, identity in sorted(validation.items())},
    )
    if changed.training.steps < step:
        raise UsageError(
            f"{options.output} is at step {step:,} and cannot end at {changed.training.steps:,}: give --steps of at least "
            f"{step:,}, or leave an earlier checkpoint with --from {options.source or options.output}@STEP and another "
            "--output."
        )
    if changed.training.steps != current.training.steps or training.keys() & {"batch_ramp", "batch_size"}:
        check_length(changed.training.steps, ramp, data)
    return _restarted(current, changed, options, step)


def _check_identity(
    current: RunConfig,
    options: FitOptions,
    data: DataIdentity,
    asked: Mapping[str, Mapping[str, Any]],
    skip_log: str,
) -> None:
    find_preset(options.model)
    pairs: dict[str, tuple[object, object]] = {
        "model": (current.name, options.model),
        "packed set": (current.data.digest, data.digest),
        "tokenizer": (current.data.tokenizer, data.tokenizer),
        "plug-in": (dict(current.plugins), dict(family_digest(options.model))),
    }
    for section in ("model", "finetuning", *SETTINGS):
        for name, value in asked[section].items():
            key = f"{section}.{name}"
            if section not in SETTINGS or key in FIXED:
                pairs[key] = (getattr(getattr(current, section), name), value)
    if skip_log:
        pairs["skip log"] = (current.skip_log, skip_log)
    changed = [
        f"{key}: {canonical_json(old)} -> {canonical_json(new)}" for key, (old, new) in pairs.items() if old != new
    ]
    if not changed:
        return
    other = "another tokenizer" if current.data.tokenizer != data.tokenizer else "another configuration"
    raise UsageError(
        f"{options.output} was made with {other} ({'; '.join(changed)}), which a run cannot change: give another "
        "--output, or --overwrite to start it anew."
    )


def _batches(current: RunConfig, asked: Mapping[str, Any], step: int) -> dict[str, Any]:
    """The ramp that asks for other batches from the step after `step` on, nothing where they are as they were."""
    if not asked.keys() & {"batch_ramp", "batch_size"}:
        return {}
    own = {"batch_ramp": current.training.batch_ramp, "batch_size": current.training.batch_size}
    text, size = asked.get("batch_ramp", ""), asked.get("batch_size", current.training.batch_size)
    wanted, ramp = parse_ramp(text, size, current.data.sequence_length), current.ramp
    if _rest(wanted, step) == _rest(ramp, step):
        return own
    before = [(start, rows) for start, rows in zip(ramp.starts, ramp.rows, strict=True) if start < step]
    stages = ",".join(f"{start}:{rows}" for start, rows in (*before, *_rest(wanted, step)))
    return {"batch_ramp": stages, "batch_size": before[0][1] if before else wanted.rows[0]}


def _rest(ramp: BatchRamp, step: int) -> list[tuple[int, int]]:
    """The stages of a ramp after `step` updates, the one it is in first."""
    later = [(start, rows) for start, rows in zip(ramp.starts, ramp.rows, strict=True) if start > step]
    return [(step, ramp.rows_at(step + 1)), *later]


def _restarted(current: RunConfig, changed: RunConfig, options: FitOptions, step: int) -> RunConfig:
    """With --on-change restart-warmup the schedule begins again where its length or form is another one."""
    other = changed.schedule != current.schedule or changed.training.steps != current.training.steps
    if options.on_change != "restart-warmup" or not other:
        return changed
    if changed.training.steps == step:
        raise UsageError(
            f"{options.output} is at step {step:,}, its last: give more --steps for a schedule that begins again there."
        )
    return replace(changed, schedule=replace(changed.schedule, start=step))


def schedule_line(old: RunConfig, new: RunConfig, step: int) -> str | None:
    """What another length or schedule does to the rate, in words; None where it does nothing."""
    if (old.schedule, old.training.steps, old.optimizer.lr) == (new.schedule, new.training.steps, new.optimizer.lr):
        return None
    if step >= new.training.steps:
        return None
    following = new.optimizer.lr * factor(new.schedule, step + 1, new.training.steps)
    began = f"begins at step {new.schedule.start:,}" if new.schedule.start else "is that of a run of this length"
    past = ""
    if 0 < step <= old.training.steps:
        past = (
            f"{old.optimizer.lr * factor(old.schedule, max(step, old.schedule.start + 1), old.training.steps):.3g} -> "
        )
    warmup, length = length_of(new.schedule.warmup, new.training.steps - new.schedule.start), new.training.steps
    short = "" if warmup < length - new.schedule.start else f"; its warm-up of {warmup:,} steps is not over at the end"
    return f"schedule {new.schedule.name} to step {length:,} {began}: rate {past}{following:.3g}{short}"
