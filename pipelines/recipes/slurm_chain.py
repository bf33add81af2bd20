"""`corpus run` on Slurm as a chain of small jobs: each does what it can at once, submits the arrays of the next phase, and a
successor that begins when these have ended. So nothing waits anywhere, on the cluster or off it.

A controller is the same command again, and takes all that it knows from what is published. Which chain an output
belongs to, and its newest controller, is in `_log/slurm/chain.json`; a controller of another chain, or one that Slurm
starts again though its successor is there, does nothing.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from corpus.data.files import write_atomic
from corpus.data.verify import run_finished
from corpus.engine.executors.slurm import programs
from corpus.engine.executors.slurm.array import write_script
from corpus.engine.executors.slurm.executor import HandedOver, SlurmExecutor, check, job_arguments
from corpus.engine.executors.slurm.programs import Job
from corpus.engine.runner import RunOptions, executor_settings
from corpus.errors import DataError, LostError, UsageError
from pipelines.recipes.run import check_run, is_finished, run_recipe
from pipelines.recipes.steps import RecipeRun

FOLDER = "_log/slurm"
"""Where scripts and logs of controllers are, below the output of the run."""
FLAG = "--slurm-chain"
"""The option of `corpus run` by which a controller is told its name; it comes first, before all that a user has given."""
_RECORD = "chain.json"
_CANCELS, _CANCEL_SECONDS = 60, 0.5
"""How often, and after which time, it is looked for what a controller may have submitted meanwhile."""


@dataclass(frozen=True)
class Chain:
    """A chain and its newest controller: its number in the chain, and its job, empty while it is not known. `error` is what
    the chain ended with."""

    id: str
    number: int
    job: str = ""
    error: str = ""

    @classmethod
    def load(cls, output: Path) -> Chain | None:
        """The chain of a run's output; None if it has none."""
        try:
            value = json.loads((output / FOLDER / _RECORD).read_text(encoding="utf-8"))
            return cls(**value)
        except (OSError, ValueError, TypeError):
            return None

    def save(self, output: Path) -> None:
        """Make this the chain of the output."""
        (output / FOLDER).mkdir(parents=True, exist_ok=True)
        write_atomic(output / FOLDER / _RECORD, json.dumps(dataclasses.asdict(self)) + "\n")

    @property
    def name(self) -> str:
        """What a controller is told of itself."""
        return f"{self.id}:{self.number}"


def start_chain(run: RecipeRun, options: RunOptions, arguments: Sequence[str]) -> str:
    """Submit the first controller and say what was done; `arguments` are those of the `corpus` command."""
    check_run(run)
    check_options(options)
    if is_finished(run, options):
        return f"{run.output} is finished: nothing to do"
    refuse_second(run.output)
    first = Chain(uuid.uuid4().hex[:8], 0)
    try:
        first.save(run.output)
        job = _submit(run, options, first, arguments, after=())
    except (DataError, UsageError):
        _forget(run.output)
        raise
    _note(run.output, dataclasses.replace(first, job=job))
    return (
        f"job {job} begins the run, and others will follow it; see how far it is with corpus status {run.output}, end it with"
        f" corpus cancel {run.output}"
    )


def check_options(options: RunOptions) -> None:
    """A UsageError for what is wrong with the options of Slurm, for the whole run or for one of its stages."""
    own = executor_settings(options).options
    check(own)
    for key in options.stages:
        domain, _, name = key.rpartition("/")
        other = executor_settings(options.of_stage(name, domain)).options
        if other != own:
            try:
                check(other)
            except UsageError as error:
                raise UsageError(f"for {key} the execution file gives other options: {error.message}") from None


def refuse_second(output: Path) -> None:
    """A UsageError if a chain is at work on this output. Where Slurm cannot be asked there is none to be found."""
    if Chain.load(output) is None:
        return
    try:
        found = _controllers(output, programs.jobs_below(output))
    except (UsageError, DataError):
        return
    if found:
        raise UsageError(
            f"{output} is being made by Slurm jobs (controller {found[0].id}): see corpus status {output}, or end them with"
            f" corpus cancel {output}."
        )


def go_on(run: RecipeRun, options: RunOptions, name: str, arguments: Sequence[str]) -> bool:
    """Do what the controller `name` of a chain is to do; whether the run is finished with it. `arguments` are those of its
    command, which `_submit` has made."""
    assert list(arguments[1:3]) == [FLAG, name], arguments
    id, _, number = name.partition(":")
    own = Chain(id, int(number), os.environ.get("SLURM_JOB_ID", ""))
    newest = Chain.load(run.output)
    if newest is None or newest.id != own.id or newest.number > own.number:
        print(f"{run.output}: another controller has taken over, or the run was cancelled", file=sys.stderr)
        return False
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # whoever ends a controller need not mean its arrays
    executor = SlurmExecutor(executor_settings(options), own.id, hand_over=True)
    try:
        jobs = _jobs_of(run, dataclasses.replace(options, running=executor))
        if not jobs:
            return True
        following = Chain(own.id, own.number + 1)
        job = _submit(run, options, following, [arguments[0], *arguments[3:]], after=jobs)
        _note(run.output, dataclasses.replace(following, job=job))
        print(f"job {job} goes on after {', '.join(jobs)}", file=sys.stderr)
        return False
    except (DataError, UsageError) as error:
        _note(run.output, dataclasses.replace(own, error=error.message))
        raise
    finally:
        executor.close()


