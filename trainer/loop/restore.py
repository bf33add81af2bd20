"""How a run is opened: made anew, or from which checkpoint, by which skip log and with which changes it goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from corpus.errors import DataError, UsageError
from trainer.checkpoints.checkpoint import Checkpoint, CheckpointStore
from trainer.config.config import RunConfig
from trainer.config.hardware import Hardware
from trainer.config.history import History, change_lines
from trainer.config.options import FitOptions
from trainer.config.resolve import resolve_config
from trainer.config.resume import resumed_config, schedule_line
from trainer.data.validation_sets import DataIdentity, PackedRows
from trainer.run.directory import Run
from trainer.run.fork import find_source, fork
from trainer.run.initial import InitialWeights
from trainer.run.kept import KeptWeights
from trainer.spikes.skip_log import SkipLog, read_skip_log

_CPU = Hardware()


@dataclass(frozen=True)
class Opening:
    """Where a run begins or goes on. `history` is what it goes on with, of which the file has no more than `known`;
    `lines` say what is changed."""

    history: History
    known: History
    skip_log: SkipLog
    checkpoint: Checkpoint | None
    lines: tuple[str, ...] = ()


def open_run(
    run: Run,
    store: CheckpointStore,
    options: FitOptions,
    data: PackedRows,
    sets: Mapping[str, PackedRows],
    say: Callable[[str], None],
    initial: InitialWeights | None = None,
    hardware: Hardware = _CPU,
) -> Opening:
    """Make the run that `options` describe, of the `initial` weights that they name, or find where the one that is there goes
    on."""
    config, replayed, source = first_config(run, options, data, sets, say, initial, hardware)
    if source is not None:
        run.clear()
        fork(*source, run, say)
    elif config is not None:
        keep = None
        if config.finetuning.method != "full" and initial is not None:
            keep = partial(KeptWeights.write, run, config, initial)
        run.prepare(config, data.tokenizer_file, replayed, keep)
        if initial is not None and (note := initial.note(data.identity.tokenizer)):
            say(f"note: {note}")
        return Opening(History(config), History(config), replayed, None)
    known = run.history()
    checkpoint, skip_log = find_checkpoint(run, store, say)
    step = 0 if checkpoint is None else checkpoint.step
    if checkpoint is None and initial is None and known.first.initial and known.first.finetuning.method == "full":
        raise DataError(
            f"{run.path} was stopped before its first checkpoint, and the weights of its --init-from are not there: put them "
            "back, or give --overwrite to start it anew."
        )
    if checkpoint is not None:
        _check_known(run, known, checkpoint)
    config = resumed_config(known, options, data.identity, _identities(sets), replayed.digest, step)
    history = known.changed_to(config, step).rewound(skip_log)
    lines = change_lines(known.last, config)
    rate = schedule_line(known.last, config, step)
    return Opening(history, known, skip_log, checkpoint, (*lines, *([rate] if rate and lines else [])))


def first_config(
    run: Run,
    options: FitOptions,
    data: PackedRows,
    sets: Mapping[str, PackedRows],
    say: Callable[[str], None],
    initial: InitialWeights | None = None,
    hardware: Hardware = _CPU,
) -> tuple[RunConfig | None, SkipLog, tuple[Run, Checkpoint] | None]:
    """The configuration of a run that is to be made, None where one goes on, the skip log that is replayed, and the run
    and checkpoint that it leaves.

    It says what does not fit before anything is written or thrown away.
    """
    replayed = SkipLog() if options.skip_log is None else read_skip_log(options.skip_log)
    identities = _identities(sets)
    if options.source is not None:
        source = find_source(options.source, run, options.overwrite, say)
        if source is not None:
            other, checkpoint = source
            history = other.history().until(checkpoint.step)
            config = resumed_config(history, options, data.identity, identities, replayed.digest, checkpoint.step)
            return config, replayed, source
    elif options.overwrite or run.read_config() is None:
        return resolve_config(options, data.identity, identities, replayed.digest, initial, hardware), replayed, None
    elif initial is not None and run.first_config().initial != initial.digest:
        raise UsageError(
            f"{run.path} did not begin with the weights of --init-from {initial.name}: give another --output, or leave it out "
            "to go on."
        )
    return None, replayed, None


def _check_known(run: Run, known: History, checkpoint: Checkpoint) -> None:
    """A DataError where the changes on the disk are not those that the checkpoint was saved with."""
    step = checkpoint.step
    if checkpoint.state["config"] not in (known.at(step + 1).digest, known.until(step).last.digest):
        raise DataError(
            f"{run.changes} is not that of the checkpoint of step {step}: put back the run's own, or leave the run "
            f"with --from {run.path} and another --output where it is lost."
        )


def _identities(sets: Mapping[str, PackedRows]) -> dict[str, DataIdentity]:
    return {name: rows.identity for name, rows in sets.items()}


def find_checkpoint(run: Run, store: CheckpointStore, say: Callable[[str], None]) -> tuple[Checkpoint | None, SkipLog]:
    """The checkpoint to go on from, and the skip log: that of the run, which may be ahead of the checkpoint's."""
    store.sweep()
    skip_log = SkipLog.load(run.skip_log)
    checkpoint = store.newest(
        say, None if skip_log is None else lambda step, state: skip_log.admits(step, state["skip_log"])
    )
    if checkpoint is None:
        _refuse_without_checkpoint(run, store)
        return None, skip_log or SkipLog()
    store.set_aside_after(checkpoint.step)
    if skip_log is None:
        return checkpoint, _written_again(run, checkpoint, say)
    # a rewind was cut short: later steps belong to the way that was left
    store.discard_after(checkpoint.step)
    return checkpoint, skip_log


def _written_again(run: Run, checkpoint: Checkpoint, say: Callable[[str], None]) -> SkipLog:
    """The skip log of a checkpoint, which has lost its file if there are entries."""
    skip_log = SkipLog.from_json(checkpoint.state["skip_log"])
    if skip_log.entries:
        say(f"{run.skip_log} was lost: it is written again, as the checkpoint of step {checkpoint.step} has it")
        skip_log.save(run.skip_log)
    return skip_log


def _refuse_without_checkpoint(run: Run, store: CheckpointStore) -> None:
    """A run begins anew only where nothing is lost: its first checkpoint comes before its first step."""
    if store.newest(_silence) is not None:
        raise DataError(
            f"no checkpoint of {run.path} fits its skip_log.json: put back the run's own, or give --overwrite."
        )
    if run.metrics.exists() or not store.empty:
        raise DataError(
            f"{run.path} was begun and has no valid checkpoint: put its checkpoints/ back, or give "
            "--overwrite to start it anew."
        )


def _silence(text: str) -> None:
    """Of what was said before."""
