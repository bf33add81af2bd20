"""`trainer fit`: from the options to the trained model, through any number of kills, restarts and spikes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import click
import torch

from corpus.errors import UsageError
from trainer.checkpoints.checkpoint import CheckpointStore, Fault, Retention, no_fault
from trainer.config.config import RunConfig
from trainer.config.hardware import Hardware
from trainer.config.options import FitOptions
from trainer.data.remote_rows import CacheOptions, open_rows
from trainer.data.validation_sets import open_validation
from trainer.distributed.ranks import Follower, Ranks, joined
from trainer.loop.determinism import same_bits
from trainer.loop.interrupt import StopRequest
from trainer.loop.memory import too_large
from trainer.loop.noise_scale import check_noise_scale
from trainer.loop.restore import first_config, open_run
from trainer.loop.session import Session
from trainer.run.directory import Run
from trainer.run.fork import split_source
from trainer.run.initial import InitialWeights
from trainer.run.kept import KeptWeights
from trainer.run.loggers import find_loggers

Say = Callable[[str], None]


def fit(options: FitOptions, say: Say = print, fault: Fault = no_fault) -> None:
    """Train the model that `options` describes, going on from the newest valid checkpoint of its run.

    Raises UsageError, DataError, or after a save on a signal Interrupted (SIGINT, 130), Terminated (SIGTERM, 143) or
    Preempted (SIGUSR1, 75). Under torchrun every rank calls it, and the first one speaks.
    """
    with joined(options.device) as ranks:
        try:
            _fit(options, ranks, say if ranks.first and not options.quiet else _silence, fault)
        except click.ClickException as error:
            if ranks.first:
                raise
            raise Follower(error.exit_code) from None


def _fit(options: FitOptions, ranks: Ranks, say: Say, fault: Fault) -> None:
    cache = CacheOptions.of(options.data_cache, options.data_cache_bytes)
    data = open_rows(options.data, cache)
    sets = open_validation(options.validation, cache) if options.validation is not None else {}
    run = Run(options.output)
    find_loggers(options.loggers)
    initial = _initial_weights(options, run)
    hardware = Hardware.of(ranks.device, ranks.size, options.parallel)
    if ranks.first:
        # what does not fit is said before anything is written or thrown away
        planned, _, _ = first_config(run, options, data, sets, _silence, initial, hardware)
        if planned is not None:
            check_noise_scale(options.noise_scale, planned, ranks.size)
    with ExitStack() as stack:
        ranks.from_rank_0(lambda: stack.enter_context(run.locked()))
        stop = stack.enter_context(StopRequest())
        store = CheckpointStore(run.checkpoints, fault=fault, ranks=ranks)
        opening = ranks.from_rank_0(lambda: open_run(run, store, options, data, sets, say, initial, hardware))
        config = opening.history.last
        check_noise_scale(options.noise_scale, config, ranks.size)
        store.retention = _retention(options, config)
        if config.training.compile and ranks.device.type == "cpu":
            say("note: compiled blocks are reproducible, and their last bits are not those of blocks as they are")
        stack.enter_context(same_bits(config.training, ranks.device))
        kept = None
        if config.finetuning.method != "full":
            kept = ranks.from_rank_0(lambda: KeptWeights.open(run, config))
        session = Session(options, opening, data, sets, run, store, stop, ranks, hardware, say, initial, kept)
        try:
            session.begin()
            session.train()
        except torch.OutOfMemoryError as error:
            raise too_large(error) from None
        finally:
            session.close()


def _initial_weights(options: FitOptions, run: Run) -> InitialWeights | None:
    """Those of --init-from; None too for a run that has begun, where they are no longer there."""
    if options.init_from is None:
        return None
    path = split_source(options.init_from)[0]
    if path.resolve() == run.path.resolve():
        raise UsageError(f"--init-from {options.init_from} is the directory of --output itself: give another --output.")
    begun = not options.overwrite and run.read_config(any_format=True) is not None
    gone = not path.exists()
    return None if begun and gone else InitialWeights.find(options.init_from)


def _retention(options: FitOptions, config: RunConfig) -> Retention:
    spikes = config.spikes
    back = spikes.reach(config.training.steps) if spikes.mode == "rewind" else 0
    return Retention(options.keep, options.keep_every, back)


def _silence(text: str) -> None:
    """What a quiet run says, and a rank that is not the first."""