def _jobs_of(run: RecipeRun, options: RunOptions) -> tuple[str, ...]:
    """Do what can be done at once; the jobs of a phase that were submitted, none if the run is finished."""
    try:
        run_recipe(run, options)
    except HandedOver as handed:
        return handed.jobs
    return ()


def cancel_run(output: Path) -> int:
    """End the chain of an output and all jobs that work on it; how many there were. Controllers first, which could submit
    more, unless Slurm does not get one of them ended. A LostError says what is left."""
    if not output.is_dir():
        raise UsageError(f"{output} does not exist: give the output of a run or stage on Slurm.")
    programs.check_installed()
    (output / FOLDER / _RECORD).unlink(missing_ok=True)
    ended: set[tuple[str, int]] = set()
    for round in range(_CANCELS):
        found = programs.jobs_below(output)
        if not found:
            return len(ended)
        controllers = [job.id for job in _controllers(output, found) if job.state != "COMPLETING"]
        alone = controllers and round < _CANCELS // 2
        programs.cancel(controllers if alone else [job.id for job in found])
        ended |= {(job.id, job.element) for job in found}
        time.sleep(_CANCEL_SECONDS)
    left = Counter(f"{job.id} ({job.state.lower()})" for job in found)
    raise LostError(
        f"Slurm has not ended all jobs of {output} yet, such as {', '.join([*left][:5])}: nothing goes on with the run; give"
        " corpus cancel again to look whether they have ended, and sinfo -R if their nodes do not answer."
    )


def queue_of(output: Path) -> list[str]:
    """What Slurm is doing for an output, in lines; none if nothing of Slurm is known here."""
    chain = Chain.load(output)
    try:
        jobs = programs.jobs_below(output)
    except (UsageError, DataError) as error:
        if chain is None or run_finished(output):
            return []
        return [f"it is run by Slurm jobs, of which nothing is known here: {error.message}"]
    lines = []
    controllers = {job.id for job in _controllers(output, jobs)}
    for id in dict.fromkeys(job.id for job in jobs):
        own = [job for job in jobs if job.id == id]
        states = Counter(job.state.lower() for job in own)
        said = ", ".join(f"{number} {state}" if len(own) > 1 else state for state, number in sorted(states.items()))
        reasons = sorted({job.reason for job in own if job.state == "PENDING"} - {"", "None"})
        why = f" ({', '.join(reasons)})" if reasons else ""
        lines.append(f"job {id}: {'controller' if id in controllers else _what(own[0], output)}, {said}{why}")
    if chain is not None and not controllers and not run_finished(output):
        if chain.error:
            lines.append(f"the chain of jobs ended with an error: {chain.error}")
        else:
            log = output / FOLDER / f"controller-{chain.id}-{chain.number}.log"
            lines.append(
                f"job {chain.job} of the chain has ended before the run was finished: see {log}, and whether its node has"
                " these folders; then give the command again, which takes what still runs as sent"
            )
    return lines


def _controllers(output: Path, jobs: Sequence[Job]) -> list[Job]:
    place = (output / FOLDER).resolve()
    return [job for job in jobs if Path(job.script).is_relative_to(place)]


def _what(job: Job, output: Path) -> str:
    """The stage and phase of an array, from where its script is: `STAGE/_work/KEY/PHASE/.slurm-…/job.sh`."""
    parts = Path(job.script).relative_to(output.resolve()).parts
    return f"{'/'.join(parts[:-5]) or output.name} {parts[-3]}" if len(parts) >= 5 else job.script


def _submit(run: RecipeRun, options: RunOptions, chain: Chain, arguments: Sequence[str], after: Sequence[str]) -> str:
    folder = run.output / FOLDER
    script = folder / f"controller-{chain.id}-{chain.number}.sh"
    write_script(script, [sys.executable, "-P", "-m", "corpus", arguments[0], FLAG, chain.name, *arguments[1:]])
    executor = SlurmExecutor(executor_settings(options))
    settings = executor.settings
    log = str(script.with_suffix(".log").resolve()).replace("%", "%%")
    return programs.submit(
        script,
        [
            f"--job-name={run.output.name}.controller",
            f"--output={log}",
            "--open-mode=append",
            "--requeue",
            *job_arguments(settings, executor.task_memory(options.memory)),
            *([f"--dependency=afterany:{':'.join(after)}"] if after else []),
        ],
        settings.options.args,
    )


def _forget(output: Path) -> None:
    """Remove a chain that could not begin, and the folders that hold nothing else."""
    for path in [output / FOLDER / _RECORD, *(output / FOLDER).glob("*-0.sh")]:
        path.unlink(missing_ok=True)
    for folder in (output / FOLDER, output / FOLDER.partition("/")[0], output):
        with suppress(OSError):
            folder.rmdir()


def _note(output: Path, chain: Chain) -> None:
    """Make a chain that has come further that of the output, unless it was cancelled or its next controller was faster."""
    newest = Chain.load(output)
    if newest is not None and newest.id == chain.id and newest.number <= chain.number:
        chain.save(output)
